"""Making a job: read, encode, plan, and at last ``job.json``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from smotext_lab import words
from smotext_lab._version import __version__
from smotext_lab.equipment import equip
from smotext_lab.errors import DataError
from smotext_lab.identity import described, dtypes_of, models_of
from smotext_lab.interpolators.neighborhoods import remembered
from smotext_lab.scale.duplicates import check_near
from smotext_lab.scale.plan import spare_turns, write_plan
from smotext_lab.scale.spec import JobSpec, code_digest
from smotext_lab.scale.store import Store
from smotext_lab.scale.texts import mapped, read_in

if TYPE_CHECKING:
    from smotext_lab.sampler import SMOTExT

__all__ = ["create"]

_OF_A_RUN = {"out", "rejected", "work", "duplicates", "finished.json", "cancelled"}
_LOG = re.compile(r"log(-.*)?\.jsonl")
_SHARD = re.compile(r"\d{5,}-[0-9a-f]{16}\.(parquet|npy|json)")
_PART = re.compile(r"(?:part-(\d+)|extra-\d+-\d+)(?:\.\d+)?\.parquet")
"""A part of a first plan, with its number, or one that made up for duplicates."""


def create(
    store: Store,
    source: Any,
    n: int | Mapping[Any, int] | None,
    sampler: SMOTExT,
    *,
    reading: dict[str, Any],
    rows_per_part: int,
    near_duplicates: float | None,
    progress: bool,
) -> None:
    """Write a job; see `Job.create`."""
    from smotext_lab.datasets.streams import Stream
    from smotext_lab.sampler.generation import Source

    _refuse_remains(store)
    interpolator, guards, seed = sampler.resolved()
    check_near(near_duplicates)
    told = described(interpolator)
    encoder, decoder = equip(sampler.encoder, sampler.decoder, sampler.long_texts)
    own = described(decoder)
    stream = Stream(source, **reading)
    read = read_in(store, stream, encoder, progress=progress)
    labels = np.array(read.classes)[read.codes]
    asked = _asked(n, sampler, labels)
    vectors = mapped(store, read.shards)
    drawn = Source(vectors, labels, interpolator, seed, sampler.blending)
    turns = spare_turns(sampler.max_attempts, sampler.max_blends)
    with remembered() as searches:
        planned = write_plan(store, drawn, asked, rows_per_part, turns)
    spec = JobSpec(
        source=stream.called,
        text_column=stream.names[0],
        label_column=stream.names[1],
        classes=read.classes,
        n=[int(asked.get(label, 0)) for label in read.classes],
        shards=read.shards,
        data_sha256=read.sha256,
        random_state=seed,
        interpolator=told,
        decoder=own,
        settings={
            "blending": sampler.blending,
            "guidance_scale": sampler.guidance_scale,
            "guards": asdict(guards),
            "max_attempts": sampler.max_attempts,
            "max_blends": sampler.max_blends,
            "long_texts": sampler.long_texts,
        },
        models=models_of(decoder),
        rows_per_part=rows_per_part,
        near_duplicates=near_duplicates,
        planned=planned.total(),
        version=__version__,
        code=code_digest(),
        facts={
            "long_texts": read.long_texts,
            "planned": [planned[label] for label in read.classes],
            "approximate_neighbors": [asdict(search) for search in searches],
        },
        dtypes=dtypes_of(decoder),
    )
    _clear_leftovers(store, spec)
    store.write("job.json", spec.to_json())


def _asked(
    n: int | Mapping[Any, int] | None, sampler: SMOTExT, labels: np.ndarray
) -> dict[Any, int]:
    from smotext_lab.sampler.counts import by_strategy, per_class, plain

    series = pd.Series(labels)
    if n is None:
        strategy = words.in_labels(sampler.sampling_strategy, series)
        asked = plain(by_strategy(strategy, labels))
    else:
        asked = per_class(words.in_labels(n, series), labels)
    if not any(asked.values()):
        msg = "There is nothing to make: every class has its number already."
        raise DataError(msg)
    return {label: count for label, count in asked.items() if count}


def _refuse_remains(store: Store) -> None:
    """Raise `DataError` where rows of a job lie whose ``job.json`` is gone: they are not ours."""
    there = [name for name in store.names("") if name in _OF_A_RUN or _LOG.fullmatch(name)]
    if there:
        msg = (
            f"{store.url} holds {', '.join(there)} but no job.json: what is left of another job "
            "would be taken for rows of this one. Take another folder, or move that away first."
        )
        raise DataError(msg)


def _clear_leftovers(store: Store, spec: JobSpec) -> None:
    """Take away what an earlier try wrote of other texts, or of a longer plan, and no more."""
    kept = {name for shard in spec.shards for name in (shard.texts, shard.vectors)}
    kept |= {name.replace(".npy", ".json") for name in kept}
    for folder in ("texts", "vectors"):
        for name in store.names(folder):
            if _SHARD.fullmatch(name) and f"{folder}/{name}" not in kept:
                store.remove(f"{folder}/{name}")
    for folder in ("plan", "spare"):
        for name in store.names(folder):
            found = _PART.fullmatch(name)
            if found and (found[1] is None or int(found[1]) >= spec.n_parts):
                store.remove(f"{folder}/{name}")
