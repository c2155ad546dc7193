"""How far a job is, read from its folder alone."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from smotext_lab.scale.batches import rows_in
from smotext_lab.scale.log import read_log
from smotext_lab.scale.spec import JobSpec
from smotext_lab.scale.store import Store
from smotext_lab.scale.tables import read_facts, read_table

__all__ = ["JobStatus", "decoded_rows", "part_names", "status_of"]

State = Literal["planned", "running", "stopped", "cancelled", "finished"]


@dataclass(frozen=True)
class JobStatus:
    """How far a job is.

    Attributes
    ----------
    url : str
    state : {"planned", "running", "stopped", "cancelled", "finished"}
        ``"stopped"``: begun, not finished, and nobody is at it.
    rows : int
        Of the plan.
    decoded : int
        Rows that have been decoded at least once.
    parts, parts_done : int
    accepted : int
        New texts in finished parts, without those found to be duplicates since.
    rejected : dict of str -> int
        Refused texts in finished parts, by reason.
    duplicates : int
        Texts that the search over the whole job took out.
    rate : float or None
        Rows a second in the present or last run.
    remaining : float or None
        Seconds to go at that rate.
    quiet : float or None
        Seconds since anything was heard of the job.
    """

    url: str
    state: State
    rows: int
    decoded: int
    parts: int
    parts_done: int
    accepted: int
    rejected: dict[str, int]
    duplicates: int = 0
    rate: float | None = None
    remaining: float | None = None
    quiet: float | None = None

    def __str__(self) -> str:
        share = self.decoded / self.rows if self.rows else 1.0
        lines = [
            f"{self.url}: {self.state}",
            f"{self.decoded:,} of {self.rows:,} rows decoded ({share:.1%}), "
            f"{self.parts_done:,} of {self.parts:,} parts finished",
            f"{self.accepted:,} accepted; rejected: {_listed(self.rejected)}",
        ]
        if self.duplicates:
            lines.append(f"{self.duplicates:,} duplicates taken out")
        if self.rate is not None:
            more = f", {span(self.remaining)} to go" if self.remaining is not None else ""
            lines.append(f"{self.rate:.3g} rows/s{more}")
        if self.state == "running" and self.quiet is not None:
            lines.append(f"last heard of {span(self.quiet)} ago")
        return "\n".join(lines)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in counts.items()) or "none"


def span(seconds: float | None) -> str:
    """Return a time as one would say it.

    Examples
    --------
    >>> span(7), span(600), span(7300), span(300000)
    ('7 s', '10 min', '2.0 h', '3.5 days')
    """
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def part_names(store: Store, folder: str) -> list[str]:
    """Return the names of the parts in a folder of a job."""
    names = store.names(folder)
    return [name.removesuffix(".parquet") for name in names if name.endswith(".parquet")]


def decoded_rows(store: Store, spec: JobSpec, done: set[str]) -> int:
    """Return how many rows of the plan have been decoded at least once."""
    whole = sum(_planned(spec, part) for part in done)
    under_way = 0
    for part in store.names("work"):
        if part not in done and _planned(spec, part):
            under_way += sum(rows_in(name) for name in store.names(f"work/{part}"))
    return whole + under_way


def _planned(spec: JobSpec, part: str) -> int:
    """Return the rows of a part of the plan; 0 for one that makes up for duplicates."""
    number = part.removeprefix("part-")
    if not number.isdecimal():
        return 0
    return min(spec.rows_per_part, spec.planned - int(number) * spec.rows_per_part)


def status_of(store: Store, spec: JobSpec) -> JobStatus:
    """Read how far a job is."""
    planned, done = part_names(store, "plan"), set(part_names(store, "out"))
    events = read_log(store)
    accepted, rejected = _results(store, done, events)
    decoded = decoded_rows(store, spec, done)
    run = next((event for event in reversed(events) if event["event"] == "run"), None)
    finished = store.exists("finished.json")
    state = _state(finished, store.exists("cancelled"), run, events, started=bool(done or decoded))
    last = max((float(event["time"]) for event in events), default=None)
    rate = _rate(run, decoded, time.time() if state == "running" else last)
    left = (spec.planned - decoded) / rate if rate and state == "running" else None
    duplicates = sum(int(e.get("duplicates", 0)) for e in _last_rounds(events))
    return JobStatus(
        url=store.url,
        state=state,
        rows=spec.planned,
        decoded=decoded,
        parts=len(planned),
        parts_done=len(done),
        accepted=accepted - duplicates,
        rejected=dict(rejected.most_common()),
        duplicates=duplicates,
        rate=rate,
        remaining=left,
        quiet=None if last is None else time.time() - last,
    )


def _last_rounds(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last word on each search for duplicates."""
    return list({e["round"]: e for e in events if e["event"] == "duplicates"}.values())


def _results(
    store: Store, done: set[str], events: list[dict[str, Any]]
) -> tuple[int, Counter[str]]:
    """Return accepted and rejected texts, from the log and, where it lacks a part, from there."""
    told = {e["part"]: e for e in events if e["event"] == "part" and e.get("part") in done}
    accepted, rejected = 0, Counter[str]()
    for part in done:
        facts = told.get(part)
        if facts is None:
            name = f"out/{part}.parquet"
            facts = read_facts(read_table(store.read(name), name))
        accepted += int(facts["accepted"])
        rejected.update(facts["rejected"])
    return accepted, rejected


def _state(
    finished: bool,
    cancelled: bool,
    run: dict[str, Any] | None,
    events: list[dict[str, Any]],
    *,
    started: bool,
) -> State:
    if finished:
        return "finished"
    if run is not None and _is_alive(run, events):
        return "running"
    if cancelled:
        return "cancelled"
    return "stopped" if started or run is not None else "planned"


def _is_alive(run: dict[str, Any], events: list[dict[str, Any]]) -> bool:
    """Return whether a run has not ended, as far as can be seen from this machine."""
    if any(e["event"] == "end" and e.get("run") == run["run"] for e in events):
        return False
    if run["host"] != socket.gethostname():
        return True
    try:
        os.kill(int(run["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _rate(run: dict[str, Any] | None, decoded: int, until: float | None) -> float | None:
    if run is None or until is None:
        return None
    rows, seconds = decoded - int(run["decoded"]), until - float(run["time"])
    return rows / seconds if rows > 0 and seconds > 0 else None
