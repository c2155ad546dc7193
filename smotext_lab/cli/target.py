"""Where ``generate`` writes to."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smotext_lab.errors import ParameterError

if TYPE_CHECKING:
    from smotext_lab.synthesis import Synthesis

__all__ = ["Target"]

_SUFFIXES = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True)
class Target:
    """Where new texts go, known to be writable before any is made.

    Attributes
    ----------
    out : str
        A path, or ``"-"`` for standard output.
    form : {"csv", "jsonl", "parquet"}
    """

    out: str
    form: str

    @classmethod
    def read(cls, out: str, form: str | None) -> Target:
        """Check a path and find the format in its name.

        Raises
        ------
        ParameterError
            If the format cannot be told, or nothing can be written there.
        """
        path = Path(out).expanduser()
        if out == "-":
            form = form or "jsonl"
            if form == "parquet" and sys.stdout.isatty():
                msg = "Parquet is not for the terminal: give --out a file name, or a pipe."
                raise ParameterError(msg)
            return cls(out, form)
        form = form or _SUFFIXES.get(Path(path.name.removesuffix(".gz")).suffix.lower())
        if form is None:
            msg = f"The format of {out!r} is not clear: end it in .parquet, .csv or .jsonl."
            raise ParameterError(msg)
        if path.is_dir():
            msg = f"--out {out!r} is a folder: give a file name in it."
            raise ParameterError(msg)
        if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
            msg = f"--out {out!r} cannot be written: see that the folder exists and is yours."
            raise ParameterError(msg)
        return cls(out, form)

    def write(self, synthesis: Synthesis, **which: bool) -> None:
        """Write the rows that ``with_originals`` and ``rejected`` say."""
        getattr(synthesis, f"to_{self.form}")(self.out, **which)
