"""How long a plan over very many rows takes, and how many true neighbours it finds.

    python -m benchmarks.neighbours --rows 1000000 --out neighbours.json

The rows are vectors of 384 numbers in clusters of unequal size (a mixture of 2,000 Gaussians with
64 directions of spread, then unit length): nearer to sentence vectors than noise, in which there
are no neighbours to find. They lie in a memory-mapped file. One class, k = 5. Recall is measured
against an exact search. Memory "beside the map" is what is not a page of a file (Linux).
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Self

import numpy as np

from benchmarks.machine import described
from smotext_lab import machine
from smotext_lab.interpolators import IVFNeighbors, SMOTEInterpolator


def write_vectors(path: Path, rows: int, dim: int = 384) -> None:
    """Write float32 unit vectors, shape (rows, dim), as a npy file."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2000, dim)).astype(np.float32)
    share = rng.dirichlet(np.ones(2000))
    found = np.lib.format.open_memmap(path, "w+", np.float32, (rows, dim))
    for start in range(0, rows, 65_536):
        n = min(65_536, rows - start)
        which = rng.choice(2000, n, p=share)
        spread = rng.normal(size=(n, 64)).astype(np.float32) @ centres[:64] * 0.09
        part = centres[which] + spread + rng.normal(size=(n, dim)).astype(np.float32) * 0.3
        found[start : start + n] = part / np.linalg.norm(part, axis=1, keepdims=True)


class OwnMemory:
    """The most memory that was held beside mapped files, in bytes, while it was watched."""

    peak = 0

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            status = Path("/proc/self/status").read_text(encoding="ascii")
            own = status.partition("RssAnon:")[2].split(maxsplit=1)[0]
            self.peak = max(self.peak, int(own) * 1024)


def measured(rows: np.ndarray, n: int) -> dict[str, float]:
    """Return times, recall and memory of a search alone and of a plan."""
    with OwnMemory() as search_memory:
        started = time.perf_counter()
        search = IVFNeighbors(n_neighbors=6).fit(rows)
        built = time.perf_counter() - started
        search.kneighbors(rows, return_distance=False)
        searched = time.perf_counter() - started - built
    recall = search.recall_
    del search
    with OwnMemory() as plan_memory, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        started = time.perf_counter()
        SMOTEInterpolator(5, random_state=0).plan(rows, np.zeros(len(rows), int), {0: n})
        planned = time.perf_counter() - started
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    return {
        "index built, s": built,
        "searched, s (recall measured too)": searched,
        "recall@6 (itself is one)": recall,
        "recall@5 without itself": (6 * recall - 1) / 5,
        "search, peak memory beside the map, GB": search_memory.peak / 1e9,
        "plan as a whole, s": planned,
        "plan, peak memory beside the map, GB": plan_memory.peak / 1e9,
        "peak memory with the map, GB": most / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--n", type=int, default=1_000_000, help="new rows that are planned")
    parser.add_argument("--out", type=Path, default=Path("neighbours.json"))
    given = parser.parse_args()
    machine.limit_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        write_vectors(path, given.rows)
        figures = measured(np.load(path, mmap_mode="r"), given.n)
    for name, value in figures.items():
        print(f"{name}: {value:.3f}")
    found = {"machine": described(), "rows": given.rows, **figures}
    given.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
