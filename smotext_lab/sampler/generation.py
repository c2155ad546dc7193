"""The loop from blends to texts: decode, judge in row order, decode what was refused again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from smotext_lab.bridges import split_of
from smotext_lab.forms import TextForm
from smotext_lab.guards.judge import Judge, Verdict
from smotext_lab.interpolators import Interpolator, plan_exactly
from smotext_lab.interpolators.blends import Blending, Blends

__all__ = [
    "Decodes",
    "Drawn",
    "Generation",
    "Source",
    "Watch",
    "attempt_seeds",
    "in_place_of",
    "word_counts",
]

Watch = Callable[[list[dict[str, Any]]], None]
"""Told what has been judged since it was told last: rows with the columns of `Synthesis`."""

_TOGETHER = 16  # texts judged at a time
_ROUNDING = 1e-9  # a parent whose weight is this near to 1 is the point itself, near to 0 none


class Decodes(Protocol):
    """What the loop asks of a decoder; `XRAGDecoder` is one."""

    def decode_rows(
        self,
        vectors: np.ndarray,
        *,
        seeds: Any = None,
        forms: Any = None,
        lengths: Any = None,
        guidance: Any = None,
        agreement: Any = None,
    ) -> Iterator[Any]:
        """Yield a `Decoded` for each vector, in any order; see `XRAGDecoder.decode_rows`."""
        ...


class Drawn(Protocol):
    """What the loop asks of a source of blends; `Source` is one, a part of a job another."""

    def draw(self, n: Mapping[Any, int], turn: int = 0) -> Blends:
        """Return ``n[label]`` blends of each class; each `turn` has a stream of its own."""
        ...

    def points(self, blends: Blends) -> np.ndarray:
        """Return the points (m, d) that the blends stand for."""
        ...

    def forms_of(self, blends: Blends) -> list[TextForm] | None:
        """Return the form in which each blend's text is to be written."""
        ...

    def lengths_of(self, blends: Blends) -> list[int] | None:
        """Return how many words each blend's text is to have."""
        ...


@dataclass(frozen=True, eq=False)
class Source:
    """What blends are drawn from: vectors (n, d), labels (n,), and how.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
    labels : ndarray of shape (n,)
    interpolator : Interpolator
    random_state : int
    blending : {"lerp", "slerp"}
    forms : sequence of TextForm, length n, optional
        How the texts are written: a new one is written as the parent that weighs most.
    lengths : ndarray of int, shape (n,), optional
        In words: a new text is about as long as its parents are on (weighted) average.
    """

    vectors: np.ndarray
    labels: np.ndarray
    interpolator: Interpolator
    random_state: int
    blending: Blending = "lerp"
    forms: Sequence[TextForm] | None = None
    lengths: np.ndarray | None = None

    def draw(self, n: Mapping[Any, int], turn: int = 0) -> Blends:
        """Return ``n[label]`` blends of each class; each `turn` has a stream of its own."""
        seed = self.random_state
        if turn:
            seed = int(np.random.SeedSequence([seed, 2, turn]).generate_state(1)[0])
        return plan_exactly(self.interpolator, self.vectors, self.labels, n, random_state=seed)

    def points(self, blends: Blends) -> np.ndarray:
        """Return the points (m, d) that the blends stand for."""
        return blends.points(self.vectors, blending=self.blending)

    def forms_of(self, blends: Blends) -> list[TextForm] | None:
        """Return the form in which each blend's text is to be written."""
        if self.forms is None:
            return None
        first = blends.weights.argmax(axis=1)[:, None]
        heaviest = np.take_along_axis(blends.parents, first, axis=1)[:, 0]
        return [self.forms[parent] for parent in heaviest.tolist()]

    def lengths_of(self, blends: Blends) -> list[int] | None:
        """Return how many words each blend's text is to have."""
        if self.lengths is None:
            return None
        means = (self.lengths[blends.parents] * blends.weights).sum(axis=1)
        return np.maximum(1, np.rint(means)).astype(int).tolist()


def in_place_of(blends: Blends, fresh: Blends) -> Blends:
    """Return one blend of `fresh` for each of `blends`: the next of its class, in order.

    Which one a row gets depends on its place in its class alone, not on what became of other
    rows. A row keeps its own where `fresh` has too few of its class.

    Parameters
    ----------
    blends, fresh : Blends
        Of the same vectors.

    Returns
    -------
    Blends
        As many as `blends`.
    """
    chosen = np.arange(len(blends))
    for label in np.unique(blends.label):
        rows = np.flatnonzero(blends.label == label)
        others = np.flatnonzero(fresh.label == label)[: len(rows)]
        chosen[rows[: len(others)]] = len(blends) + others
    return Blends.concatenate([blends, fresh])[chosen]


def attempt_seeds(seeds: np.ndarray, attempt: int) -> np.ndarray:
    """Return the decoder's seeds for one attempt at each row.

    Parameters
    ----------
    seeds : ndarray of shape (m,), uint64
        `Blends.seed`, each a function of the run's random state and the row. They are the
        first attempt's seeds, so a plan can be replayed.
    attempt : int
        From 1.

    Returns
    -------
    ndarray of shape (m,), uint64
        From a counter-based generator (Philox; Salmon et al. 2011) whose key is the row's
        seed and whose counter is the attempt: nothing passes from row to row.

    Examples
    --------
    >>> import numpy as np
    >>> seeds = np.array([5, 6], dtype=np.uint64)
    >>> bool((attempt_seeds(seeds, 2)[1:] == attempt_seeds(seeds[1:], 2)).all())
    True
    """
    if attempt == 1:
        return seeds
    words = [np.random.Philox(key=int(seed), counter=attempt).random_raw() for seed in seeds]
    return np.array(words, dtype=np.uint64)


class Generation:
    """Texts in the making.

    Parameters
    ----------
    source : Drawn
    n : dict of label -> int
        How many texts are wanted of each class.
    decoder : Decodes
    judge : Judge
        Fitted on the texts of the source's rows, in their order.
    max_attempts : int
        Decodings of one blend.
    max_blends : int
        Blends that are drawn for one row.
    guidance_scale : float, default=0
        See `SMOTExT`.
    positions : sequence of int, optional
        What the source's rows are called in `records`; by default as in the blends.
    progress : bool
        Show a bar of decodings.
    watch : callable, optional
        Told what was judged, as it is judged. If it raises, that ends the run as an
        interruption does.

    Attributes
    ----------
    blends : Blends
        One row for each text wanted, as far as the interpolator found texts to blend.
    records : list of dict
        One for each decoding that was judged, row by row: the columns of `Synthesis`.
    """

    def __init__(
        self,
        source: Drawn,
        n: Mapping[Any, int],
        decoder: Decodes,
        judge: Judge,
        *,
        max_attempts: int,
        max_blends: int,
        guidance_scale: float = 0.0,
        positions: Sequence[int] | None = None,
        progress: bool = False,
        watch: Watch | None = None,
    ) -> None:
        self._watch = watch
        self._source = source
        self._decoder = decoder
        self._judge = judge
        self._max_attempts = max_attempts
        self._max_blends = max_blends
        self._guidance_scale = guidance_scale
        self._positions = positions
        self._n = dict(n)
        self._progress = progress
        self.blends = source.draw(n)
        self._current = self.blends  # which blend serves a row at this attempt
        self._records: list[tuple[int, int, dict[str, Any]]] = []
        self._last: dict[int, str | None] = {}

    @property
    def rows(self) -> list[int]:
        """Which row each of `records` is of."""
        return sorted(row for row, _, _ in self._records)

    @property
    def records(self) -> list[dict[str, Any]]:
        """What was decoded and judged, row by row, each row's attempts in order."""
        return [record for _, _, record in sorted(self._records, key=lambda known: known[:2])]

    def lacking(self) -> Counter[str]:
        """Return why rows still have no text, with how many rows each reason holds for."""
        reasons = [
            (self._last.get(row) or "never decoded").partition(":")[0]
            for row in range(len(self.blends))
            if row not in self._last or self._last[row] is not None
        ]
        return Counter(reasons)

    def run(self) -> None:
        """Decode until every row has an accepted text or has used up its attempts.

        An interruption, or an error in the decoder, passes through; what was decoded by then
        is judged first and stays in `records`.
        """
        from tqdm.auto import tqdm

        pending = np.arange(len(self.blends))
        with tqdm(
            total=len(pending), desc="decode", unit="text", disable=not self._progress, leave=False
        ) as bar:
            for attempt in range(1, self._max_attempts * self._max_blends + 1):
                if attempt > 1 and (attempt - 1) % self._max_attempts == 0:
                    fresh = self._source.draw(self._n, turn=attempt)
                    self._current = in_place_of(self.blends, fresh)
                found: list[Any] = []
                judged = 0
                try:
                    for decoded in self._decode(pending, attempt):
                        # rows are judged in their order, whatever order they come in
                        in_order = decoded.row == len(found)
                        found.append(decoded)
                        bar.update()
                        if in_order and len(found) - judged >= _TOGETHER:
                            ready, judged = found[judged:], len(found)
                            self._settle(pending, ready, attempt)
                finally:
                    self._settle(pending, found[judged:], attempt)
                pending = np.array([r for r in pending if self._last.get(int(r), "") is not None])
                if not len(pending):
                    return
                bar.total += len(pending)

    def _decode(self, rows: np.ndarray, attempt: int) -> Iterator[Any]:
        blends = self._current[rows]
        guidance = None
        if self._guidance_scale:
            guidance = self._guidance_scale * self._judge.outward(**_labels_of(blends))
        return self._decoder.decode_rows(
            self._source.points(blends),
            seeds=attempt_seeds(blends.seed, attempt),
            forms=self._source.forms_of(blends),
            lengths=self._source.lengths_of(blends),
            guidance=guidance,
            agreement=lambda at, vectors: self._judge.agreement(vectors, **_labels_of(blends[at])),
        )

    def _settle(self, rows: np.ndarray, found: list[Any], attempt: int) -> None:
        """Judge what one round decoded, in row order, and note it."""
        found = sorted(found, key=lambda decoded: int(decoded.row))
        if not found:
            return
        at = rows[[decoded.row for decoded in found]]
        blends = self._current[at]
        verdicts = self._judge.judge(
            [decoded.text for decoded in found],
            np.stack([decoded.vector for decoded in found]),
            **_labels_of(blends),
            parents=[
                parents[np.abs(weights) > _ROUNDING]
                for parents, weights in zip(blends.parents, blends.weights, strict=True)
            ],
            cut=np.array([not decoded.ended for decoded in found]),
            rows=at.tolist(),
        )
        records = []
        for i, (row, decoded, verdict) in enumerate(zip(at.tolist(), found, verdicts, strict=True)):
            self._last[row] = verdict.reason
            records.append(self._record(blends[i], decoded, verdict) | {"attempts": attempt})
            self._records.append((row, attempt, records[-1]))
        if self._watch is not None:
            self._watch(records)

    def _called(self, parents: np.ndarray) -> list[int]:
        names = parents if self._positions is None else np.asarray(self._positions)[parents]
        return [int(name) for name in names]

    def _record(self, blend: Blends, decoded: Any, verdict: Verdict) -> dict[str, Any]:
        soft = None
        if blend.label_weights is not None and blend.classes is not None:
            names, shares = blend.classes.tolist(), blend.label_weights[0].tolist()
            soft = {name: share for name, share in zip(names, shares, strict=True) if share}
        return {
            "text": decoded.text,
            "label": blend.label.tolist()[0],
            "label_weights": soft,
            "parents": self._called(blend.parents[0]),
            "weights": blend.weights[0].tolist(),
            "cosine_to_target": float(decoded.cosine),
            "cosine_to_nearest_real": verdict.cosine_to_nearest_real,
            "label_probability": verdict.label_probability,
            "status": verdict.status,
            "reason": verdict.reason,
            "seed": int(decoded.seed),
        }


def _labels_of(blends: Blends) -> dict[str, Any]:
    return {
        "labels": blends.label,
        "label_weights": blends.label_weights,
        "classes": blends.classes,
    }


def word_counts(texts: Sequence[str], decoder: Any) -> np.ndarray:
    """Return how many words texts have, as the decoder's bridge splits them."""
    split = split_of(getattr(decoder, "bridge", None))
    return np.array([len(split(text)) for text in texts])
