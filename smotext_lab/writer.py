"""An LLM with the bridge it reads through: soft tokens in, texts out."""

from __future__ import annotations

import copy
import itertools
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from smotext_lab.bridges import Bridge, load_bridge
from smotext_lab.encoders import Encoder
from smotext_lab.engines.base import Engine, Generated, Sampling
from smotext_lab.engines.drawing import log_probability
from smotext_lab.engines.transformers import TransformersEngine
from smotext_lab.engines.vllm import outside
from smotext_lab.errors import ModelError
from smotext_lab.models import fingerprint, load_llm, model_path

__all__ = ["PLACEHOLDER", "Writer", "end_tokens", "positions"]

PLACEHOLDER = "{xrag}"
XRAG_TOKEN = "<xRAG>"  # noqa: S105 - a token of text, not a secret

_AT_A_TIME = 32
"""So many finished rows are waited for before others may use the LLM."""

_READ = 32
"""Texts that are read together."""


@dataclass(frozen=True)
class Writer:
    """The loaded LLM, with the bridge and the engine that go with it.

    Attributes
    ----------
    model : PreTrainedModel
    tokenizer : PreTrainedTokenizer
    bridge : Bridge
    engine : Engine
    end : int
        The token that ends a text.
    before, after : Tensor of float32, shape (1, k, hidden)
        Embeddings of the prompt around the soft tokens.
    embedding : Tensor, shape (vocabulary, hidden)
        The LLM's input embeddings on the CPU, where the bridge works.
    lock : Lock
        While the bridge's LoRA is on, nobody else may use the LLM.
    """

    model: Any
    tokenizer: Any
    bridge: Bridge
    engine: Engine
    end: int
    before: torch.Tensor
    after: torch.Tensor
    embedding: torch.Tensor
    lock: threading.Lock

    @classmethod
    def load(
        cls,
        llm: str,
        bridge: str | Path | Bridge,
        encoder: Encoder,
        *,
        prompt: str | None,
        dtype: str,
        device: str = "auto",
        engine: Any = "transformers",
    ) -> Writer:
        """Load what is not loaded yet, and check that the parts fit; see `XRAGDecoder`."""
        if not isinstance(bridge, Bridge):
            bridge = load_bridge(model_path(llm) if bridge == llm else bridge)  # xRAG's
        ours = engine == "transformers"  # vLLM puts a copy of its own on the GPU
        model, tokenizer = load_llm(llm, dtype, device if ours else "cpu")
        embedding = model.get_input_embeddings().weight.detach().cpu()
        hidden = embedding.shape[1]
        bridge.check(encoder.fingerprint, encoder.dim, fingerprint(llm), hidden)
        ends = end_tokens(llm, model, tokenizer)
        if ours:
            runs: Engine = TransformersEngine(model, ends)
        else:
            runs = outside(engine).start(model, tokenizer, ends, bridge.lora)
        before, after = _prompt_embeds(embedding, tokenizer, prompt)
        lock = threading.Lock()
        return cls(model, tokenizer, bridge.eval(), runs, ends[0], before, after, embedding, lock)

    @torch.inference_mode()
    def soft_tokens(self, vectors: torch.Tensor, **asked: torch.Tensor | None) -> torch.Tensor:
        """Return the whole input of the LLM: prompt, soft tokens, prompt.

        What may be asked besides the vectors is said in `Bridge.soft_tokens`.
        """
        soft = self.bridge.soft_tokens(vectors, self.embedding, **asked)
        n = len(soft)
        around = [self.before.expand(n, -1, -1), soft, self.after.expand(n, -1, -1)]
        return torch.cat(around, dim=1)

    def generate(
        self,
        soft: torch.Tensor,
        sampling: Sampling,
        seeds: np.ndarray,
        **how: Any,
    ) -> Iterator[Generated]:
        """Yield rows as they finish, in any order: all of them unless the search is cancelled.

        Some are waited for at a time, with the bridge's LoRA on; while the caller has them, others
        may use the LLM. An interrupt is passed on once what had finished has been yielded. `how`:
        ``batch_size``, ``cancelled`` and ``watch``, see `Engine.generate`.
        """
        lora = self.bridge.lora
        found: Iterator[Generated] | None = None
        room = positions(self.model) - soft.shape[1]
        if sampling.max_new_tokens > room:
            sampling = replace(sampling, max_new_tokens=max(1, room))
        more = True
        while more:
            part: list[Generated] = []
            stopped = None
            try:
                with self.lock, lora.applied(self.model) if lora else nullcontext():
                    if found is None:
                        found = self.engine.generate(soft, sampling, seeds, **how)
                    part.extend(itertools.islice(found, _AT_A_TIME))
            except KeyboardInterrupt as interrupt:
                stopped = interrupt
            yield from part
            if stopped is not None:
                raise stopped
            more = len(part) == _AT_A_TIME

    @torch.inference_mode()
    def read(self, soft: torch.Tensor, texts: Sequence[str]) -> list[Generated]:
        """Return `texts` as if the LLM had written them, with the likelihood that it gives them.

        Of a text for which the LLM has not enough positions: the likelihood of what fits.

        Parameters
        ----------
        soft : Tensor of float32, shape (n, k, hidden)
            What `soft_tokens` returned for each.
        texts : sequence of str, length n
        """
        ids = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        room = positions(self.model) - soft.shape[1]
        targets = [[*each, self.end][: room + 1] for each in ids]  # the last one is not read
        lengths = np.array([len(each) for each in targets])
        sums = np.zeros(len(texts))
        order = np.argsort(lengths, kind="stable")
        lora = self.bridge.lora
        for start in range(0, len(order), _READ):
            rows = order[start : start + _READ]
            some = [targets[row] for row in rows]
            with self.lock, lora.applied(self.model) if lora else nullcontext():
                sums[rows] = self._read(soft[torch.from_numpy(rows)], some)
        means = (sums / lengths).tolist()
        return [
            Generated(row, np.array(each, np.int64), means[row], ended=True)
            for row, each in enumerate(ids)
        ]

    def _read(self, soft: torch.Tensor, ids: list[list[int]]) -> np.ndarray:
        """Return the summed log-probabilities of token ids."""
        embedding = self.model.get_input_embeddings().weight
        targets = nn.utils.rnn.pad_sequence(
            [torch.tensor(each) for each in ids], batch_first=True, padding_value=-1
        ).to(embedding.device)
        # padding stands at the right, where a causal model's real tokens never look
        inputs = torch.cat([soft.to(embedding), embedding[targets[:, :-1].clamp(min=0)]], dim=1)
        kept = targets.shape[1]
        logits = self.model(inputs_embeds=inputs, use_cache=False, logits_to_keep=kept).logits
        real = targets >= 0
        found = torch.zeros(targets.shape, device=embedding.device)
        found[real] = log_probability(logits[real], targets[real])
        return found.sum(dim=1).cpu().numpy()

    def text(self, ids: np.ndarray) -> str:
        """Return the text of token ids, white space as single blanks."""
        return " ".join(self.tokenizer.decode(ids, skip_special_tokens=True).split())


def end_tokens(llm: str, model: Any, tokenizer: Any) -> list[int]:
    """Return the tokens that end a text; the first is the one that a bridge is taught.

    Raises
    ------
    ModelError
        If neither the tokenizer nor the model names one.
    """
    own, said = tokenizer.eos_token_id, model.generation_config.eos_token_id
    others = [said] if isinstance(said, int) else list(said or [])
    ends = list(dict.fromkeys([*([] if own is None else [own]), *others]))
    if not ends:
        msg = f"{llm} names no token that ends a text: set eos_token in its tokenizer"
        raise ModelError(msg)
    return ends


def positions(model: Any) -> int:
    """Return how many tokens the LLM reads at most, as far as its config says."""
    return int(getattr(model.config, "max_position_embeddings", None) or sys.maxsize)


def _prompt_embeds(
    embedding: torch.Tensor, tokenizer: Any, prompt: str | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the embeddings of the prompt before and after the soft tokens.

    The template is tokenized whole with xRAG's own token in the place of ``{xrag}``, as the
    reference does: split before tokenizing, some tokenizers would add a space.
    """
    if prompt is None:
        nothing = torch.zeros((1, 0, embedding.shape[1]))
        return nothing, nothing
    if XRAG_TOKEN not in tokenizer.get_vocab():
        from tokenizers import AddedToken

        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.add_tokens([AddedToken(XRAG_TOKEN, lstrip=False, rstrip=False)])
    ids = tokenizer(prompt.replace(PLACEHOLDER, XRAG_TOKEN))["input_ids"]
    if ids and ids[-1] == tokenizer.eos_token_id and not prompt.endswith(tokenizer.eos_token):
        ids = ids[:-1]  # the tokenizer was set to add it, for training: nothing would follow it
    at = ids.index(tokenizer.convert_tokens_to_ids(XRAG_TOKEN))
    embeds = [
        embedding[torch.tensor(part, dtype=torch.int64)] for part in (ids[:at], ids[at + 1 :])
    ]
    before, after = (e.float()[None] for e in embeds)
    return before, after
