"""Is a privacy budget ever overspent, whatever is called and whenever it is killed?

    python -m benchmarks.budget --sequences 1000

Each sequence has a budget file of its own and two processes that spend random amounts from it as
fast as they can, each release being noted only after `spend` returned; both are killed (SIGKILL)
after a random time of up to 100 ms, and two more go on, until there were two rounds and an amount
was refused: each sequence meets its limit. Counted are the sequences in which what was noted as
released costs more than the budget, or is not in its file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from smotext_lab.errors import BudgetError
from smotext_lab.privacy import Guarantee, PrivacyBudget
from smotext_lab.privacy.accounting import composed, delta_of, mu_of

DELTA = 1e-5
REFUSED = b"refused\n"
MOST_ROUNDS = 50


def spender(path: Path, log: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    budget = PrivacyBudget(path)
    with log.open("ab", buffering=0) as released:
        while True:
            mu = mu_of(float(rng.uniform(0.05, 1.0)), DELTA)
            try:
                name = budget.spend(Guarantee(1.0, DELTA, mu=mu), "draw")
            except BudgetError:
                released.write(REFUSED)
                continue
            released.write(f"{name} {mu!r}\n".encode())


def sequence(folder: Path, rng: np.random.Generator) -> dict[str, int]:
    """Return whether a budget was overspent and its limit met, and how often what was done."""
    path, log = folder / "b.json", folder / "log"
    epsilon = float(rng.uniform(0.2, 1.5))
    PrivacyBudget(path, epsilon, DELTA)
    kills = refused = 0
    while kills < 4 or (not refused and kills < 2 * MOST_ROUNDS):
        two = [
            multiprocessing.Process(target=spender, args=(path, log, int(rng.integers(2**31))))
            for _ in range(2)
        ]
        for process in two:
            process.start()
        time.sleep(float(rng.uniform(0.001, 0.1)))
        for process in two:
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            kills += 1
        lines = log.read_text().splitlines() if log.exists() else []
        refused = lines.count(REFUSED.decode().strip())
    released = dict(line.split() for line in lines if len(line.split()) == 2)
    recorded = {entry["name"] for entry in PrivacyBudget(path).entries}
    total = composed(*(float(mu) for mu in released.values()))
    over = delta_of(epsilon, total) > DELTA or not set(released) <= recorded
    return {
        "overspent": int(over),
        "spent": len(recorded),
        "refused": refused,
        "sequences that met the limit": int(refused > 0),
        "kills": kills,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("budget.json"))
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    mu_of(1.0, DELTA)  # loads scipy before the processes are forked
    counted: Counter[str] = Counter()
    for _ in range(given.sequences):
        with tempfile.TemporaryDirectory() as folder:
            counted.update(sequence(Path(folder), rng))
    result = {"sequences": given.sequences, **counted}
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(result)


if __name__ == "__main__":
    main()
