"""How far a job is, read from its folder alone."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from smotext_lab.scale.batches import rows_in
from smotext_lab.scale.log import BEAT, read_log
from smotext_lab.scale.names import part_names
from smotext_lab.scale.spec import JobSpec
from smotext_lab.scale.store import Store
from smotext_lab.scale.tables import read_facts, read_table

__all__ = ["JobStatus", "decoded_rows", "status_of"]

State = Literal["planned", "running", "silent", "stopped", "cancelled", "finished"]

SILENCE = 5 * BEAT
"""Seconds without a sign of life after which a run is no longer taken to be running."""


@dataclass(frozen=True)
class JobStatus:
    """How far a job is.

    Attributes
    ----------
    url : str
    state : {"planned", "running", "silent", "stopped", "cancelled", "finished"}
        ``"stopped"``: begun, not finished, and nobody is at it. ``"silent"``: a run has not
        ended, and given no sign of life for five minutes: killed, most likely, on a machine
        whose processes cannot be seen from here.
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
    lacking : dict of label -> dict of str -> int
        Rows of each class that no run can make any more, by reason: the kinds of `rejected`
        (the last refusal of a row that was given up), ``"duplicate"`` (taken out and not made up
        for), ``"nothing to blend"``.
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
    lacking: dict[Any, dict[str, int]] = field(default_factory=dict)
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
        if self.lacking:
            lines.append(f"lacking: {self.told_lacking()}")
        if self.rate is not None:
            more = f", {span(self.remaining)} to go" if self.remaining is not None else ""
            lines.append(f"{self.rate:.3g} rows/s{more}")
        if self.state == "running" and self.quiet is not None:
            lines.append(f"last heard of {span(self.quiet)} ago")
        if self.state == "silent":
            lines.append(
                f"no sign of it for {span(self.quiet)}: it has been killed, or its machine is out "
                f"of reach; `smotext-lab job resume {self.url}` goes on"
            )
        return "\n".join(lines)

    def told_lacking(self) -> str:
        """Return `lacking` in words.

        Examples
        --------
        >>> from smotext_lab.scale import JobStatus
        >>> lacking = {"sport": {"label": 2, "duplicate": 1}}
        >>> JobStatus("job", "finished", 9, 9, 1, 1, 6, {}, lacking=lacking).told_lacking()
        "3 of 'sport' (label 2, duplicate 1)"
        """
        return "; ".join(
            f"{sum(counts.values()):,} of {label!r} ({_listed(counts)})"
            for label, counts in self.lacking.items()
        )


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
    accepted, rejected, short = _results(store, done, events)
    duplicates = _taken_out(store, short)
    decoded = decoded_rows(store, spec, done)
    runs = [event for event in events if event["event"] == "run"]
    finished = store.exists("finished.json")
    state = _state(finished, store.exists("cancelled"), runs, events, started=bool(done or decoded))
    run = runs[-1] if runs else None
    last = max((float(event["time"]) for event in events), default=None)
    rate = _rate(run, decoded, time.time() if state == "running" else last)
    left = (spec.planned - decoded) / rate if rate and state == "running" else None
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
        lacking=_by_label(spec, short),
        rate=rate,
        remaining=left,
        quiet=None if last is None else time.time() - last,
    )


def _taken_out(store: Store, short: Counter[tuple[int, str]]) -> int:
    """Return how many duplicates were taken out; add those not made up for to `short`."""
    duplicates = 0
    for last in store.names("duplicates"):
        name = f"duplicates/{last}"
        table = read_table(store.read(name), name)
        duplicates += table.num_rows
        _add(short, read_facts(table))
    return duplicates


def _add(short: Counter[tuple[int, str]], facts: dict[str, Any]) -> None:
    for code, counts in facts.get("short", {}).items():
        for reason, count in counts.items():
            short[int(code), reason] += count


def _by_label(spec: JobSpec, short: Counter[tuple[int, str]]) -> dict[Any, dict[str, int]]:
    planned = spec.facts.get("planned", spec.n)
    lacking: dict[Any, dict[str, int]] = {}
    for code, label in enumerate(spec.classes):
        counts = {reason: count for (of, reason), count in short.most_common() if of == code}
        if spec.n[code] > planned[code]:
            counts["nothing to blend"] = spec.n[code] - planned[code]
        if counts:
            lacking[label] = counts
    return lacking


def _results(
    store: Store, done: set[str], events: list[dict[str, Any]]
) -> tuple[int, Counter[str], Counter[tuple[int, str]]]:
    """Return what finished parts accepted, rejected and lack.

    From the log and, where it lacks a part, from there.
    """
    told = {e["part"]: e for e in events if e["event"] == "part" and e.get("part") in done}
    accepted, rejected, short = 0, Counter[str](), Counter[tuple[int, str]]()
    for part in done:
        facts = told.get(part)
        if facts is None:
            name = f"out/{part}.parquet"
            facts = read_facts(read_table(store.read(name), name))
        accepted += int(facts["accepted"])
        rejected.update(facts["rejected"])
        _add(short, facts)
    return accepted, rejected, short


def _state(
    finished: bool,
    cancelled: bool,
    runs: list[dict[str, Any]],
    events: list[dict[str, Any]],
    *,
    started: bool,
) -> State:
    if finished:
        return "finished"
    ended = {event.get("run") for event in events if event["event"] == "end"}
    heard = {event.get("run"): float(event["time"]) for event in events}  # the last of each
    left = [run for run in runs if run["run"] not in ended and _may_live(run)]
    if any(time.time() - heard[run["run"]] <= SILENCE for run in left):
        return "running"
    if cancelled:
        return "cancelled"
    if left and left[-1] is runs[-1]:
        return "silent"
    return "stopped" if started or runs else "planned"


def _may_live(run: dict[str, Any]) -> bool:
    """Return whether a run's process is there, as far as can be seen from this machine."""
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
