"""Texts that get the class they read as, whatever class they were asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from smotext_lab.guards import Guards
from smotext_lab.privacy.aim import LEAST, aimed
from smotext_lab.privacy.discriminant import Discriminant
from smotext_lab.privacy.writing import Points, judge_by, write_between

__all__ = ["write_as_read"]

_SURE = 0.7 / 0.3  # odds: texts that read as one class or as another teach neither
_TRIED = 100  # texts of a class, that tell how far off its texts come out

Read = list[tuple[float, dict[str, Any]]]
"""Texts with the class they read as, each after the odds of that class to the next."""


def write_as_read(
    points: Points,
    n: Mapping[Any, int],
    decoder: Any,
    *,
    guards: Guards,
    random_state: int,
    encoder: Any,
    discriminant: Discriminant,
    max_attempts: int = 3,
    max_blends: int = 3,
    kept: list[dict[str, Any]] | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """Write as `write_between` does, and give each text the class that it reads as.

    The likeliest by `discriminant`, whatever class it was asked for: texts that come out on the
    other side of a border tell a classifier where it is, and those that stay on theirs are the
    easy ones. Texts that may as well be of another class are left out at first; a
    class that still lacks some after `max_attempts` rounds, or when it is interrupted, takes them
    too. Of a class that has enough, further texts are left out; of one that lacks some, more are
    asked for, ``max_attempts · max_blends`` times in all.

    Where more than 100 texts of a class are wanted, 100 are written first, of a smaller class
    twice as many as are wanted at most, which tell how far off their points texts come out; the
    others are written at points moved against it: see `aimed`. Those first ones of smaller
    classes are not kept.

    Parameters
    ----------
    points, n, decoder, guards, random_state, kept, **settings
        See `write_between`.
    encoder : Encoder
        The decoder's.
    discriminant : Discriminant
        Made of what was released, as the points were.
    max_attempts, max_blends : int

    Returns
    -------
    list of dict
        With the columns of `Synthesis`.
    """
    kept = [] if kept is None else kept
    if not guards.label_classifier or len(discriminant.classes) < 2:
        settings |= {"max_attempts": max_attempts, "max_blends": max_blends, "kept": kept}
        return write_between(
            points, n, decoder, guards=guards, random_state=random_state, **settings
        )
    free = replace(guards, label_classifier=False, label_neighbors=None)
    settings |= {"guards": free, "judge": judge_by(points, free)}
    settings |= {"max_attempts": 1, "max_blends": 1}
    lacking, spare, at = Counter(n), Read(), points
    trial = _trial(n)
    turns = ([trial] if trial else []) + [lacking] * (max_attempts * max_blends)
    late = len(turns) - 1 - max_attempts * (max_blends - 1)
    for turn, wanted in enumerate(turns):
        seed = int(np.random.SeedSequence([random_state, turn]).generate_state(1)[0])
        new: list[dict[str, Any]] = []
        broken_off = True
        try:
            write_between(at, +wanted, decoder, random_state=seed, kept=new, **settings)
            broken_off = False
        finally:
            vectors = encoder.encode([record["text"] for record in new]) if new else None
            read = [] if vectors is None else _read(new, vectors, discriminant)
            if wanted is trial and not broken_off:  # all of a small class are written aimed
                pairs = zip(read, new, strict=True)
                read = [found for found, record in pairs if n[record["label"]] > _TRIED]
            spare = _taken(spare + read, lacking, kept, _SURE)
            if broken_off or turn >= late:
                spare = _taken(sorted(spare, key=lambda pair: -pair[0]), lacking, kept, 0.0)
        if not +lacking:
            break
        if wanted is trial and vectors is not None:
            at = aimed(points, new, vectors)
    return kept


def _trial(n: Mapping[Any, int]) -> Counter[Any]:
    """Return how many texts of each class are tried first; none where none is wanted in numbers.

    No more than twice as many as are wanted: with many small classes it would cost more than all.
    """
    if max(n.values(), default=0) <= _TRIED:
        return Counter()
    tried = {label: min(_TRIED, 2 * count) for label, count in n.items()}
    return Counter({label: count for label, count in tried.items() if count >= LEAST})


def _read(records: list[dict[str, Any]], vectors: np.ndarray, discriminant: Discriminant) -> Read:
    """Return each text with the class it reads as, and the odds of that to the next."""
    shares = discriminant.shares(vectors)
    best = np.sort(shares, axis=1)
    odds = best[:, -1] / np.maximum(best[:, -2], np.finfo(best.dtype).tiny)
    labels = discriminant.classes[shares.argmax(axis=1)].tolist()
    named = [record | {"label": label} for record, label in zip(records, labels, strict=True)]
    return list(zip(odds.tolist(), named, strict=True))


def _taken(read: Read, lacking: Counter[Any], kept: list[dict[str, Any]], least: float) -> Read:
    """Put texts of classes that lack some into `kept`, and return those that are left."""
    left = []
    for odds, record in read:
        if odds >= least and lacking[record["label"]] > 0:
            lacking[record["label"]] -= 1
            kept.append(record)
        else:
            left.append((odds, record))
    return left
