"""The paper's claims: what is aimed at, and the page that says what came out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.limits import table

RATIO = 50  # of the imbalance
K = 10  # real texts of a class, where a claim does not say how many
FEW = "few-shot"
NO_WORSE = "few-shot, no worse"
OWN = "own imbalance"
DISTILLED = "distillation"
DISTILLED_MOST = "distillation, over other ways"
DISTILLED_REAL = "distillation, no worse than real texts"


def at(k: int, claim: str) -> str:
    """Return what a claim is called that is measured from `k` real texts of each class."""
    return claim if k == K else f"{claim}, k = {k}"


def imbalance(ratio: int) -> str:
    """Return what the claim at a ratio is called."""
    return f"imbalance, 1:{ratio}"


def unwritten(claim: str) -> str:
    """Return what a claim is called that leaves out the ways that a language model writes for."""
    return f"{claim}, over what decodes nothing"


@dataclass(frozen=True)
class Claim:
    """One claim on one set by one classifier."""

    claim: str
    dataset: str
    classifier: str
    value: float | None  # None where there is nothing to tell
    low: float | None
    high: float | None
    holds: bool
    told: str


@dataclass(frozen=True)
class Goal:
    """On how many of the sets a claim should hold, by which classifier."""

    claim: str
    classifier: str
    wanted: int
    what: str
    sets: int = 5
    weaker: str = ""  # a claim against fewer controls: where that fails, this does


_ABOVE = "above every control, intervals clear of 0"
_UNWRITTEN = "above every control that no language model writes for, clear of 0"
_BY_WORDS = "the same, by words"
GOALS = (
    Goal("retention, k = 50", "embedding-logreg", 4, "≥ 97%, under 1% of texts near a real one"),
    Goal("retention, k = 10", "embedding-logreg", 4, "≥ 92%, under 1% of texts near a real one"),
    Goal("retention, k = 50", "tfidf-logreg", 4, _BY_WORDS),
    Goal("retention, k = 10", "tfidf-logreg", 4, _BY_WORDS),
    Goal(FEW, "finetuned-bert", 3, f"{_ABOVE}, by this one or tfidf-logreg"),
    Goal(FEW, "tfidf-logreg", 3, f"{_ABOVE}, by this one or finetuned-bert"),
    Goal(NO_WORSE, "tfidf-logreg", 5, "not below duplication by more than the interval"),
    Goal(imbalance(RATIO), "embedding-logreg", 3, _ABOVE, 5, unwritten(imbalance(RATIO))),
    Goal(unwritten(imbalance(RATIO)), "embedding-logreg", 3, _UNWRITTEN),
    Goal(imbalance(RATIO), "tfidf-logreg", 3, _BY_WORDS, 5, unwritten(imbalance(RATIO))),
    Goal(unwritten(imbalance(RATIO)), "tfidf-logreg", 3, _BY_WORDS),
    # three of the five sets have classes half as large as others, or smaller
    Goal(OWN, "embedding-logreg", 1, f"as the data have it: {_ABOVE}", 3, unwritten(OWN)),
    Goal(unwritten(OWN), "embedding-logreg", 1, f"the same, {_UNWRITTEN}", 3),
    Goal(OWN, "tfidf-logreg", 1, _BY_WORDS, 3, unwritten(OWN)),
    Goal(unwritten(OWN), "tfidf-logreg", 1, _BY_WORDS, 3),
    Goal("robustness", "tfidf-logreg", 4, "smaller relative loss under noise"),
    Goal(
        DISTILLED, "tfidf-logreg", 3, "above the few real texts, by their labels or the teacher's"
    ),
    Goal(unwritten(DISTILLED), "tfidf-logreg", 3, _UNWRITTEN),
    Goal(DISTILLED_MOST, "tfidf-logreg", 3, _ABOVE, 5, unwritten(DISTILLED)),
    Goal(DISTILLED_REAL, "tfidf-logreg", 3, "not below as many real texts that the teacher labels"),
)
"""Distillation has no goal in the paper or its summaries; what is asked of it is asked here."""

_INTRODUCED = """# The paper's claims, and what was measured

Every claim on every set, held against its goal, also where the answer is no. *Retention* is the
macro-F1 above guessing of a classifier that saw new texts alone, as a share of that of one that saw
the real ones; *robustness* is how much less of the accuracy noise takes; all other figures are
differences of macro-F1, to the best of what is compared with. In brackets: 95%, by a bootstrap
over resamples and test texts. A verdict counts the sets; where several runs measured the same, with
another number of new texts or other settings too, the one named last counts. One control that is
not beaten settles a set, whatever others were run there. *Not measured* is also said where some
sets are missing that could still decide. How it is measured, and what the controls are:
`docs/evidence.md`.
"""

_LIMITS = """Means over the resamples, of as many new texts for each real one as the run asked for.
*Of their class*: the share to which a teacher who learnt from the whole training part gives the
class that they were made for, and of real test texts how often it is right; what lies below that
is drift of the label. (It learnt from the other real texts, and from what copies repeat.) *Kept*:
retention, where nothing but these was trained on. *Compression*: of all together; more is more
alike.
"""


@dataclass(frozen=True)
class Run:
    """What one command measured: the content of its JSON file, and where that is."""

    path: Path
    told: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Run:
        return cls(path, json.loads(path.read_text()))

    @property
    def claims(self) -> list[Claim]:
        return [Claim(**claim) for claim in self.told["claims"]]


def page(runs: Sequence[Run], folder: Path) -> str:
    """Return the page of some runs, as it is to stand in `folder`."""
    found = [(claim, run) for run in runs for claim in run.claims]
    lines = [_INTRODUCED, *_verdicts([claim for claim, _ in found])]
    lines += ["", "## Figures", "", "| claim | set | classifier | figure | holds | | run |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for claim, run in sorted(found, key=_place):
        ends = "" if claim.low is None else f" [{claim.low:.3f}, {claim.high:.3f}]"
        figure = "–" if claim.value is None else f"{claim.value:.3f}{ends}"
        lines.append(
            f"| {claim.claim} | {claim.dataset} | {claim.classifier} | {figure} | "
            f"{'yes' if claim.holds else 'no'} | {claim.told} | {run.path.stem} |"
        )
    for run in (run for run in runs if run.told.get("texts")):
        lines += ["", f"## What the texts are like: {run.path.stem}", "", _LIMITS]
        lines += table(run.told["texts"])
    lines += ["", "## Runs", "", *(_told(run, folder) for run in runs)]
    return "\n".join(lines) + "\n"


def _place(found: tuple[Claim, Run]) -> tuple[str, ...]:
    claim, _ = found
    return claim.claim, claim.classifier, claim.dataset


def _verdicts(claims: Sequence[Claim]) -> list[str]:
    lines = ["| claim | classifier | goal | holds on | verdict |", "|---|---|---|---|---|"]
    for goal in GOALS:
        held = _held(goal, claims)
        yes, missing = sum(held.values()), max(0, goal.sets - len(held))
        if yes >= goal.wanted:
            verdict = "met"
        else:
            verdict = "not measured" if yes + missing >= goal.wanted else "missed"
        lines.append(
            f"| {goal.claim} | {goal.classifier} | {goal.what} | {yes} of {len(held)} measured, "
            f"{goal.wanted} of {goal.sets} wanted | {verdict} |"
        )
    return lines


def _held(goal: Goal, claims: Sequence[Claim]) -> dict[str, bool]:
    """Return on which sets it holds; what fails against fewer controls fails against all."""
    told = [claim for claim in claims if claim.classifier == goal.classifier]
    failed = {c.dataset: False for c in told if c.claim == goal.weaker and not c.holds}
    return failed | {c.dataset: c.holds for c in told if c.claim == goal.claim}


def _told(run: Run, folder: Path) -> str:
    plan, machine = run.told["plan"], run.told["machine"]
    wordnet = (run.told["wordnet"] or "none") if "wordnet" in run.told else "not recorded"
    link = Path(os.path.relpath(run.path, folder)).as_posix()
    told = [
        f"{plan['resamples']} resamples",
        f"at most {plan['max_classes']} classes of a set",
        f"k = {', '.join(map(str, plan['ks']))}",
        f"new texts for each real one: {plan['times']}",
        f"at most {plan['most']} texts of a class in the imbalance",
        f"{plan['texts']} texts planned, {plan['hours']:.1f} h",
        *(f"{name}: {_listed(value)}" for name, value in run.told.get("asked", {}).items()),
        f"synonyms of EDA from: {wordnet}",
        f"{machine['cores']} cores of {machine['cpu']}",
    ]
    return f"- [{run.path.stem}]({link}): {'; '.join(told)}."


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
