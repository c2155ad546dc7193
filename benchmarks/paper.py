"""The paper's claims, each measured on labelled sets: one page with figure, interval and verdict.

    python -m benchmarks.paper --data FOLDER --hours 4 --store cells --out benchmarks/results
    python -m benchmarks.paper --join benchmarks/results/a.json b.json --out docs/claims.md

The cost is planned first, from the time that some texts take here: resamples, classes and texts
are cut until the plan fits the hours; training the classifiers comes on top. Where a set has more
classes than the plan, some are drawn for each resample. The protocols share their pools of texts,
cells are kept in `--store`, and the same command goes on where it was stopped. `--join` makes one
page of what several runs found.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from benchmarks.claims import (
    DISTILLED,
    DISTILLED_MOST,
    DISTILLED_REAL,
    FEW,
    NO_WORSE,
    OWN,
    RATIO,
    Claim,
    Run,
    at,
    imbalance,
    page,
    unwritten,
)
from benchmarks.limits import limits
from benchmarks.machine import described
from smotext_lab import SMOTExT, named_decoder
from smotext_lab.evaluation import protocols, thesaurus
from smotext_lab.evaluation.classifiers import ClassifierName
from smotext_lab.evaluation.methods import METHODS, WRITTEN, Models
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.statistics import Effect
from smotext_lab.evaluation.study import OTHERS, Arm, Results, Setup
from smotext_lab.reports import evidence

CONTROLS = ("paraphrase", "duplication", "smote on vectors", "eda", "aeda")
CLASSIFIERS = ("embedding-logreg", "tfidf-logreg")
PROTOCOLS = (
    "synthetic_only",
    "few_shot",
    "class_imbalance",
    "own_imbalance",
    "robustness",
    "distillation",
)
SHARING = {"synthetic_only", "few_shot", "distillation", "robustness"}  # the same texts
OWN_CLASSES = 20  # drawn, where the data's own imbalance is measured
OWN_TEST_ROWS = 5000  # of all classes
LEAST = {10: 0.92, 50: 0.97}  # retention that is the goal, by real texts of each class


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes
    ----------
    resamples : int
    max_classes : int
        Of a set with more, so many are drawn for each resample.
    ks : tuple of int
        Real texts of each class; all but training on new texts alone takes the first only.
    times : int
        New texts for each real one; training on new texts alone is measured at one each as well.
    most : int
        Texts of a class that is not rare, in the imbalance: at least two for each of `RATIO`.
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
    Plan(10, 4, (10, 50), 4, 100),
    Plan(10, 4, (10,), 4, 100),
    Plan(10, 4, (10,), 1, 100),
    Plan(5, 4, (10,), 1, 100),
    Plan(3, 3, (10,), 1, 100),
    Plan(3, 2, (10,), 1, 100),
)
"""From the whole down to a look."""


def main() -> None:
    given = _given()
    if given.join:
        given.out.write_text(page([Run.read(path) for path in given.join], given.out.parent))
        return
    decoder = named_decoder(n_candidates=given.n_candidates, max_new_tokens=64)
    single, given.controls = evidence.with_single_token(decoder, given.single_token, given.controls)
    models = Models(decoder.encoder, decoder, k_neighbors=5, single=single)
    splits = [_read(path, given.test_rows, given) for path in given.sets]
    own_asked = "own_imbalance" in given.protocols
    owns = [_own_split(path, given) if own_asked else None for path in given.sets]
    if given.plan is None:
        plan = _planned(splits, owns, given, _seconds_a_text(models, splits))
    else:
        told = json.loads(given.plan.read_text())["plan"]
        asked = {"ks": tuple(given.ks or told["ks"]), "times": given.times or told["times"]}
        plan = Plan(**told | asked)
        count = plan.resamples * _texts(plan, splits, owns, given)  # of what is asked now
        plan = replace(plan, texts=count, hours=plan.hours * count / max(1, plan.texts))
    print(
        f"{plan.resamples} resamples, at most {plan.max_classes} classes a set, k = {plan.ks}, "
        f"{plan.times} new for each real text: {plan.texts} texts, about {plan.hours:.2f} h to "
        f"write{'' if plan.hours <= given.hours else ', more than was given: there is no less'}"
    )
    claims: list[Claim] = []
    texts: list[dict[str, Any]] = []
    for path, own in zip(given.sets, owns, strict=True):
        split = _to_draw_from(path, plan.max_classes, given)
        setup = Setup(
            split,
            models,
            given.classifiers,
            plan.resamples,
            given.store,
            given.random_state,
            classes_per_resample=plan.max_classes,
        )
        claims += _measured(setup, plan, given, texts)
        if own is not None:
            setup = replace(setup, split=own, classes_per_resample=OWN_CLASSES)
            claims += _own_imbalance(setup, plan.most, given)
        _write(plan, claims, texts, given)
    print((given.out / "paper.md").read_text())


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", metavar="SET", type=Path)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="every *.csv.gz in it")
    parser.add_argument("--hours", type=float, default=4.0, help="what the plan is to fit")
    parser.add_argument(
        "--plan", type=Path, metavar="RUN.json", help="the plan of that run, however fast this is"
    )
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=PROTOCOLS)
    names = get_args(ClassifierName)
    parser.add_argument("--classifiers", nargs="+", choices=names, default=CLASSIFIERS)
    controls = [name for name in METHODS if name != "smotext"]
    parser.add_argument("--controls", nargs="+", choices=controls, default=CONTROLS)
    parser.add_argument(
        "--single-token", metavar="BRIDGE", help="a bridge of xRAG's kind to compare with too"
    )
    parser.add_argument("--ks", nargs="+", type=int, help="in place of the plan's")
    parser.add_argument("--times", type=int, help="in place of the plan's")
    parser.add_argument("--n-candidates", type=int, default=2)
    parser.add_argument("--test-rows", type=int, default=300)
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--store", type=Path, default=Path("cells"))
    parser.add_argument("--out", type=Path, default=Path(), help="folder; with --join, the page")
    parser.add_argument("--join", nargs="+", type=Path, metavar="RUN.json", help="measure nothing")
    given = parser.parse_args()
    if given.join and given.out.is_dir():
        parser.exit(2, f"--out {given.out} is a folder: with --join, name the page's file\n")
    if given.data is not None:
        there = sorted(given.data.glob("*.csv.gz"))
        if not there:
            parser.exit(2, f"--data {given.data}: no *.csv.gz there; give a folder that has some\n")
        given.sets += there
    if not given.sets and not given.join:
        parser.exit(2, "no set to measure on: give files, or a folder of *.csv.gz with --data\n")
    return given


def _read(path: Path, test_rows: int, given: argparse.Namespace) -> Split:
    return evidence.prepared(
        str(path),
        text=None,
        label=None,
        max_classes=None,
        test_rows=test_rows,
        overlap="drop",
        random_state=given.random_state,
    )


def _to_draw_from(path: Path, max_classes: int, given: argparse.Namespace) -> Split:
    """Return the set, with so many test texts that the classes of a resample have those asked."""
    split = _read(path, given.test_rows, given)
    share = max_classes / len(split.classes)
    return split if share >= 1 else _read(path, round(given.test_rows / share), given)


def _own_split(path: Path, given: argparse.Namespace) -> Split | None:
    """Return the set as it is, or None where no class is rare."""
    split = _read(path, OWN_TEST_ROWS, given)
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
    for least in PLANS:
        plan = replace(least, ks=tuple(given.ks or least.ks), times=given.times or least.times)
        texts = plan.resamples * _texts(plan, splits, owns, given)
        plan = replace(plan, texts=texts, hours=texts * seconds / 3600)
        if plan.hours <= given.hours:
            break
    return plan


def _texts(
    plan: Plan, splits: list[Split], owns: list[Split | None], given: argparse.Namespace
) -> int:
    """Return how many texts are written for one resample of every set."""
    ways = 1 + sum(name in WRITTEN for name in given.controls)
    classes = [min(plan.max_classes, len(split.classes)) for split in splits]
    texts = 0
    if SHARING & set(given.protocols):
        texts += ways * sum(classes) * sum(_ks(plan, given)) * plan.times
    if "class_imbalance" in given.protocols:
        texts += ways * sum(n // 2 for n in classes) * plan.most
    if "own_imbalance" in given.protocols:
        texts += ways * sum(_lacking(own, plan.most) for own in owns if own)
    return texts


def _ks(plan: Plan, given: argparse.Namespace) -> tuple[int, ...]:
    return plan.ks if "synthetic_only" in given.protocols else plan.ks[:1]


def _lacking(split: Split, most: int) -> int:
    """Return how many texts make the classes equal, of which the largest has `most` at most."""
    _, sizes = np.unique(split.train_labels, return_counts=True)
    drawn = min(OWN_CLASSES, len(sizes))
    return round(min(most, sizes.max()) * drawn * (1 - sizes.mean() / sizes.max()))


def _measured(
    setup: Setup, plan: Plan, given: argparse.Namespace, texts: list[dict[str, Any]]
) -> list[Claim]:
    """Return the claims on one set; what its new texts are like is added to `texts`."""
    split = setup.split
    ks = evidence.feasible(_ks(plan, given), split)
    few = replace(setup, split=split.with_texts(max(ks)))  # one pool needs the same classes
    found: list[Claim] = []
    if "synthetic_only" in given.protocols:
        alone = _synthetic_only(few, ks, plan.times, given)
        each = itertools.product(ks, sorted({1, plan.times}), given.classifiers)
        found += [_retention(alone, judge, k, size, plan.times) for k, size, judge in each]
        texts += limits(alone, ks[0], plan.times)
    if "few_shot" in given.protocols:
        found += _few_shot(few, ks[0], plan.times, given)
    if "distillation" in given.protocols:
        learnt = _distillation(few, ks[0], plan.times, given)
        found += _distilled(learnt, ks[0], plan.times, given)
        texts += limits(learnt, ks[0], plan.times)
    if "robustness" in given.protocols:
        found += _robustness(few, ks[0], plan.times, given)
    if "class_imbalance" in given.protocols:
        # no class is cut to less than 2 texts: the others need so many for each of them
        n = evidence.feasible([2 * RATIO], split)[0]
        even = replace(setup, split=split.with_texts(n))
        asked = {"ratios": [RATIO], "most": plan.most, "methods": ["smotext", *given.controls]}
        rare = protocols.class_imbalance(even, **asked)
        found += _filled_up(rare, RATIO, imbalance(min(RATIO, n // 2)), given)
    return found


def _synthetic_only(
    setup: Setup, ks: Sequence[int], most: int, given: argparse.Namespace
) -> Results:
    methods = ["smotext", *given.controls]
    return protocols.synthetic_only(setup, ks=ks, times=sorted({1, most}), methods=methods)


def _few_shot(setup: Setup, k: int, times: int, given: argparse.Namespace) -> list[Claim]:
    beside = protocols.few_shot(setup, ks=[k], times=[times], controls=given.controls)
    ours = Arm("smotext", times)
    judges = given.classifiers
    found: list[Claim] = []
    if _is_whole(given):
        found += [_above(beside, judge, k, ours, at(k, FEW)) for judge in judges]
    if "duplication" in given.controls:
        again = replace(ours, method="duplication")
        found += [_no_worse(beside, judge, k, ours, again, at(k, NO_WORSE)) for judge in judges]
    return found


def _distillation(setup: Setup, k: int, times: int, given: argparse.Namespace) -> Results:
    methods = ["smotext", *_labelled(given)]
    return protocols.distillation(setup, ks=[k], times=[times], methods=methods)


def _labelled(given: argparse.Namespace) -> list[str]:
    """Return the controls that have texts for a teacher to label."""
    return [name for name in given.controls if name != "smote on vectors"]


def _distilled(learnt: Results, k: int, times: int, given: argparse.Namespace) -> list[Claim]:
    """Hold a student's gain against real texts, other ways, and more real texts."""
    ours = Arm("smotext", times, teacher=True)
    more = replace(ours, method=OTHERS)
    but = {
        DISTILLED: ("smotext", *_labelled(given), OTHERS),
        unwritten(DISTILLED): (*WRITTEN, OTHERS),
    }
    if _is_whole(given):
        but[DISTILLED_MOST] = ("smotext", OTHERS)
    found: list[Claim] = []
    for judge in given.classifiers:
        found += [_above(learnt, judge, k, ours, at(k, claim), left) for claim, left in but.items()]
        found.append(_no_worse(learnt, judge, k, ours, more, at(k, DISTILLED_REAL)))
    return found


def _robustness(setup: Setup, k: int, times: int, given: argparse.Namespace) -> list[Claim]:
    methods = ["smotext", *given.controls]
    noisy = protocols.robustness(setup, ks=[k], times=[times], methods=methods)
    return [_spared(noisy, judge, k, times) for judge in given.classifiers]


def _spared(noisy: Results, judge: str, k: int, times: int) -> Claim:
    """Whether noise costs less with new texts than without; in `told` what it costs with others.

    A classifier that is clearly worse under noise is not spared, however little it loses.
    """
    lost = {
        arm: noisy.drop(arm, judge, k)
        for arm, name, number in noisy.cells
        if (name, number) == (judge, k)
    }
    ours, without = lost.pop(Arm("smotext", times)), lost.pop(Arm())
    spared = noisy.drop_difference(Arm("smotext", times), Arm(), judge, k)
    told = f"loses {without.value:.1%} without, {ours.value:.1%} with new texts"
    if lost:
        least = min(lost, key=lambda arm: lost[arm].value)
        told += f", {lost[least].value:.1%} with {least}, the least of {len(lost)} others"
    told += f"; {'clear' if spared.clear else 'not clear'} of 0"
    right = noisy.noisy_gain(Arm("smotext", times), Arm(), judge, k)
    told += f"; accuracy under noise {right.value:+.3f} [{right.low:+.3f}, {right.high:+.3f}]"
    holds = spared.value > 0 and right.high >= 0
    return _claim(at(k, "robustness"), noisy, judge, spared, holds, told)


def _own_imbalance(setup: Setup, most: int, given: argparse.Namespace) -> list[Claim]:
    methods = ["smotext", *given.controls]
    own = protocols.class_imbalance(setup, ratios=[1], most=most, methods=methods)
    return _filled_up(own, 1, OWN, given)


def _filled_up(results: Results, k: int, claim: str, given: argparse.Namespace) -> list[Claim]:
    ours = Arm("smotext", None)
    asked = {unwritten(claim): WRITTEN}
    if _is_whole(given):
        asked[claim] = ("smotext",)
    return [
        _above(results, judge, k, ours, name, but)
        for name, but in asked.items()
        for judge in given.classifiers
    ]


def _is_whole(given: argparse.Namespace) -> bool:
    """Return whether a model writes for one of the controls: without one nothing is above all."""
    return any(name in WRITTEN for name in given.controls)


def _retention(results: Results, judge: str, k: int, times: int, most: int) -> Claim:
    ours = Arm("smotext", times, with_real=False)
    kept = results.kept(ours, Arm(), judge, k)
    near = results.mean(ours, judge, k, "near_real")
    holds = kept.value >= LEAST.get(k, 0.92) and near < 0.01
    told = f"{times} new for each real text, {near:.1%} above 0.95 cosine to one"
    if math.isnan(kept.value):
        told += "; the real texts teach not clearly more than guessing"
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


def _no_worse(results: Results, judge: str, k: int, ours: Arm, other: Arm, claim: str) -> Claim:
    """Whether ours is not below another by more than the interval."""
    gain = results.gain(ours, other, judge, k)
    return _claim(claim, results, judge, gain, gain.high >= 0, f"against {other}")


def _claim(
    claim: str, results: Results, judge: str, effect: Effect, holds: bool, told: str
) -> Claim:
    ends = (effect.value, effect.low, effect.high)
    return Claim(claim, results.split.name, judge, *ends, holds=bool(holds), told=told)


def _write(
    plan: Plan, claims: list[Claim], texts: list[dict[str, Any]], given: argparse.Namespace
) -> None:
    given.out.mkdir(parents=True, exist_ok=True)
    told = {
        "machine": described(),
        "wordnet": thesaurus.wordnet(),
        "asked": _asked(given),
        "plan": asdict(plan),
        "claims": [asdict(claim) for claim in claims],
        "texts": texts,
    }
    path = given.out / "paper.json"
    plain = json.loads(json.dumps(told), parse_constant=lambda _: None)  # no NaN in JSON
    path.write_text(json.dumps(plain, indent=1) + "\n")
    path.with_suffix(".md").write_text(page([Run(path, plain)], given.out))


def _asked(given: argparse.Namespace) -> dict[str, Any]:
    kept = ("hours", "protocols", "classifiers", "controls", "n_candidates", "random_state")
    asked = {name: getattr(given, name) for name in kept}
    asked |= {"test_rows": given.test_rows, "guidance_scale": SMOTExT().guidance_scale}
    return {"sets": [path.name for path in given.sets], **asked}


if __name__ == "__main__":
    main()
