"""The paper's claims, each measured on labelled sets: one page with figure, interval and verdict.

    python -m benchmarks.paper SET.csv.gz … --hours 4 --store cells --out benchmarks/results

The cost is planned first, from the time that some texts take here: resamples, classes and texts
are cut until the plan fits the hours. The protocols share their pools of texts, cells are kept in
`--store`, and the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.machine import described
from smotext_lab import named_decoder
from smotext_lab.evaluation import protocols
from smotext_lab.evaluation.methods import Models
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.statistics import Effect
from smotext_lab.evaluation.study import Arm, Results, Setup
from smotext_lab.reports import evidence

WRITERS = ("smotext", "paraphrase")  # methods that decode; the others cost next to nothing
OTHERS = ("duplication", "smote on vectors", "eda", "aeda")
CLASSIFIERS = ("embedding-logreg", "tfidf-logreg")
PROTOCOLS = ("synthetic_only", "few_shot", "class_imbalance", "own_imbalance", "robustness")
RATIO = 50  # of the imbalance
NO_WORSE = "few-shot, no worse"
UNDECODED = "imbalance, over what decodes nothing"
OWN = "own imbalance"
OWN_UNDECODED = "own imbalance, over what decodes nothing"
OWN_CLASSES = 20  # drawn, where the data's own imbalance is measured
OWN_TEST_ROWS = 5000  # of all classes, before some are drawn
NOISY_K = 20  # real texts of each class under noise
LEAST = {10: 0.92, 50: 0.97}  # retention that is the goal, by real texts of each class


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes
    ----------
    resamples, max_classes : int
    ks : tuple of int
        Real texts of each class, for training on new texts alone.
    times : int
        New texts for each real one; training on new texts alone is measured at one each as well.
    most : int
        Texts of a class that is not rare, in the imbalance.
    texts : int
        To be written, refused ones aside.
    hours : float
        To write them.
    """

    resamples: int
    max_classes: int
    ks: tuple[int, ...]
    times: int
    most: int
    texts: int = 0
    hours: float = 0.0


PLANS = (
    Plan(10, 20, (10, 50), 4, 200),
    Plan(10, 6, (10, 50), 4, 100),
    Plan(10, 4, (10, 50), 4, 50),
    Plan(10, 4, (10,), 4, 50),
    Plan(10, 4, (10,), 1, 50),
    Plan(5, 4, (10,), 1, 50),
    Plan(3, 3, (10,), 1, 50),
    Plan(3, 2, (10,), 1, 25),
)
"""From the whole down to a look."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+", metavar="SET", type=Path)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=PROTOCOLS)
    parser.add_argument("--n-candidates", type=int, default=2)
    parser.add_argument("--test-rows", type=int, default=300)
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--store", type=Path, default=Path("cells"))
    parser.add_argument("--out", type=Path, default=Path())
    given = parser.parse_args()
    decoder = named_decoder(n_candidates=given.n_candidates, max_new_tokens=64)
    models = Models(decoder.encoder, decoder, k_neighbors=5)
    splits = [_split(path, 20, given.test_rows, given) for path in given.sets]
    own_asked = "own_imbalance" in given.protocols
    owns = [_own_split(path, given) if own_asked else None for path in given.sets]
    plan = _planned(splits, owns, given, _seconds_a_text(models, splits))
    print(
        f"{plan.resamples} resamples, at most {plan.max_classes} classes a set, k = {plan.ks}, "
        f"{plan.times} new for each real text: {plan.texts} texts, about {plan.hours:.2f} h to "
        f"write{'' if plan.hours <= given.hours else ', more than was given: there is no less'}"
    )
    claims: list[Claim] = []
    for path, own in zip(given.sets, owns, strict=True):
        split = _split(path, plan.max_classes, given.test_rows, given)
        setup = Setup(split, models, CLASSIFIERS, plan.resamples, given.store, given.random_state)
        claims += _measured(setup, plan, given.protocols)
        if own is not None:
            claims += _own_imbalance(replace(setup, split=own), plan.most)
        _write(given.out, plan, claims)
    print((given.out / "paper.md").read_text())


def _split(path: Path, max_classes: int | None, test_rows: int, given: argparse.Namespace) -> Split:
    return evidence.prepared(
        str(path),
        text=None,
        label=None,
        max_classes=max_classes,
        test_rows=test_rows,
        overlap="drop",
        random_state=given.random_state,
    )


def _own_split(path: Path, given: argparse.Namespace) -> Split | None:
    """Return the set with some of its classes, whatever their size; None where none is rare."""
    split = _split(path, None, OWN_TEST_ROWS, given)
    rng = np.random.default_rng(given.random_state)
    n = min(OWN_CLASSES, len(split.classes))
    split = split.only(rng.choice(split.classes, n, replace=False))
    _, sizes = np.unique(split.train_labels, return_counts=True)
    return None if sizes.min() > sizes.max() / 2 else split


def _seconds_a_text(models: Models, splits: list[Split]) -> float:
    texts = [text for split in splits for text in split.train_texts[:16]]
    vectors = models.encoder.encode(texts)
    models.decoder.decode(vectors[:2])  # the models are loaded
    start = time.perf_counter()
    models.decoder.decode(vectors)
    return 1.3 * (time.perf_counter() - start) / len(texts)  # some texts are refused


def _planned(
    splits: list[Split], owns: list[Split | None], given: argparse.Namespace, seconds: float
) -> Plan:
    """Return the largest plan that fits, or the smallest there is."""
    for plan in PLANS:
        classes = [min(plan.max_classes, len(split.classes)) for split in splits]
        ks = plan.ks if "synthetic_only" in given.protocols else plan.ks[:1]
        texts = {
            "synthetic_only": len(WRITERS) * sum(classes) * sum(ks) * plan.times,
            "few_shot": len(WRITERS) * sum(classes) * sum(ks) * plan.times,
            "class_imbalance": len(WRITERS) * sum(n // 2 for n in classes) * plan.most,
            "own_imbalance": len(WRITERS) * sum(_lacking(own, plan.most) for own in owns if own),
            "robustness": sum(classes) * NOISY_K * plan.times,
        }
        if "synthetic_only" in given.protocols:  # the two share theirs
            del texts["few_shot"]
        total = plan.resamples * sum(n for name, n in texts.items() if name in given.protocols)
        cut = replace(plan, texts=total, hours=total * seconds / 3600)
        if cut.hours <= given.hours:
            break
    return cut


def _lacking(split: Split, most: int) -> int:
    """Return how many texts make the classes equal, of which the largest has `most` at most."""
    _, sizes = np.unique(split.train_labels, return_counts=True)
    return round(min(most, sizes.max()) * (len(sizes) - sizes.sum() / sizes.max()))


@dataclass(frozen=True)
class Claim:
    """One claim on one set by one classifier."""

    claim: str
    dataset: str
    classifier: str
    value: float
    low: float | None
    high: float | None
    holds: bool
    told: str


def _measured(setup: Setup, plan: Plan, asked: Sequence[str]) -> list[Claim]:
    every = (*WRITERS, *OTHERS)
    ks = evidence.feasible(plan.ks, setup.split)
    times = [plan.times]
    found: list[Claim] = []
    if "synthetic_only" in asked:
        sizes = sorted({1, plan.times})
        alone = protocols.synthetic_only(setup, ks=ks, times=sizes, methods=every)
        for k, size in itertools.product(ks, sizes):
            found += [_retention(alone, judge, k, size, plan.times) for judge in CLASSIFIERS]
    if "few_shot" in asked:
        beside = protocols.few_shot(setup, ks=ks[:1], times=times, controls=every[1:])
        ours = Arm("smotext", plan.times)
        found += [_above(beside, judge, ks[0], ours, "few-shot") for judge in CLASSIFIERS]
        found += [_no_worse(beside, judge, ks[0], ours) for judge in CLASSIFIERS]
    if "class_imbalance" in asked:
        rare = protocols.class_imbalance(setup, ratios=[RATIO], most=plan.most, methods=every)
        ours = Arm("smotext", None)
        found += [_above(rare, judge, RATIO, ours, "imbalance") for judge in CLASSIFIERS]
        found += [_above(rare, judge, RATIO, ours, UNDECODED, WRITERS) for judge in CLASSIFIERS]
    if "robustness" in asked:
        noisy = protocols.robustness(
            setup, ks=evidence.feasible([NOISY_K], setup.split), times=times, methods=["smotext"]
        )
        found += [_robust(noisy, judge, plan.times) for judge in CLASSIFIERS]
    return found


def _own_imbalance(setup: Setup, most: int) -> list[Claim]:
    own = protocols.class_imbalance(setup, ratios=[1], most=most, methods=(*WRITERS, *OTHERS))
    ours = Arm("smotext", None)
    return [
        _above(own, judge, 1, ours, claim, but)
        for claim, but in ((OWN, ("smotext",)), (OWN_UNDECODED, WRITERS))
        for judge in CLASSIFIERS
    ]


def _retention(results: Results, judge: str, k: int, times: int, most: int) -> Claim:
    ours = Arm("smotext", times, with_real=False)
    kept = results.kept(ours, Arm(), judge, k)
    near = results.mean(ours, judge, k, "near_real")
    # where the real texts are not clearly above guessing, a share of that says nothing
    holds = kept.value >= LEAST.get(k, 0.92) and kept.low > 0 and near < 0.01
    told = f"{near:.1%} above 0.95 cosine to a real text"
    fewer = "" if times == most else f", {times} × texts"
    return _claim(f"retention, k = {k}{fewer}", results, judge, kept, holds, told)


def _above(
    results: Results, judge: str, k: int, ours: Arm, claim: str, but: Sequence[str] = ("smotext",)
) -> Claim:
    """Whether ours is above the real texts and every control `but` some, each clear of 0."""
    there = [arm for arm, name, at in results.cells if (name, at) == (judge, k)]
    others = [arm for arm in there if arm.method not in but]
    gains = {str(arm): results.gain(ours, arm, judge, k) for arm in others}
    least = min(gains, key=lambda name: gains[name].value)
    told = f"against {least}, the best of {len(others)} others"
    holds = all(gain.low > 0 for gain in gains.values())
    return _claim(claim, results, judge, gains[least], holds, told)


def _no_worse(results: Results, judge: str, k: int, ours: Arm) -> Claim:
    """Whether ours is not below repeating the real texts by more than the interval."""
    gain = results.gain(ours, replace(ours, method="duplication"), judge, k)
    return _claim(NO_WORSE, results, judge, gain, gain.high >= 0, "against duplication")


def _robust(results: Results, judge: str, times: int) -> Claim:
    """Whether noise costs less with new texts, and in `told` whether that is clear."""
    k = next(k for _, _, k in results.cells)
    ours = Arm("smotext", times)
    lost = [results.drop(arm, judge, k).value for arm in (Arm(), ours)]
    spared = results.drop_difference(ours, Arm(), judge, k)
    clear = "clear of 0" if spared.clear else "not clear of 0"
    told = f"loses {lost[0]:.1%} without, {lost[1]:.1%} with new texts; {clear}"
    return _claim("robustness", results, judge, spared, spared.value > 0, told)


def _claim(
    claim: str, results: Results, judge: str, effect: Effect, holds: bool, told: str
) -> Claim:
    ends = (effect.value, effect.low, effect.high)
    return Claim(claim, results.split.name, judge, *ends, holds=bool(holds), told=told)


GOALS = (
    ("retention, k = 50", "embedding-logreg", 4, "≥ 97%, under 1% of texts near a real one"),
    ("retention, k = 10", "embedding-logreg", 4, "≥ 92%, under 1% of texts near a real one"),
    ("few-shot", "tfidf-logreg", 3, "above every control, intervals clear of 0"),
    (NO_WORSE, "tfidf-logreg", 5, "not below duplication by more than the interval"),
    ("imbalance", "embedding-logreg", 3, f"at 1:{RATIO} above every control, clear of 0"),
    (UNDECODED, "embedding-logreg", 3, f"at 1:{RATIO} above the other controls, clear of 0"),
    (OWN, "embedding-logreg", 1, "as the data have it: above every control, clear of 0"),
    (OWN_UNDECODED, "embedding-logreg", 1, "the same, above the other controls"),
    ("robustness", "tfidf-logreg", 4, "smaller relative loss under noise"),
)
"""Claim, classifier, on how many of five sets, and what."""


def _write(out: Path, plan: Plan, claims: list[Claim]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    told = {"machine": described(), "plan": asdict(plan), "claims": [asdict(c) for c in claims]}
    (out / "paper.json").write_text(json.dumps(told, indent=1) + "\n")
    lines = ["| claim | goal | sets | |", "|---|---|---|---|"]
    for claim, judge, wanted, what in GOALS:
        held = [c.holds for c in claims if (c.claim, c.classifier) == (claim, judge)]
        verdict = "met" if sum(held) >= wanted else "missed" if held else "not measured"
        sets = f"{sum(held)} of {len(held)}, {wanted} of 5 wanted"
        lines.append(f"| {claim}, {judge} | {what} | {sets} | {verdict} |")
    lines += [
        "",
        "| claim | set | classifier | figure [95%] | holds | |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(claims, key=lambda row: (row.claim, row.classifier)):
        ends = "" if row.low is None else f" [{row.low:.3f}, {row.high:.3f}]"
        lines.append(
            f"| {row.claim} | {row.dataset} | {row.classifier} | {row.value:.3f}{ends} | "
            f"{'yes' if row.holds else 'no'} | {row.told} |"
        )
    (out / "paper.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
