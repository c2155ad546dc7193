"""Decisions about synthetic texts: who decided what, kept in a file, and taken back."""

from __future__ import annotations

import datetime as dt
import getpass
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from smotext_lab.errors import DataError

__all__ = ["Decision", "Decisions", "name_of"]

Verdict = Literal["accepted", "rejected", "undecided"]


@dataclass(frozen=True)
class Decision:
    """What stands for one row, after all that was decided about it.

    Attributes
    ----------
    verdict : {"accepted", "rejected", "undecided"}
    text, label : str or None
        As edited and relabelled; None: as it was made. A label is kept by its printed form.
    by, at : str
        Who decided last, and when (ISO 8601, UTC).
    """

    verdict: Verdict = "undecided"
    text: str | None = None
    label: str | None = None
    by: str = ""
    at: str = ""


class Decisions:
    """Decisions about the rows of a frame, written to a file as they are made.

    The file has one JSON object a line and is only ever added to: a kernel that dies loses
    nothing. It is readable by its owner alone, as edited texts may be private.

    Parameters
    ----------
    path : path or None
        None keeps them in memory alone.
    by : str, optional
        Who decides; default the user's login name.

    Raises
    ------
    DataError
        If the file cannot be read as such.
    """

    def __init__(self, path: str | Path | None, by: str | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.by = _login() if by is None else by
        self._made: dict[int, list[Decision]] = {}
        self._order: list[int] = []
        if self.path is not None and self.path.is_file():
            self._read(self.path)

    def __getitem__(self, row: int) -> Decision:
        made = self._made.get(row)
        return made[-1] if made else Decision()

    def __len__(self) -> int:
        """Return how many rows have been decided about."""
        return sum(self[row] != Decision() for row in self._made)

    def make(self, row: int, **changes: Any) -> Decision:
        """Change what stands for a row, and write it down.

        Parameters
        ----------
        row : int
        **changes
            Attributes of `Decision`.
        """
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        decision = Decision(**{**asdict(self[row]), **changes, "by": self.by, "at": now})
        self._write({"row": row, **asdict(decision)})
        self._take(row, decision)
        return decision

    def undo(self) -> int | None:
        """Take back the last decision; return the row it was about, or None."""
        if not self._order:
            return None
        self._write({"undo": True})
        return self._take_back()

    def _take(self, row: int, decision: Decision) -> None:
        self._made.setdefault(row, []).append(decision)
        self._order.append(row)

    def _take_back(self) -> int:
        row = self._order.pop()
        self._made[row].pop()
        return row

    def _write(self, entry: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with os.fdopen(os.open(self.path, flags, 0o600), "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                if entry.get("undo"):
                    self._take_back()
                else:
                    self._take(int(entry.pop("row")), Decision(**entry))
            except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                if number >= len(lines) - 1:
                    return  # a last line that was cut short; nothing follows it
                msg = f"{path}, line {number}, is no decision of a review: move the file away."
                raise DataError(msg) from error


def name_of(frame: pd.DataFrame) -> str:
    """Return the name of the file for a frame's decisions: the same texts, the same file."""
    told = hashlib.sha256()
    for text, label in zip(frame["text"], frame["label"], strict=True):
        told.update(json.dumps([str(text), str(label)]).encode())
    return f"smotext-review-{told.hexdigest()[:12]}.jsonl"


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"
