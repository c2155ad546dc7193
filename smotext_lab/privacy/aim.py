"""Points moved against how far off them a decoder's texts come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from smotext_lab.privacy.writing import Points

__all__ = ["LEAST", "aimed"]

LEAST = 30
"""Texts of a class, without which its points stay: the mean of fewer tells little."""

_RIDGE = 1.0  # of unit vectors: as much as one text in each direction


def aimed(points: Points, records: Sequence[dict[str, Any]], written: np.ndarray) -> Points:
    """Return points at which texts are to be asked for, so that they come out at `points`.

    Texts of a class come out off their points in one direction on average (towards what the
    language model likes to say), and nearer to the middle of the class than they should. The mean
    of the first is added to the points of each class; of the second, what ridge regression
    foretells of a point by its place in its class.

    Parameters
    ----------
    points : Points
    records : sequence of dict
        Of texts that were written between `points`: their label, parents and weights.
    written : ndarray of shape (m, d)
        Their vectors.

    Returns
    -------
    Points
        Unit vectors; a class with fewer than `LEAST` records stays where it is.
    """
    asked = np.array([record["label"] for record in records])
    classes = [asked == label for label in np.unique(asked)]
    classes = [rows for rows in classes if rows.sum() >= LEAST]
    if not classes:
        return points
    targets = _targets(points, records)
    off = targets - written
    inside = np.concatenate([_centred(targets[rows]) for rows in classes])
    rest = np.concatenate([_centred(off[rows]) for rows in classes])
    ridge = _RIDGE * np.eye(inside.shape[1])
    slope = np.linalg.solve(inside.T @ inside + ridge, inside.T @ rest)
    vectors = points.vectors.astype(np.float64)
    for rows in classes:
        own = points.labels == asked[rows][0]
        places = vectors[own] - targets[rows].mean(axis=0)
        vectors[own] += off[rows].mean(axis=0) + places @ slope
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return replace(points, vectors=vectors.astype(np.float32))


def _targets(points: Points, records: Sequence[dict[str, Any]]) -> np.ndarray:
    """Return the points, of length 1, that texts were written at."""
    blends = [
        np.asarray(record["weights"]) @ points.vectors[record["parents"]] for record in records
    ]
    rows = np.stack(blends)
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _centred(rows: np.ndarray) -> np.ndarray:
    centred: np.ndarray = rows - rows.mean(axis=0)
    return centred
