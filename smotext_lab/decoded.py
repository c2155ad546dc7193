"""What comes back for a vector: its text, and every text that was tried for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from smotext_lab.candidates import Candidate

__all__ = ["Decoded", "Tried"]


class Tried(NamedTuple):
    """One of the texts that were tried for a vector, and what it was ranked by."""

    text: str
    cosine: float
    likelihood: float
    score: float


@dataclass(frozen=True)
class Decoded:
    """One vector's text.

    Attributes
    ----------
    row : int
        Of the vector.
    text : str
    cosine : float
        Of the re-encoded text to the vector.
    likelihood : float
        Mean natural log of the probability that the LLM gave the tokens.
    tokens : int
        Tokens written.
    ended : bool
        Whether the LLM ended the text itself; else it was cut at `max_new_tokens`.
    seed : int
    attempts : int
        Candidates that were decoded, those of corrections and with words changed included.
    vector : ndarray of float32, shape (d,)
        The re-encoded text.
    trace : tuple of Tried
        Every candidate, best first.
    """

    row: int
    text: str
    cosine: float
    likelihood: float
    tokens: int
    ended: bool
    seed: int
    attempts: int
    vector: np.ndarray
    trace: tuple[Tried, ...]

    @classmethod
    def of(cls, candidates: Sequence[Candidate], row: int, seed: int) -> Decoded:
        """Return what a row is given, from its candidates, best first."""
        best = candidates[0]
        return cls(
            row=row,
            text=best.text,
            cosine=best.cosine,
            likelihood=best.generated.log_likelihood,
            tokens=len(best.generated.ids),
            ended=best.generated.ended,
            seed=seed,
            attempts=len(candidates),
            vector=best.vector,
            trace=tuple(
                Tried(c.text, c.cosine, c.generated.log_likelihood, c.score) for c in candidates
            ),
        )
