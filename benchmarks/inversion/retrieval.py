"""The nearest corpus sentence to each point: what one gets with no decoder at all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.inversion.decoding import Written
from smotext_lab.encoders import Encoder
from smotext_lab.training.corpus import encode_corpus, read_corpus

__all__ = ["Retrieval"]

_BLOCK = 32_768  # corpus vectors that are compared at a time


class Retrieval:
    """A corpus that is searched by cosine, every vector of it.

    Parameters
    ----------
    corpus : sequence of path
        See `read_corpus`.
    encoder : Encoder
    folder : Path
        Where `encode_corpus` keeps the vectors.
    """

    def __init__(self, corpus: Sequence[str | Path], encoder: Encoder, folder: Path) -> None:
        self.texts = read_corpus(corpus)
        self.vectors = encode_corpus(self.texts, encoder, folder)

    def nearest(self, points: np.ndarray) -> Written:
        """Return the corpus text nearest to each of the unit vectors `points`."""
        started = time.perf_counter()
        best = np.full(len(points), -np.inf, np.float32)
        where = np.zeros(len(points), np.int64)
        for start in range(0, len(self.vectors), _BLOCK):
            near = points @ np.asarray(self.vectors[start : start + _BLOCK], np.float32).T
            row = near.argmax(axis=1)
            cosine = np.take_along_axis(near, row[:, None], axis=1)[:, 0]
            better = cosine > best
            best[better], where[better] = cosine[better], start + row[better]
        seconds = np.zeros(len(points))
        seconds[:1] = time.perf_counter() - started
        return Written(
            texts=[self.texts[row] for row in where],
            seconds=seconds,
            ended=np.ones(len(points), bool),
        )
