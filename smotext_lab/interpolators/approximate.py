"""Neighbours of very many rows: an inverted file (faiss) with exact re-ranking."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_info

from smotext_lab.errors import DataError

__all__ = ["EXACT_ROWS", "IVFNeighbors", "Rows"]

EXACT_ROWS = 50_000
"""Up to so many rows the search is exact."""

_SAMPLE = 500  # queries on which the recall is measured
_RANKED = 16  # candidates for each neighbour that are ranked by exact distances
_TRAINING = 64  # rows a cell that the cells are learnt from
_MOST_TRAINING = 262_144  # of all; they are copied: 400 MB at 384 numbers
_BLOCK = 8192  # rows that are copied at a time
_CORE = "OPENBLAS_CORETYPE"
_OLDER = {"Cooperlake": "SkylakeX", "SapphireRapids": "SkylakeX"}  # the newest that faiss's knows


class Rows:
    """Some rows of an array, which are copied a block at a time and never as a whole.

    Parameters
    ----------
    vectors : ndarray of float, shape (n, d)
        May be memory-mapped.
    places : ndarray of int64, shape (m,), optional
        Which rows; by default all.

    Examples
    --------
    >>> rows = Rows(np.array([[0.0], [1.0], [2.0]]), np.array([2, 0]))
    >>> len(rows), rows[:1].tolist(), rows[[1, 0]].tolist()
    (2, [[2.0]], [[0.0], [2.0]])
    """

    def __init__(self, vectors: np.ndarray, places: np.ndarray | None = None) -> None:
        self.vectors = np.asarray(vectors)
        self.places = np.arange(len(self.vectors)) if places is None else places

    @classmethod
    def of(cls, rows: np.ndarray | Rows) -> Rows:
        """Return `rows` themselves, or all rows of an array."""
        return rows if isinstance(rows, Rows) else cls(rows)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, which: Any) -> np.ndarray:
        chosen: np.ndarray = self.vectors[self.places[which]]
        return chosen

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield where each block lies, and a copy of it as float32."""
        for start in range(0, len(self), _BLOCK):
            block = slice(start, min(start + _BLOCK, len(self)))
            yield block, np.ascontiguousarray(self[block], np.float32)

    def in_one_piece(self) -> Rows:
        """Return these rows of an array that faiss reads where it lies: float32, row by row."""
        if self.vectors.dtype == np.float32 and self.vectors.flags.c_contiguous:
            return self
        return Rows(np.ascontiguousarray(self[:], np.float32))


class IVFNeighbors(BaseEstimator):
    """Nearest neighbours in the cells of an inverted file, with the interface of scikit-learn.

    The rows are put into about ``4 √n`` cells by k-means; a query looks into its `n_probe`
    nearest ones, where distances are first told by product codes of 4 bits and the best 16
    for each neighbour are then ranked by exact distances (Jégou, Douze and Schmid, "Product
    quantization for nearest neighbor search", TPAMI 2011, sections III and IV). Of rows at the
    same distance the first come first. What share of the true neighbours it finds is measured
    on 500 of the queries and told.

    float32 rows that lie in one piece, as those of a memory map do, are read where they lie:
    what is kept of each is its code (an eighth of a byte for each of its numbers) and its
    number. Others are copied once.

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

    def fit(self, X: np.ndarray | Rows, y: Any = None) -> IVFNeighbors:  # noqa: ARG002 - scikit-learn's
        """Put the rows of `X`, shape (n, d), into cells, block by block."""
        faiss = _faiss()
        rows = Rows.of(X).in_one_piece()
        n, d = len(rows), rows.vectors.shape[1]
        cells = max(1, min(n // _TRAINING, int(4 * n**0.5)))
        codes = max(m for m in range(1, max(1, min(d // 4, 128)) + 1) if d % m == 0)
        index: Any = faiss.index_factory(d, f"IVF{cells},PQ{codes}x4fs")
        index.cp.seed, index.cp.max_points_per_centroid = 1, _TRAINING
        index.cp.min_points_per_centroid = 1
        index.nprobe = min(self.n_probe, cells)
        taken = min(max(256, cells * _TRAINING), _MOST_TRAINING)
        index.train(rows[np.random.default_rng(0).permutation(n)[:taken]])
        for _, block in rows.blocks():
            index.add(block)
        self._rows, self._index = rows, index
        return self

    def kneighbors(
        self, X: np.ndarray | Rows, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Return distances and rows, each (m, k), nearest first; or rows alone.

        Parameters
        ----------
        X : ndarray of float, shape (m, d), or Rows
        n_neighbors : int, optional
        return_distance : bool, default=True

        Raises
        ------
        DataError
            If a query's cells hold fewer rows than are asked for.
        """
        queries, k = Rows.of(X), n_neighbors or self.n_neighbors
        squared = np.empty((len(queries), k), np.float32)
        found = np.empty((len(queries), k), np.int64)
        for block, asked in queries.blocks():
            squared[block], found[block] = self._search(asked, k)
        if (found < 0).any():
            row = int((found < 0).any(axis=1).argmax())
            msg = (
                f"the {self.n_probe} cells nearest to row {row} hold fewer than {k} rows: "
                f"raise n_probe"
            )
            raise DataError(msg)
        self.recall_ = self._recall(queries, found)
        return (np.sqrt(squared), found) if return_distance else found

    def kneighbors_graph(self, X: np.ndarray) -> Any:
        """Return the neighbours as a sparse matrix of ones, (m, n)."""
        from scipy.sparse import csr_matrix

        found = self.kneighbors(X, return_distance=False)
        starts = np.arange(0, found.size + 1, found.shape[1])
        return csr_matrix(
            (np.ones(found.size), found.ravel(), starts), shape=(len(found), len(self._rows))
        )

    def _search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return squared distances and rows of a block's neighbours; row -1 where one lacks."""
        faiss = _faiss()
        _, ranked = self._index.search(queries, k * _RANKED)
        ranked.sort(axis=1)  # of rows at the same distance the first is to come first
        places = self._rows.places[ranked]
        exact = np.empty(ranked.shape, np.float32)
        measure = faiss.fvec_L2sqr_by_idx
        arrays = (exact, queries, self._rows.vectors, places)
        measure(*map(faiss.swig_ptr, arrays), queries.shape[1], *ranked.shape)
        exact[ranked < 0] = np.inf
        best = exact.argsort(axis=1, kind="stable")[:, :k]
        return np.take_along_axis(exact, best, axis=1), np.take_along_axis(ranked, best, axis=1)

    def _recall(self, queries: Rows, found: np.ndarray) -> float:
        asked = np.random.default_rng(0).permutation(len(queries))[:_SAMPLE]
        true = _exactly(self._rows, queries[asked], found.shape[1])
        hits = [len(np.intersect1d(a, b)) for a, b in zip(found[asked], true, strict=True)]
        return float(np.mean(hits) / found.shape[1])


def _exactly(rows: Rows, queries: np.ndarray, k: int) -> np.ndarray:
    """Return the true k nearest of `rows`, (m, k): the best of each block and those before."""
    far = np.full((len(queries), k), np.inf)
    near = np.full((len(queries), k), -1)
    for block, values in rows.blocks():
        search = NearestNeighbors(n_neighbors=min(k, len(values))).fit(values)
        distances, places = search.kneighbors(queries)
        far = np.hstack([far, distances])
        near = np.hstack([near, places + block.start])
        best = far.argsort(axis=1, kind="stable")[:, :k]
        far, near = np.take_along_axis(far, best, axis=1), np.take_along_axis(near, best, axis=1)
    return near


def _faiss() -> Any:
    """Import faiss; its OpenBLAS is told which processor numpy's newer one found.

    That of the wheel is of 2021. It takes a later processor for one of 2004, on which it
    multiplies matrices at a fifth of the speed.
    """
    if "faiss" not in sys.modules and _CORE not in os.environ:
        told = [x["architecture"] for x in threadpool_info() if x["internal_api"] == "openblas"]
        if told:
            os.environ[_CORE] = _OLDER.get(told[0], told[0])
        try:
            import faiss
        finally:
            os.environ.pop(_CORE, None)
    import faiss

    return faiss


def approximate(n_neighbors: int, rows: int) -> IVFNeighbors | None:
    """Return the search for so many rows where they are many and faiss is there, else None."""
    if rows <= EXACT_ROWS:
        return None
    try:
        _faiss()
    except ImportError:
        warnings.warn(
            f"{rows:,} rows are searched for neighbours exactly, which takes long: "
            f"pip install 'smotext-lab[faiss]' for an index",
            UserWarning,
            stacklevel=3,
        )
        return None
    return IVFNeighbors(n_neighbors)
