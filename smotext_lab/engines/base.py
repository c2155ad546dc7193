"""What an engine is asked and what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from smotext_lab.errors import ParameterError

__all__ = ["Engine", "Generated", "Sampling", "uniforms"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn.

    Attributes
    ----------
    temperature : float
        0 takes the likeliest token.
    top_p : float
        Smallest set of tokens with at least this share of the probability.
    top_k : int
        At most this many tokens (0: no limit of its own).
    max_new_tokens : int
    repetition_penalty : float
        Logits of tokens already written are divided (positive ones) or multiplied
        (negative ones) by it (CTRL, arXiv 1909.05858, section 4.1).
    """

    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 50
    max_new_tokens: int = 64
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        bounds = (
            ("temperature", self.temperature >= 0, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("max_new_tokens", self.max_new_tokens >= 1, "1 or more"),
            ("repetition_penalty", self.repetition_penalty > 0, "above 0"),
        )
        for name, holds, wanted in bounds:
            if not holds:
                msg = f"{name} must be {wanted}, not {getattr(self, name)!r}"
                raise ParameterError(msg)


@dataclass(frozen=True)
class Generated:
    """One finished row.

    Attributes
    ----------
    row : int
    ids : ndarray of int64
        Without the end token.
    log_likelihood : float
        Mean natural log of the probability of the tokens written, end token included, at
        temperature 1.
    ended : bool
        Whether the model ended the text itself (else it was cut at `max_new_tokens`).
    """

    row: int
    ids: np.ndarray
    log_likelihood: float
    ended: bool


class Engine(Protocol):
    """Runs an LLM on soft tokens."""

    def generate(
        self, soft_tokens: torch.Tensor, sampling: Sampling, seeds: np.ndarray
    ) -> Iterator[Generated]:
        """Yield rows as they finish.

        Parameters
        ----------
        soft_tokens : Tensor, shape (n, k, hidden)
        sampling : Sampling
        seeds : ndarray of uint64, shape (n,)
            One random key a row: a row's text depends on its own key only.
        """
        ...


def uniforms(seeds: np.ndarray, step: int) -> np.ndarray:
    """Return one uniform number in [0, 1) a row, a function of its seed and the step alone.

    A counter-based generator (the finaliser of SplitMix64; Steele, Lea and Flood, OOPSLA
    2014) drawn for the whole batch at once: no state passes from row to row, so rows may
    join and leave a batch.

    Parameters
    ----------
    seeds : ndarray of uint64, shape (n,)
    step : int

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> a = uniforms(np.array([1, 2], np.uint64), 0)
    >>> b = uniforms(np.array([2], np.uint64), 0)
    >>> bool(a[1] == b[0])
    True
    """
    with np.errstate(over="ignore"):
        z = _mixed(seeds.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
        z = _mixed(z + np.uint64((step + 1) % 2**64) * np.uint64(0x9E3779B97F4A7C15))
    return (z >> np.uint64(11)) * 2.0**-53


def _mixed(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
