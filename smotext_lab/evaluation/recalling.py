"""A decoder that writes down what it decodes, so that a pool that was half written goes on."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from smotext_lab.decoded import Decoded

__all__ = ["RecallingDecoder"]

_KEPT = ("text", "cosine", "likelihood", "tokens", "ended", "seed", "attempts")


class RecallingDecoder:
    """Another decoder, whose rows are kept in a file and not decoded twice.

    What a row is given is a function of its seed, as long as models, settings and all that is
    asked of the row are the same: that is what the name of the file must stand for.

    Parameters
    ----------
    decoder : XRAGDecoder
    path : Path
        A line for each row, for its owner alone; a line that is torn is as good as none.

    Notes
    -----
    Of a row that is recalled, `Decoded.trace` is empty. The rows that are left are decoded in
    other batches than in an unbroken run, so that the last bits of near ties may fall otherwise.
    """

    def __init__(self, decoder: Any, path: Path) -> None:
        self._decoder, self._path = decoder, path
        self._known = {decoded.seed: decoded for decoded in _read(path)}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # of a copy that has nothing yet
            raise AttributeError(name)
        return getattr(self._decoder, name)

    def __repr__(self) -> str:
        return repr(self._decoder)

    def decode_rows(
        self,
        vectors: np.ndarray,
        *,
        seeds: Any,
        forms: Any = None,
        lengths: Any = None,
        guidance: Any = None,
        agreement: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ) -> Iterator[Decoded]:
        """Yield a `Decoded` for each vector, in order; see `XRAGDecoder.decode_rows`."""
        seeds = np.asarray(seeds, np.uint64)
        known = np.array([int(seed) in self._known for seed in seeds], bool)
        fresh, recalled = np.flatnonzero(~known), deque(np.flatnonzero(known).tolist())

        def agreed(at: np.ndarray, found: np.ndarray) -> np.ndarray:
            assert agreement is not None  # noqa: S101 - handed on only where there is one
            return agreement(fresh[at], found)

        decoded: Iterator[Decoded] = iter(())
        if len(fresh):
            decoded = self._decoder.decode_rows(
                vectors[fresh],
                seeds=seeds[fresh],
                forms=None if forms is None else [forms[row] for row in fresh],
                lengths=None if lengths is None else [lengths[row] for row in fresh],
                guidance=None if guidance is None else guidance[fresh],
                agreement=None if agreement is None else agreed,
            )
        for each in decoded:
            self._keep(each)
            row = int(fresh[each.row])
            while recalled and recalled[0] < row:
                yield self._recall(recalled.popleft(), seeds)
            yield replace(each, row=row)
        for row in recalled:
            yield self._recall(row, seeds)

    def _recall(self, row: int, seeds: np.ndarray) -> Decoded:
        return replace(self._known[int(seeds[row])], row=row)

    def _keep(self, decoded: Decoded) -> None:
        told = {name: np.asarray(getattr(decoded, name)).item() for name in _KEPT}
        told["vector"] = base64.b64encode(decoded.vector.astype("<f4").tobytes()).decode()
        line = f"\n{json.dumps(told)}\n"  # on a line of its own after one that is torn too
        with contextlib.suppress(OSError):  # what is written is not lost for it
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with os.fdopen(os.open(self._path, flags, 0o600), "w", encoding="utf-8") as file:
                file.write(line)


def _read(path: Path) -> Iterator[Decoded]:
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:  # none yet, or none that can be read
        return
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            told = json.loads(line)
            vector = np.frombuffer(base64.b64decode(told["vector"], validate=True), "<f4")
            kept = {name: told[name] for name in _KEPT}
            yield Decoded(row=0, vector=vector.astype(np.float32), trace=(), **kept)
