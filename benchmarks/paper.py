"""The paper's claims, each measured on labelled sets: one page with figure, interval and verdict.

    python -m benchmarks.paper SET.csv.gz … --hours 4 --store cells --out benchmarks/results

The cost is planned first, from the time that some texts take here: resamples, classes and texts
are cut until the plan fits the hours. The protocols share their pools of texts, cells are kept in
`--store`, and the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import described
from smotext_lab.evaluation import protocols
from smotext_lab.evaluation.methods import Models
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.study import Arm, Results
from smotext_lab.reports import evidence

WRITERS = ("smotext", "paraphrase")  # methods that decode; the others cost next to nothing
OTHERS = ("duplication", "smote on vectors", "eda")
CLASSIFIERS = ("embedding-logreg", "tfidf-logreg")
LIMITS = ((10, 6, 4), (10, 6, 2), (10, 6, 1), (6, 6, 1), (4, 4, 1), (3, 3, 1))


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    resamples: int
    max_classes: int
    times: int
    k: int
    texts: int
    hours: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+", metavar="SET", type=Path)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--k", type=int, default=10, help="real texts of each class")
    parser.add_argument("--n-candidates", type=int, default=2)
    parser.add_argument("--test-rows", type=int, default=300)
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--store", type=Path, default=Path("cells"))
    parser.add_argument("--out", type=Path, default=Path())
    given = parser.parse_args()
    models = evidence.loaded(
        "all-MiniLM-L6-v2", "SmolLM2-135M-Instruct", "default", given.n_candidates, 5
    )
    splits = {path: _split(path, 6, given) for path in given.sets}
    plan = _plan(list(splits.values()), given.k, given.hours, _seconds_a_text(models, splits))
    print(
        f"{plan.resamples} resamples, at most {plan.max_classes} classes a set, {plan.times} × "
        f"{plan.k} new texts a class: {plan.texts} texts, about {plan.hours:.2f} h to write"
    )
    claims: list[dict[str, Any]] = []
    for path in given.sets:
        split = _split(path, plan.max_classes, given)
        claims += _measured(split, models, plan, given.store)
        _write(given.out, plan, claims)
    print((given.out / "paper.md").read_text())


def _split(path: Path, max_classes: int, given: argparse.Namespace) -> Split:
    return evidence.prepared(
        str(path),
        text=None,
        label=None,
        max_classes=max_classes,
        test_rows=given.test_rows,
        least=given.k,
        random_state=given.random_state,
    )


def _seconds_a_text(models: Models, splits: dict[Path, Split]) -> float:
    texts = [text for split in splits.values() for text in split.train_texts[:16]]
    vectors = models.encoder.encode(texts)
    models.decoder.decode(vectors[:2])  # the models are loaded
    start = time.perf_counter()
    models.decoder.decode(vectors)
    return 1.3 * (time.perf_counter() - start) / len(texts)  # some texts are refused


def _plan(splits: list[Split], k: int, hours: float, seconds: float) -> Plan:
    for resamples, classes, times in LIMITS:
        there = sum(min(classes, len(split.classes)) for split in splits)
        texts = resamples * there * k * times * len(WRITERS)
        plan = Plan(resamples, classes, times, k, texts, texts * seconds / 3600)
        if plan.hours <= hours:
            return plan
    return plan


def _measured(split: Split, models: Models, plan: Plan, store: Path) -> list[dict[str, Any]]:
    asked: dict[str, Any] = {
        "ks": [plan.k],
        "times": [plan.times],
        "resamples": plan.resamples,
        "classifiers": CLASSIFIERS,
        "store": store,
    }
    every = (*WRITERS, *OTHERS)
    alone = protocols.synthetic_only(split, models, methods=every, **asked)
    beside = protocols.few_shot(split, models, controls=every[1:], **asked)
    noisy = protocols.robustness(split, models, methods=("smotext", "duplication"), **asked)
    found = []
    for judge in CLASSIFIERS:
        ours = Arm("smotext", plan.times, with_real=False)
        kept = alone.kept(ours, Arm(), judge, plan.k)
        near = alone.mean(ours, judge, plan.k, "near_real")
        told = f"{near:.1%} of the texts above 0.95 cosine to a real one"
        found.append(_claim(split, "retention", judge, asdict(kept), kept.value >= 0.92, told))
        found.append(_few(split, beside, judge, plan))
        lost = [
            evidence.drops(noisy, arm, judge, plan.k) for arm in (Arm(), Arm("smotext", plan.times))
        ]
        told = f"loses {lost[0]:.1%} without, {lost[1]:.1%} with new texts"
        effect = {"value": lost[0] - lost[1], "low": None, "high": None}
        found.append(_claim(split, "robustness", judge, effect, lost[1] < lost[0], told))
    return found


def _few(split: Split, results: Results, judge: str, plan: Plan) -> dict[str, Any]:
    ours = Arm("smotext", plan.times)
    gain = results.gain(ours, Arm(), judge, plan.k)
    best = {
        name: results.mean(Arm(name, plan.times), judge, plan.k, "macro_f1")
        for name in (*WRITERS[1:], *OTHERS)
        if (Arm(name, plan.times), judge, plan.k) in results.cells
    }
    first = max(best, key=lambda name: best[name])
    mean = results.mean(ours, judge, plan.k, "macro_f1")
    told = f"macro-F1 {mean:.3f}; the best control is {first} with {best[first]:.3f}"
    return _claim(split, "few-shot gain", judge, asdict(gain), gain.low > 0, told)


def _claim(
    split: Split, claim: str, judge: str, effect: dict[str, Any], holds: bool, told: str
) -> dict[str, Any]:
    said = {"dataset": split.name, "classes": len(split.classes), "claim": claim}
    return {**said, "classifier": judge, **effect, "holds": bool(holds), "told": told}


def _write(out: Path, plan: Plan, claims: list[dict[str, Any]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    told = {"machine": described(), "plan": asdict(plan), "claims": claims}
    (out / "paper.json").write_text(json.dumps(told, indent=1) + "\n")
    lines = [
        "| claim | set | classifier | figure [95%] | holds | |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(claims, key=lambda row: (row["claim"], row["classifier"])):
        ends = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
        lines.append(
            f"| {row['claim']} | {row['dataset']} | {row['classifier']} | "
            f"{row['value']:.3f}{ends} | {'yes' if row['holds'] else 'no'} | {row['told']} |"
        )
    by: dict[tuple[str, str], list[bool]] = {}
    for row in claims:
        by.setdefault((row["claim"], row["classifier"]), []).append(row["holds"])
    lines += ["", "| claim | classifier | sets on which it holds |", "|---|---|---|"]
    lines += [f"| {c} | {j} | {np.sum(h)} of {len(h)} |" for (c, j), h in sorted(by.items())]
    (out / "paper.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
