"""Files of `Synthesis.to_parquet` read again: the rows, and the provenance in their metadata."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

from smotext_lab.errors import DataError

__all__ = ["metadata_of", "rows_of"]


def metadata_of(source: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return what `Synthesis.to_parquet` told of itself in a file; None for any other source.

    Raises
    ------
    DataError
        If that is damaged.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        return None
    with path.open("rb") as file:
        if file.read(4) != b"PAR1":
            return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        told = (pq.read_schema(path).metadata or {}).get(b"smotext_lab")
        known = None if told is None else json.loads(told)
        if known is not None and not (
            isinstance(known["columns"], dict) and isinstance(known["info"], dict)
        ):
            raise TypeError(type(known))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path.name} is no whole file of Synthesis.to_parquet ({type(error).__name__})."
        raise DataError(msg) from error
    return known


def rows_of(path: str | os.PathLike[str], names: dict[str, str]) -> pd.DataFrame:
    """Return the new rows of a file under the names of `synthesis.COLUMNS`.

    Parameters
    ----------
    path : path
    names : dict
        The columns' names in the file, by ours; ``source`` tells originals from new rows.

    Raises
    ------
    DataError
        If a column is missing.
    """
    frame = pd.read_parquet(Path(path).expanduser())
    source = names.get("source")
    if source in frame.columns:
        frame = frame[frame[source] == "synthetic"]
    missing = [name for ours, name in names.items() if ours != "source" and name not in frame]
    if missing:
        msg = f"{Path(path).name} lacks the columns {', '.join(missing)} that it says it has."
        raise DataError(msg)
    rows = pd.DataFrame({ours: frame[name] for ours, name in names.items() if ours != "source"})
    for name, column in rows.items():
        if isinstance(column.dtype, pd.StringDtype):  # as they were before they were written
            rows[name] = column.astype(object).where(column.notna(), None)
    soft = [json.loads(each) if isinstance(each, str) else None for each in rows["label_weights"]]
    rows["label_weights"] = pd.Series(soft, index=rows.index, dtype=object)
    return rows
