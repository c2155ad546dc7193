"""Continuous batching: finished rows leave, waiting rows take their places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from smotext_lab.engines.base import Generated, Task, uniforms
from smotext_lab.engines.drawing import draw, log_probability, penalised
from smotext_lab.engines.llama import STEP, Cache, Llama, Weights

__all__ = ["READ_AT_ONCE", "Slots"]

READ_AT_ONCE = 512
"""Soft tokens read together: fewer would be read at less than full speed."""


@dataclass(frozen=True)
class _Read:
    """Owners whose soft tokens have been read, and what of them is kept for their rows."""

    owners: np.ndarray
    logits: torch.Tensor
    cache: Cache


class Slots:
    """Rows being decoded together, and those that wait for a place.

    Parameters
    ----------
    llama : Llama
    weights : Weights
    task : Task
    size : int
        Rows at a time.
    """

    def __init__(self, llama: Llama, weights: Weights, task: Task, size: int) -> None:
        self.llama, self.weights, self.size = llama, weights, size
        self.soft, self.owners, self.seeds = task.soft_tokens, task.owners, task.seeds
        self.sampling = sampling = task.sampling
        self.ends = torch.tensor(task.ends, device=llama.device)
        self.waiting = np.argsort(task.owners, kind="stable")  # rows of one owner go together
        self.unread = np.unique(task.owners)
        self.pool = _Read(self.unread[:0], torch.empty(0), Cache(llama, 0, 0))
        self.live = 0
        padded = _stepped(size)
        places = _stepped(self.soft.shape[1] + sampling.max_new_tokens)
        self.cache = Cache(llama, padded, places)
        self.rows = np.zeros(padded, np.int64)
        self.count = np.zeros(padded, np.int64)
        device, vocabulary = llama.device, len(weights.embedding)
        self.token = torch.zeros(padded, dtype=torch.int64, device=device)
        self.total = torch.zeros(padded, device=device)
        shape = (padded, sampling.max_new_tokens)
        self.written = torch.full(shape, vocabulary, dtype=torch.int64, device=device)

    def __bool__(self) -> bool:
        """Return whether there is anything left to do."""
        return self.live > 0 or len(self.waiting) > 0

    @torch.inference_mode()
    def advance(self) -> list[Generated]:
        """Let rows join, make one step, and return the rows that have finished."""
        done: list[Generated] = []
        while len(self.waiting) > 0 and self.live < self.size:
            done += self._leave(self._join())
        if self.live:
            self._step()
            done += self._leave(slice(0, self.live))
        return done

    def so_far(self) -> list[tuple[int, np.ndarray]]:
        """Return what each unfinished row has written."""
        written = self.written[: self.live].cpu().numpy()
        rows, counts = self.rows[: self.live].tolist(), self.count[: self.live].tolist()
        return [(row, ids[:n].copy()) for row, ids, n in zip(rows, written, counts, strict=True)]

    def _join(self) -> slice:
        """Give free places to waiting rows and draw their first tokens."""
        wanted = self.owners[self.waiting[: self.size - self.live]]
        ready = int(np.isin(wanted, self.pool.owners).sum())
        if ready == 0:
            self._read_ahead()
            ready = int(np.isin(wanted, self.pool.owners).sum())
        taken, self.waiting = np.split(self.waiting, [ready])
        joined = slice(self.live, self.live + ready)
        device, k = self.llama.device, self.soft.shape[1]
        where = np.searchsorted(self.pool.owners, self.owners[taken])
        froms = torch.from_numpy(where).to(device)
        tos = torch.arange(joined.start, joined.stop, device=device)
        self.cache.copy(self.pool.cache, froms, tos, k)
        self.rows[joined], self.count[joined], self.total[joined] = taken, 0, 0
        self.written[joined] = len(self.weights.embedding)
        self.live = joined.stop
        self._draw(self.pool.logits[froms], joined)
        return joined

    def _read_ahead(self) -> None:
        """Read the soft tokens of the next owners, enough of them for fast products."""
        many = max(1, READ_AT_ONCE // self.soft.shape[1])
        owners, self.unread = np.split(self.unread, [many])
        soft = self.soft[torch.from_numpy(owners)]
        self.pool = _Read(owners, *self.llama.read(self.weights, soft))

    def _step(self) -> None:
        n = self.live
        padded = n if n == 1 else _stepped(n)  # what lies beyond the live rows serves nobody
        places = self.soft.shape[1] - 1 + self.count[:padded]
        logits = self.llama.step(self.weights, self.token[:padded], places, self.cache)
        self._draw(logits[:n], slice(0, n))

    def _draw(self, logits: torch.Tensor, at: slice) -> None:
        count, device = self.count[at], self.llama.device
        u = torch.from_numpy(uniforms(self.seeds[self.rows[at]], count)).to(device)
        written = self.written[at, : int(count.max(initial=0))]
        token = draw(penalised(logits, written, self.sampling), self.sampling, u)
        self.total[at] += log_probability(logits, token)
        self.token[at] = token
        places = torch.from_numpy(count).to(device)
        self.written[at].scatter_(1, places[:, None], token[:, None])
        self.count[at] += 1

    def _leave(self, at: slice) -> list[Generated]:
        """Return the rows of `at` that are finished; the last rows move into their places."""
        ended = torch.isin(self.token[at], self.ends).cpu().numpy()
        finished = ended | (self.count[at] == self.sampling.max_new_tokens)
        gone = finished.nonzero()[0] + at.start
        if len(gone) == 0:
            return []
        done = list(self._finished(gone, ended[finished]))
        left = self.live - len(gone)
        stay = np.setdiff1d(np.arange(left, self.live), gone)
        self._move(stay, gone[gone < left])
        self.live, self.count[left:] = left, 0
        return done

    def _finished(self, gone: np.ndarray, ended: np.ndarray) -> Iterator[Generated]:
        where = torch.from_numpy(gone).to(self.llama.device)
        written = self.written[where].cpu().numpy()
        total = self.total[where].cpu().numpy()
        for i, slot in enumerate(gone):
            count = int(self.count[slot])
            ids = written[i, : count - bool(ended[i])]
            yield Generated(int(self.rows[slot]), ids, float(total[i]) / count, bool(ended[i]))

    def _move(self, froms: np.ndarray, tos: np.ndarray) -> None:
        if len(froms) == 0:
            return
        self.rows[tos], self.count[tos] = self.rows[froms], self.count[froms]
        places = int(self.count[froms].max()) + self.soft.shape[1]
        device = self.llama.device
        source, target = (torch.from_numpy(i).to(device) for i in (froms, tos))
        for state in (self.token, self.total, self.written):
            state[target] = state[source]
        self.cache.copy(self.cache, source, target, places)


def _stepped(n: int) -> int:
    return -(-n // STEP) * STEP
