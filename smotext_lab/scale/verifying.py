"""Whether what lies in a job's folder is what its plan says."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from smotext_lab.errors import DataError
from smotext_lab.scale.duplicates import round_of, taken_out
from smotext_lab.scale.plan import read_plan, spare_turns
from smotext_lab.scale.spec import JobSpec
from smotext_lab.scale.status import part_names
from smotext_lab.scale.store import Store
from smotext_lab.scale.tables import read_facts, read_table

__all__ = ["faults"]


def faults(store: Store, spec: JobSpec, *, repair: bool) -> list[str]:
    """Return what is not right; see `Job.verify`."""
    found = [*_data(store, spec), *_plan(store, spec)]
    done = part_names(store, "out")
    for part in done:
        wrong = list(_part(store, spec, part))
        found += wrong
        if wrong and repair:
            for folder in ("out", "rejected"):
                store.remove(f"{folder}/{part}.parquet")
            store.remove("finished.json")
    if not found and store.exists("finished.json"):
        found += _whole(store, done)
    return found


def _data(store: Store, spec: JobSpec) -> Iterator[str]:
    for shard in spec.shards:
        try:
            data = store.read(shard.vectors)
            texts = read_table(store.read(shard.texts), shard.texts)
        except (FileNotFoundError, DataError) as error:
            yield f"{shard.vectors} or {shard.texts} cannot be read: {error}"
            continue
        if hashlib.sha256(data).hexdigest() != shard.sha256:
            yield f"{shard.vectors} is not what job.json says."
        elif len(np.load(io.BytesIO(data), mmap_mode=None)) != shard.rows != texts.num_rows:
            yield f"{shard.texts} has {texts.num_rows} rows where job.json says {shard.rows}."


def _plan(store: Store, spec: JobSpec) -> Iterator[str]:
    there = [part for part in part_names(store, "plan") if not round_of(part)]
    if len(there) != spec.n_parts:
        yield f"The plan has {len(there)} parts where job.json says {spec.n_parts}."


def _part(store: Store, spec: JobSpec, part: str) -> Iterator[str]:
    settings = spec.settings
    turns = spare_turns(settings["max_attempts"], settings["max_blends"])
    names = [f"{folder}/{part}.parquet" for folder in ("out", "rejected")]
    try:
        rows, plans, _ = read_plan(store, part, turns)
        kept, refused = (read_table(store.read(name), name) for name in names)
    except (FileNotFoundError, DataError, pa.ArrowException) as error:
        yield f"{part} cannot be read: {error}"
        return
    planned = dict(zip(rows.tolist(), plans[0].label.tolist(), strict=True))
    accepted = kept["row"].to_pylist()
    if len(set(accepted)) < len(accepted):
        yield f"{part} has a row twice."
    strange = set(accepted) | set(refused["row"].to_pylist())
    if strange - set(planned):
        yield f"{part} has rows that its plan has not: {sorted(strange - set(planned))[:5]}."
    labels = zip(accepted, kept["label"].to_pylist(), strict=True)
    if any(planned.get(row) != label for row, label in labels):
        yield f"{part} has rows of other classes than planned."
    if read_facts(kept).get("accepted") != len(accepted):
        yield f"{part} has {len(accepted)} rows where it says it has another number."
    lacking = set(planned) - set(accepted)
    gave_up = settings["max_attempts"] * settings["max_blends"]
    tries = Counter(refused["row"].to_pylist())
    short = [row for row in lacking if tries[row] < gave_up]
    if short:
        yield f"{part} lacks rows that were not tried {gave_up} times: {sorted(short)[:5]}."


def _whole(store: Store, done: list[str]) -> Iterator[str]:
    missing = set(part_names(store, "plan")) - set(done)
    if missing:
        yield f"The job says it is finished, and {len(missing)} parts are not there."
    gone, seen = taken_out(store), set[int]()
    for part in done:
        name, turn = f"out/{part}.parquet", round_of(part)
        for row in read_table(store.read(name), name)["row"].to_pylist():
            if (turn, row) not in gone:
                if row in seen:
                    yield f"Row {row} is there twice."
                seen.add(row)
