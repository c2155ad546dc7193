"""What happened to a job, one JSON object a line."""

from __future__ import annotations

import json
import os
import secrets
import time
from typing import Any

from smotext_lab.scale.store import Store

__all__ = ["Log", "read_log"]

_PAUSE = 5.0
"""Seconds between two writings of a log that cannot be added to."""


class Log:
    """The log of one run: added to ``log.jsonl`` on a disk, an object of its own elsewhere.

    Object storage cannot add to a file, so there the run's own ``log-….jsonl`` is written anew,
    at most every few seconds and when the run ends.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.local("log.jsonl")
        self._name = f"log-{time.time():.0f}-{secrets.token_hex(3)}.jsonl"
        self._lines: list[str] = []
        self._written = 0.0

    def add(self, event: str, **facts: Any) -> None:
        """Note an event with what belongs to it."""
        told = {"time": round(time.time(), 3), "event": event, **facts}
        line = json.dumps(told, ensure_ascii=False) + "\n"
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            file = os.open(self._path, flags, 0o666)
            try:
                os.write(file, line.encode())  # one write: lines of two runs do not mix
            finally:
                os.close(file)
            return
        self._lines.append(line)
        if time.monotonic() - self._written > _PAUSE:
            self.close()

    def close(self) -> None:
        """Write what has not been written yet."""
        if self._path is None and self._lines:
            self._store.write(self._name, "".join(self._lines).encode())
            self._written = time.monotonic()


def read_log(store: Store) -> list[dict[str, Any]]:
    """Return all events, oldest first; a line that a kill cut short is passed over."""
    events = []
    for name in store.names(""):
        if name.startswith("log") and name.endswith(".jsonl"):
            for line in store.read(name).decode("utf-8", "replace").splitlines():
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict):
                    events.append(event)
    return sorted(events, key=lambda event: float(event.get("time", 0)))
