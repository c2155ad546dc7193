"""The decoders that are compared, and keeping what they write row by row."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

import smotext_lab
from benchmarks.inversion.sets import LabelledSet, Points, digest
from smotext_lab import XRAGDecoder
from smotext_lab.bridges import load_bridge
from smotext_lab.encoders import Encoder
from smotext_lab.forms import TextForm
from smotext_lab.models import fingerprint

__all__ = ["SEARCHES", "BridgeRun", "RowStore", "Written", "road"]

SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0, "n_candidates": 1, "corrections": 0},
    "best-of-8": {"n_candidates": 8, "corrections": 0},
    "best-of-8-corrected": {"n_candidates": 8, "corrections": 3},
}
"""What each search is; all else is the decoder's default."""


@dataclass(frozen=True)
class Written:
    """What was written for some points.

    Attributes
    ----------
    texts : list of str
    seconds : ndarray of float64
        From one row to the next: a row that opens a batch has the whole of it.
    ended : ndarray of bool
        Whether the LLM ended the text itself.
    """

    texts: list[str]
    seconds: np.ndarray
    ended: np.ndarray


class BridgeRun:
    """One bridge with each of the searches; it and its LLM are loaded once, when needed.

    Parameters
    ----------
    folder : str or Path
        See `load_bridge`.
    llm : str
    encoder : Encoder
    cache : Path
        Where rows are kept: a run that was killed goes on after the last whole one.
    random_state : int
    """

    def __init__(
        self, folder: str | Path, llm: str, encoder: Encoder, cache: Path, random_state: int
    ) -> None:
        self.facts = load_bridge(folder).facts
        self.cache = cache
        self.random_state = random_state
        self._decoders = {
            name: XRAGDecoder(llm, folder, encoder=encoder, **settings)
            for name, settings in SEARCHES.items()
        }
        self._made_by = (self.facts.sha256, fingerprint(llm), encoder.fingerprint, road())

    def write(self, search: str, form: str, points: Points, of: LabelledSet) -> Written:
        """Decode the points that are not decoded yet; return all rows."""
        seeds = np.random.SeedSequence(self.random_state).generate_state(len(points), np.uint64)
        forms = _forms(points, of) if form == "given" else None
        asked = (form, points.key(of), self.random_state)
        key = digest(self._made_by, SEARCHES[search], asked)
        store = RowStore(self.cache / "rows" / f"{key}.jsonl")
        rows = store.read()
        left = np.array([row for row in range(len(points)) if row not in rows], np.int64)
        if len(left):
            self._decode(search, points.vectors, seeds, forms, left, store, rows)
        ordered = [rows[row] for row in range(len(points))]
        return Written(
            texts=[row["text"] for row in ordered],
            seconds=np.array([row["seconds"] for row in ordered]),
            ended=np.array([row["ended"] for row in ordered]),
        )

    def _decode(
        self,
        search: str,
        vectors: np.ndarray,
        seeds: np.ndarray,
        forms: list[TextForm] | None,
        left: np.ndarray,
        store: RowStore,
        rows: dict[int, dict[str, Any]],
    ) -> None:
        decoder = self._loaded(search, vectors[:1])
        wanted = None if forms is None else [forms[row] for row in left]
        last = time.perf_counter()
        decoding = decoder.decode_rows(vectors[left], seeds=seeds[left], forms=wanted)
        for decoded in tqdm(decoding, search, len(left), unit="text", leave=False):
            now = time.perf_counter()
            row = {
                "row": int(left[decoded.row]),
                "text": decoded.text,
                "seconds": now - last,
                "ended": bool(decoded.ended),
            }
            store.add(row)
            rows[row["row"]] = row
            last = now

    def _loaded(self, search: str, vector: np.ndarray) -> XRAGDecoder:
        """Return the search's decoder, which shares the LLM with the others."""
        first = next(iter(self._decoders.values()))
        decoder = self._decoders[search]
        if decoder._loaded is None:
            decoder._loaded = first._writer()
            decoder.decode(vector)  # what is set up on first use is not the first row's time
        return decoder

    def free(self) -> None:
        """Let go of LLM and bridge: the next one loads its own."""
        for decoder in self._decoders.values():
            decoder._loaded = None


def _forms(points: Points, of: LabelledSet) -> list[TextForm]:
    return [TextForm.of(of.texts[row]) for row in points.sources[:, 0]]


def road() -> str:
    """Return what stands for the code that decodes: other code, other rows."""
    package = Path(smotext_lab.__file__).parent
    searching = ("wanted", "search", "candidates", "edits", "drafts", "guards/words")
    writing = ("decoders", "given", "writer", "forms", "lora", "encoders")
    files = [package / f"{name}.py" for name in searching + writing]
    for folder in ("bridges", "engines"):
        files += sorted((package / folder).glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


class RowStore:
    """Rows as JSON Lines; what a kill left of the last line is dropped."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[int, dict[str, Any]]:
        if not self.path.is_file():
            return {}
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            self.path.write_bytes(whole)
        rows = map(json.loads, whole.splitlines())
        return {row["row"]: row for row in rows}

    def add(self, row: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
