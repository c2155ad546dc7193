"""The plan of a job: who is blended with whom, row by row, written in parts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from smotext_lab.interpolators.blends import Blends
from smotext_lab.sampler.generation import Source, in_place_of
from smotext_lab.scale.names import base_part
from smotext_lab.scale.store import Store
from smotext_lab.scale.tables import read_facts, read_table, table_bytes

__all__ = ["again", "read_plan", "spare_turns", "write_part", "write_plan"]

PLANNED_AT_ONCE = 100_000
"""Rows whose plan is drawn together: memory does not grow with the number of rows beyond it."""

_ROUNDS = 100_000  # turns of one drawing; a run has far fewer attempts at a row


def spare_turns(max_attempts: int, max_blends: int) -> list[int]:
    """Return the attempts at which a row gets another blend.

    Examples
    --------
    >>> spare_turns(3, 3)
    [4, 7]
    """
    return [1 + max_attempts * blend for blend in range(1, max_blends)]


def write_plan(
    store: Store, source: Source, n: Mapping[Any, int], rows_per_part: int, turns: list[int]
) -> Counter[Any]:
    """Write the plan of ``n[label]`` rows a class, and what each row falls back to.

    Up to `PLANNED_AT_ONCE` rows are drawn as `SMOTExT.generate` draws them; of a larger plan
    each further piece is drawn from a stream of its own.

    Returns
    -------
    Counter of label -> int
        Rows in the plan.
    """
    written, part = 0, 0
    planned = Counter[Any]()
    waiting: list[dict[int, Blends]] = []
    for piece in _pieces(source, n, turns):
        planned.update(piece[0].label.tolist())
        waiting.append(piece)
        joined = {turn: Blends.concatenate([each[turn] for each in waiting]) for turn in piece}
        whole = len(joined[0]) // rows_per_part * rows_per_part
        for start in range(0, whole, rows_per_part):
            rows = slice(start, start + rows_per_part)
            _write(store, base_part(part), written, {t: b[rows] for t, b in joined.items()})
            written, part = written + rows_per_part, part + 1
        waiting = [{turn: blends[whole:] for turn, blends in joined.items()}]
    rest = waiting[0] if waiting else {}
    if rest and len(rest[0]):
        _write(store, base_part(part), written, rest)
    return planned


def _pieces(source: Source, n: Mapping[Any, int], turns: list[int]) -> Iterator[dict[int, Blends]]:
    count = max(1, -(-sum(n.values()) // PLANNED_AT_ONCE))
    for piece in range(count):
        share = {
            label: total * (piece + 1) // count - total * piece // count
            for label, total in n.items()
        }
        yield drawn(source, share, turns, piece * _ROUNDS)


def drawn(source: Source, n: Mapping[Any, int], turns: list[int], stream: int) -> dict[int, Blends]:
    """Return the blends of the first turn (0) and, aligned with them, of the later `turns`."""
    wanted = {label: count for label, count in n.items() if count}
    base = source.draw(wanted, stream)
    spare = {turn: in_place_of(base, source.draw(wanted, stream + turn)) for turn in turns}
    return {0: base, **spare}


def again(source: Source, n: Mapping[Any, int], turns: list[int], round_: int) -> dict[int, Blends]:
    """Return blends for rows whose texts were taken out, from streams of that round's own."""
    return drawn(source, n, turns, (1_000_000 + round_) * _ROUNDS)


def write_part(
    store: Store, name: str, rows: np.ndarray, blends: Mapping[int, Blends], **facts: Any
) -> None:
    """Write a part of the plan: what rows fall back to first, the plan itself last."""
    for turn, spare in blends.items():
        if turn:
            table = _table(spare, {})
            store.write(f"spare/{name}.{turn}.parquet", table_bytes(table), durable=False)
    table = _table(blends[0], {"row": pa.array(rows, pa.int64())})
    store.write(f"plan/{name}.parquet", table_bytes(table, facts), durable=False)


def _write(store: Store, name: str, first: int, blends: Mapping[int, Blends]) -> None:
    write_part(store, name, np.arange(first, first + len(blends[0])), blends)


def _table(blends: Blends, columns: dict[str, pa.Array]) -> pa.Table:
    columns["label"] = pa.array(blends.label.tolist())
    columns["parents"] = _lists(blends.parents.astype(np.int32))
    columns["weights"] = _lists(blends.weights)
    columns["seed"] = pa.array(blends.seed, pa.uint64())
    names = []
    if blends.label_weights is not None and blends.classes is not None:
        columns["label_weights"] = _lists(blends.label_weights)
        names = blends.classes.tolist()
    table = pa.table(columns)
    return table.replace_schema_metadata({"classes": _json(names)}) if names else table


def _lists(values: np.ndarray) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _json(values: list[Any]) -> str:
    return json.dumps(values)


def read_plan(
    store: Store, name: str, turns: list[int]
) -> tuple[np.ndarray, dict[int, Blends], dict[str, Any]]:
    """Return a part's rows, its blends by turn, and the facts written with it."""
    rows, blends, facts = _read(store, f"plan/{name}.parquet")
    every = {0: blends}
    for turn in turns:
        every[turn] = _read(store, f"spare/{name}.{turn}.parquet")[1]
    return rows, every, facts


def _read(store: Store, name: str) -> tuple[np.ndarray, Blends, dict[str, Any]]:
    table = read_table(store.read(name), name)
    classes = (table.schema.metadata or {}).get(b"classes")
    soft = None if classes is None else _matrix(table["label_weights"])
    blends = Blends(
        parents=_matrix(table["parents"]).astype(np.int64),
        weights=_matrix(table["weights"]),
        label=np.array(table["label"].to_pylist()),
        seed=table["seed"].to_numpy(),
        label_weights=soft,
        classes=None if classes is None else np.array(json.loads(classes)),
    )
    has_rows = "row" in table.column_names
    rows = table["row"].to_numpy() if has_rows else np.arange(table.num_rows)
    return rows, blends, read_facts(table)


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    whole = column.combine_chunks()
    flat: np.ndarray = whole.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), -1)
