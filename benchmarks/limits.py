"""What new texts are like, and what they teach alone: what a missed goal is limited by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from smotext_lab.evaluation.study import Arm, Results

__all__ = ["limits", "table"]

_FACTS = ("label_agreement", "near_real", "distinct_2", "compression_ratio")
_COLUMNS = {
    "label_agreement": "of their class",
    "kept, embedding-logreg": "kept, embedding-logreg",
    "kept, tfidf-logreg": "kept, tfidf-logreg",
    "made": "made of those asked for",
    "near_real": "above 0.95 cosine",
    "distinct_2": "distinct-2",
    "compression_ratio": "compression",
}
_SHARES = {"label_agreement", "kept, embedding-logreg", "kept, tfidf-logreg", "made", "near_real"}


def limits(results: Results, k: int, times: float) -> list[dict[str, Any]]:
    """Return a row for each method: means over the resamples of what its texts are like.

    ``label_agreement`` (of `distillation` alone) is the share to which the teacher, who learnt from
    the whole training part, gives the class that they were made for; of real test texts, a row of
    its own, how often it is right. What lies below that is drift of the label. (Copies and other
    real texts, which it learnt from, lie above.) ``kept, CLASSIFIER`` (of `synthetic_only` alone)
    is the retention. None: not measured.
    """
    there: dict[Arm, list[str]] = {}
    for arm, judge, at in results.cells:
        if arm.makes and at == k and arm.times == times:
            there.setdefault(arm, []).append(judge)
    rows = []
    for arm, judges in there.items():
        facts = {name: results.mean(arm, judges[0], k, name) for name in _FACTS}
        new, asked = (results.mean(arm, judges[0], k, name) for name in ("n_new", "n_asked"))
        facts["made"] = new / asked
        if not arm.with_real:
            for judge in judges:
                facts[f"kept, {judge}"] = results.kept(arm, Arm(), judge, k).value
        known = {name: None if math.isnan(value) else value for name, value in facts.items()}
        rows.append({"dataset": results.split.name, "method": arm.method, "k": k, **known})
    for arm, judge, at in results.cells:
        if arm == Arm(teacher=True) and at == k:
            right = results.mean(arm, judge, k, "teacher_accuracy")
            told = {"method": "real test texts", "k": k, "label_agreement": right}
            return [{"dataset": results.split.name, **told}, *rows]
    return rows


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of a table, one for each set and method, of rows of several protocols."""
    merged: dict[tuple[str, str, int], dict[str, Any]] = {}
    for row in rows:
        known = {name: value for name, value in row.items() if value is not None}
        merged.setdefault((row["dataset"], row["method"], row["k"]), {}).update(known)
    columns = [name for name in _COLUMNS if any(name in row for row in merged.values())]
    heads = ["set", "method", "k", *(_COLUMNS[name] for name in columns)]
    lines = [_line(heads), "|---" * len(heads) + "|"]
    for (dataset, method, k), row in merged.items():
        lines.append(_line([dataset, method, str(k), *(_cell(row, name) for name in columns)]))
    return lines


def _cell(row: dict[str, Any], name: str) -> str:
    if name not in row:
        return "–"
    return f"{row[name]:.0%}" if name in _SHARES else f"{row[name]:.2f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
