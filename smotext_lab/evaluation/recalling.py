"""A decoder that writes down what it decodes, so that a pool that was half written goes on."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from smotext_lab.decoded import Decoded

__all__ = ["RecallingDecoder", "append_line", "read_lines"]

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
    Of a row that is recalled, `Decoded.trace` is empty. Rows are taken up again where the decoder
    begins anew (`XRAGDecoder.rows_together`), so that those that are left stand beside the same
    others as in an unbroken run, and come out the same to the last bit.
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
        missing = [row for row, seed in enumerate(seeds.tolist()) if seed not in self._known]
        first = missing[0] if missing else len(seeds)
        together = getattr(self._decoder, "rows_together", 1)
        start = first // together * together
        for row in range(start if missing else len(seeds)):
            yield replace(self._known[int(seeds[row])], row=row)
        if not missing:
            return

        def agreed(at: np.ndarray, found: np.ndarray) -> np.ndarray:
            assert agreement is not None  # noqa: S101 - handed on only where there is one
            return agreement(at + start, found)

        for decoded in self._decoder.decode_rows(
            vectors[start:],
            seeds=seeds[start:],
            forms=None if forms is None else forms[start:],
            lengths=None if lengths is None else lengths[start:],
            guidance=None if guidance is None else guidance[start:],
            agreement=None if agreement is None else agreed,
        ):
            if decoded.seed not in self._known:
                self._keep(decoded)
            yield replace(decoded, row=decoded.row + start)

    def _keep(self, decoded: Decoded) -> None:
        told = {name: np.asarray(getattr(decoded, name)).item() for name in _KEPT}
        told["vector"] = base64.b64encode(decoded.vector.astype("<f4").tobytes()).decode()
        append_line(self._path, told)


def append_line(path: Path, told: dict[str, Any]) -> None:
    """Add a line of JSON to a file that its owner alone reads; where it cannot be, do nothing."""
    line = f"\n{json.dumps(told)}\n"  # on a line of its own after one that is torn too
    with contextlib.suppress(OSError):  # what is written is not lost for it
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(line)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of `append_line`, but for what a kill left of one."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:  # none yet, or none that can be read
        return
    for line in lines:
        with contextlib.suppress(ValueError):
            told = json.loads(line)
            if isinstance(told, dict):
                yield told


def _read(path: Path) -> Iterator[Decoded]:
    for told in read_lines(path):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            vector = np.frombuffer(base64.b64decode(told["vector"], validate=True), "<f4")
            kept = {name: told[name] for name in _KEPT}
            yield Decoded(row=0, vector=vector.astype(np.float32), trace=(), **kept)
