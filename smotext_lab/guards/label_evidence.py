"""What the real texts say of a label as a whole: logistic regression on their vectors."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from smotext_lab.guards.cosines import UnitRows

__all__ = ["LabelEvidence"]

_MOST = 20_000  # real texts that are learnt from; of each class at most an equal part
_INVERSE_REGULARISATION = 10.0


class LabelEvidence:
    """How likely each class is for a vector, by all real texts and not the nearest alone.

    A text that was written for a blend lies nearest to its parents, which vote for their own label
    even where what tells the classes apart got lost on the way. Every class counts the same,
    whatever its size. It is learnt when it is first asked, once for all that share it.

    Parameters
    ----------
    vectors : UnitRows or ndarray of float32, shape (n, d)
        Of unit length.
    codes : ndarray of int, shape (n,)
        Classes from 0, of which there are two or more.

    Examples
    --------
    >>> evidence = LabelEvidence(np.eye(2, dtype=np.float32), np.array([0, 1]))
    >>> evidence.shares(np.array([[0.9, 0.1]])).argmax(axis=1)
    array([0])
    """

    def __init__(self, vectors: np.ndarray | UnitRows, codes: np.ndarray) -> None:
        self._vectors, self._codes = vectors, codes

    def shares(self, vectors: np.ndarray) -> np.ndarray:
        """Return probabilities, float64 (m, c).

        Parameters
        ----------
        vectors : ndarray of float32, shape (m, d)
            Of unit length.
        """
        found: np.ndarray = self._model.predict_proba(vectors)
        return found

    @cached_property
    def outward(self) -> np.ndarray:
        """The way from the mean of all classes to that of each, float32 (c, d)."""
        vectors, codes = self._learnt
        means = np.stack([vectors[codes == code].mean(axis=0) for code in np.unique(codes)])
        away: np.ndarray = (means - means.mean(axis=0)).astype(np.float32)
        return away

    @cached_property
    def _model(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=_INVERSE_REGULARISATION, class_weight="balanced", max_iter=300)
        with threadpool_limits(1):  # few rows: more threads only wait for each other
            model.fit(*self._learnt)
        return model

    @cached_property
    def _learnt(self) -> tuple[np.ndarray, np.ndarray]:
        rows = _spread(self._codes, max(1, _MOST // (int(self._codes.max()) + 1)))
        return self._vectors[rows], self._codes[rows]


def _spread(codes: np.ndarray, most: int) -> np.ndarray:
    """Return rows of at most `most` of each class, from all over it."""
    chosen = []
    for code in range(int(codes.max()) + 1):
        rows = np.flatnonzero(codes == code)
        chosen.append(rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)])
    return np.sort(np.concatenate(chosen))
