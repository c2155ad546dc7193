"""Neighbours of very many rows: an inverted file (faiss) with exact re-ranking."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors

from smotext_lab.errors import DataError

__all__ = ["EXACT_ROWS", "IVFNeighbors"]

EXACT_ROWS = 50_000
"""Up to so many rows the search is exact."""

_SAMPLE = 500  # queries on which the recall is measured
_RANKED = 16  # candidates for each neighbour that are ranked by exact distances
_TRAINING = 64  # rows a cell that the cells are learnt from


class IVFNeighbors(BaseEstimator):
    """Nearest neighbours in the cells of an inverted file, with the interface of scikit-learn.

    The rows are put into about ``4 √n`` cells by k-means; a query looks into its `n_probe`
    nearest ones, where distances are first told by product codes of 4 bits and the best 16
    for each neighbour are then ranked by exact distances (Jégou, Douze and Schmid, "Product
    quantization for nearest neighbor search", TPAMI 2011, sections III and IV). What share of
    the true neighbours it finds is measured on 500 of the queries and told.

    Parameters
    ----------
    n_neighbors : int, default=5
    n_probe : int, default=96
        Cells that are looked into: more is slower and finds more.

    Attributes
    ----------
    recall_ : float
        Recall@n_neighbors of the last call, against an exact search.

    Examples
    --------
    >>> import numpy as np
    >>> from smotext_lab import SMOTEInterpolator
    >>> from smotext_lab.interpolators import IVFNeighbors
    >>> smote = SMOTEInterpolator(IVFNeighbors(n_neighbors=6))  # itself counts as one
    """

    recall_: float

    def __init__(self, n_neighbors: int = 5, n_probe: int = 96) -> None:
        self.n_neighbors = n_neighbors
        self.n_probe = n_probe

    def fit(self, X: np.ndarray, y: Any = None) -> IVFNeighbors:  # noqa: ARG002 - scikit-learn's
        """Put the rows of `X`, shape (n, d), into cells."""
        import faiss

        rows = np.ascontiguousarray(X, np.float32)
        n, d = rows.shape
        cells = max(1, min(n // _TRAINING, int(4 * n**0.5)))
        codes = max(m for m in range(1, max(1, min(d // 4, 128)) + 1) if d % m == 0)
        index: Any = faiss.index_factory(d, f"IVF{cells},PQ{codes}x4fs,RFlat")
        index.k_factor = _RANKED
        files = faiss.extract_index_ivf(index)
        files.cp.seed, files.cp.max_points_per_centroid = 1, _TRAINING
        files.cp.min_points_per_centroid = 1
        files.nprobe = min(self.n_probe, cells)
        index.train(rows[np.random.default_rng(0).permutation(n)[: max(256, cells * _TRAINING)]])
        index.add(rows)
        self._rows, self._index = rows, index
        return self

    def kneighbors(
        self, X: np.ndarray, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Return distances and rows, each (m, k), nearest first; or rows alone.

        Parameters
        ----------
        X : ndarray of float, shape (m, d)
        n_neighbors : int, optional
        return_distance : bool, default=True

        Raises
        ------
        DataError
            If a query's cells hold fewer rows than are asked for.
        """
        k = n_neighbors or self.n_neighbors
        queries = np.ascontiguousarray(X, np.float32)
        squared, found = self._index.search(queries, k)
        if (found < 0).any():
            row = int((found < 0).any(axis=1).argmax())
            msg = (
                f"the {self.n_probe} cells nearest to row {row} hold fewer than {k} rows: "
                f"raise n_probe"
            )
            raise DataError(msg)
        self.recall_ = self._recall(queries, found)
        rows = found.astype(np.int64)
        return (np.sqrt(np.maximum(squared, 0)), rows) if return_distance else rows

    def kneighbors_graph(self, X: np.ndarray) -> Any:
        """Return the neighbours as a sparse matrix of ones, (m, n)."""
        from scipy.sparse import csr_matrix

        found = self.kneighbors(X, return_distance=False)
        starts = np.arange(0, found.size + 1, found.shape[1])
        return csr_matrix(
            (np.ones(found.size), found.ravel(), starts), shape=(len(found), len(self._rows))
        )

    def _recall(self, queries: np.ndarray, found: np.ndarray) -> float:
        asked = np.random.default_rng(0).permutation(len(queries))[:_SAMPLE]
        exact = NearestNeighbors(n_neighbors=found.shape[1]).fit(self._rows)
        true = exact.kneighbors(queries[asked], return_distance=False)
        hits = [len(np.intersect1d(a, b)) for a, b in zip(found[asked], true, strict=True)]
        return float(np.mean(hits) / found.shape[1])


def approximate(n_neighbors: int, rows: int) -> IVFNeighbors | None:
    """Return the search for so many rows where they are many and faiss is there, else None."""
    if rows <= EXACT_ROWS:
        return None
    try:
        import faiss  # noqa: F401
    except ImportError:
        warnings.warn(
            f"{rows:,} rows are searched for neighbours exactly, which takes long: "
            f"pip install 'smotext-lab[faiss]' for an index",
            UserWarning,
            stacklevel=3,
        )
        return None
    return IVFNeighbors(n_neighbors)
