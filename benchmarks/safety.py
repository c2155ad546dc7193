"""How often a text written from harmless ones brings in a slur or a sexual word.

    python -m benchmarks.safety SET.csv.gz … --n 2000 --bridge default --out safety.json

Each set is a file with columns text and label (and, where it has one, split: the test part is
taken). Its texts without a listed word are the harmless ones. Half of the n vectors are such texts'
own, half lie midway between two that are neighbours within a class. Each is decoded once with no
guard ("listed": how many of those texts have a listed word), then under the guard as the sampler
does it: what is refused is written again, three times in all. No text that passes can have a word
of the guard's own list; what that costs is told by "again" (how many were refused at first) and
"lacking" (how many had no text in the end). Intervals are Wilson's, 95%. Listed words are masked in
what is printed and in --out. Rows are kept in the folder of --cache as they are written, with the
words as they stand, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from tqdm import tqdm

import smotext_lab
from benchmarks.inversion.decoding import RowStore, road
from benchmarks.inversion.sets import digest
from benchmarks.machine import described
from smotext_lab import Guards, SMOTEInterpolator, XRAGDecoder, load_dataset
from smotext_lab.guards import BlockedWords
from smotext_lab.guards.blocked import masked
from smotext_lab.interpolators import plan_exactly
from smotext_lab.models import fingerprint
from smotext_lab.sampler.counts import per_class
from smotext_lab.sampler.generation import attempt_seeds

ATTEMPTS = 3  # of the sampler at one blend, by default
POOL = 2000  # harmless texts of a set, at most, among which neighbours are sought
BLOCKED = BlockedWords.default()


@dataclass
class Row:
    """One vector: the texts written from it, in order, and whether the last was accepted."""

    of: str
    texts: list[str] = field(default_factory=list)
    accepted: bool = False


@dataclass(frozen=True)
class Pool:
    """Harmless texts of one set with their vectors, and how many of all its texts are not."""

    texts: list[str]
    labels: np.ndarray
    vectors: np.ndarray
    listed: float

    @classmethod
    def read(cls, path: Path, decoder: XRAGDecoder, random_state: int) -> Pool:
        frame = load_dataset(path, duplicates="drop")
        tests = frame["split"] == "test"
        frame = frame[tests] if tests.any() else frame
        harmless = frame["text"].map(lambda text: BLOCKED.find(text) is None)
        pool = frame[harmless].sample(min(POOL, int(harmless.sum())), random_state=random_state)
        pool = pool[pool.groupby("label")["label"].transform("size") > 1]  # each has a neighbour
        texts = pool["text"].tolist()
        vectors = decoder.encoder.encode(texts)
        return cls(texts, pool["label"].to_numpy(), vectors, float(1 - harmless.mean()))

    def points(self, n: int, random_state: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield n texts' own vectors, then n midpoints, each with the places of their parents."""
        own = np.arange(len(self.texts))[:n, None]
        yield "vector", self.vectors[own[:, 0]], own
        blends = plan_exactly(
            SMOTEInterpolator(),
            self.vectors,
            self.labels,
            per_class(n, self.labels),
            random_state=random_state,
        )
        halves = replace(blends, weights=np.full_like(blends.weights, 0.5))
        yield "blend", halves.points(self.vectors), halves.parents


def written(
    decoder: XRAGDecoder,
    pool: Pool,
    of: str,
    points: np.ndarray,
    parents: np.ndarray,
    random_state: list[int],
    cache: Path,
) -> list[Row]:
    """Decode the points, and again those that the guard of blocked words refuses.

    What `cache` holds of an earlier run of the same is not written again.
    """
    guards = replace(Guards.off(), blocked_words="default")
    judge = guards.fit(pool.texts, pool.vectors, pool.labels)
    seeds = np.random.SeedSequence(random_state).generate_state(len(points), np.uint64)
    made_of = [[pool.texts[place] for place in places] for places in parents]
    key = digest(_made_by(decoder), of, made_of, random_state)
    rows = [Row(of) for _ in points]
    for attempt in range(1, ATTEMPTS + 1):
        pending = np.flatnonzero([not row.accepted for row in rows])
        if not len(pending):
            break
        store = RowStore(cache / f"{key}-{attempt}.jsonl")
        done = store.read()
        left = pending[[at not in done for at in pending.tolist()]]
        stream = decoder.decode_rows(points[left], seeds=attempt_seeds(seeds[left], attempt))
        for made in tqdm(stream, f"{of}, attempt {attempt}", len(left), file=sys.stderr):
            at = int(left[made.row])
            labels = pool.labels[parents[at, :1]]
            (verdict,) = judge.judge([made.text], made.vector[None], labels, parents=[parents[at]])
            done[at] = {"row": at, "text": made.text, "accepted": verdict.accepted}
            store.add(done[at])
        for at in pending.tolist():
            rows[at].texts.append(done[at]["text"])
            rows[at].accepted = done[at]["accepted"]
    return rows


def _made_by(decoder: XRAGDecoder) -> list[str]:
    """Return what stands for the models, the code that decodes, and the guard with its list."""
    guard = sorted((Path(smotext_lab.__file__).parent / "guards").glob("*.*"))
    judging = hashlib.sha256(b"".join(file.read_bytes() for file in guard)).hexdigest()[:16]
    models = [decoder.loaded_bridge().facts.sha256, fingerprint(decoder.llm)]
    return [*models, decoder.encoder.fingerprint, road(), judging]


def counted(texts: list[str], name: str) -> dict[str, float]:
    listed = sum(BLOCKED.find(text) is not None for text in texts)
    if not texts:  # all were refused
        return {name: 0}
    interval = binomtest(listed, len(texts)).proportion_ci(method="wilson")
    rate = {"rate": listed / len(texts), "low": interval.low, "high": interval.high}
    return {name: listed, **{f"{name} {what}": float(value) for what, value in rate.items()}}


def summed(rows: list[Row]) -> dict[str, float]:
    return {
        "n": len(rows),
        **counted([row.texts[0] for row in rows], "listed"),
        **counted([row.texts[-1] for row in rows if row.accepted], "guarded"),
        "again": sum(len(row.texts) > 1 for row in rows),
        "lacking": sum(not row.accepted for row in rows),
    }


def shown(text: str) -> str:
    """Return the text in folded case with its listed words masked."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    while (found := BLOCKED.find(plain)) is not None:
        pattern = r"[\W_]+".join(map(re.escape, found.split()))
        plain, times = re.subn(rf"(?<![^\W_]){pattern}(?![^\W_])", masked(found), plain)
        if not times:
            return "(not shown)"
    return plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--n", type=int, default=2000, help="texts written, of all sets together")
    parser.add_argument("--bridge", default="default", help='"default" or a folder')
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path("out/safety"))
    parser.add_argument("--out", type=Path, default=Path("safety.json"))
    given = parser.parse_args()
    decoder = XRAGDecoder(bridge=given.bridge)
    each = -(-given.n // (2 * len(given.sets)))
    table: list[dict[str, Any]] = []
    found: list[dict[str, str]] = []
    everything: list[Row] = []
    for number, path in enumerate(given.sets):
        name = path.name.partition(".")[0]
        pool = Pool.read(path, decoder, given.random_state)
        for of, points, parents in pool.points(each, given.random_state):
            stream = [given.random_state, number, of == "blend"]
            rows = written(decoder, pool, of, points, parents, stream, given.cache)
            everything += rows
            table.append({"set": name, "of": of, "real texts": pool.listed, **summed(rows)})
            listed = [row.texts[0] for row in rows if BLOCKED.find(row.texts[0]) is not None]
            found += [{"set": name, "of": of, "text": shown(text)} for text in listed]
    table += [
        {"set": "all", "of": of, **summed([row for row in everything if row.of == of])}
        for of in ("vector", "blend")
    ]
    table.append({"set": "all", "of": "both", **summed(everything)})
    frame = pd.DataFrame(table)
    print(frame.round(4).to_string(index=False))
    for text in found:
        print(f"{text['set']}, {text['of']}: {text['text']}")
    result = {
        "machine": described(),
        "bridge": Path(given.bridge).name,
        "sha256": decoder.loaded_bridge().facts.sha256,
        "rows": json.loads(frame.to_json(orient="records")),
        "listed": found,
    }
    given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
