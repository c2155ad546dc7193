"""What happened to a job, one JSON object a line."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from smotext_lab.errors import DataError
from smotext_lab.scale.store import Store

__all__ = ["BEAT", "Log", "read_log"]

BEAT = 60.0
"""Seconds between two signs of life of a run."""

_PAUSE = 5.0
"""Seconds between two writings of a log that cannot be added to."""


class Log:
    """The log of one run: added to ``log.jsonl`` on a disk, an object of its own elsewhere.

    Object storage cannot add to a file, so there the run's own ``log-….jsonl`` is written anew,
    at most every few seconds and when the run ends.

    Attributes
    ----------
    run : str
        Tells the run's events from those of others.
    """

    def __init__(self, store: Store) -> None:
        self.run = secrets.token_hex(4)
        self._store = store
        self._path = store.local("log.jsonl")
        self._name = f"log-{time.time():.0f}-{self.run}.jsonl"
        self._lines: list[str] = []
        self._last = ""
        self._written = 0.0
        self._lock = threading.Lock()

    def add(self, event: str, **facts: Any) -> None:
        """Note an event with what belongs to it."""
        told = {"time": round(time.time(), 3), "event": event, "run": self.run, **facts}
        line = json.dumps(told, ensure_ascii=False) + "\n"
        with self._lock:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                _append(self._path, line.encode())
                return
            if event == self._last == "alive":
                self._lines.pop()  # the newest says it all, and all lines are written each time
            self._lines.append(line)
            self._last = event
            if time.monotonic() - self._written > _PAUSE:
                self._put()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Note signs of life meanwhile, and at last the end, however it comes.

        A log that cannot be written is then no reason to stop, nor to hide what did.
        """
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT):
                with suppress(OSError, DataError):
                    self.add("alive")

        threading.Thread(target=beat, daemon=True).start()
        try:
            yield
        finally:
            over.set()
            with suppress(OSError, DataError):
                self.add("end")
                with self._lock:
                    self._put()

    def _put(self) -> None:
        if self._lines:
            self._store.write(self._name, "".join(self._lines).encode())
            self._written = time.monotonic()


def _append(path: os.PathLike[str], line: bytes) -> None:
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        if os.lseek(file, 0, os.SEEK_END):
            os.lseek(file, -1, os.SEEK_END)
            if os.read(file, 1) != b"\n":
                line = b"\n" + line  # a full disk or a kill has cut the last one
        while line:  # one write, so that lines of two runs do not mix, unless the disk is full
            line = line[os.write(file, line) :]
    finally:
        os.close(file)


def read_log(store: Store) -> list[dict[str, Any]]:
    """Return all events, oldest first; a line that was cut short is passed over."""
    events = []
    for name in store.names(""):
        if name.startswith("log") and name.endswith(".jsonl"):
            for line in store.read(name).decode("utf-8", "replace").splitlines():
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict) and "event" in event:
                    events.append(event)
    return sorted(events, key=lambda event: float(event.get("time", 0)))
