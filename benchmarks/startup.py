"""How long a new process needs: to import, to load the extension, to write its first text.

    python -m benchmarks.startup --runs 5 --out startup.json

Each step is timed in a process of its own, with the models in the cache; the median of the runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.machine import described

STEPS = {
    "import smotext_lab": "import smotext_lab",
    "%load_ext smotext_lab": (
        "from IPython.testing.globalipapp import start_ipython; shell = start_ipython();"
        "started = time.perf_counter(); shell.run_line_magic('load_ext', 'smotext_lab')"
    ),
    "first text": (
        "from smotext_lab import XRAGDecoder;"
        "decoder = XRAGDecoder(n_candidates=1, random_state=0);"
        "decoder.decode(decoder.encoder.encode(['The battery dies after an hour.']))"
    ),
    "bridge": "from smotext_lab.bridges import load_bridge; load_bridge()",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("startup.json"))
    given = parser.parse_args()
    found: dict[str, object] = {"machine": described(), "runs": given.runs}
    for name, step in STEPS.items():
        seconds = []
        for _ in range(given.runs + 1):  # the first one warms the disk's cache
            code = f"import time; started = time.perf_counter(); {step};"
            code += "print('took', time.perf_counter() - started)"
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            )
            seconds.append(float(done.stdout.rsplit("took", 1)[1]))
        found[name] = {"median, s": float(np.median(seconds[1:])), "most, s": max(seconds[1:])}
        print(f"{name}: {np.median(seconds[1:]):.2f} s")
    given.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
