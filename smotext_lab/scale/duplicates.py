"""Duplicates over a whole job: found when all rows are there, taken out, and made up for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from smotext_lab.errors import ParameterError
from smotext_lab.guards.words import fold
from smotext_lab.scale.names import base_number, part_names, round_of
from smotext_lab.scale.spec import JobSpec
from smotext_lab.scale.store import Store
from smotext_lab.scale.tables import read_table, table_bytes

__all__ = [
    "Duplicate",
    "Found",
    "check_near",
    "find",
    "round_table",
    "rounds_there",
    "searched",
    "shingles",
    "taken_out",
    "write_round",
]

_PERMUTATIONS, _BANDS = 64, 16
"""Texts of which 16 groups of 4 hashes have one in common are compared: 99.98% of those with a
similarity of 0.8 or more (1 - (1 - 0.8⁴)¹⁶)."""

_MOST = 50
"""Of texts that are kept and share a group, so many earlier ones are compared with each."""


@dataclass(frozen=True)
class Duplicate:
    """A new text that repeats an earlier one.

    Attributes
    ----------
    row, of : int
        Its row, and that of the text it repeats.
    similarity : float
        1 where they are equal but for case, spaces and punctuation.
    """

    row: int
    of: int
    similarity: float

    @property
    def reason(self) -> str:
        """As in `Synthesis.frame`."""
        if self.similarity == 1.0:
            return f"duplicate: equal to row {self.of}"
        return f"duplicate: near row {self.of} ({self.similarity:.2f} of word pairs)"


@dataclass(frozen=True, eq=False)
class Found:
    """The texts of finished parts in the order in which they are kept.

    Attributes
    ----------
    rows, rounds : ndarray of int64, shape (n,)
    equal : ndarray of uint64, shape (n,)
        Equal for texts that are equal.
    groups : ndarray of uint64, shape (n, 16), or None
        Equal in one place at least for texts that are near.
    """

    rows: np.ndarray
    rounds: np.ndarray
    equal: np.ndarray
    groups: np.ndarray | None


def check_near(threshold: float | None) -> None:
    """Raise `ParameterError` if that is no share of word pairs to look for duplicates by."""
    if threshold is not None and not 0.5 <= threshold <= 1:
        msg = f"near_duplicates must be from 0.5 to 1, or None, not {threshold!r}."
        raise ParameterError(msg)


def shingles(folded: str) -> set[str]:
    """Return the pairs of words of a folded text; of one without three words, its trigrams.

    Examples
    --------
    >>> sorted(shingles("rain is due")), sorted(shingles("雨が降る"))
    (['is due', 'rain is'], ['が降る', '雨が降'])
    """
    words = folded.split()
    if len(words) >= 3:
        return {f"{a} {b}" for a, b in pairwise(words)}
    return {folded[i : i + 3] for i in range(max(1, len(folded) - 2))}


def find(store: Store, spec: JobSpec, turn: int) -> list[Duplicate]:
    """Return the duplicates among the texts that round `turn` has made, in the order of rows.

    Of texts that repeat one another the one of the lowest row is kept, and one that was kept in
    an earlier round in any case. What later rounds have made, as another run may have, is not
    looked at, so that a round can be searched again.
    """
    parts = [part for part in part_names(store, "out") if round_of(part) <= turn]
    known = _read(store, spec, parts, taken_out(store, before=turn))
    if not len(known.rows):
        return []
    found: dict[int, tuple[int, float]] = {}  # place -> place of the earlier one, similarity
    if not spec.settings["guards"]["allow_equal"]:
        _, first, which = np.unique(known.equal, return_index=True, return_inverse=True)
        earlier = first[which]
        repeats = (earlier < np.arange(len(earlier))) & (known.rounds == turn)
        for place in np.flatnonzero(repeats).tolist():
            found[place] = int(earlier[place]), 1.0
    if known.groups is not None and spec.near_duplicates is not None:
        shared = _shared(known.groups, found)
        texts = _texts_at(store, spec, parts, known, np.flatnonzero(shared.any(axis=1)).tolist())
        new = known.rounds == turn
        found |= _near(known.groups, shared, new, texts, spec.near_duplicates)
    rows = known.rows.tolist()
    return [Duplicate(rows[p], rows[of], s) for p, (of, s) in sorted(found.items())]


def _shared(groups: np.ndarray, gone: Iterable[int]) -> np.ndarray:
    """Return which groups of each text another has too, of the texts that are not `gone`."""
    shared = np.zeros(groups.shape, bool)
    places = np.delete(np.arange(len(groups)), list(gone))
    for band, marks in enumerate(shared.T):
        column = groups[places, band]
        order = np.argsort(column, kind="stable")
        same = np.flatnonzero(np.diff(column[order]) == 0)
        marks[places[order[same]]] = marks[places[order[same + 1]]] = True
    return shared


def _near(
    groups: np.ndarray,
    shared: np.ndarray,
    new: np.ndarray,
    texts: Mapping[int, str],
    threshold: float,
) -> dict[int, tuple[int, float]]:
    """Return the `new` texts that are near one that is kept, and which that is."""
    found: dict[int, tuple[int, float]] = {}
    kept: dict[int, list[int]] = {}  # group -> places
    for place in sorted(texts):
        own = groups[place, shared[place]].tolist()
        if new[place]:
            others = {other for group in own for other in kept.get(group, [])[-_MOST:]}
            near = _first_near(place, sorted(others), texts, threshold)
            if near is not None:
                found[place] = near
                continue
        for group in own:
            kept.setdefault(group, []).append(place)
    return found


def _first_near(
    place: int, others: list[int], texts: Mapping[int, str], threshold: float
) -> tuple[int, float] | None:
    """Return the first of the others that is near enough, and how near it is."""
    own = shingles(texts[place])
    for other in others:
        theirs = shingles(texts[other])
        similarity = len(own & theirs) / len(own | theirs)
        if similarity >= threshold:
            return other, min(similarity, 0.999)
    return None


def _read(
    store: Store, spec: JobSpec, parts: list[str], gone: Mapping[tuple[int, int], str]
) -> Found:
    """Read all texts, and keep of each what tells whether it repeats another."""
    rows, rounds, equal, groups = [], [], [], []
    for part in parts:
        turn = round_of(part)
        own_rows, texts = _part(store, part)
        kept = [i for i, row in enumerate(own_rows) if (turn, row) not in gone]
        folded = [fold(texts[i]) for i in kept]
        rows.append(np.array([own_rows[i] for i in kept], np.int64))
        rounds.append(np.full(len(kept), turn))
        equal.append(np.array([_hash(text) for text in folded], np.uint64))
        if spec.near_duplicates is not None:
            groups.append(_groups(folded))
    return Found(
        np.concatenate([np.zeros(0, np.int64), *rows]),
        np.concatenate([np.zeros(0, np.int64), *rounds]),
        np.concatenate([np.zeros(0, np.uint64), *equal]),
        np.concatenate(groups) if groups else None,
    )


def _part(store: Store, part: str) -> tuple[list[int], list[str]]:
    name = f"out/{part}.parquet"
    table = read_table(store.read(name), name)
    return table["row"].to_pylist(), table["text"].to_pylist()


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _groups(folded: list[str]) -> np.ndarray:
    """Return for each text the hashes of its 16 groups of MinHash values."""
    from datasketch import MinHash

    if not folded:
        return np.zeros((0, _BANDS), np.uint64)
    sets = [[word.encode() for word in shingles(text)] for text in folded]
    made = MinHash.bulk(sets, num_perm=_PERMUTATIONS, seed=1)
    values = np.stack([each.hashvalues for each in made]).astype(np.uint64)
    bands = values.reshape(len(folded), _BANDS, -1)
    mixed = np.zeros(bands.shape[:2], np.uint64)
    for place in range(bands.shape[2]):
        mixed = (mixed ^ bands[:, :, place]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _texts_at(
    store: Store, spec: JobSpec, parts: list[str], known: Found, places: list[int]
) -> dict[int, str]:
    """Return the folded texts at some places; reads only the parts that hold them."""
    wanted = {(int(known.rounds[p]), int(known.rows[p])): p for p in places}
    texts: dict[int, str] = {}
    for part in parts:
        turn = round_of(part)
        if not _may_hold(part, spec, turn, wanted):
            continue
        for row, text in zip(*_part(store, part), strict=True):
            if (turn, row) in wanted:
                texts[wanted[turn, row]] = fold(text)
    return texts


def _may_hold(part: str, spec: JobSpec, turn: int, wanted: Mapping[tuple[int, int], Any]) -> bool:
    if turn:
        return any(each == turn for each, _ in wanted)
    first = base_number(part) * spec.rows_per_part
    return any((0, row) in wanted for row in range(first, first + spec.rows_per_part))


def taken_out(store: Store, *, before: int | None = None) -> dict[tuple[int, int], str]:
    """Return the reasons of all texts taken out so far, by round and row.

    Parameters
    ----------
    store : Store
    before : int, optional
        Only those of earlier rounds.
    """
    return {
        (turn, duplicate.row): duplicate.reason
        for turn in rounds_there(store)
        if before is None or turn < before
        for duplicate in _listed(round_table(store, turn))
    }


def rounds_there(store: Store) -> list[int]:
    """Return the rounds that have been searched."""
    names = (name.removeprefix("round-").partition(".")[0] for name in store.names("duplicates"))
    return sorted(int(name) for name in names)


def round_table(store: Store, turn: int) -> pa.Table:
    """Return what the search of a round found, with the facts that `write_round` was given."""
    name = f"duplicates/round-{turn}.parquet"
    return read_table(store.read(name), name)


def searched(store: Store, turn: int) -> list[Duplicate] | None:
    """Return what an earlier search of that round found, None where there was none."""
    return _listed(round_table(store, turn)) if turn in rounds_there(store) else None


def _listed(table: pa.Table) -> list[Duplicate]:
    return [Duplicate(**each) for each in table.to_pylist()]


def write_round(
    store: Store, turn: int, found: list[Duplicate], lacking: Mapping[int, int]
) -> None:
    """Write what the search of a round found.

    Parameters
    ----------
    store : Store
    turn : int
    found : list of Duplicate
    lacking : dict of int -> int
        Of each class, by its place, how many of them are not made up for.
    """
    columns = {
        "row": pa.array([d.row for d in found], pa.int64()),
        "of": pa.array([d.of for d in found], pa.int64()),
        "similarity": pa.array([d.similarity for d in found], pa.float64()),
    }
    short = {str(code): {"duplicate": count} for code, count in lacking.items() if count}
    data = table_bytes(pa.table(columns), {"short": short})
    store.write(f"duplicates/round-{turn}.parquet", data)
