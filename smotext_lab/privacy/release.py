"""What `DPAnchors` releases: noisy counts and sums, and the centroids computed from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smotext_lab.errors import ParameterError
from smotext_lab.privacy.anchors import Anchors
from smotext_lab.privacy.guarantee import Neighbouring
from smotext_lab.privacy.noise import GRID, add_noise, finite, on_grid, one_by_one

__all__ = [
    "ERROR",
    "LEAST_DIMENSIONS",
    "Released",
    "as_labels",
    "dimensions",
    "grid_of",
    "release",
    "sensitivity",
]

ERROR = 0.5
"""The length that noise may have in a centroid, whose own is 1 at most."""

LEAST_DIMENSIONS = 16
"""Of the centroid of a class with few texts: fewer tell little apart."""


def sensitivity(clip: float, neighbouring: Neighbouring, texts_per_user: int = 1) -> float:
    """Return how far the released figures of two neighbouring collections can be apart.

    A text adds a vector no longer than `clip` to the sum of one cell, and `clip` to the count
    beside it (counts are released in that unit).

    Examples
    --------
    >>> round(sensitivity(1.0, "add_or_remove"), 4), round(sensitivity(1.0, "replace"), 4)
    (1.4142, 2.0)
    """
    one = math.sqrt(2.0) * clip
    # replacing: two cells change (√2 times as far), or one sum turns round (2 × clip: the same)
    return texts_per_user * one * (math.sqrt(2.0) if neighbouring == "replace" else 1.0)


@dataclass(frozen=True, eq=False)
class Released:
    """Noisy figures; whatever is computed from them costs nothing more.

    Attributes
    ----------
    classes : tuple
    counts : ndarray of shape (c, k)
        Noisy, so not whole, and below 0 at times.
    sums : ndarray of shape (c, k, r)
        Of clipped vectors along the anchors' components.
    sigma : float
        Standard deviation of the noise of a sum's coordinate.
    sigma_counts : float
    anchors : Anchors
    """

    classes: tuple[Any, ...]
    counts: np.ndarray
    sums: np.ndarray
    sigma: float
    sigma_counts: float
    anchors: Anchors

    @property
    def sizes(self) -> dict[Any, float]:
        """The noisy number of texts of each class."""
        return dict(zip(self.classes, self.counts.sum(axis=1).tolist(), strict=True))

    @property
    def least(self) -> int:
        """The noisy number of texts from which a class gives a usable centroid.

        With a margin of two standard deviations of the noise in its counts: in about one case of
        forty it takes more.
        """
        cells, r = self.sums.shape[1:]
        noise = self.sigma * math.sqrt(cells * min(r, LEAST_DIMENSIONS)) / ERROR
        return math.ceil(max(2.0, noise + 2 * self.sigma_counts * math.sqrt(cells)))

    def centroids(self) -> tuple[np.ndarray, np.ndarray]:
        """Return unit vectors (m, d) and the classes (m,) that they are of.

        One for each cell that holds enough texts for the noise, one more for all others of the
        class together. A class with too few for that has one along the first components only, as
        many as the noise leaves, where these are 16 at least: below `least` it may have none.
        """
        r = self.sums.shape[2]
        vectors, labels = [], []
        for label, counts, sums in zip(self.classes, self.counts, self.sums, strict=True):
            whole = np.array([self._dimensions(count) == r for count in counts])
            pools = [np.array([cell]) for cell in np.flatnonzero(whole)]
            rest = np.flatnonzero(~whole)
            wanted = r if pools else min(r, LEAST_DIMENSIONS)
            if len(rest) and self._dimensions(counts[rest].sum(), len(rest)) >= wanted:
                pools.append(rest)
            for pool in pools:
                centroid = sums[pool].sum(axis=0) / counts[pool].sum()
                centroid[self._dimensions(counts[pool].sum(), len(pool)) :] = 0
                vectors.append(centroid)
                labels.append(label)
        if not vectors:
            return np.empty((0, self.anchors.vectors.shape[1]), np.float32), np.array([])
        lifted = np.stack(vectors) @ self.anchors.components
        lengths = np.maximum(np.linalg.norm(lifted, axis=1, keepdims=True), 1e-12)
        return (lifted / lengths).astype(np.float32), as_labels(labels)

    def _dimensions(self, count: float, cells: int = 1) -> int:
        return dimensions(count, self.sigma, self.sums.shape[2], cells)


def dimensions(count: float, sigma: float, most: int, cells: int = 1) -> int:
    """Return along how many components the noise in a mean of so many texts is short enough.

    Examples
    --------
    >>> dimensions(120, 10.0, 64), dimensions(60, 10.0, 64), dimensions(1.5, 0.0, 64)
    (36, 9, 0)
    """
    if count < 2 or not sigma:
        return most if count >= 2 else 0
    return min(most, math.floor((count * ERROR / sigma) ** 2 / cells))


def grid_of(clip: float, sigma: float) -> tuple[float, int]:
    """Return the grid's step, and how many steps a text adds to a count.

    Raises
    ------
    ParameterError
        If a text is less than a step of that noise.
    """
    step = (sigma or clip) / GRID
    unit = math.floor(clip / step)  # never above clip, or the sensitivity would be
    if unit < 1:
        msg = (
            f"The noise would be {sigma / clip:,.0f} times as large as a text, and nothing would "
            "be left of any: ask for a larger epsilon or delta, or protect fewer texts of a user."
        )
        raise ParameterError(msg)
    return step, unit


def release(
    vectors: np.ndarray,
    labels: Sequence[Any],
    classes: Sequence[Any],
    anchors: Anchors,
    *,
    clip: float,
    sigma: float,
) -> Released:
    """Return noisy counts and sums of each class at each anchor.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Private.
    labels : sequence of length n
        Private; rows of none of `classes` are left out.
    classes : sequence
        Public.
    anchors : Anchors
        Public.
    clip : float
        Length that a vector is shortened to.
    sigma : float
        Standard deviation of the noise; 0 for none.
    """
    step, unit = grid_of(clip, sigma)
    place = {label: code for code, label in enumerate(classes)}
    kept = [row for row, label in enumerate(labels) if label in place]
    vectors = finite(np.asarray(vectors, np.float64)[kept])
    codes = np.array([place[labels[row]] for row in kept], np.int64)
    within = np.array(list(one_by_one(vectors, anchors.components)))
    rows = on_grid(within.reshape(len(vectors), len(anchors.components)), step, clip)
    ones = np.full((len(rows), 1), unit, np.int64)
    k, r = len(anchors.vectors), rows.shape[1]
    total = np.zeros((len(place), k, r + 1), np.int64)
    np.add.at(total, (codes, anchors.assign(vectors)), np.hstack([ones, rows]))
    noisy = add_noise(total, step, sigma)
    counts = noisy[..., 0] / (unit * step)
    return Released(tuple(classes), counts, noisy[..., 1:], sigma, sigma / (unit * step), anchors)


def as_labels(labels: list[Any]) -> np.ndarray:
    """Return labels as an array of one dimension, whatever they are."""
    found = np.asarray(labels)
    return found if found.ndim == 1 else np.array(labels, dtype=object)
