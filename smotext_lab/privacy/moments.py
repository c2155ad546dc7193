"""What `DPGaussian` releases: noisy counts, sums and second moments, and points drawn by them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smotext_lab.privacy.anchors import Anchors
from smotext_lab.privacy.discriminant import Discriminant
from smotext_lab.privacy.guarantee import Neighbouring
from smotext_lab.privacy.habits import N_HABITS, Habits
from smotext_lab.privacy.noise import add_noise, finite, on_grid, one_by_one
from smotext_lab.privacy.release import ERROR, LEAST_DIMENSIONS, as_labels, dimensions, grid_of
from smotext_lab.privacy.writing import Points

__all__ = ["Moments", "Summed", "moments_grid", "moments_sensitivity", "release_moments", "summed"]

_OF_COUNTS = 0.5  # of clip, that a text adds to a count
_OF_HABITS = 0.25  # to the counts of its form and its length
_OF_MOMENT = 0.5  # to the second moment: what the noise spoils first are the means of small classes
_POINTS = 9000  # drawn of all classes together: a few hundred tell little of 256 directions
_OF_A_CLASS = (300, 1500)  # at least, and at most
_BEYOND = 2.02  # 99% of the Tracy-Widom law (β = 1): how far noise goes beyond its edge by chance
_FINE = 2.0**20  # steps of the moment's grid in clip, times the root of how many entries it has
_SLACK = 1 + 2.0**-18  # more than rounding on that grid can add to a distance


def moments_sensitivity(clip: float, neighbouring: Neighbouring, texts_per_user: int = 1) -> float:
    """Return how far the released figures of two neighbouring collections can be apart.

    A text x no longer than `clip` adds ``clip / 2`` to a count, ``clip / 4`` to one of a form and
    to one of a length, x to a sum and ``x xᵀ / (2 clip)`` to the second moment, whose length is
    that of its entries: ``√(1/4 + 2/16 + 1 + 1/4) · clip`` together. In place of another it moves
    most if that is its opposite, of the same class and another form and length: ``2 clip`` the
    sum, ``clip / 2`` the forms and lengths, nothing the count and the moment. The grid that the
    moment is rounded to adds less than 4 millionths.

    Examples
    --------
    >>> round(moments_sensitivity(1.0, "add_or_remove", 2), 4)
    2.5495
    >>> round(moments_sensitivity(1.0, "replace"), 4)
    2.0616
    """
    one = _OF_COUNTS**2 + 2 * _OF_HABITS**2 + 1 + _OF_MOMENT**2
    other = 4 * _OF_HABITS**2 + 4  # as long as the moment counts for no more than √½
    squared = other if neighbouring == "replace" else one
    return texts_per_user * math.sqrt(squared) * clip * _SLACK


def moments_grid(clip: float, sigma: float) -> tuple[float, int, int]:
    """Return the step of counts and sums, and how many a text adds to a count and to a habit's.

    Raises
    ------
    ParameterError
        If what a text adds to a count is less than a step of that noise.
    """
    step, of_habits = grid_of(_OF_HABITS * clip, sigma)
    return step, grid_of(_OF_COUNTS * clip, sigma)[1], of_habits


@dataclass(frozen=True, eq=False)
class Moments:
    """Noisy figures; whatever is computed from them costs nothing more.

    Attributes
    ----------
    classes : tuple
    counts : ndarray of shape (c,)
        Noisy, so not whole, and below 0 at times.
    sums : ndarray of shape (c, r)
        Of clipped vectors along the anchors' components.
    scatter : ndarray of shape (r, r)
        The sum of ``x xᵀ`` over the texts of all classes, symmetric.
    habits : Habits
        How many texts of each class have each form, and each length.
    clip : float
    sigma : float
        Standard deviation of the noise of a sum's coordinate.
    anchors : Anchors
        Of which the components are used.
    """

    classes: tuple[Any, ...]
    counts: np.ndarray
    sums: np.ndarray
    scatter: np.ndarray
    habits: Habits
    clip: float
    sigma: float
    anchors: Anchors

    @property
    def sizes(self) -> dict[Any, float]:
        """The noisy number of texts of each class."""
        return dict(zip(self.classes, self.counts.tolist(), strict=True))

    @property
    def least(self) -> int:
        """The noisy number of texts from which a class is usable, as for `DPAnchors`."""
        noise = self.sigma * math.sqrt(min(self.sums.shape[1], LEAST_DIMENSIONS)) / ERROR
        return math.ceil(max(2.0, noise + 2 * self.sigma / (_OF_COUNTS * self.clip)))

    def centroids(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the means of the classes that are large enough, unit (m, d), and their classes."""
        means, usable = self._means()
        return self._lifted(means), as_labels([self.classes[place] for place in usable])

    def points(self, random_state: int) -> Points:
        """Return unit vectors (k m, d) drawn about the classes' means, and how to write there.

        From a Gaussian with the covariance within classes, the same for all; k is 1,500 for up to
        6 classes, and falls to 300 for 30 and more. Forms and lengths are drawn by the counts of
        the class.
        """
        means, usable = self._means()
        values, directions = np.linalg.eigh(self.within())
        spread = directions * np.sqrt(np.maximum(values, 0.0))
        rng = np.random.default_rng(random_state)
        least, most = _OF_A_CLASS
        each = min(most, max(least, _POINTS // max(1, len(means))))
        drawn = [mean + rng.standard_normal((each, len(mean))) @ spread.T for mean in means]
        vectors, places = self._lifted(np.reshape(drawn, (-1, len(spread)))), usable.repeat(each)
        labels = as_labels([self.classes[place] for place in places])
        return Points(vectors, labels, self.habits.drawn(places, rng))

    def discriminant(self) -> Discriminant:
        """Return what tells which of the classes that are large enough a vector is of."""
        means, usable = self._means()
        classes = as_labels([self.classes[place] for place in usable])
        sizes = self.counts[usable]
        components = self.anchors.components
        return Discriminant.of(means, self.within(), sizes, components, classes, clip=self.clip)

    def within(self) -> np.ndarray:
        """Return the covariance within classes, (r, r), cleared of the noise in it.

        Noise alone spreads eigenvalues about the mean one: those that it may have spread so far
        all get their mean, and the larger ones what they were before it, on average.

        References
        ----------
        How far noise spreads them: Tracy & Widom, "On orthogonal and symplectic matrix ensembles",
        1996. The larger ones: Péché, "The largest eigenvalue of small rank perturbations of
        Hermitian random matrices", 2006: λ = ℓ + τ² r / ℓ for symmetric noise of standard
        deviation τ, ℓ > τ √r.
        """
        r, n = len(self.scatter), max(2.0, float(self.counts.sum()))
        usable = self._means()[1]  # the mean of a class too small for the noise is no mean
        counts = self.counts[usable, None]
        between = self.sums[usable].T @ (self.sums[usable] / counts)
        between -= np.eye(r) * self.sigma**2 * (1 / counts).sum()  # what the noise itself adds
        values, directions = np.linalg.eigh((self.scatter - between) / n)
        tau = self.sigma * self.clip / (math.sqrt(2.0) * _OF_MOMENT * n)
        edge = 2 * tau * math.sqrt(r)
        return (directions * _cleared(values, edge)) @ directions.T

    def _means(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the means of the classes that are large enough, (c, r), and their places.

        Along directions that the noise has left nothing of, the mean of all these classes.
        """
        r = self.sums.shape[1]
        kept = np.array([dimensions(count, self.sigma, r) for count in self.counts])
        usable = np.flatnonzero(kept >= min(r, LEAST_DIMENSIONS))
        counts, sums = self.counts[usable, None], self.sums[usable]
        common = sums.sum(axis=0) / max(1.0, float(counts.sum()))
        return np.where(np.arange(r) < kept[usable, None], sums / counts, common), usable

    def _lifted(self, rows: np.ndarray) -> np.ndarray:
        lifted = rows @ self.anchors.components
        lengths = np.maximum(np.linalg.norm(lifted, axis=1, keepdims=True), 1e-12)
        unit: np.ndarray = (lifted / lengths).astype(np.float32)
        return unit


def release_moments(
    vectors: np.ndarray,
    labels: Sequence[Any],
    marked: np.ndarray,
    classes: Sequence[Any],
    anchors: Anchors,
    *,
    clip: float,
    sigma: float,
) -> Moments:
    """Return noisy counts and sums of each class, and the second moment of all together.

    Parameters
    ----------
    vectors, labels, classes, anchors, clip, sigma
        See `smotext_lab.privacy.release.release`.
    marked : ndarray of int, shape (n, N_HABITS)
        Private; see `smotext_lab.privacy.habits.marks`.
    """
    exact = summed(vectors, labels, marked, classes, anchors, clip=clip, sigma=sigma)
    sums = add_noise(exact.sums, exact.step, sigma)
    r = len(anchors.components)
    upper, weights = _triangle(r)
    scatter = np.zeros((r, r))
    scatter[upper] = add_noise(exact.moment, exact.fine, sigma) * clip / (_OF_MOMENT * weights)
    scatter = np.triu(scatter) + np.triu(scatter, 1).T
    counts = sums[:, 0] / (exact.unit * exact.step)
    one = exact.of_habits * exact.step
    habits = Habits(sums[:, r + 1 :] / one, sigma / one)
    return Moments(
        tuple(classes), counts, sums[:, 1 : r + 1], scatter, habits, clip, sigma, anchors
    )


@dataclass(frozen=True, eq=False)
class Summed:
    """What is released, before its noise: never to be given out.

    Attributes
    ----------
    sums : ndarray of int64, shape (c, 1 + r + N_HABITS)
        In `step`; the first column counts, `unit` for each text, the last ones `of_habits`.
    moment : ndarray of int64, shape (r (r + 1) / 2,)
        In `fine`; the upper triangle of the second moment over ``2 clip``, its length kept.
    step, fine : float
    unit, of_habits : int
    """

    sums: np.ndarray
    moment: np.ndarray
    step: float
    fine: float
    unit: int
    of_habits: int


def summed(
    vectors: np.ndarray,
    labels: Sequence[Any],
    marked: np.ndarray,
    classes: Sequence[Any],
    anchors: Anchors,
    *,
    clip: float,
    sigma: float,
) -> Summed:
    """Return the sums that noise is to be added to, each text's share from that text alone."""
    step, unit, of_habits = moments_grid(clip, sigma)
    place = {label: code for code, label in enumerate(classes)}
    upper, weights = _triangle(len(anchors.components))
    fine = clip / (_FINE * math.sqrt(len(weights)))
    total = np.zeros((len(place), 1 + len(anchors.components) + N_HABITS), np.int64)
    moment = np.zeros(len(weights), np.int64)
    kept = [row for row, label in enumerate(labels) if label in place]
    vectors = finite(np.asarray(vectors, np.float64)[kept])
    for row, within in zip(kept, one_by_one(vectors, anchors.components), strict=True):
        x = on_grid(within[None], step, clip)[0]
        total[place[labels[row]]] += np.concatenate([[unit], x, of_habits * marked[row]])
        products = np.outer(x * step, x * step)[upper] * (_OF_MOMENT * weights / clip)
        moment += on_grid(products[None], fine, _OF_MOMENT * clip)[0]
    return Summed(total, moment, step, fine, unit, of_habits)


def _cleared(values: np.ndarray, edge: float) -> np.ndarray:
    """Return eigenvalues before noise that reaches `edge`; `values` ascend."""
    reach = edge * (1 + _BEYOND / 2 * len(values) ** (-2 / 3))
    hidden = len(values)  # as many of the least as lie no further than that above their mean
    while hidden > 1 and values[hidden - 1] > values[:hidden].mean() + reach:
        hidden -= 1
    mean = max(float(values[:hidden].mean()), 0.0)
    above = values[hidden:] - mean
    larger = mean + (above + np.sqrt(np.maximum(above**2 - edge**2, 0.0))) / 2
    return np.concatenate([np.full(hidden, mean), larger])


def _triangle(r: int) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return the places on and above the diagonal, and their weights.

    An entry beside the diagonal stands for two: times √2, the length is that of the whole.
    """
    upper = np.triu_indices(r)
    return upper, np.where(upper[0] == upper[1], 1.0, math.sqrt(2.0))
