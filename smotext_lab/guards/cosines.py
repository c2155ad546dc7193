"""Cosines of texts to very many others: a block at a time, and no copy of the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["UnitRows", "unit"]

_ROWS = 16_384  # that are looked at together


@dataclass(frozen=True, eq=False)
class UnitRows:
    """Rows that are scaled to length 1 when they are looked at.

    So those of a memory map, which all workers of a machine share, stay where they are.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, d)
    scale : ndarray of float32, shape (n,), optional
        What each row is multiplied by; None where all have length 1.

    Examples
    --------
    >>> rows = UnitRows.of(np.array([[3, 4], [0, 2], [0, 0]], dtype=np.float32))
    >>> nearest, cosine, top, _ = rows.nearest(unit(np.array([[0, 1]])), k=1)
    >>> nearest.tolist(), cosine.tolist(), top.tolist()
    ([1], [1.0], [[1]])
    """

    rows: np.ndarray
    scale: np.ndarray | None = None

    @classmethod
    def of(cls, vectors: np.ndarray) -> UnitRows:
        """Return the rows of `vectors`; copied if they are not float32, or not all finite."""
        rows = np.asarray(vectors)
        if rows.dtype == np.float32:
            blocks = [rows[at : at + _ROWS] for at in range(0, len(rows), _ROWS)]
            lengths = np.concatenate([np.linalg.norm(block, axis=1) for block in blocks])
            scale = 1 / np.where(lengths > 0, lengths, 1)
            if np.isfinite(lengths).all() and np.isfinite(scale).all():
                return cls(rows, scale)
        return cls(unit(rows))

    def __getitem__(self, which: np.ndarray) -> np.ndarray:
        chosen: np.ndarray = self.rows[which]
        return chosen if self.scale is None else chosen * self.scale[which][:, None]

    def nearest(
        self, vectors: np.ndarray, k: int = 0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the nearest row and the cosine to it, and the `k` nearest and theirs.

        Parameters
        ----------
        vectors : ndarray of float32, shape (m, d)
            Of unit length.
        k : int, default=0

        Returns
        -------
        nearest, cosine : ndarray of shape (m,)
            Of several that are equally near, the first.
        top, cosines : ndarray of shape (m, min(k, n))
            In no order.
        """
        m = len(vectors)
        nearest, best = np.zeros(m, np.int64), np.full(m, -np.inf, np.float32)
        top, cosines = np.empty((m, 0), np.int64), np.empty((m, 0), np.float32)
        for start in range(0, len(self.rows), _ROWS):
            block = self._cosines(vectors, slice(start, start + _ROWS))
            first = block.argmax(axis=1)
            highest = np.take_along_axis(block, first[:, None], axis=1)[:, 0]
            nearer = highest > best
            nearest[nearer], best[nearer] = start + first[nearer], highest[nearer]
            if k:
                chosen = _largest(block, k)
                top = np.hstack([top, start + chosen])
                cosines = np.hstack([cosines, np.take_along_axis(block, chosen, axis=1)])
            if k and start:
                chosen = _largest(cosines, k)
                top = np.take_along_axis(top, chosen, axis=1)
                cosines = np.take_along_axis(cosines, chosen, axis=1)
        return nearest, best, top, cosines

    def _cosines(self, vectors: np.ndarray, block: slice) -> np.ndarray:
        found: np.ndarray = vectors @ self.rows[block].T
        if self.scale is not None:
            found *= self.scale[block]
        return found


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    k = min(k, values.shape[1])
    places: np.ndarray = np.argpartition(values, -k, axis=1)[:, -k:]
    return places


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return float32 rows of length 1; a row that is zero or not finite becomes zero.

    Examples
    --------
    >>> unit(np.array([[0.0, 4.0], [np.inf, 0.0]])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    rows = np.nan_to_num(np.asarray(vectors, dtype=np.float32), posinf=0.0, neginf=0.0)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: np.ndarray = rows / np.where(lengths > 0, lengths, 1.0)
    return found
