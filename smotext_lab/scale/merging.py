"""The rows of a job in the order of its plan, as frames and as one file."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pandas as pd

from smotext_lab._version import __version__
from smotext_lab.cli.target import Target
from smotext_lab.scale.duplicates import taken_out
from smotext_lab.scale.names import base_number, part_names, round_of
from smotext_lab.scale.spec import JobSpec
from smotext_lab.scale.store import Store
from smotext_lab.scale.tables import read_table
from smotext_lab.synthesis import COLUMNS, Synthesis, weights_as_json
from smotext_lab.synthesis.writing import csv_bytes, jsonl_bytes, swapped_in

__all__ = ["frames", "merge"]


def frames(store: Store, spec: JobSpec, *, rejected: bool) -> Iterator[pd.DataFrame]:
    """Yield the rows of each part of the plan, as `Job.frames` says."""
    done = part_names(store, "out")
    gone = taken_out(store)
    spans = {part: _span(store, part) for part in done if round_of(part)}
    extra: dict[str, pd.DataFrame] = {}
    for part in done:
        if round_of(part):
            continue
        first = base_number(part) * spec.rows_per_part
        last = first + spec.rows_per_part - 1
        due = [name for name, (low, high) in spans.items() if low <= last and first <= high]
        extra = {name: extra[name] if name in extra else _part(store, name, gone) for name in due}
        later = [rows[rows["row"].between(first, last)] for rows in extra.values()]
        rows = pd.concat([_part(store, part, gone), *later])
        if not rejected:
            rows = rows[rows["status"] == "accepted"]
        rows = rows.sort_values(["row", "round", "attempts"], kind="stable")
        if len(rows):
            yield _typed(rows, spec)


def _span(store: Store, part: str) -> tuple[int, int]:
    """Return the first and the last row that a part makes again."""
    rows = _part(store, part, {})["row"]
    return rows.min(), rows.max()


def _part(store: Store, part: str, gone: dict[tuple[int, int], str]) -> pd.DataFrame:
    """Return all rows of a part, those taken out as rejected, with their round."""
    turn = round_of(part)
    names = [f"{folder}/{part}.parquet" for folder in ("rejected", "out")]
    rows = pd.concat([read_table(store.read(name), name).to_pandas() for name in names])
    rows = rows.assign(round=turn).reset_index(drop=True)
    accepted = rows["status"] == "accepted"
    reasons = [
        gone.get((turn, row)) if kept else None
        for row, kept in zip(rows["row"], accepted, strict=True)
    ]
    out = pd.Series([reason is not None for reason in reasons], index=rows.index, dtype=bool)
    if out.any():
        rows["reason"] = rows["reason"].astype(object)
        rows.loc[out, "reason"] = [reason for reason in reasons if reason is not None]
        rows.loc[out, "status"] = "rejected"
    return rows


def _typed(rows: pd.DataFrame, spec: JobSpec) -> pd.DataFrame:
    named = {str(label): label for label in spec.classes}
    rows = rows[list(COLUMNS)].astype(dict.fromkeys(("text", "status"), object))
    soft = [
        None if pd.isna(w) else {named[k]: v for k, v in json.loads(w).items()}
        for w in rows["label_weights"]
    ]
    reasons = [None if pd.isna(reason) else reason for reason in rows["reason"]]
    columns = {"label_weights": soft, "reason": reasons}
    told = {name: pd.Series(v, index=rows.index, dtype=object) for name, v in columns.items()}
    return Synthesis(rows.assign(**told)).frame


def merge(store: Store, spec: JobSpec, target: str | os.PathLike[str], *, rejected: bool) -> int:
    """Write all rows into one file; see `Job.merge`."""
    out = os.fspath(target)
    form = Target.read(out, None).form
    written = 0
    with _opened(out) as file:
        write = _parquet if form == "parquet" else _csv if form == "csv" else _jsonl
        put, close = write(file, spec)
        for frame in frames(store, spec, rejected=rejected):
            made = Synthesis(frame, text_column=spec.text_column, label_column=spec.label_column)
            put(made, made.to_pandas(rejected=rejected))
            written += len(frame)
        close()
    return written


@contextmanager
def _opened(out: str) -> Iterator[IO[bytes]]:
    if out == "-":
        yield sys.stdout.buffer
        return
    path = Path(out).expanduser().resolve()
    with swapped_in(path) as draft:
        if path.suffix == ".gz":
            with gzip.open(draft, "xb") as file:
                yield file  # type: ignore[misc]
        else:
            with draft.open("xb") as file:
                yield file


_Writer = tuple[Callable[[Synthesis, pd.DataFrame], None], Callable[[], None]]


def _csv(file: IO[bytes], spec: JobSpec) -> _Writer:  # noqa: ARG001
    begun = False

    def put(_: Synthesis, frame: pd.DataFrame) -> None:
        nonlocal begun
        file.write(csv_bytes(frame, header=not begun))
        begun = True

    return put, lambda: None


def _jsonl(file: IO[bytes], spec: JobSpec) -> _Writer:  # noqa: ARG001
    def put(_: Synthesis, frame: pd.DataFrame) -> None:
        file.write(jsonl_bytes(frame))

    return put, lambda: None


def _parquet(file: IO[bytes], spec: JobSpec) -> _Writer:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from smotext_lab.scale.parts import rows_schema

    names = Synthesis.from_rows(
        [], text_column=spec.text_column, label_column=spec.label_column
    ).output_names()
    typed = [f for f in rows_schema(spec.classes) if f.name != "row"]
    schema = pa.schema([pa.field(names[f.name], f.type) for f in typed])
    from smotext_lab.scale.job import provenance

    about = {"version": __version__, "columns": names, "info": provenance(spec)}
    schema = schema.with_metadata({"smotext_lab": json.dumps(about, ensure_ascii=False)})
    writer = pq.ParquetWriter(file, schema, compression="zstd")

    def put(_: Synthesis, frame: pd.DataFrame) -> None:
        soft = names["label_weights"]
        frame = frame.assign(**{soft: weights_as_json(frame[soft])})
        columns = [
            pa.array(
                [None if v is pd.NA else v for v in frame[f.name].tolist()],
                f.type,
                from_pandas=True,
            )
            for f in schema
        ]
        writer.write_table(pa.table(columns, schema=schema))

    return put, writer.close
