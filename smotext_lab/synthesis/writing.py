"""Frames to files: whole or not at all, and equal to the letter when read again."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from smotext_lab.errors import DataError, ParameterError

__all__ = ["Target", "csv_bytes", "jsonl_bytes", "parquet_bytes", "swapped_in", "write"]

Target = str | os.PathLike[str] | IO[Any]
"""Where to write: a path, ``"-"`` for standard output, or an open file."""

# What JSON may hold in a string and a reader stumbles over: line ends of the Unicode kind, where
# some cut lines, and halves of surrogate pairs, which UTF-8 does not have.
_ESCAPED = re.compile("[\x85\u2028\u2029\ud800-\udfff]")


def write(target: Target, data: bytes) -> None:
    """Write `data` to `target`; a path holds either all of it or what it held before.

    Parameters
    ----------
    target : path, "-" or file object
        A path that ends in ``.gz`` is compressed.
    data : bytes

    Raises
    ------
    ParameterError
        If the folder does not exist or the path is a folder.
    """
    if not isinstance(target, str | os.PathLike):
        _write_open(target, data)
    elif os.fspath(target) == "-":
        _write_open(sys.stdout, data)
    else:
        path = Path(target).expanduser()
        if path.suffix == ".gz":
            data = gzip.compress(data, mtime=0)
        _write_path(path, data)


def _write_open(stream: Any, data: bytes) -> None:
    if hasattr(stream, "buffer"):  # past a text stream's own encoding and line ends
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()
    elif isinstance(stream, io.TextIOBase):
        stream.write(data.decode("utf-8"))
    else:
        stream.write(data)


def _write_path(path: Path, data: bytes) -> None:
    path = path.resolve()  # a symbolic link stays one: what it points to is replaced
    if path.is_dir():
        msg = f"Cannot write to {str(path)!r}: it is a folder; give a file name."
        raise ParameterError(msg)
    if not path.parent.is_dir():
        msg = f"Cannot write {path.name!r}: the folder {str(path.parent)!r} does not exist."
        raise ParameterError(msg)
    if path.exists() and not path.is_file():  # a device or a pipe must not be replaced by a file
        path.write_bytes(data)
        return
    with swapped_in(path) as draft, draft.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def swapped_in(path: Path) -> Iterator[Path]:
    """Give a draft's path beside `path`; the draft takes its place, or vanishes on an error."""
    draft = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        yield draft
        if path.exists():
            shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def csv_bytes(frame: pd.DataFrame, *, header: bool = True) -> bytes:
    """Return `frame` as CSV in UTF-8, lists and dicts as JSON, all strings quoted.

    Quoting all strings keeps a lone carriage return inside its cell.
    """
    flat = _with_index(frame)
    for column in flat.columns:
        if flat[column].map(_is_nested).any():
            flat[column] = flat[column].map(lambda v: _dumps(v) if _is_nested(v) else v)
    text = flat.to_csv(
        index=False, header=header, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC
    )
    return text.encode("utf-8", "replace")


def jsonl_bytes(frame: pd.DataFrame) -> bytes:
    """Return `frame` as JSON Lines in UTF-8, one object per row, missing values as null."""
    flat = _with_index(frame)
    names = [str(c) for c in flat.columns]
    columns = [flat[c].tolist() for c in flat.columns]
    rows = zip(*columns, strict=True)
    lines = (_dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
    return "".join(lines).encode("utf-8")


def parquet_bytes(frame: pd.DataFrame, metadata: Mapping[str, Any]) -> bytes:
    """Return `frame` as Parquet with `metadata` as JSON under the key ``smotext_lab``.

    Raises
    ------
    DataError
        If a column mixes types that Parquet cannot keep in one column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if frame.index.dtype == object and frame.index.nlevels == 1:
        frame = frame.set_axis(frame.index.map(str), axis=0)
    try:
        table = pa.Table.from_pandas(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        msg = f"Parquet cannot hold this frame ({error}); write JSON Lines or CSV instead."
        raise DataError(msg) from error
    known = dict(table.schema.metadata or {})
    known[b"smotext_lab"] = _dumps(dict(metadata)).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(known), sink)
    return bytes(sink.getvalue())


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a copy whose index, where it says more than the row number, is a column."""
    index = frame.index
    if isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1:
        return frame.copy()
    names = [str(n) if n is not None else f"index_{i}" for i, n in enumerate(index.names)]
    if index.names == [None]:
        names = ["index"]
    names = [f"{n}_index" if n in frame.columns else n for n in names]
    return frame.reset_index(names=names)


def _is_nested(value: object) -> bool:
    return isinstance(value, list | tuple | dict | np.ndarray)


def _dumps(value: object) -> str:
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _plain(value: Any) -> Any:
    """Return `value` in JSON's own types; numbers that JSON lacks and missing values as None."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | np.ndarray):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, str | bool | int):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
