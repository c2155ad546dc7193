"""ReconSMOTE: real vectors recovered from points between them.

Points that SMOTE puts between a text and its neighbours lie on lines that cross in the text's own
vector. Three points show a line; where two lines cross, there is a real text.
"""

from __future__ import annotations

import numpy as np

__all__ = ["reconstruct", "recovered"]

_SAME = 1e-4  # sine of the angle below which two directions are one: float32 on unit vectors
_MEET = 1e-6  # 1 - cosine between the two arcs where they cross


def reconstruct(points: np.ndarray, *, neighbors: int = 60, tolerance: float = _SAME) -> np.ndarray:
    """Return candidates for real vectors, computed from unit vectors between them alone.

    Parameters
    ----------
    points : ndarray of shape (m, d)
        Unit rows; blends that were scaled to length 1 lie on arcs instead of lines.
    neighbors : int, default=60
        How many nearest points are tried for each.
    tolerance : float
        Sine of the angle by which points of one arc may miss it.

    Returns
    -------
    ndarray of shape (r, d)
        Unit rows.

    References
    ----------
    ReconSMOTE, arXiv 2510.15083; lines of theirs are arcs here, and a crossing is found by the
    smallest principal angle between the planes of two arcs (Björck & Golub 1973).

    Examples
    --------
    >>> a, b, c = np.eye(3)
    >>> t = np.array([[0.2], [0.5], [0.8]])
    >>> between = np.vstack([(1 - t) * a + t * b, (1 - t) * a + t * c])
    >>> between /= np.linalg.norm(between, axis=1, keepdims=True)
    >>> bool(np.allclose(reconstruct(between), [a]))
    True
    """
    points = np.asarray(points, np.float64)
    planes = _arcs(points, neighbors, tolerance)
    found: list[np.ndarray] = []
    for i, plane in enumerate(planes):
        if i + 1 == len(planes):
            break
        others = np.stack(planes[i + 1 :])
        left, cosines, _ = np.linalg.svd(plane @ others.transpose(0, 2, 1))
        # one angle is 0 where arcs cross; both are where it is the same arc twice
        crossing = (1 - cosines[:, 0] < _MEET) & (1 - cosines[:, 1] > 1e-3)
        found += [left[j, :, 0] @ plane for j in np.flatnonzero(crossing)]
    return _merged(np.array(found).reshape(-1, points.shape[1]), points)


def recovered(candidates: np.ndarray, real: np.ndarray, cosine: float = 0.999) -> np.ndarray:
    """Return which real vectors some candidate is as near to as that, shape (n,)."""
    if not len(candidates):
        return np.zeros(len(real), bool)
    hit: np.ndarray = (np.asarray(real) @ candidates.T).max(axis=1) >= cosine
    return hit


def _arcs(points: np.ndarray, neighbors: int, tolerance: float) -> list[np.ndarray]:
    """Return orthonormal bases (2, d) of planes through 0 that hold three or more points."""
    cosines = points @ points.T
    np.fill_diagonal(cosines, -np.inf)
    k = min(neighbors, len(points) - 1)
    used: set[tuple[int, int]] = set()
    planes = []
    for i, row in enumerate(cosines):
        near = np.argpartition(-row, k - 1)[:k]
        tangents = points[near] - row[near, None] * points[i]
        lengths = np.linalg.norm(tangents, axis=1)
        near, tangents = near[lengths > 1e-3], tangents[lengths > 1e-3]
        tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
        same = np.abs(tangents @ tangents.T) > 1 - tolerance**2 / 2
        for j in range(len(near)):
            group = near[same[j]]
            if len(group) < 2 or near[j] != group.min() or (i, int(near[j])) in used:
                continue
            members = [i, *group.tolist()]
            used |= {(a, b) for a in members for b in members}
            _, _, basis = np.linalg.svd(points[members], full_matrices=False)
            planes.append(basis[:2])
    return planes


def _merged(found: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return each crossing once, on the side of the sphere on which the points are."""
    kept: list[np.ndarray] = []
    for vector in found:
        side = vector * np.sign((points @ vector)[np.abs(points @ vector).argmax()])
        if not kept or (np.stack(kept) @ side).max() < 0.9999:
            kept.append(side)
    return np.array(kept).reshape(-1, points.shape[1])
