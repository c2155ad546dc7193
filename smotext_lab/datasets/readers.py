"""Files to frames: CSV, TSV, JSON Lines, Parquet, standard input, the hub.

Strings are taken to the letter: a cell that says NA or null is a text like any other.
"""

from __future__ import annotations

import gzip
import importlib
import io
import json
import sys
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from smotext_lab.errors import DataError, ParameterError, did_you_mean

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "encoding_of",
    "exact",
    "read_file",
    "read_hub",
    "records_of",
    "separator_of",
]

FORMATS = ("csv", "tsv", "jsonl", "parquet")
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_file(
    source: str, *, file_format: str | None = None, encoding: str = "utf-8"
) -> pd.DataFrame:
    """Read a file, or standard input for ``"-"``, into a frame.

    Parameters
    ----------
    source : str
        A path or ``"-"``. Compression by gzip is recognised by its first bytes.
    file_format : {"csv", "tsv", "jsonl", "parquet"}, optional
        By default what the name ends in; for ``"-"`` what the first character suggests.
    encoding : str, default "utf-8"
        A byte order mark in the file goes before the default.

    Returns
    -------
    DataFrame
        From CSV and TSV, a column becomes numbers or booleans only where each cell can be
        written back as it was: ``007`` and ``1.50`` stay strings. An empty cell is an empty
        string there, or missing in a column of numbers.

    Raises
    ------
    DataError
        If the file cannot be opened, decoded or parsed; the message says where.
    ParameterError
        If the format or the encoding is unknown.
    """
    if file_format is not None and file_format not in FORMATS:
        guess = did_you_mean(file_format, FORMATS)
        msg = f"Unknown file_format {file_format!r}{guess}; use one of {', '.join(FORMATS)}."
        raise ParameterError(msg)
    name = "standard input" if source == "-" else source
    file_format = file_format or _format_of(source)
    data = _uncompressed(_bytes_of(source), name)
    if file_format == "parquet":
        return _parquet(data, name)
    text = _decoded(data, encoding, name)
    if not text.strip():
        msg = f"{name} is empty."
        raise DataError(msg)
    if file_format is None:
        file_format = "jsonl" if text.lstrip()[0] in "{[" else "csv"
    if file_format == "jsonl":
        return _json(text, name)
    return _delimited(text, "\t" if file_format == "tsv" else separator_of(text), name)


def _format_of(source: str) -> str | None:
    if source == "-":
        return None
    path = Path(source.removesuffix(".gz"))
    if path.suffix.lower() not in SUFFIXES:
        msg = (
            f"Cannot tell the format of {source!r} by its name;"
            f" say file_format= one of {', '.join(FORMATS)}."
        )
        raise DataError(msg)
    return SUFFIXES[path.suffix.lower()]


def _bytes_of(source: str) -> bytes:
    if source == "-":
        stream = getattr(sys.stdin, "buffer", sys.stdin)
        data = stream.read()
        return data if isinstance(data, bytes) else str(data).encode("utf-8", "surrogatepass")
    try:
        return Path(source).expanduser().read_bytes()
    except OSError as error:
        msg = f"Cannot read {source!r}: {error.strerror or error}."
        raise DataError(msg) from error


def _uncompressed(data: bytes, name: str) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{name} is a damaged gzip file ({error}); copy or make it again."
        raise DataError(msg) from error


def encoding_of(start: bytes, encoding: str) -> str:
    """Return the encoding that a file's byte order mark says, else the one given."""
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        return next((c for bom, c in _BOMS.items() if start.startswith(bom)), "utf-8")
    return encoding


def _decoded(data: bytes, encoding: str, name: str) -> str:
    encoding = encoding_of(data, encoding)
    try:
        return data.decode(encoding)
    except LookupError as error:
        msg = f"Unknown encoding {encoding!r}; use a name such as 'utf-8', 'cp1252' or 'latin-1'."
        raise ParameterError(msg) from error
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        line = data.count(b"\n", 0, start) + 1
        msg = (
            f"{name} is not {encoding}: byte 0x{data[start]:02x} at offset {start} (line {line})."
            " Say which encoding it has, for example encoding='cp1252' or 'latin-1'."
        )
        raise DataError(msg) from error


def separator_of(text: str) -> str:
    """Return the comma, unless the header has none and has another usual separator."""
    header = text.lstrip().split("\n", 1)[0]
    return "," if "," in header else next((s for s in ";\t" if s in header), ",")


def _delimited(text: str, separator: str, name: str) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # pandas only warns when it drops cells of rows that are longer than the header
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.StringIO(text, newline=""),
                sep=separator,
                dtype=str,
                keep_default_na=False,
                index_col=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        msg = f"{name} is not well-formed, separated by {separator!r}: {reason}."
        raise DataError(msg) from error
    return pd.DataFrame({column: exact(frame[column]) for column in frame.columns})


def exact(column: pd.Series) -> pd.Series:
    """Return numbers or booleans if every non-empty cell can be written back as it was."""
    given = column[column != ""]
    if given.empty:
        return column
    if given.isin(["True", "False"]).all():
        typed = given == "True"
    else:
        typed = pd.to_numeric(given, errors="coerce")
        if not np.isfinite(typed.to_numpy(dtype="float64", na_value=np.nan)).all():
            return column
        if (typed.astype(str) != given).any():
            return column
    return _with_gaps(typed, column.index)


def _with_gaps(given: pd.Series, index: pd.Index) -> pd.Series:
    """Return `given` spread over `index`; whole numbers and booleans stay so beside gaps."""
    if len(given) == len(index):
        return given
    nullable: Any = {"b": "boolean", "i": "Int64", "u": "UInt64"}.get(given.dtype.kind)
    gaps: pd.Series = (given.astype(nullable) if nullable else given).reindex(index)
    return gaps


def _json(text: str, name: str) -> pd.DataFrame:
    """Read one object per line, or one array of objects."""
    if text.lstrip("\ufeff \t\r\n").startswith("["):
        records = _parsed(text, name, 1)
    else:
        # not splitlines(): U+2028 and its like may stand inside a string
        lines = enumerate(text.split("\n"), start=1)
        return records_of(lines, name)
    return _records_frame(records, name)


def records_of(lines: Iterable[tuple[int, str]], name: str) -> pd.DataFrame:
    """Return the objects of numbered lines as a frame; blank lines are passed over."""
    return _records_frame([_parsed(line, name, i) for i, line in lines if line.strip()], name)


def _records_frame(records: list[Any], name: str) -> pd.DataFrame:
    for i, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            msg = f"{name}: record {i} is not an object but {str(record)[:40]!r}."
            raise DataError(msg)
    names = dict.fromkeys(key for record in records for key in record)
    return pd.DataFrame({n: _inferred([r.get(n) for r in records]) for n in names})


def _parsed(line: str, name: str, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        msg = f"{name}: line {number} is not JSON ({error})."
        raise DataError(msg) from error


def _inferred(values: list[Any]) -> pd.Series:
    column = pd.Series(values, dtype=object)
    try:
        return _with_gaps(column.dropna().infer_objects(), column.index)
    except UnicodeEncodeError:  # half a surrogate pair fits into no string type
        return column


def _parquet(data: bytes, name: str) -> pd.DataFrame:
    import pyarrow as pa

    try:
        return pd.read_parquet(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        msg = f"{name} cannot be read as Parquet: {error}"
        raise DataError(msg) from error


def read_hub(name: str, *, config: str | None = None, revision: str | None = None) -> pd.DataFrame:
    """Read a dataset of the Hugging Face hub, its splits one below the other.

    Parameters
    ----------
    name : str
        ``"owner/name"``.
    config, revision : str, optional
        Configuration, and branch, tag or commit.

    Returns
    -------
    DataFrame
        With a column `split`; class numbers are given as their names.

    Raises
    ------
    DataError
        If the package ``datasets`` is missing, or the dataset cannot be loaded.
    """
    try:
        hub: Any = importlib.import_module("datasets")
    except ImportError as error:
        msg = (
            f"There is no file {name!r}; to read it from the hub, install the package"
            " `datasets`: pip install 'smotext-lab[hub]'"
        )
        raise DataError(msg) from error
    try:
        parts = hub.load_dataset(name, config, revision=revision)
    except (OSError, ValueError, RuntimeError) as error:
        msg = f"There is no file {name!r}, and the hub's dataset cannot be loaded: {error}"
        raise DataError(msg) from error
    frames = [_hub_frame(part).assign(split=str(split)) for split, part in parts.items()]
    return pd.concat(frames, ignore_index=True)


def _hub_frame(part: Any) -> pd.DataFrame:
    frame: pd.DataFrame = part.to_pandas()
    for column, feature in part.features.items():
        names = getattr(feature, "names", None)
        if names:  # -1 stands for "no label" there
            frame[column] = frame[column].map(dict(enumerate(names)))
    return frame
