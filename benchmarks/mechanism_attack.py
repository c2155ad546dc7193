"""Attack the mechanisms themselves: do they release what their ε allows, and no more?

    python -m benchmarks.mechanism_attack --draws 100000 --out mechanism_attack.json

For each setting two neighbouring collections are built for the worst case (one text more, as long
as clipping allows; one user more, with several; or one text put in another's place, of another
class or opposite), the figures that the mechanism releases in all its rounds or epochs are drawn
many times for each, and the best test there is (the projection on the line between the two) is
turned into a lower bound for ε, at 95% confidence, with `privacy.bounds.epsilon_at_least`. The
mechanism as it is must not exceed its ε more often than in 1 of 20 settings (binomial test); the
same with noise halved, clipping left out, counts without noise, a user taken for one text, or
rounds that are not added up must exceed it, for which half of the draws is enough.

Vectors and gradients are made up: encoder and language model are left out. A call draws many
independent copies of the collections at once, each with classes of its own; votes and moments,
which are summed text by text, are summed once, and get their noise many times.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from benchmarks.machine import described
from smotext_lab.privacy import Anchors, DPAnchors, DPGaussian, DPProjector, PrivateEvolution
from smotext_lab.privacy.bounds import epsilon_at_least
from smotext_lab.privacy.dp_projector import noisy_sum
from smotext_lab.privacy.guarantee import Neighbouring
from smotext_lab.privacy.habits import N_HABITS, marks
from smotext_lab.privacy.moments import summed
from smotext_lab.privacy.noise import add_noise
from smotext_lab.privacy.release import release
from smotext_lab.privacy.votes import votes_cast

ANCHORS = Anchors(np.eye(3)[:2], np.eye(3))
CASES: dict[str, Neighbouring] = {
    "one more": "add_or_remove",
    "one more user": "add_or_remove",
    "another class": "replace",
    "opposite": "replace",
}
LEFT_OUT = {("PrivateEvolution", "opposite"), ("DPProjector", "another class")}  # change nothing
BROKEN = (
    "noise halved",
    "clipping left out",
    "counts without noise",
    "a user taken for one text",
    "rounds not added up",
)
_TEXTS = 3  # of a user
_TURNS = 3  # rounds of PrivateEvolution, epochs of DPProjector
_COPIES = 500

Row = tuple[np.ndarray, str]


@dataclass(frozen=True)
class Setting:
    mechanism: str
    epsilon: float
    delta: float
    case: str

    @property
    def neighbouring(self) -> Neighbouring:
        return CASES[self.case]

    def sigma(self, broken: str | None = None) -> float:
        """Return the noise that the mechanism itself takes for this, where vectors are clipped."""
        as_one = broken == "a user taken for one text" or self.case != "one more user"
        users = 1 if as_one else _TEXTS
        turns = 1 if broken == "rounds not added up" else _TURNS
        stated = (self.epsilon, self.delta)
        told = {"neighbouring": self.neighbouring, "texts_per_user": users}
        if self.mechanism == "PrivateEvolution":
            found = PrivateEvolution(*stated, n_rounds=turns, **told).sigma
        elif self.mechanism == "DPProjector":
            found = DPProjector(*stated, epochs=turns, clip=1.0, **told).sigma
        else:
            kind = DPGaussian if self.mechanism == "DPGaussian" else DPAnchors
            found = kind(*stated, clip=1.0, **told).sigma
        return found / 2 if broken == "noise halved" else found


def settings() -> list[Setting]:
    return [
        Setting(mechanism, epsilon, delta, case)
        for mechanism in ("DPAnchors", "DPGaussian", "PrivateEvolution", "DPProjector")
        for case in CASES
        if (mechanism, case) not in LEFT_OUT
        for epsilon, delta in ((0.5, 1e-3), (1.0, 1e-2), (2.0, 1e-3), (4.0, 1e-2))
    ]


def applies(setting: Setting, broken: str) -> bool:
    """Return whether that can be done wrong there."""
    if broken == "clipping left out":
        return setting.mechanism != "PrivateEvolution"  # votes are not clipped
    if broken == "counts without noise":  # which do not differ where a text only turns round
        return setting.mechanism != "DPProjector" and setting.case != "opposite"
    if broken == "rounds not added up":
        return setting.mechanism not in ("DPAnchors", "DPGaussian")  # which have one
    return broken == "noise halved" or setting.case == "one more user"


def collections(case: str) -> tuple[list[Row], list[Row]]:
    """Return two neighbouring collections of (vector, class); 50 times longer than is clipped."""
    usual = [(np.array([0.6, 0.0, 0.8]), "a"), (np.array([0.0, 1.0, 0.0]), "b")]
    far = 50 * np.array([1.0, 0.0, 0.0])
    if case == "one more":
        return usual, [*usual, (far, "a")]
    if case == "one more user":
        return usual, [*usual, *[(far, "a")] * _TEXTS]
    if case == "another class":
        return [*usual, (far, "a")], [*usual, (far, "b")]
    across = 50 * np.array([0.0, 0.0, 1.0])  # the same anchor, the other way
    return [*usual, (across, "a")], [*usual, (-across, "a")]


def figures(rows: list[Row], setting: Setting, copies: int, broken: str | None) -> np.ndarray:
    """Return what is released of `copies` independent copies of a collection, (copies, m)."""
    sigma = setting.sigma(broken)
    clip = 50.0 if broken == "clipping left out" else 1.0
    if setting.mechanism == "DPProjector":
        blocks = [np.tile(vector, (copies, 1)) for vector, _ in rows]
        sums = [noisy_sum(blocks, (copies, 3), clip=clip, sigma=sigma) for _ in range(_TURNS)]
        return np.hstack(sums)
    of_counts = 0.0 if broken == "counts without noise" else sigma
    if setting.mechanism == "PrivateEvolution":
        return votes(rows, copies, of_counts)
    if setting.mechanism == "DPGaussian":
        return moments(rows, copies, clip, sigma, of_counts)
    vectors = np.tile(np.stack([vector for vector, _ in rows]), (copies, 1))
    labels = [f"{copy}{label}" for copy in range(copies) for _, label in rows]
    classes = [f"{copy}{label}" for copy in range(copies) for label in "ab"]
    made = release(vectors, labels, classes, ANCHORS, clip=clip, sigma=sigma)
    counts = made.counts
    if broken is not None:  # what is not broken stays as it is, whatever the other's unit
        counts = release(vectors, labels, classes, ANCHORS, clip=1.0, sigma=of_counts).counts
    return np.hstack([counts.reshape(copies, -1), made.sums.reshape(copies, -1)])


def votes(rows: list[Row], copies: int, sigma: float) -> np.ndarray:
    """Return the votes of all rounds, (copies, m)."""
    vectors, labels = np.stack([vector for vector, _ in rows]), [label for _, label in rows]
    places = np.tile(ANCHORS.vectors, (2, 1))
    cast, step = votes_cast(vectors, labels, places, ["a", "a", "b", "b"], sigma=sigma)
    return add_noise(np.tile(cast, (copies, _TURNS)), step, sigma)


def moments(
    rows: list[Row], copies: int, clip: float, sigma: float, of_counts: float
) -> np.ndarray:
    """Return counts, sums and second moments with noise of one size, (copies, m)."""
    vectors, labels = np.stack([vector for vector, _ in rows]), [label for _, label in rows]
    turned = vectors[:, 2] < 0  # what is put in the place of another is written otherwise, too
    marked = marks(np.where(turned, "Who?", "rain").tolist(), np.where(turned, 2, 40))
    made = summed(vectors, labels, marked, ["a", "b"], ANCHORS, clip=clip, sigma=sigma)
    first = [0, *range(made.sums.shape[1] - N_HABITS, made.sums.shape[1])]
    counts = np.tile(made.sums[:, first].ravel(), (copies, 1))
    sums = np.tile(np.delete(made.sums, first, axis=1).ravel(), (copies, 1))
    return np.hstack(
        [
            add_noise(counts, made.step, of_counts),
            add_noise(sums, made.step, sigma),
            add_noise(np.tile(made.moment, (copies, 1)), made.fine, sigma),
        ]
    )


def attacked(setting: Setting, draws: int, broken: str | None = None) -> float:
    """Return the 95% lower bound for ε that the best test shows."""
    pair = collections(setting.case)
    # without the clipping the difference is that of the texts themselves
    line = np.subtract(*(exact(rows, setting, broken) for rows in reversed(pair)))
    counts = {"DPAnchors": 4, "DPGaussian": 2 * (1 + N_HABITS)}.get(setting.mechanism, len(line))
    if broken == "counts without noise" and line[:counts].any():
        line[counts:] = 0
    scores = []
    for rows in pair:
        parts = [_COPIES] * (draws // _COPIES)
        drawn = [figures(rows, setting, n, broken) @ line for n in parts]
        scores.append(np.concatenate(drawn))
    others, members = scores
    return epsilon_at_least(members, others, delta=setting.delta, random_state=None)


def exact(rows: list[Row], setting: Setting, broken: str | None) -> np.ndarray:
    free = Setting(setting.mechanism, 1e3, 0.5, setting.case)
    return np.mean([figures(rows, free, 20, broken)], axis=1)[0]


def measured(draws: int) -> Iterator[dict[str, float | str]]:
    for setting in settings():
        row: dict[str, float | str] = vars(setting) | {"neighbouring": setting.neighbouring}
        row["epsilon at least"] = attacked(setting, draws)
        for broken in BROKEN:
            if applies(setting, broken):
                row[broken] = attacked(setting, draws // 2, broken)
        yield row


def summed_up(rows: list[dict[str, float | str]]) -> dict[str, object]:
    over = sum(row["epsilon at least"] > row["epsilon"] for row in rows)
    return {
        "exceeded": over,
        "of": len(rows),
        "p_value of more than 5%": binomtest(over, len(rows), 0.05, alternative="greater").pvalue,
        "broken variants": sum(b in row for row in rows for b in BROKEN),
        "broken variants that exceed": sum(
            row[b] > row["epsilon"] for row in rows for b in BROKEN if b in row
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=100_000, help="of each collection")
    parser.add_argument("--out", type=Path, default=Path("mechanism_attack.json"))
    given = parser.parse_args()
    if given.draws < 2 * _COPIES or given.draws % (2 * _COPIES):
        parser.exit(2, f"--draws must be a multiple of {2 * _COPIES}\n")
    started = time.perf_counter()
    rows = []
    for row in measured(given.draws):
        print(json.dumps(row), flush=True)
        rows.append(row)
        told = {"machine": described(), "draws": given.draws, **summed_up(rows), "settings": rows}
        told["seconds"] = round(time.perf_counter() - started)
        given.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(summed_up(rows))


if __name__ == "__main__":
    main()
