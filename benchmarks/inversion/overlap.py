"""Whether a corpus holds a run of words of the texts that are to be unseen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from benchmarks.inversion.sets import LabelledSet
from smotext_lab.guards.words import SharedRuns, fold
from smotext_lab.training.corpus import read_corpus

__all__ = ["check_overlap"]

_SHOWN = 20


def check_overlap(
    sets: Sequence[LabelledSet], corpus: Iterable[str | Path], length: int = 7
) -> dict[str, Any]:
    """Look for runs of `length` words of the sets' texts in the corpus files.

    Case and punctuation do not count. A text of fewer words can share no such run, so it is
    looked for whole. Files are read as training reads them, one at a time.

    Returns
    -------
    dict
        ``texts`` that were looked for, ``shared`` (those found, how many), ``short`` (texts
        of fewer words), ``short_equal``, ``found`` (up to 20 of them, each with what was
        found), and ``corpus``: each file with its SHA-256 and number of texts.
    """
    named = [(chosen.name, text) for chosen in sets for text in chosen.texts]
    folded = [fold(text) for _, text in named]
    runs = SharedRuns(folded, length)
    short: dict[str, list[int]] = {}
    for row, text in enumerate(folded):
        if 0 < len(text.split()) < length:
            short.setdefault(text, []).append(row)
    hits: dict[int, str] = {}
    files = []
    for path in map(Path, corpus):
        texts = read_corpus([path])
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        files.append({"file": path.name, "sha256": sha256, "texts": len(texts)})
        for text in tqdm(texts, f"7-grams in {path.name}", unit="text", leave=False):
            plain = fold(text)
            for row in short.get(plain) or runs.owners(plain):
                hits.setdefault(row, text)
    long = [row for row in hits if folded[row] not in short]
    shown = [*long, *(row for row in hits if folded[row] in short)][:_SHOWN]
    return {
        "words_in_a_row": length,
        "texts": len(named),
        "shared": len(long),
        "short": sum(text in short for text in folded),
        "short_equal": len(hits) - len(long),
        "found": [
            {"set": named[row][0], "text": named[row][1], "in_corpus": hits[row]} for row in shown
        ],
        "corpus": files,
    }
