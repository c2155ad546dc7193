"""Frames to Parquet bytes and back: what the files of a job hold."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from smotext_lab.errors import DataError

__all__ = ["COPY_AGAIN", "read_facts", "read_table", "table_bytes"]

COPY_AGAIN = "copy it again from where it is whole, or make a new job"

_KEY = b"smotext_lab"
_MADE_AGAIN = ("out/", "rejected/", "duplicates/", "plan/extra-", "spare/extra-")


def table_bytes(table: pa.Table, facts: Mapping[str, Any] | None = None) -> bytes:
    """Return a table as Parquet, `facts` as JSON in its metadata."""
    known = dict(table.schema.metadata or {})
    if facts is not None:
        known[_KEY] = json.dumps(facts, ensure_ascii=False).encode()
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(known), sink, compression="zstd")
    return sink.getvalue()


def read_table(data: bytes, name: str) -> pa.Table:
    """Return the table in Parquet bytes.

    Raises
    ------
    DataError
        If they are no Parquet, or damaged.
    """
    try:
        return pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        way_out = COPY_AGAIN
        if name.startswith(_MADE_AGAIN):
            way_out = "after `smotext-lab job verify --repair` the next run makes it again"
        msg = f"{name} is damaged ({error}): {way_out}."
        raise DataError(msg) from error


def read_facts(table: pa.Table) -> dict[str, Any]:
    """Return the facts that `table_bytes` was given."""
    raw = (table.schema.metadata or {}).get(_KEY)
    return {} if raw is None else dict(json.loads(raw))
