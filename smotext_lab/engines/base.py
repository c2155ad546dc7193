"""What an engine is asked and what it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from smotext_lab.errors import ParameterError

__all__ = ["Engine", "Generated", "Sampling", "Task", "Watch", "uniforms"]

Watch = Callable[[int, np.ndarray], None]
"""Told a row and the ids of all that it has written so far, after every step."""


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


@dataclass(frozen=True)
class Task:
    """Rows to be decoded.

    Attributes
    ----------
    soft_tokens : Tensor, shape (n, k, hidden)
    owners : ndarray of int64, shape (m,)
        Which soft tokens each row continues.
    sampling : Sampling
    seeds : ndarray of uint64, shape (m,)
    ends : list of int
        Tokens that end a text.
    """

    soft_tokens: torch.Tensor
    owners: np.ndarray
    sampling: Sampling
    seeds: np.ndarray
    ends: list[int]

    def __post_init__(self) -> None:
        if self.owners.shape != self.seeds.shape:
            msg = f"{len(self.owners)} rows have {len(self.seeds)} seeds; each needs one"
            raise ParameterError(msg)


class Engine(Protocol):
    """Runs an LLM on soft tokens."""

    def generate(
        self,
        soft_tokens: torch.Tensor,
        sampling: Sampling,
        seeds: np.ndarray,
        *,
        owners: np.ndarray | None = None,
        batch_size: int | None = None,
        cancelled: threading.Event | None = None,
        watch: Watch | None = None,
    ) -> Iterator[Generated]:
        """Yield rows as they finish, in any order.

        Parameters
        ----------
        soft_tokens : Tensor, shape (n, k, hidden)
        sampling : Sampling
        seeds : ndarray of uint64, shape (m,)
            One random key a row: a row's text depends on its own key only.
        owners : ndarray of int64, shape (m,), optional
            Which soft tokens each row continues (by default row i those of i): rows of the
            same owner share the work of reading them.
        batch_size : int, optional
            Rows decoded together at most; by default, and by an engine that sees to it itself,
            as many as the memory holds.
        cancelled : threading.Event, optional
            Once it is set no further step is made; what had finished has been yielded.
        watch : callable, optional
            Told what each unfinished row has written; costs some Python a row and step.
        """
        ...


def uniforms(seeds: np.ndarray, step: int | np.ndarray) -> np.ndarray:
    """Return one uniform number in [0, 1) a row, a function of its seed and the step alone.

    A counter-based generator (the finaliser of SplitMix64; Steele, Lea and Flood, OOPSLA
    2014) drawn for the whole batch at once: no state passes from row to row, so rows may
    join and leave a batch.

    Parameters
    ----------
    seeds : ndarray of uint64, shape (n,)
    step : int or ndarray of int64, shape (n,)

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
        count = (np.asarray(step, np.int64) + 1).astype(np.uint64)
        z = _mixed(z + count * np.uint64(0x9E3779B97F4A7C15))
    return (z >> np.uint64(11)) * 2.0**-53


def _mixed(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
