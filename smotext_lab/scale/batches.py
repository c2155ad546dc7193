"""A decoder that keeps each finished batch, so that a part that is begun again goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa

from smotext_lab.errors import DataError
from smotext_lab.scale.store import Store
from smotext_lab.scale.tables import read_table, table_bytes

__all__ = ["KeptBatches", "rows_in"]

_COLUMNS = ("row", "text", "cosine", "likelihood", "tokens", "ended", "seed", "attempts")


class KeptBatches:
    """Decode batch by batch, write each one down, and read it where it was decoded before.

    What a part decodes, and in which order, follows from its plan and from what was decoded
    before. So a part that is begun again, by whomever, asks for the same batches.

    Parameters
    ----------
    decoder : XRAGDecoder
    store : Store
    part : str
    before_each : callable, optional
        Called before a batch is decoded; may raise to stop there.
    after_each : callable, optional
        Called with the number of rows that were decoded here for the first time.

    Attributes
    ----------
    decoding, writing : float
        Seconds spent.
    decoded : int
        Rows decoded here, not read.
    """

    def __init__(
        self,
        decoder: Any,
        store: Store,
        part: str,
        *,
        before_each: Callable[[], None] = lambda: None,
        after_each: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._decoder, self._store = decoder, store
        self._folder = f"work/{part}"
        self._before_each, self._after_each = before_each, after_each
        self._size = getattr(decoder, "rows_together", 32)
        self._there = set(store.names(self._folder))
        self._calls = 0
        self.decoding = self.writing = 0.0
        self.decoded = 0

    def decode_rows(
        self,
        vectors: np.ndarray,
        *,
        seeds: Any = None,
        forms: Any = None,
        lengths: Any = None,
        guidance: Any = None,
        agreement: Any = None,
    ) -> Iterator[Any]:
        """Yield a `Decoded` for each vector; see `XRAGDecoder.decode_rows`."""
        self._calls += 1
        for start in range(0, len(vectors), self._size):
            rows = slice(start, start + self._size)
            batch = self._batch(
                start // self._size,
                vectors[rows],
                seeds=seeds[rows],
                agreement=agreement and _from_row(agreement, start),
                forms=forms and forms[rows],
                lengths=lengths and lengths[rows],
                guidance=None if guidance is None else guidance[rows],
            )
            yield from (_moved(decoded, start) for decoded in batch)

    def _batch(self, number: int, vectors: np.ndarray, **asked: Any) -> list[Any]:
        name = f"{self._calls:02}-{number:05}-{len(vectors)}.parquet"
        if name in self._there:
            kept = self._kept(name, asked["seeds"])
            if kept is not None:
                return kept
        self._before_each()
        began = time.perf_counter()
        found = list(self._decoder.decode_rows(vectors, **asked))
        done = time.perf_counter()
        with suppress(FileNotFoundError):  # another worker has finished the part: clears these
            self._store.write(f"{self._folder}/{name}", _bytes(found), durable=False)
        self.decoding += done - began
        self.writing += time.perf_counter() - done
        self.decoded += len(found)
        self._after_each(rows_in(name))
        return found

    def _kept(self, name: str, seeds: np.ndarray) -> list[Any] | None:
        try:
            found = _read(self._store.read(f"{self._folder}/{name}"), name)
        except (DataError, FileNotFoundError):
            return None  # damaged, or another worker has finished the part: decode it again
        same = sorted(d.row for d in found) == list(range(len(seeds)))
        same = same and all(d.seed == int(seeds[d.row]) for d in found)
        return found if same else None

    def clear(self) -> None:
        """Take the batches away: the part is finished."""
        self._store.remove_folder(self._folder)


def rows_in(name: str) -> int:
    """Return how many rows a batch's file is the first decoding of.

    Examples
    --------
    >>> rows_in("01-00003-32.parquet"), rows_in("02-00000-5.parquet")
    (32, 0)
    """
    call, _, rest = name.partition("-")
    rows = rest.partition("-")[2].partition(".")[0]
    return int(rows) if call == "01" and rows.isdecimal() else 0


def _from_row(agreement: Any, start: int) -> Any:
    return lambda rows, vectors: agreement(rows + start, vectors)


def _moved(decoded: Any, start: int) -> Any:
    import dataclasses

    return dataclasses.replace(decoded, row=decoded.row + start) if start else decoded


def _bytes(found: list[Any]) -> bytes:
    columns: dict[str, Any] = {name: [getattr(d, name) for d in found] for name in _COLUMNS}
    columns["seed"] = pa.array([int(seed) for seed in columns["seed"]], pa.uint64())
    vectors = np.stack([d.vector for d in found]).astype(np.float32)
    flat = pa.array(vectors.reshape(-1))
    columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return table_bytes(pa.table(columns))


def _read(data: bytes, name: str) -> list[Any]:
    from smotext_lab.decoded import Decoded

    table = read_table(data, name)
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    rows = table.select(_COLUMNS).to_pylist()
    return [
        Decoded(**row, vector=vector, trace=()) for row, vector in zip(rows, vectors, strict=True)
    ]
