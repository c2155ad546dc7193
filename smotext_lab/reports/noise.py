"""What noise in the test texts costs: the tables and the figure of the report on robustness."""

from __future__ import annotations

from typing import Any

import pandas as pd

from smotext_lab import charts
from smotext_lab.charts.robustness import drop_chart
from smotext_lab.evaluation.study import CLEAN, Arm, Results
from smotext_lab.reports.evidence import effect_figures, grouped

__all__ = ["drops", "drops_by_noise", "show_drops"]


def drops(results: Results) -> pd.DataFrame:
    """Return the share of accuracy that each arm loses under all noises, and that it spares.

    Parameters
    ----------
    results : Results
        Of `robustness`.

    Returns
    -------
    DataFrame
        Columns ``k``, ``classifier``, ``trained on``, ``accuracy`` (on clean texts), ``drop``,
        ``drop_low``, ``drop_high`` (95%); ``gain``, ``low``, ``high``, how much less is lost than
        with the real texts alone; ``win/tie/loss``.

    Raises
    ------
    DataError
        If nothing was tested under noise.
    """
    rows = []
    for arm, classifier, k in results.cells:
        row = {
            **_named(arm, classifier, k),
            "accuracy": results.mean(arm, classifier, k, "accuracy"),
            **effect_figures("drop", results.drop(arm, classifier, k)),
        }
        if arm != Arm():
            effect = results.drop_difference(arm, Arm(), classifier, k)
            row |= {"gain": effect.value, "low": effect.low, "high": effect.high}
            row["win/tie/loss"] = "/".join(map(str, results.drop_wins(arm, Arm(), classifier, k)))
        rows.append(row)
    return pd.DataFrame(rows)


def drops_by_noise(results: Results) -> pd.DataFrame:
    """Return what each noise at each strength costs each arm.

    Parameters
    ----------
    results : Results
        Of `robustness`.

    Returns
    -------
    DataFrame
        Columns ``k``, ``classifier``, ``trained on``, ``noise``, ``strength``, ``accuracy``,
        ``drop``, ``low``, ``high`` (95%). The clean texts come first, as a noise of strength 0
        that has cost nothing: no drop.
    """
    rows = []
    for arm, classifier, k in results.cells:
        for test in (CLEAN, *results.noises):
            kind, _, strength = test.rpartition(" ")
            row = {
                **_named(arm, classifier, k),
                "noise": kind or CLEAN,
                "strength": float(strength) if kind else 0.0,
                "accuracy": results.mean(arm, classifier, k, "accuracy", test),
            }
            if test != CLEAN:
                effect = results.drop(arm, classifier, k, [test])
                row |= {"drop": effect.value, "low": effect.low, "high": effect.high}
            rows.append(row)
    return pd.DataFrame(rows)


def _named(arm: Arm, classifier: str, k: Any) -> dict[str, Any]:
    return {"k": k, "classifier": classifier, "trained on": str(arm)}


def show_drops(frame: pd.DataFrame) -> None:
    """Display what each noise costs, as `drops_by_noise` returns it."""
    drawn = grouped(frame.dropna(subset=["drop"]), "k")
    charts.show(drop_chart(drawn), "share of accuracy lost under each noise, by its strength")
