"""The arithmetic of blends: weighted sums and arcs of rows, given the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from smotext_lab.errors import DataError

__all__ = ["check_vectors", "lerp", "slerp"]

_TINY = 1e-10  # below this a difference of unit vectors is rounding, not a direction


def check_vectors(vectors: Any) -> np.ndarray:
    """Return `vectors` as a finite (n, d) float array, or say what is wrong with them.

    Parameters
    ----------
    vectors : array-like of shape (n, d)
        float32 and float64 are kept, float16 becomes float32, all else float64.

    Returns
    -------
    ndarray of shape (n, d)

    Raises
    ------
    DataError
        If they are not a matrix of numbers, or hold NaN or infinity.

    Examples
    --------
    >>> check_vectors([[1, 2], [3, 4]]).dtype
    dtype('float64')
    """
    try:
        array = np.asarray(vectors)
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    except (TypeError, ValueError) as error:
        msg = "The vectors are not numbers: encode the texts first, e.g. BertEncoder().encode()."
        raise DataError(msg) from error
    if array.ndim != 2:
        msg = f"The vectors must be an (n, d) array, got shape {array.shape}."
        raise DataError(msg)
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum(dtype=np.float64)
    if np.isfinite(total):  # one pass, no copy: the rows are looked at only when this fails
        return array
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        msg = (
            f"The vectors hold NaN or infinity in {np.count_nonzero(~finite)} of {len(array)} "
            f"rows, first in row {int(np.argmin(finite))}: encode those texts again or drop them."
        )
        raise DataError(msg)
    return array


def lerp(
    vectors: np.ndarray, parents: np.ndarray, weights: np.ndarray, *, normalize: bool
) -> np.ndarray:
    """Return the weighted sums of rows of `vectors`.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
    parents : ndarray of shape (m, p), int64
    weights : ndarray of shape (m, p), float64
        They sum to 1 in each row.
    normalize : bool
        Scale each sum to length 1; one that vanishes gives way to the heaviest parent.

    Returns
    -------
    ndarray of shape (m, d), float64

    Examples
    --------
    >>> lerp(np.eye(2), np.array([[0, 1]]), np.array([[0.25, 0.75]]), normalize=False)
    array([[0.25, 0.75]])
    """
    # As offsets from the first parent, in the vectors' own precision: the same rounding as
    # imbalanced-learn's, also in float32, and exact where λ is 0.
    anchor = vectors[parents[:, 0]]
    points: np.ndarray = anchor.astype(np.float64)
    for column in range(1, parents.shape[1]):
        points += weights[:, column, None] * (vectors[parents[:, column]] - anchor)
    if not normalize:
        return points
    heaviest = np.take_along_axis(parents, weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    fallback = vectors[heaviest].astype(np.float64)
    lost = _lengths(points) <= _TINY * _lengths(fallback)
    points[lost[:, 0]] = fallback[lost[:, 0]]
    return _unit(points)


def slerp(
    vectors: np.ndarray, parents: np.ndarray, weights: np.ndarray, *, normalize: bool
) -> np.ndarray:
    """Return points on the arcs between pairs of rows of `vectors`.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
    parents : ndarray of shape (m, 2), int64
    weights : ndarray of shape (m, 2), float64
        They sum to 1 in each row; the second is the share of the angle that is walked.
    normalize : bool
        Scale each point to length 1, else to the weighted sum of its parents' lengths.

    Returns
    -------
    ndarray of shape (m, d), float64

    References
    ----------
    K. Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985, section 3.3.

    Examples
    --------
    >>> arc = slerp(np.eye(2), np.array([[0, 1]]), np.array([[2 / 3, 1 / 3]]), normalize=True)
    >>> bool(np.allclose(arc, [[np.cos(np.pi / 6), np.sin(np.pi / 6)]]))
    True
    """
    ends = [vectors[parents[:, column]].astype(np.float64) for column in (0, 1)]
    a, b = (_unit(end) for end in ends)
    # A zero vector has no direction: it takes the other's, so that the arc is a point.
    a = np.where(a.any(axis=1, keepdims=True), a, b)
    b = np.where(b.any(axis=1, keepdims=True), b, a)
    # The angle from the chord and its complement keeps its digits near 0 and near π, where
    # an arc cosine loses half of them.
    angle = 2.0 * np.arctan2(_lengths(b - a), _lengths(b + a))
    turned = weights[:, 1:] * angle
    points = np.cos(turned) * a + np.sin(turned) * _tangent(a, b)
    if normalize:
        return _unit(points)
    length = weights[:, :1] * _lengths(ends[0]) + weights[:, 1:] * _lengths(ends[1])
    scaled: np.ndarray = points * np.maximum(length, 0.0)
    return scaled


def _tangent(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the unit vectors at `a` that point along the arc to `b`."""
    tangent = b - (a * b).sum(axis=1, keepdims=True) * a
    # Parallel or opposite: any direction at right angles serves; the coordinate axis that `a`
    # leans on least gives one that is never degenerate.
    undirected = np.flatnonzero(_lengths(tangent)[:, 0] < _TINY)
    if undirected.size and a.shape[1] > 1:
        rows = a[undirected]
        axis = np.zeros_like(rows)
        axis[np.arange(len(rows)), np.abs(rows).argmin(axis=1)] = 1.0
        tangent[undirected] = axis - (axis * rows).sum(axis=1, keepdims=True) * rows
    return _unit(tangent)


def _lengths(rows: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.linalg.norm(rows, axis=1, keepdims=True)
    return lengths


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = _lengths(rows)
    unit: np.ndarray = rows / np.where(lengths > 0, lengths, 1.0)
    return unit
