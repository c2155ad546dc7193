"""How much of a text comes back from its vector, and of a blend from its point.

    python -m benchmarks.inversion SET.csv.gz … --n 200 --out inversion.json

Each set is a file with columns text and label (and, where it has one, split: the test part is
taken). None of its texts may have been trained on. "vector" rows decode the texts' own vectors;
"blend" rows decode the points half way between same-class neighbours. Label kept: the text is
re-encoded and the similarity-weighted vote of its 5 nearest real texts, those left out that it was
made from, is compared with the label; "originals" is the same rate for the real texts themselves.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import described
from smotext_lab import SMOTEInterpolator, XRAGDecoder
from smotext_lab.bridges import split_words

SEARCHES = {
    "greedy": {"temperature": 0.0, "n_candidates": 1},
    "best of 4": {"temperature": 0.7, "n_candidates": 4},
    "best of 8": {"temperature": 0.7, "n_candidates": 8},
}


def token_f1(text: str, other: str) -> float:
    a, b = (Counter(map(str.lower, split_words(t))) for t in (text, other))
    shared = (a & b).total()
    return 2 * shared / max(1, a.total() + b.total())


def label_kept(
    vectors: np.ndarray,
    labels: np.ndarray,
    sources: np.ndarray,
    real: np.ndarray,
    real_labels: np.ndarray,
) -> float:
    near = vectors @ real.T
    np.put_along_axis(near, sources, -1, axis=1)  # what a text was made from does not vote
    best = np.argsort(-near, axis=1)[:, :5]
    kept = 0
    for row, ids in enumerate(best):
        votes: Counter[Any] = Counter()
        for i in ids:
            votes[real_labels[i]] += max(0.0, float(near[row, i]))
        kept += votes.most_common(1)[0][0] == labels[row]
    return kept / len(vectors)


def rows_of(frame: pd.DataFrame, name: str, n: int, random_state: int) -> list[dict[str, Any]]:
    if "split" in frame:
        frame = frame[frame["split"] == "test"]
    frame = frame.sample(min(n, len(frame)), random_state=random_state)
    texts, labels = frame["text"].tolist(), frame["label"].to_numpy()
    decoder = XRAGDecoder()
    real = decoder.encoder.encode(texts)
    itself = np.arange(len(real))[:, None]
    originals = label_kept(real, labels, itself, real, labels)
    counts = {label: count for label, count in Counter(labels).items() if count > 1}
    interpolator = SMOTEInterpolator(random_state=random_state)
    blends = interpolator.plan(real, labels, counts)
    halves = real[blends.parents].mean(axis=1)
    halves /= np.linalg.norm(halves, axis=1, keepdims=True)
    points_of = (
        ("vector", real, labels, itself),
        ("blend", halves, blends.label, blends.parents),
    )
    found = []
    for search, settings in SEARCHES.items():
        made = XRAGDecoder(encoder=decoder.encoder, random_state=random_state, **settings)
        made._loaded = decoder._parts()
        for what, points, wanted, sources in points_of:
            started = time.perf_counter()
            decoded = list(made.decode_rows(points))
            seconds = (time.perf_counter() - started) / len(points)
            cosines = np.array([d.cosine for d in decoded])
            vectors = np.stack([d.vector for d in decoded])
            row = {
                "set": name,
                "of": what,
                "search": search,
                "n": len(points),
                "cosine": cosines.mean(),
                "se": cosines.std(ddof=1) / len(cosines) ** 0.5,
                "label_kept": label_kept(vectors, wanted, sources, real, labels),
                "originals": originals,
                "ended": np.mean([d.ended for d in decoded]),
                "seconds": seconds,
            }
            if what == "vector":
                pairs = zip(decoded, texts, strict=True)
                row["token_f1"] = np.mean([token_f1(d.text, t) for d, t in pairs])
            found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--n", type=int, default=200, help="texts of each set")
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("inversion.json"))
    given = parser.parse_args()
    rows = []
    for path in given.sets:
        name = path.name.partition(".")[0]
        rows += rows_of(pd.read_csv(path), name, given.n, given.random_state)
    table = pd.DataFrame(rows)
    means = table.groupby(["of", "search"], sort=False).mean(numeric_only=True).reset_index()
    table = pd.concat([table, means.assign(set="mean")], ignore_index=True)
    print(table.round(3).to_string(index=False))
    result = {"machine": described(), "rows": json.loads(table.to_json(orient="records"))}
    given.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
