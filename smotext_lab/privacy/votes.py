"""Noisy votes: which public candidates the private texts are nearest to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from smotext_lab.guards.cosines import unit
from smotext_lab.privacy.guarantee import Neighbouring
from smotext_lab.privacy.noise import GRID, add_noise, finite, one_by_one

__all__ = ["noisy_votes", "votes_cast", "votes_sensitivity"]


def votes_sensitivity(neighbouring: Neighbouring, texts_per_user: int = 1) -> float:
    """Return how far the histograms of two neighbouring collections can be apart.

    A text is one vote. Replacing it takes one away and gives one to another.

    Examples
    --------
    >>> votes_sensitivity("add_or_remove", 3), round(votes_sensitivity("replace"), 4)
    (3.0, 1.4142)
    """
    return texts_per_user * (math.sqrt(2.0) if neighbouring == "replace" else 1.0)


def noisy_votes(
    vectors: np.ndarray,
    labels: Sequence[Any],
    candidates: np.ndarray,
    candidate_labels: Sequence[Any],
    *,
    sigma: float,
) -> np.ndarray:
    """Return the number of private texts nearest to each candidate of their class, with noise.

    The nearest is that of the largest cosine. Of candidates of a class that are equal, the first
    gets the votes of all.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Private.
    labels : sequence of length n
        Private. A text of a class without candidates does not vote.
    candidates : ndarray of shape (m, d)
    candidate_labels : sequence of length m
    sigma : float
        Standard deviation of the noise, in votes; 0 for none.

    Returns
    -------
    ndarray of shape (m,)
        Not whole, and below 0 at times.

    References
    ----------
    The histogram of Private Evolution: Xie et al., arXiv 2403.01749, algorithm 2.
    """
    votes, step = votes_cast(vectors, labels, candidates, candidate_labels, sigma=sigma)
    return add_noise(votes, step, sigma)


def votes_cast(
    vectors: np.ndarray,
    labels: Sequence[Any],
    candidates: np.ndarray,
    candidate_labels: Sequence[Any],
    *,
    sigma: float,
) -> tuple[np.ndarray, float]:
    """Return the votes that noise is to be added to, in steps, and the step: never to be given out.

    Parameters
    ----------
    vectors, labels, candidates, candidate_labels, sigma
        See `noisy_votes`.
    """
    step = 1.0 / math.ceil(GRID / max(sigma, 1.0))  # so that one vote is a whole number of steps
    votes = np.zeros(len(candidates), np.int64)
    vectors = finite(np.asarray(vectors, np.float64))
    candidates = unit(candidates).astype(np.float64) + 0.0  # no -0, whose bytes are others
    public = _rows_of(candidate_labels)
    for label, rows in _rows_of(labels).items():
        places = public.get(label)
        if places is not None:
            first = {candidates[place].tobytes(): place for place in places[::-1]}
            places = np.sort(np.array(list(first.values())))
            near = one_by_one(vectors[rows], candidates[places])
            nearest = np.array([cosines.argmax() for cosines in near])
            np.add.at(votes, places[nearest], round(1 / step))
    return votes, step


def _rows_of(labels: Sequence[Any]) -> dict[Any, np.ndarray]:
    rows: dict[Any, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(label, []).append(row)
    return {label: np.array(found) for label, found in rows.items()}
