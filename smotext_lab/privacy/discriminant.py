"""Which class a vector is of, by released means and one covariance: no points are drawn for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import softmax

__all__ = ["Discriminant"]

_EVEN = 0.5
"""Share of a covariance as long in all directions, in place of the released one: its inverse
weighs most those directions of which the noise has left least."""


@dataclass(frozen=True, eq=False)
class Discriminant:
    """Regularised linear discriminant analysis.

    Attributes
    ----------
    along : ndarray of shape (c, r)
        What a step along each component says for each class.
    offsets : ndarray of shape (c,)
    components : ndarray of shape (r, d)
    classes : ndarray of shape (c,)
        Their labels.
    clip : float
        Length that what is read is shortened to, along the components, as the texts were that the
        means are of.

    References
    ----------
    Friedman, "Regularized discriminant analysis", JASA 1989, equation 18, with γ = ½ and λ = 1.

    Examples
    --------
    >>> sizes, classes = np.array([9.0, 1.0]), np.array(["ham", "spam"])
    >>> told = Discriminant.of(np.eye(2), np.eye(2) / 10, sizes, np.eye(2), classes, clip=1.0)
    >>> told.shares(np.array([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]])).round(2).tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]]
    """

    along: np.ndarray
    offsets: np.ndarray
    components: np.ndarray
    classes: np.ndarray
    clip: float

    @classmethod
    def of(
        cls,
        means: np.ndarray,
        within: np.ndarray,
        sizes: np.ndarray,
        components: np.ndarray,
        classes: np.ndarray,
        *,
        clip: float,
    ) -> Self:
        """Make it of what is known along the components.

        Parameters
        ----------
        means : ndarray of shape (c, r)
            Of the classes.
        within : ndarray of shape (r, r)
            Covariance within classes.
        sizes : ndarray of shape (c,)
            How many texts the classes have, above 0: without a sign in the vector the larger
            class is the likelier.
        components : ndarray of shape (r, d)
            Orthonormal.
        classes : ndarray of shape (c,)
        clip : float
        """
        even = max(float(np.trace(within)), 1e-12) / len(within)
        shrunk = (1 - _EVEN) * within + _EVEN * even * np.eye(len(within))
        along = np.linalg.solve(shrunk, means.T).T
        offsets = np.log(sizes) - (along * means).sum(axis=1) / 2
        return cls(along, offsets, components, classes, clip)

    def shares(self, vectors: np.ndarray) -> np.ndarray:
        """Return how likely each class is, float64 (m, c), for vectors (m, d)."""
        rows = vectors @ self.components.T
        rows *= np.minimum(1, self.clip / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12))
        likely: np.ndarray = softmax(rows @ self.along.T + self.offsets, axis=1)
        return likely
