"""How likely a language model finds texts: whether they read as its language does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["log_likelihoods", "perplexity"]

_MOST = 512
"""Tokens that are read of a text: each takes a float32 for every word of the vocabulary."""


def log_likelihoods(
    llm: Any, tokenizer: Any, texts: Sequence[str], *, batch_tokens: int = 1024
) -> tuple[np.ndarray, np.ndarray]:
    """Return each text's log-likelihood and how many tokens it is of.

    ``Σ log p(token | tokens before)``, natural logarithm, after the tokenizer's start token
    (its end token where it has no start token). Of a longer text the first 512 tokens are read,
    or as many as the LLM has positions for. Give the LLM as it was loaded: a bridge's
    LoRA is on only inside ``lora.applied``, and would judge its own texts kindly.

    Parameters
    ----------
    llm : PreTrainedModel
        A causal LM.
    tokenizer : PreTrainedTokenizerBase
    texts : sequence of str, length n
    batch_tokens : int, default=1024
        Tokens in a batch; texts are sorted by length first.

    Returns
    -------
    sums : ndarray of float64, shape (n,)
    tokens : ndarray of int64, shape (n,)
        Those that were read: 0 for a text without tokens.

    Examples
    --------
    >>> from smotext_lab.models import load_llm
    >>> llm, tokenizer = load_llm()
    >>> sums, tokens = log_likelihoods(llm, tokenizer, ["It rained all day.", "day all It. rained"])
    >>> bool(sums[0] > sums[1])
    True
    """
    from smotext_lab.writer import positions

    most = min(positions(llm) - 1, _MOST)  # the start token takes a place
    start = tokenizer.bos_token_id
    start = tokenizer.eos_token_id if start is None else start
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"][:most] for text in texts]
    tokens = np.array([len(row) for row in ids], np.int64)
    sums = np.zeros(len(ids))
    order = [int(row) for row in np.argsort(-tokens, kind="stable") if tokens[row]]
    while order:
        size = max(1, batch_tokens // int(tokens[order[0]] + 1))
        rows, order = order[:size], order[size:]
        sums[rows] = _batch(llm, [[start, *ids[row]] for row in rows])
    return sums, tokens


def _batch(llm: Any, rows: list[list[int]]) -> np.ndarray:
    import torch
    from torch.nn.utils.rnn import pad_sequence

    padded = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=-1)
    padded = padded.to(llm.device)
    with torch.inference_mode():
        # padding stands at the right, where a causal model's real tokens never look
        logits = llm(input_ids=padded.clamp(min=0), use_cache=False).logits[:, :-1].float()
        losses = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), padded[:, 1:], ignore_index=-1, reduction="none"
        )
    summed: np.ndarray = -losses.double().sum(dim=1).cpu().numpy()
    return summed


def perplexity(sums: np.ndarray, tokens: np.ndarray) -> float:
    """Return the perplexity of texts: ``exp(-Σ log-likelihoods / Σ tokens)``.

    Range 1 to infinity; NaN where there are no tokens. About as high as that of real texts is
    good: far below, the texts are commonplace or go round in circles; far above, they are not
    well-formed. It says nothing about meaning, and depends on the LLM and its tokenizer, so
    only perplexities of the same LLM compare.

    Note that the default LLM is the generator: the model that wrote the texts, here without the
    bridge's LoRA. It finds likely what it would write itself, so that new texts look more fluent
    than another model would find them; as a judge that took no part, give `log_likelihoods`
    another LLM.

    Parameters
    ----------
    sums, tokens : ndarray, shape (n,)
        From `log_likelihoods`.

    Returns
    -------
    float

    References
    ----------
    .. [1] Jelinek et al., "Perplexity, a measure of the difficulty of speech recognition
       tasks", JASA 62 (S1), 1977.

    Examples
    --------
    >>> round(perplexity(np.log([0.25, 0.5]), np.array([1, 1])), 3)
    2.828
    """
    total = int(np.sum(tokens))
    return float(np.exp(-np.sum(sums) / total)) if total else float("nan")
