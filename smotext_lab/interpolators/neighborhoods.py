"""Texts of classes and their nearest neighbours: what every interpolator chooses from."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

from smotext_lab.errors import DataError, ParameterError, did_you_mean
from smotext_lab.interpolators.approximate import IVFNeighbors, Rows, approximate
from smotext_lab.interpolators.geometry import check_vectors

__all__ = [
    "Labelled",
    "Searched",
    "nearest",
    "neighbor_count",
    "neighbors_of",
    "remembered",
]


@dataclass(frozen=True)
class Searched:
    """A search for neighbours that was approximate, and how much it found.

    Attributes
    ----------
    rows, among : int
        How many rows were searched for neighbours, and among how many.
    neighbors : int
        For each; the row itself is one.
    recall : float
        Share of the true ones that were found, measured on some of the rows.
    """

    rows: int
    among: int
    neighbors: int
    recall: float


@dataclass(frozen=True)
class _Memory:
    found: dict[Any, tuple[np.ndarray, np.ndarray]]
    searches: list[Searched]


_memory: ContextVar[_Memory | None] = ContextVar("memory", default=None)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Vectors with their labels, checked: finite rows, one label each, sortable classes."""

    vectors: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    codes: np.ndarray

    @classmethod
    def check(cls, vectors: Any, labels: Any) -> Labelled:
        """Return the checked pair, or raise a `DataError` that says what is wrong."""
        checked = check_vectors(vectors)
        given = _check_labels(labels)
        if len(given) != len(checked):
            msg = f"There are {len(checked)} vectors but {len(given)} labels: give one label each."
            raise DataError(msg)
        classes, codes = np.unique(given, return_inverse=True)
        return cls(checked, given, classes, codes)

    def wanted(self, n: Any) -> dict[int, int]:
        """Return ``{class code: new rows}`` in class order, without the zeros."""
        if not isinstance(n, Mapping):
            msg = f"n must be a dict of class -> number of new rows, got {n!r}."
            raise ParameterError(msg)
        code_of = {label: code for code, label in enumerate(self.classes.tolist())}
        counts: dict[int, int] = {}
        for label, count in n.items():
            key = label.item() if isinstance(label, np.generic) else label
            if key not in code_of:
                known = ", ".join(repr(name) for name in list(code_of)[:10])
                near = did_you_mean(key, code_of)
                msg = f"n asks for class {key!r}, which no label has{near}; the classes: {known}."
                raise DataError(msg)
            if isinstance(count, bool) or not isinstance(count, Integral) or count < 0:
                msg = f"n[{key!r}] must be a whole number of new rows, 0 or more, got {count!r}."
                raise ParameterError(msg)
            counts[code_of[key]] = int(count)
        return {code: counts[code] for code in sorted(counts) if counts[code]}

    def rows(self, code: int) -> np.ndarray:
        """Return the row numbers of one class."""
        return np.flatnonzero(self.codes == code)

    def size(self, code: int) -> int:
        """Return how many texts one class has."""
        return int(np.count_nonzero(self.codes == code))

    def name(self, code: int) -> str:
        """Return one class as it is written in a message."""
        return repr(self.classes.tolist()[code])


def neighbor_count(neighbors: Any) -> int:
    """Return how many neighbours are meant: an int, or an estimator's ``n_neighbors - 1``.

    imbalanced-learn counts the point itself among an estimator's neighbours; so do we.
    """
    return int(neighbors if isinstance(neighbors, Integral) else neighbors.n_neighbors - 1)


def nearest(neighbors: Any, among: np.ndarray | Rows, queries: np.ndarray | Rows) -> np.ndarray:
    """Find the nearest rows of `among` for `queries` that are themselves rows of it.

    The search is exact (scikit-learn, Euclidean, blocked) up to 50,000 rows, and above them
    approximate where faiss is installed (`IVFNeighbors`); the recall is then told. The nearest
    hit is taken to be the query itself and left out, which is what imbalanced-learn does:
    among duplicates a row may be its own neighbour.

    Parameters
    ----------
    neighbors : int or nearest-neighbours estimator
        How many; an estimator is cloned and counts the point itself.
    among : ndarray of shape (n, d), or Rows
        An approximate search does not copy them.
    queries : ndarray of shape (m, d), or Rows

    Returns
    -------
    ndarray of shape (m, k), int64
        Row numbers in `among`, nearest first; k is at most ``n - 1``.

    Examples
    --------
    >>> import numpy as np
    >>> line = np.array([[0.0], [1.0], [3.0]])
    >>> nearest(1, line, line).tolist()
    [[1], [0], [1]]
    """
    among, queries = Rows.of(among), Rows.of(queries)
    count = min(neighbor_count(neighbors) + 1, len(among))
    if hasattr(neighbors, "kneighbors"):
        search = clone(neighbors).set_params(n_neighbors=count)
    else:
        search = approximate(count, len(among)) or NearestNeighbors(n_neighbors=count)
    if isinstance(search, IVFNeighbors):
        found = search.fit(among).kneighbors(queries, return_distance=False)
        _tell(Searched(len(queries), len(among), count, search.recall_))
    else:
        found = search.fit(among[:]).kneighbors(queries[:], return_distance=False)
    return np.asarray(found[:, 1:], dtype=np.int64)


def _tell(search: Searched) -> None:
    memory = _memory.get()
    if memory is not None:
        memory.searches.append(search)
    warnings.warn(
        f"the neighbours of {search.rows:,} rows among {search.among:,} were searched "
        f"approximately: recall@{search.neighbors} {search.recall:.3f}, measured on some of them",
        UserWarning,
        stacklevel=3,
    )


def neighbors_of(neighbors: Any, data: Labelled, among: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return, as row numbers of the data, the neighbours that `rows` have in `among`.

    `among` and `rows` are row numbers too; see `nearest`.
    """
    memory = _memory.get()
    if memory is None or not isinstance(neighbors, Integral):
        return _neighbors_of(neighbors, data, among, rows)
    digest = hashlib.sha256(among.tobytes() + b"|" + rows.tobytes()).digest()
    # by the memory itself: each plan has another view of the same memory-mapped file
    where = data.vectors.__array_interface__["data"], data.vectors.shape, data.vectors.strides
    key = (where, int(neighbors), digest)
    if key not in memory.found:
        found = _neighbors_of(neighbors, data, among, rows)
        memory.found[key] = data.vectors, found  # held, so that nothing else comes to lie there
    return memory.found[key][1]


def _neighbors_of(
    neighbors: Any, data: Labelled, among: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    found: np.ndarray = among[
        nearest(neighbors, Rows(data.vectors, among), Rows(data.vectors, rows))
    ]
    return found


@contextlib.contextmanager
def remembered() -> Iterator[list[Searched]]:
    """Let plans of the same vectors that are made inside search for neighbours only once.

    Yields
    ------
    list of Searched
        The approximate searches so far.
    """
    memory = _Memory({}, [])
    token = _memory.set(memory)
    try:
        yield memory.searches
    finally:
        _memory.reset(token)


def _check_labels(labels: Any) -> np.ndarray:
    """Return the labels as an array that can be sorted, or say what is wrong with them."""
    import pandas as pd

    # As objects first: numpy would turn a NaN or a number among strings into a string.
    raw = np.asarray(labels if hasattr(labels, "dtype") else np.array(labels, dtype=object))
    if raw.ndim != 1:
        msg = f"The labels must be one list, one label a text; got shape {raw.shape}."
        raise DataError(msg)
    missing = np.flatnonzero(pd.isna(raw))
    if missing.size:
        msg = (
            f"{missing.size} of {len(raw)} labels are missing, the first in row {missing[0]}: "
            "label those texts or drop them."
        )
        raise DataError(msg)
    kinds = sorted({type(label).__name__ for label in raw}) if raw.dtype == object else []
    try:
        np.sort(raw)
    except TypeError as error:
        msg = f"The labels mix types that have no order ({', '.join(kinds)}): use one type."
        raise DataError(msg) from error
    return raw if hasattr(labels, "dtype") else np.asarray(labels)
