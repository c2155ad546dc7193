"""Whether what lies in a job's folder is what its plan says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smotext_lab.errors import DataError
from smotext_lab.identity import data_sha256, digest_of
from smotext_lab.scale.duplicates import round_table, rounds_there, taken_out
from smotext_lab.scale.names import base_number, base_part, in_order, part_names, round_of
from smotext_lab.scale.plan import read_plan, spare_turns
from smotext_lab.scale.spec import JobSpec
from smotext_lab.scale.store import Store
from smotext_lab.scale.tables import COPY_AGAIN, read_facts, read_table
from smotext_lab.scale.texts import read_texts, read_vectors

__all__ = ["faults"]


@dataclass(frozen=True)
class _Fault:
    """What is not right.

    Attributes
    ----------
    told : str
    files : tuple of str
        What has to go so that the next run makes it again; none if no run can.
    """

    told: str
    files: tuple[str, ...] = ()


def faults(store: Store, spec: JobSpec, *, repair: bool) -> list[str]:
    """Return what is not right; see `Job.verify`."""
    found = [*_data(store, spec), *_rounds(store), *_parts(store, spec)]
    if not found and store.exists("finished.json"):
        found += _whole(store, spec)
    if repair:
        gone = {name for fault in found for name in fault.files}
        for name in sorted(gone | ({"finished.json"} if gone else set())):
            store.remove(name)
    return [fault.told for fault in found]


def _data(store: Store, spec: JobSpec) -> Iterator[_Fault]:
    digests = []
    for shard in spec.shards:
        try:
            vectors, texts = read_vectors(store, shard), read_texts(store, shard)
        except FileNotFoundError:
            yield _missing(store, shard.vectors, shard.texts)
            continue
        except DataError as error:
            yield _Fault(str(error))
            continue
        digests.append(digest_of(texts["text"].to_pylist(), texts["code"].to_numpy()))
        if not len(vectors) == shard.rows == texts.num_rows:
            yield _Fault(
                f"{shard.texts} has {texts.num_rows} rows and {shard.vectors} {len(vectors)} "
                f"where job.json says {shard.rows}: {COPY_AGAIN}."
            )
    whole = len(digests) == len(spec.shards)
    if whole and data_sha256(digests, spec.classes) != spec.data_sha256:
        yield _Fault(f"The texts in texts/ are not those that job.json says: {COPY_AGAIN}.")


def _missing(store: Store, *names: str) -> _Fault:
    gone = [name for name in names if not store.exists(name)]
    return _Fault(f"{' and '.join(gone)} cannot be found: {COPY_AGAIN}.")


def _rounds(store: Store) -> Iterator[_Fault]:
    for turn in rounds_there(store):
        try:
            round_table(store, turn)
        except DataError as error:
            yield _Fault(str(error), (f"duplicates/round-{turn}.parquet",))


def _parts(store: Store, spec: JobSpec) -> Iterator[_Fault]:
    """Read the plan of each part, and where that is right what was made of it."""
    turns = spare_turns(spec.settings["max_attempts"], spec.settings["max_blends"])
    base = {base_part(number) for number in range(spec.n_parts)}
    done = set(part_names(store, "out"))
    for part in in_order({*base, *part_names(store, "plan"), *done}):
        turn = round_of(part)
        if not turn and part not in base:
            yield _Fault(f"{part} is in no plan that job.json knows of: take its files away.")
            continue
        # which texts were taken out says what is planned again, and once more if it is not there
        remade = (f"duplicates/round-{turn - 1}.parquet",) if turn else ()
        try:
            rows, plans, _ = read_plan(store, part, turns)
        except FileNotFoundError:
            names = [f"plan/{part}.parquet", *(f"spare/{part}.{at}.parquet" for at in turns)]
            yield _Fault(_missing(store, *names).told, remade)
            continue
        except (DataError, pa.ArrowException, KeyError) as error:
            yield _Fault(f"The plan of {part} cannot be read: {error}", remade)
            continue
        if not _own(spec, part, rows):
            yield _Fault(f"The plan of {part} has other rows than its own: {COPY_AGAIN}.", remade)
            continue
        if part in done:
            planned = dict(zip(rows.tolist(), plans[0].label.tolist(), strict=True))
            files = (f"out/{part}.parquet", f"rejected/{part}.parquet")
            yield from (_Fault(told, files) for told in _part(store, spec, part, planned))


def _own(spec: JobSpec, part: str, rows: np.ndarray) -> bool:
    """Return whether a part's plan has the rows that it may have."""
    if round_of(part):
        return bool(((rows >= 0) & (rows < spec.planned)).all())
    first = base_number(part) * spec.rows_per_part
    return np.array_equal(rows, np.arange(first, min(first + spec.rows_per_part, spec.planned)))


def _part(store: Store, spec: JobSpec, part: str, planned: dict[int, object]) -> Iterator[str]:
    names = [f"{folder}/{part}.parquet" for folder in ("out", "rejected")]
    try:
        kept, refused = (read_table(store.read(name), name) for name in names)
    except (FileNotFoundError, DataError) as error:
        yield f"{part} cannot be read: {error}"
        return
    accepted = kept["row"].to_pylist()
    if len(set(accepted)) < len(accepted):
        yield f"{part} has a row twice."
    strange = (set(accepted) | set(refused["row"].to_pylist())) - set(planned)
    if strange:
        yield f"{part} has rows that its plan has not: {sorted(strange)[:5]}."
    labels = zip(accepted, kept["label"].to_pylist(), strict=True)
    if any(planned.get(row) != label for row, label in labels):
        yield f"{part} has rows of other classes than planned."
    if read_facts(kept).get("accepted") != len(accepted):
        yield f"{part} has {len(accepted)} rows where it says it has another number."
    gave_up = spec.settings["max_attempts"] * spec.settings["max_blends"]
    tries = Counter(refused["row"].to_pylist())
    short = [row for row in set(planned) - set(accepted) if tries[row] < gave_up]
    if short:
        yield f"{part} lacks rows that were not tried {gave_up} times: {sorted(short)[:5]}."


def _whole(store: Store, spec: JobSpec) -> Iterator[_Fault]:
    done = part_names(store, "out")
    missing = set(part_names(store, "plan")) - set(done)
    if missing:
        told = f"The job says it is finished, and {len(missing)} parts are not there."
        yield _Fault(told, ("finished.json",))
    gone, seen = taken_out(store), np.zeros(spec.planned, bool)
    for part in done:
        name, turn = f"out/{part}.parquet", round_of(part)
        accepted = read_table(store.read(name), name)["row"].to_pylist()
        rows = np.array([row for row in accepted if (turn, row) not in gone], np.int64)
        yield from (_Fault(f"Row {row} is there twice.") for row in rows[seen[rows]].tolist())
        seen[rows] = True
