"""What people do today: show the language model two texts of a class and ask for one more."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from smotext_lab.evaluation.recalling import append_line, read_lines

__all__ = ["prompted", "prompting_code"]

_BATCH = 32
_SHOWN = 1200  # characters of each of the two texts: an LLM has only so much room
_ASK = (
    "Here are two texts of the same kind:\n\n1. {first}\n2. {second}\n\n"
    "Write one more text of this kind, about as long. Answer with the text alone."
)
_LEAD = re.compile(r"^(?:\s*(?:\d+[.)]|[-*•])\s*)+")


def prompted(
    texts: Sequence[str],
    labels: np.ndarray,
    n: Mapping[str, int],
    decoder: Any,
    random_state: int = 0,
    *,
    unfinished: Path | None = None,
) -> pd.DataFrame:
    """Return new texts by the decoder's own LLM, without LoRA and without a vector.

    Parameters
    ----------
    texts : sequence of str
    labels : ndarray of str
    n : dict of label -> int
    decoder : XRAGDecoder
        Its LLM, temperature, top_p, top_k and max_new_tokens are used. An LLM without a chat
        template is given the request as plain text. Of a longer text the first 1,200 characters
        are shown.
    random_state : int, default=0
    unfinished : Path, optional
        A file that keeps the answers batch by batch: the same call goes on from it.

    Returns
    -------
    DataFrame
        Columns ``text`` and ``label``. An empty answer is left out.

    References
    ----------
    .. [1] Dai et al., "AugGPT", arXiv 2302.13007; Yoo et al., "GPT3Mix", Findings of EMNLP 2021.
    """
    rng = np.random.default_rng(random_state)
    wanted = [label for label, count in n.items() for _ in range(count)]
    asks = []
    for label in wanted:
        rows = np.flatnonzero(labels == label)
        first, second = rng.choice(rows, 2, replace=len(rows) < 2)
        asks.append(_ASK.format(first=texts[first][:_SHOWN], second=texts[second][:_SHOWN]))
    answers = _answered(decoder, asks, random_state, unfinished)
    made = [(_cleaned(answer), label) for answer, label in zip(answers, wanted, strict=True)]
    return pd.DataFrame([row for row in made if row[0]], columns=["text", "label"])


def prompting_code() -> str:
    """Return this module's own code: what it wrote is kept under it."""
    return Path(__file__).read_text("utf-8")


def _answered(
    decoder: Any, asks: list[str], random_state: int, unfinished: Path | None
) -> list[str]:
    """Return an answer to each; texts of like length are written together."""
    import torch

    known = {} if unfinished is None else _kept(unfinished)
    with decoder.bare_llm() as (model, tokenizer):
        prompts = [_prompt(tokenizer, ask) for ask in asks]
        answers = [""] * len(asks)
        order = np.argsort([len(prompt) for prompt in prompts], kind="stable")
        gpus = [model.device] if model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=gpus), torch.inference_mode():
            for start in range(0, len(order), _BATCH):
                rows = order[start : start + _BATCH]
                if start in known:
                    for row, answer in zip(rows, known[start], strict=True):
                        answers[row] = answer
                    continue
                seeds = np.random.SeedSequence([random_state, start])  # whatever came before
                torch.manual_seed(int(seeds.generate_state(1)[0]))
                read = tokenizer(
                    [prompts[row] for row in rows],
                    return_tensors="pt",
                    padding=True,
                    padding_side="left",
                    add_special_tokens=False,
                ).to(model.device)
                sampling = decoder.sampling
                written = model.generate(
                    **read,
                    do_sample=sampling.temperature > 0,
                    temperature=sampling.temperature or None,
                    top_p=sampling.top_p,
                    top_k=sampling.top_k,
                    max_new_tokens=sampling.max_new_tokens,
                    pad_token_id=tokenizer.pad_token_id,
                )
                new = written[:, read["input_ids"].shape[1] :]
                for row, ids in zip(rows, new, strict=True):
                    answers[row] = tokenizer.decode(ids, skip_special_tokens=True)
                if unfinished is not None:
                    append_line(unfinished, {"start": start, "of": [answers[row] for row in rows]})
    return answers


def _kept(unfinished: Path) -> dict[int, list[str]]:
    """Return the answers that an earlier run had, by where their batch begins."""
    return {told["start"]: told["of"] for told in read_lines(unfinished)}


def _prompt(tokenizer: Any, ask: str) -> str:
    if not tokenizer.chat_template:  # a language model that was never taught to chat goes on
        return f"{ask}\n\n"
    said = [{"role": "user", "content": ask}]
    return str(tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True))


def _cleaned(answer: str) -> str:
    """Return the first line that says something, without a number or quotes around it."""
    lines = [_LEAD.sub("", line).strip() for line in answer.splitlines()]
    line = next((line for line in lines if line and not line.endswith(":")), "")
    return line.strip('"“”').strip()
