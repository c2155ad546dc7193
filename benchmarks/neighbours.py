"""How long a plan over very many rows takes, and how many true neighbours it finds.

    python -m benchmarks.neighbours --rows 1000000 --out neighbours.json

The rows are vectors of 384 numbers in clusters of unequal size (a mixture of 2,000 Gaussians with
64 directions of spread, then unit length): nearer to sentence vectors than noise, in which there
are no neighbours to find. One class, k = 5. Recall is measured against an exact search.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import warnings
from pathlib import Path

import numpy as np

from benchmarks.machine import described
from smotext_lab import machine
from smotext_lab.interpolators import IVFNeighbors, SMOTEInterpolator


def vectors(rows: int, dim: int = 384) -> np.ndarray:
    """Return float32 unit vectors, shape (rows, dim)."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2000, dim)).astype(np.float32)
    share = rng.dirichlet(np.ones(2000))
    found = np.empty((rows, dim), np.float32)
    for start in range(0, rows, 65_536):
        n = min(65_536, rows - start)
        which = rng.choice(2000, n, p=share)
        spread = rng.normal(size=(n, 64)).astype(np.float32) @ centres[:64] * 0.09
        part = centres[which] + spread + rng.normal(size=(n, dim)).astype(np.float32) * 0.3
        found[start : start + n] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--n", type=int, default=1_000_000, help="new rows that are planned")
    parser.add_argument("--out", type=Path, default=Path("neighbours.json"))
    given = parser.parse_args()
    machine.limit_threads()
    rows = vectors(given.rows)
    started = time.perf_counter()
    search = IVFNeighbors(n_neighbors=6).fit(rows)
    built = time.perf_counter() - started
    search.kneighbors(rows, return_distance=False)
    searched = time.perf_counter() - started - built
    found = {
        "machine": described(),
        "rows": given.rows,
        "index built, s": built,
        "searched, s (recall measured too)": searched,
        "recall@6 (itself is one)": search.recall_,
        "recall@5 without itself": (6 * search.recall_ - 1) / 5,
    }
    del search
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        SMOTEInterpolator(5, random_state=0).plan(rows, np.zeros(len(rows), int), {0: given.n})
    found["plan as a whole, s"] = time.perf_counter() - started
    found["peak memory, GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    for name, value in found.items():
        print(f"{name}: {value if isinstance(value, dict) else round(value, 3)}")
    given.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
