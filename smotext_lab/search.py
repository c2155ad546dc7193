"""The search for the text of a vector: several tries, ranked, and corrected by what they lack."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from smotext_lab.bridges import LexicalBridge
from smotext_lab.bridges.hints import hint_ids
from smotext_lab.candidates import (
    NO_GAIN,
    Candidate,
    at_length_of,
    guided,
    in_form,
    moved_on,
    score,
)
from smotext_lab.edits import Editor
from smotext_lab.encoders import Encoder
from smotext_lab.engines.base import Generated, Sampling, Watch, uniforms
from smotext_lab.steering import Steering
from smotext_lab.wanted import Wanted
from smotext_lab.writer import Writer

__all__ = ["Search", "dropped_words"]

_WORD_DROPOUT = 0.15
"""Share of the predicted words that a candidate after the first passes over."""

_PULL = 0.6
"""How far the words that are wished for draw a unit vector."""

_TOGETHER = 32
"""So many texts, at least, are encoded together."""

_EDITS = 2
"""So many words of a corrected text are changed."""


@dataclass(frozen=True)
class Search:
    """How texts are searched for; see `XRAGDecoder` for the parameters."""

    writer: Writer
    encoder: Encoder
    sampling: Sampling
    n_candidates: int
    corrections: int
    batch_size: int | None

    def run(
        self, wanted: Wanted, cancelled: threading.Event | None = None
    ) -> Iterator[tuple[int, list[Candidate]]]:
        """Yield rows in order with their candidates, best first.

        Without corrections a row is yielded once it and those before it are written. When
        `cancelled` is set the search ends; rows that have no text by then are left out.
        """
        if self.corrections:
            found = self._corrected(wanted, cancelled)
            yield from ((row, candidates) for row, candidates in enumerate(found) if candidates)
        else:
            yield from self._try(wanted, list(range(len(wanted.vectors))), 0, None, cancelled)

    def _corrected(
        self, wanted: Wanted, cancelled: threading.Event | None
    ) -> list[list[Candidate]]:
        tried: list[list[Candidate]] = [[] for _ in wanted.vectors]
        gaining = list(range(len(tried)))
        for turn in range(self.corrections + 1):
            before = [tried[row][0].score if tried[row] else -np.inf for row in gaining]
            best = [tried[row][0] for row in gaining] if turn else None
            for row, candidates in self._try(wanted, gaining, turn, best, cancelled):
                tried[row] = _best_first(tried[row] + candidates)
            if turn:
                self._edit(wanted, gaining, tried, cancelled)
            if cancelled is not None and cancelled.is_set():
                break
            pairs = zip(gaining, before, strict=True)
            gaining = [row for row, was in pairs if tried[row][0].score > was + NO_GAIN]
            if not gaining:
                break
        return tried

    def _try(
        self,
        wanted: Wanted,
        rows: list[int],
        turn: int,
        best: Sequence[Candidate] | None,
        cancelled: threading.Event | None,
    ) -> Iterator[tuple[int, list[Candidate]]]:
        """Decode `n_candidates` texts for each of `rows`; yield each of these with its own."""
        n = self.n_candidates
        owners = np.repeat(np.array(rows, np.int64), n)
        tries = np.tile(np.arange(n), len(rows))
        seeds = candidate_keys(wanted.keys[owners], tries + turn * n)
        soft = self._soft_tokens(wanted, rows, best, seeds, tries)
        watch = self._watch(wanted, owners) if wanted.written and not turn else None
        how = {"batch_size": self.batch_size, "cancelled": cancelled, "watch": watch}
        made = self.writer.generate(soft, self.sampling, seeds, **how)
        for group in _in_order(made, n):
            done = [generated for each in group for generated in each]
            which = owners[[generated.row for generated in done]]
            candidates = iter(self._judged(wanted, which, done))
            for each in group:
                row = rows[each[0].row // n]
                yield row, _best_first([next(candidates) for _ in each])

    def _edit(
        self,
        wanted: Wanted,
        rows: list[int],
        tried: list[list[Candidate]],
        cancelled: threading.Event | None,
    ) -> None:
        """Add to what was tried for each of `rows` its best text with a word or two changed."""
        editor = Editor(self.writer, self.encoder, self._judged)
        rows = [row for row in rows if tried[row]]
        for turn in range(_EDITS):
            if not rows or (cancelled is not None and cancelled.is_set()):
                return
            edited = editor.edit(wanted, rows, [tried[row] for row in rows], turn)
            for candidate in edited:
                tried[candidate.row] = _best_first([candidate, *tried[candidate.row]])
            rows = [candidate.row for candidate in edited]

    def _judged(
        self, wanted: Wanted, owners: np.ndarray, done: list[Generated]
    ) -> Iterator[Candidate]:
        """Encode what was written for the rows `owners`, and score it."""
        forms = [wanted.forms[row] for row in owners]
        texts = [
            in_form(self.writer.text(generated.ids), form)
            for generated, form in zip(done, forms, strict=True)
        ]
        with warnings.catch_warnings():  # candidates may run long; the user's texts did not
            warnings.simplefilter("ignore", UserWarning)
            encoded = self.encoder.encode(texts)
        agreed = np.zeros(len(texts))
        if wanted.agreement is not None:
            agreed = wanted.agreement(owners, encoded)
        for i, row in enumerate(owners.tolist()):
            cosine = _cosine(encoded[i], wanted.vectors[row])
            unmet = self._unmet(texts[i], wanted.steering)
            likelihood = done[i].log_likelihood
            rated = score(
                texts[i], cosine, likelihood, forms[i], agreement=float(agreed[i]), unmet=unmet
            )
            yield Candidate(row, texts[i], cosine, rated, done[i], encoded[i])

    def _watch(self, wanted: Wanted, owners: np.ndarray) -> Watch:
        def watch(place: int, ids: np.ndarray) -> None:
            row = int(owners[place])
            if place % self.n_candidates == 0 and wanted.written is not None:
                wanted.written(row, in_form(self.writer.text(ids), wanted.forms[row]))

        return watch

    def _towards(self, vectors: np.ndarray, steering: Steering) -> np.ndarray:
        """Return the vectors a part of the way towards pinned words and away from banned ones.

        The learnt tokens say what the vector says: without this they outweigh a pinned word.
        """
        words = [*steering.pinned, *steering.banned]
        signs = np.repeat([1.0, -1.0], [len(steering.pinned), len(steering.banned)])
        pull = (signs[:, None] * self.encoder.encode(words)).sum(axis=0)
        return at_length_of(vectors, vectors + _PULL * pull / len(words) ** 0.5)

    def _unmet(self, text: str, steering: Steering) -> int:
        bridge = self.writer.bridge
        return steering.unmet(text, bridge.split) if isinstance(bridge, LexicalBridge) else 0

    def _soft_tokens(
        self,
        wanted: Wanted,
        rows: list[int],
        best: Sequence[Candidate] | None,
        seeds: np.ndarray,
        tries: np.ndarray,
    ) -> torch.Tensor:
        """Return the LLM's input for every try; a correction asks for what the best text lacks."""
        bridge = self.writer.bridge
        vectors, scores = wanted.vectors[rows], None
        if best is None and wanted.guidance is not None:
            vectors = guided(vectors, wanted.guidance[rows])
        if best is not None:
            moved = moved_on(vectors, best)
            scores = bridge.lacking(
                torch.from_numpy(vectors),
                torch.from_numpy(moved),
                [candidate.text for candidate in best],
            )
            vectors = moved if scores is None else vectors
        if wanted.steering:
            vectors = self._towards(vectors, wanted.steering)
            scores = bridge.steered(torch.from_numpy(vectors), scores, wanted.steering)
        hints = hint_ids([wanted.lengths[r] for r in rows], [wanted.forms[r] for r in rows])
        each = torch.arange(len(rows)).repeat_interleave(self.n_candidates)
        return self.writer.soft_tokens(
            torch.from_numpy(vectors)[each],
            dropped=dropped_words(seeds, tries, getattr(bridge, "pool", 0)),
            hints=hints[each],
            scores=None if scores is None else scores[each],
        )


def candidate_keys(keys: np.ndarray, tries: np.ndarray) -> np.ndarray:
    """Return one key a candidate; the first candidate's is the row's own."""
    with np.errstate(over="ignore"):
        return keys + tries.astype(np.uint64) * np.uint64(0xD1342543DE82EF95)


def _best_first(candidates: list[Candidate]) -> list[Candidate]:
    # NaN, where an encoder makes nothing of a text, is neither more nor less than a number
    return sorted(candidates, key=lambda c: np.inf if np.isnan(c.score) else -c.score)


def _in_order(made: Iterator[Generated], n: int) -> Iterator[list[list[Generated]]]:
    """Yield groups of `n` candidates, in order, as soon as they and all before them are written.

    Some groups at a time, so that they can be encoded together. At the end, if the search was
    cancelled, what there is of the others; before an interrupt is passed on, those that are whole.
    """
    waiting: dict[int, list[Generated]] = {}
    first = 0
    stopped = None
    try:
        for generated in made:
            waiting.setdefault(generated.row // n, []).append(generated)
            ready = 0
            while len(waiting.get(first + ready, ())) == n:
                ready += 1
            if ready * n >= _TOGETHER:
                yield [_by_row(waiting.pop(first + i)) for i in range(ready)]
                first += ready
    except KeyboardInterrupt as interrupt:
        stopped = interrupt
        waiting = {place: group for place, group in waiting.items() if len(group) == n}
    if waiting:
        yield [_by_row(waiting[place]) for place in sorted(waiting)]
    if stopped is not None:
        raise stopped


def _by_row(group: list[Generated]) -> list[Generated]:
    return sorted(group, key=lambda generated: generated.row)


def dropped_words(seeds: np.ndarray, tries: np.ndarray, pool: int) -> torch.Tensor | None:
    """Return which of the `pool` best words each candidate passes over; the first one, none."""
    if pool == 0:
        return None
    u = np.stack([uniforms(seeds, -2 - word) for word in range(pool)], axis=1)
    return torch.from_numpy((u < _WORD_DROPOUT) & (tries > 0)[:, None])


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / max(1e-12, float(np.linalg.norm(a) * np.linalg.norm(b))))
