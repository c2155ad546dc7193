"""Texts that were tried for a vector, and what they are ranked by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smotext_lab.engines.base import Generated
from smotext_lab.forms import TextForm, restyled, sentence_kind
from smotext_lab.guards.words import find_loop, fold

__all__ = ["Candidate", "in_form", "malus"]

_OTHER_KIND = 0.05
_BROKEN = 2.0  # more than any cosine makes good
_MAX_REPEATS = 3


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
        What candidates are ranked by: the cosine less the `malus`.
    generated : Generated
    vector : ndarray of float32, shape (d,)
        The re-encoded text.
    input : ndarray of float32, shape (d,)
        What the bridge was given: the vector, moved where it is a correction.
    """

    row: int
    text: str
    cosine: float
    score: float
    generated: Generated
    vector: np.ndarray
    input: np.ndarray


def in_form(text: str, form: TextForm | None) -> str:
    """Return `text` with the capitals of `form`, which many encoders do not see.

    Examples
    --------
    >>> in_form("Who paid?", TextForm.of("how are you"))
    'who paid?'
    """
    return text if form is None else restyled(text, form.case)


def malus(text: str, form: TextForm | None) -> float:
    """Return what a text loses against its cosine, in the ranking.

    Little where it is of another kind than `form` (a statement where a question is wanted);
    more than any cosine where it is empty or goes on repeating itself.

    Examples
    --------
    >>> malus("It rains.", None), malus("It rains.", TextForm.of("Who?"))
    (0.0, 0.05)
    >>> malus("the rain the rain the rain the rain", None) > 1
    True
    """
    folded = fold(text)
    broken = not folded or find_loop(folded, _MAX_REPEATS) is not None
    other = form is not None and sentence_kind(text) != form.kind
    # an empty text comes after one that at least has words, if all that were tried are broken
    return _BROKEN * (broken + (not text)) + _OTHER_KIND * other
