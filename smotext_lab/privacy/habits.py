"""How the texts of a class are written, as noisy counts: of each form, and of each length."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from smotext_lab.forms import CaseStyle, SentenceKind, TextForm

__all__ = ["N_HABITS", "Habits", "Manner", "marks"]

_FORMS = [
    TextForm(kind, case)
    for kind, case in itertools.product(get_args(SentenceKind), get_args(CaseStyle))
]
_PLACES = {form: place for place, form in enumerate(_FORMS)}
_WORDS = np.array([1, 3, 5, 8, 12, 17, 24, 34, 48])  # the fewest of each length; the last has
_LONGEST = 67  # at most so many
_CLEAR = 3.0  # standard deviations: less is taken for noise, or many forms that no text has count

N_HABITS = len(_FORMS) + len(_WORDS)
"""How many counts a class has."""

Manner = tuple[list[TextForm], np.ndarray]
"""A form and a number of words for each point."""


def marks(texts: Sequence[str], words: np.ndarray) -> np.ndarray:
    """Return what each text counts for: one of the forms, and one of the lengths.

    Parameters
    ----------
    texts : sequence of str, length n
    words : ndarray of int, shape (n,)
        How many each has.

    Returns
    -------
    ndarray of int64, shape (n, N_HABITS)
        Two ones a row.

    Examples
    --------
    >>> np.flatnonzero(marks(["Who paid?"], np.array([2]))).tolist()
    [1, 20]
    """
    found = np.zeros((len(texts), N_HABITS), np.int64)
    rows = np.arange(len(texts))
    found[rows, [_PLACES[TextForm.of(text)] for text in texts]] = 1
    length = np.searchsorted(_WORDS, np.maximum(words, 1), side="right") - 1
    found[rows, len(_FORMS) + length] = 1
    return found


@dataclass(frozen=True, eq=False)
class Habits:
    """Noisy counts; what is drawn from them costs nothing more.

    Attributes
    ----------
    counts : ndarray of shape (c, N_HABITS)
        For each class how many texts have each form, then each length.
    deviation : float
        Standard deviation of the noise in each.
    """

    counts: np.ndarray
    deviation: float

    def drawn(self, classes: np.ndarray, rng: np.random.Generator) -> Manner | None:
        """Return a form and a length for each of the classes' points, drawn by the counts.

        Counts that noise alone may have made are left out; of a class that has no others, those
        of all classes together hold. None where nothing is clear there either.

        Parameters
        ----------
        classes : ndarray of int, shape (m,)
            Rows of `counts`.
        """
        forms = self._each(classes, slice(0, len(_FORMS)), rng)
        lengths = self._each(classes, slice(len(_FORMS), None), rng)
        if forms is None or lengths is None:
            return None
        fewest, beyond = _WORDS[lengths], np.append(_WORDS[1:], _LONGEST + 1)[lengths]
        return [_FORMS[form] for form in forms], rng.integers(fewest, beyond)

    def _each(self, classes: np.ndarray, of: slice, rng: np.random.Generator) -> np.ndarray | None:
        counts = self.counts[:, of]
        together = _clear(counts.sum(axis=0), self.deviation * np.sqrt(len(counts)))
        found = np.zeros(len(classes), np.int64)
        for place in np.unique(classes):
            weights = _clear(counts[place], self.deviation)
            weights = weights if weights.any() else together
            if not weights.any():
                return None
            rows = np.flatnonzero(classes == place)
            found[rows] = rng.choice(len(weights), len(rows), p=weights / weights.sum())
        return found


def _clear(counts: np.ndarray, deviation: float) -> np.ndarray:
    kept: np.ndarray = np.where(counts > _CLEAR * deviation, counts, 0.0)
    return kept
