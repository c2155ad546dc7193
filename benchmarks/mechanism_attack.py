"""Attack the mechanisms themselves: do they release what their ε allows, and no more?

    python -m benchmarks.mechanism_attack --draws 100000 --out mechanism_attack.json

For each setting two neighbouring collections are built for the worst case (one text more, as long
as clipping allows; or one text put in another's place, of another class or opposite), the figures
that the mechanism releases are drawn many times for each, and the best test there is (the
projection on the line between the two) is turned into a lower bound for ε, at 95% confidence, with
`privacy.bounds.epsilon_at_least`. The mechanism as it is must not exceed its ε more often than in
1 of 20 settings (binomial test); the same with noise halved, clipping left out, or counts without
noise must exceed it.

A call draws many independent copies of the collections at once, each with classes of its own.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from benchmarks.machine import described
from smotext_lab.privacy import Anchors
from smotext_lab.privacy.accounting import mu_of
from smotext_lab.privacy.bounds import epsilon_at_least
from smotext_lab.privacy.release import release, sensitivity
from smotext_lab.privacy.votes import noisy_votes, votes_sensitivity

ANCHORS = Anchors(np.eye(3)[:2], np.eye(3))
BROKEN = ("noise halved", "clipping left out", "counts without noise")
_COPIES = 500


@dataclass(frozen=True)
class Setting:
    mechanism: str
    epsilon: float
    delta: float
    neighbouring: str
    case: str


def settings() -> list[Setting]:
    cases = {
        "add_or_remove": ["one more"],
        "replace": ["another class", "opposite"],
    }
    return [
        Setting(mechanism, epsilon, delta, relation, case)
        for mechanism in ("DPAnchors", "votes")
        for epsilon in (0.5, 1.0, 2.0, 4.0)
        for delta in (1e-2, 1e-3)
        for relation, listed in cases.items()
        for case in listed
        if (mechanism, case) != ("votes", "opposite")
    ]


def collections(case: str) -> tuple[list[tuple[np.ndarray, str]], list[tuple[np.ndarray, str]]]:
    """Return two neighbouring collections of (vector, class); 50 times longer than is clipped."""
    usual = [(np.array([0.6, 0.0, 0.8]), "a"), (np.array([0.0, 1.0, 0.0]), "b")]
    far = 50 * np.array([1.0, 0.0, 0.0])
    if case == "one more":
        return usual, [*usual, (far, "a")]
    if case == "another class":
        return [*usual, (far, "a")], [*usual, (far, "b")]
    across = 50 * np.array([0.0, 0.0, 1.0])  # the same anchor, the other way
    return [*usual, (across, "a")], [*usual, (-across, "a")]


def figures(
    rows: list[tuple[np.ndarray, str]], setting: Setting, copies: int, broken: str | None
) -> np.ndarray:
    """Return what is released of `copies` independent copies of a collection, (copies, m)."""
    vectors = np.tile(np.stack([vector for vector, _ in rows]), (copies, 1))
    labels = [f"{copy}{label}" for copy in range(copies) for _, label in rows]
    classes = [f"{copy}{label}" for copy in range(copies) for label in "ab"]
    mu = mu_of(setting.epsilon, setting.delta) * (2 if broken == "noise halved" else 1)
    if setting.mechanism == "votes":
        sigma = votes_sensitivity(setting.neighbouring) / mu
        places = np.tile(ANCHORS.vectors, (len(classes), 1))
        voted = np.repeat(classes, 2).tolist()
        votes = noisy_votes(vectors, labels, places, voted, sigma=sigma)
        if broken == "counts without noise":
            votes = noisy_votes(vectors, labels, places, voted, sigma=0.0)
        return votes.reshape(copies, -1)
    sigma = sensitivity(1.0, setting.neighbouring) / mu
    clip = 50.0 if broken == "clipping left out" else 1.0
    made = release(vectors, labels, classes, ANCHORS, clip=clip, sigma=sigma)
    counts = made.counts
    if broken == "counts without noise":
        counts = release(vectors, labels, classes, ANCHORS, clip=clip, sigma=0.0).counts
    return np.hstack([counts.reshape(copies, -1), made.sums.reshape(copies, -1)])


def attacked(setting: Setting, draws: int, broken: str | None = None) -> float:
    """Return the 95% lower bound for ε that the best test shows."""
    pair = collections(setting.case)
    # without the clipping the difference is that of the texts themselves
    line = np.subtract(*(exact(rows, setting, broken) for rows in reversed(pair)))
    if broken == "counts without noise" and setting.mechanism == "DPAnchors" and line[:4].any():
        line[4:] = 0
    scores = []
    for rows in pair:
        parts = [_COPIES] * (draws // _COPIES)
        drawn = [figures(rows, setting, n, broken) @ line for n in parts]
        scores.append(np.concatenate(drawn))
    others, members = scores
    return epsilon_at_least(members, others, delta=setting.delta, random_state=None)


def exact(rows: list[tuple[np.ndarray, str]], setting: Setting, broken: str | None) -> np.ndarray:
    free = Setting(setting.mechanism, 1e3, 0.5, setting.neighbouring, setting.case)
    return np.mean([figures(rows, free, 20, broken)], axis=1)[0]


def table(draws: int) -> dict[str, object]:
    rows = []
    for setting in settings():
        row: dict[str, object] = dict(vars(setting))
        row["epsilon at least"] = attacked(setting, draws)
        for broken in BROKEN:
            if applies(setting, broken):
                row[broken] = attacked(setting, draws, broken)
        rows.append(row)
        print(json.dumps(row), flush=True)
    over = sum(row["epsilon at least"] > row["epsilon"] for row in rows)
    return {
        "settings": rows,
        "exceeded": over,
        "of": len(rows),
        "p_value of more than 5%": binomtest(over, len(rows), 0.05, alternative="greater").pvalue,
        "broken variants": sum(b in row for row in rows for b in BROKEN),
        "broken variants that exceed": sum(
            row[b] > row["epsilon"] for row in rows for b in BROKEN if b in row
        ),
    }


def applies(setting: Setting, broken: str) -> bool:
    """Counts do not differ where a text only turns round; votes are not clipped."""
    if broken == "clipping left out":
        return setting.mechanism == "DPAnchors"
    return broken == "noise halved" or setting.case != "opposite"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=100_000, help="of each collection")
    parser.add_argument("--out", type=Path, default=Path("mechanism_attack.json"))
    given = parser.parse_args()
    started = time.perf_counter()
    found = {"machine": described(), "draws": given.draws, **table(given.draws)}
    found["seconds"] = round(time.perf_counter() - started)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print({key: value for key, value in found.items() if key not in ("settings", "machine")})


if __name__ == "__main__":
    main()
