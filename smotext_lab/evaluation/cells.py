"""What was measured, kept cell by cell: a run that was killed goes on where it stopped."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["COLUMNS", "Cell", "Cells"]

COLUMNS = (
    "dataset",
    "protocol",
    "method",
    "times",
    "with_real",
    "teacher",
    "classifier",
    "k",
    "resample",
    "test",
    "metric",
    "value",
    "seconds",
)
"""Of the long frame: one row a metric."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One classifier, trained one way on one resample.

    Attributes
    ----------
    rows : list of dict
        Of `COLUMNS`.
    predicted : dict of str -> list of int
        By test: the class said of each test text, as a row of the sorted classes.
    """

    rows: list[dict[str, Any]]
    predicted: dict[str, list[int]] = field(default_factory=dict)


class Cells:
    """A folder of cells, each a Parquet file that is whole or taken for none.

    Parameters
    ----------
    folder : str, Path or None
        None keeps them in memory.

    Examples
    --------
    >>> cells = Cells(None)
    >>> cells.put("a", Cell([{"metric": "macro_f1", "value": 0.5}]))
    >>> cells.get("a").rows[0]["value"]
    0.5
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = None if folder is None else Path(folder)
        self._kept: dict[str, Cell] = {}

    def get(self, key: str) -> Cell | None:
        """Return the cell under `key`, or None where there is none yet, or a damaged one."""
        if key not in self._kept and self.folder is not None:
            # a file that was damaged is as good as none
            with contextlib.suppress(OSError, ValueError, KeyError):
                self._kept[key] = _read(self.folder / f"{key}.parquet")
        return self._kept.get(key)

    def put(self, key: str, cell: Cell) -> None:
        """Keep a cell; warn where the folder cannot be written to, for the run need not end."""
        self._kept[key] = cell
        if self.folder is None:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(cell, self.folder / f"{key}.parquet")
        except OSError as error:
            msg = (
                f"What is measured cannot be kept in {self.folder} ({error.strerror or error}): "
                "a run that is stopped will begin anew."
            )
            warnings.warn(msg, UserWarning, stacklevel=2)


def _write(cell: Cell, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(pd.DataFrame(cell.rows), preserve_index=False)
    told = {b"predicted": json.dumps(cell.predicted).encode()}
    handle, part = tempfile.mkstemp(".part", f"{path.stem}-", path.parent)
    os.close(handle)
    try:
        pq.write_table(
            table.replace_schema_metadata({**(table.schema.metadata or {}), **told}), part
        )
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)


def _read(path: Path) -> Cell:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    predicted = json.loads((table.schema.metadata or {})[b"predicted"])
    return Cell(table.to_pandas().to_dict("records"), predicted)
