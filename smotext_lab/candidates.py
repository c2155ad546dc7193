"""Texts that were tried for a vector, and what they are ranked by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smotext_lab.engines.base import Generated
from smotext_lab.forms import TextForm, restyled, sentence_kind
from smotext_lab.guards.words import find_loop, fold

__all__ = [
    "LABEL_WEIGHT",
    "NO_GAIN",
    "Candidate",
    "at_length_of",
    "broken",
    "guided",
    "in_form",
    "moved_on",
    "score",
]

_LIKELIHOOD = 0.03  # what a nat a token is worth: of texts equally near, the likelier one
_OTHER_KIND = 0.05
_UNMET = 0.15  # a wish for a word that is not met
_BROKEN = 2.0  # more than any cosine makes good
_MAX_REPEATS = 3

LABEL_WEIGHT = 0.3
"""What being surely of the wanted label is worth, in cosine."""

NO_GAIN = 1e-3
"""A search that brings a text no more score than this has brought nothing."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One text that was tried for a vector.

    Attributes
    ----------
    row : int
        Of the vector.
    text : str
    cosine : float
        Of the re-encoded text to the vector.
    score : float
        What candidates are ranked by.
    generated : Generated
    vector : ndarray of float32, shape (d,)
        The re-encoded text.
    """

    row: int
    text: str
    cosine: float
    score: float
    generated: Generated
    vector: np.ndarray


def in_form(text: str, form: TextForm | None) -> str:
    """Return `text` with the capitals of `form`, which many encoders do not see.

    Examples
    --------
    >>> in_form("Who paid?", TextForm.of("how are you"))
    'who paid?'
    """
    return text if form is None else restyled(text, form.case)


def broken(text: str) -> bool:
    """Tell whether `text` has no words or goes on repeating itself.

    Examples
    --------
    >>> broken("..."), broken("the rain the rain the rain the rain"), broken("It rains.")
    (True, True, False)
    """
    folded = fold(text)
    return not folded or find_loop(folded, _MAX_REPEATS) is not None


def score(
    text: str,
    cosine: float,
    likelihood: float,
    form: TextForm | None = None,
    *,
    agreement: float = 0,
    unmet: int = 0,
) -> float:
    """Return what a candidate is ranked by: its cosine, and a little else.

    0.03 for each nat a token that the LLM finds it likelier (its own likelihood, against
    babble); 0.3 for agreement with the wanted label; 0.05 less for another kind than `form`
    (a statement where a question is wanted); 0.15 less for each wish that it does not meet; less
    than any other where it is empty or goes on repeating itself.

    Parameters
    ----------
    text : str
    cosine : float
        To the target.
    likelihood : float
        Mean natural log a token.
    form : TextForm, optional
    agreement : float, default=0
        0 to 1: how surely the text is of the wanted label.
    unmet : int, default=0
        See `Steering.unmet`.

    Examples
    --------
    >>> round(score("It rains.", 0.8, -2.0), 2)
    0.74
    >>> round(score("It rains.", 0.8, -2.0, TextForm.of("Who?")), 2)
    0.69
    >>> score("the rain the rain the rain the rain", 0.9, -0.1) < 0
    True
    """
    other = form is not None and sentence_kind(text) != form.kind
    # an empty text comes after one that at least has words, if all that were tried are broken
    lost = _BROKEN * (broken(text) + (not text)) + _OTHER_KIND * other + _UNMET * unmet
    return cosine + _LIKELIHOOD * likelihood + LABEL_WEIGHT * agreement - lost


def moved_on(vectors: np.ndarray, written: Sequence[Candidate]) -> np.ndarray:
    """Return vectors moved on by what the texts written for them lack, at their old length.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
    written : sequence of Candidate, length n
    """
    found = np.stack([candidate.vector for candidate in written])
    return at_length_of(vectors, 2 * vectors - found)


def guided(vectors: np.ndarray, guidance: np.ndarray) -> np.ndarray:
    """Return vectors moved by `guidance`, which is for vectors of length 1, at their old length.

    Parameters
    ----------
    vectors, guidance : ndarray of float32, shape (n, d)

    Examples
    --------
    >>> guided(np.array([[0.0, 2.0]]), np.array([[1.0, 0.0]])).round(2)
    array([[1.41, 1.41]], dtype=float32)
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return at_length_of(vectors, vectors + lengths * guidance)


def at_length_of(vectors: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Return `moved` with each row as long as that of `vectors`."""
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    wanted = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (moved * (wanted / np.maximum(lengths, 1e-12))).astype(np.float32)
