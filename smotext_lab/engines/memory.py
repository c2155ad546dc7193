"""How much memory decoding takes, before it is taken."""

from __future__ import annotations

from typing import Any

from smotext_lab.engines.llama import STEP
from smotext_lab.engines.slots import READ_AT_ONCE

__all__ = ["peak_memory", "rows_within"]

_FLOAT = 4


def peak_memory(config: Any, rows: int, soft_tokens: int, new_tokens: int) -> int:
    """Return the bytes that decoding takes at most beside the weights.

    An upper bound: rows that end early never fill their part of the cache.

    Parameters
    ----------
    config : PreTrainedConfig
        Of the LLM.
    rows : int
        Decoded together.
    soft_tokens, new_tokens : int
        Of each row.

    Examples
    --------
    >>> from transformers import LlamaConfig
    >>> one, two = (peak_memory(LlamaConfig(), n, 16, 64) for n in (1, 2))
    >>> one < two < 2 * one
    True
    """
    heads = config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    place = 2 * config.num_hidden_layers * groups * width * _FLOAT
    cache = rows * (soft_tokens + new_tokens + 2 * STEP) * place
    read = max(READ_AT_ONCE, soft_tokens)
    reading = read * (place + (8 * config.hidden_size + 3 * inner) * _FLOAT)
    # a row's logits, once as they come and once while the best are looked for
    logits = (rows + read // soft_tokens) * config.vocab_size * 2 * _FLOAT
    return cache + reading + logits


def rows_within(budget: int, config: Any, soft_tokens: int, new_tokens: int, most: int) -> int:
    """Return the largest number of rows, at least 1, that `budget` bytes hold."""
    fixed = peak_memory(config, 0, soft_tokens, new_tokens)
    each = peak_memory(config, 1, soft_tokens, new_tokens) - fixed
    return int(min(most, max(1, (budget - fixed) // each)))
