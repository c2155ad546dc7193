"""What follows when all parts are there: duplicates are taken out, and their rows made again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from smotext_lab.identity import remade
from smotext_lab.interpolators.neighborhoods import remembered
from smotext_lab.sampler.generation import Source
from smotext_lab.scale.duplicates import Duplicate, find, searched, write_round
from smotext_lab.scale.names import base_part, extra_part
from smotext_lab.scale.plan import again, spare_turns, write_part
from smotext_lab.scale.spec import JobSpec
from smotext_lab.scale.store import Store
from smotext_lab.scale.tables import read_table
from smotext_lab.scale.texts import mapped, read_texts

__all__ = ["take_out_duplicates"]


def take_out_duplicates(store: Store, spec: JobSpec, turn: int, last: int) -> list[Duplicate]:
    """Look for duplicates in round `turn`, and plan their rows again unless it is the `last`.

    What an earlier run has found is taken as it is.
    """
    known = searched(store, turn)
    if known is not None:
        return known
    found = find(store, spec, turn)
    labels = _labels_of(store, spec, [duplicate.row for duplicate in found])
    lacking = Counter(labels.values())
    if found and turn < last:
        lacking -= _plan_again(store, spec, turn + 1, labels)
    short = {spec.classes.index(label): count for label, count in lacking.items()}
    write_round(store, turn, found, short)  # last: where it is, the rows are planned again
    return found


def _plan_again(store: Store, spec: JobSpec, turn: int, labels: Mapping[int, Any]) -> Counter[Any]:
    """Plan rows again; return how many of each class, which may be fewer than asked for."""
    codes = [read_texts(store, shard)["code"].to_numpy() for shard in spec.shards]
    source = Source(
        mapped(store, spec.shards),
        np.array(spec.classes)[np.concatenate(codes)],
        remade(spec.interpolator),
        spec.random_state,
        spec.settings["blending"],
    )
    turns = spare_turns(spec.settings["max_attempts"], spec.settings["max_blends"])
    with remembered():
        blends = again(source, Counter(labels.values()), turns, turn)
    rows = np.full(len(blends[0]), -1)
    for label in np.unique(blends[0].label).tolist():
        own = np.flatnonzero(blends[0].label == label)
        rows[own] = sorted(row for row, of in labels.items() if of == label)[: len(own)]
    for part, start in enumerate(range(0, len(rows), spec.rows_per_part)):
        cut = slice(start, start + spec.rows_per_part)
        pieces = {each: some[cut] for each, some in blends.items()}
        write_part(store, extra_part(turn, part), rows[cut], pieces)
    return Counter(blends[0].label.tolist())


def _labels_of(store: Store, spec: JobSpec, rows: list[int]) -> dict[int, Any]:
    """Return the labels of rows, as the plan has them."""
    labels: dict[int, Any] = {}
    wanted = set(rows)
    for number in sorted({row // spec.rows_per_part for row in rows}):
        name = f"plan/{base_part(number)}.parquet"
        table = read_table(store.read(name), name)
        pairs = zip(table["row"].to_pylist(), table["label"].to_pylist(), strict=True)
        labels.update((row, label) for row, label in pairs if row in wanted)
    return labels
