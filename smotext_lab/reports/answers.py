"""What every classifier of a report answers, as figures and in words.

A headline rests on one classifier; that the others are told as well keeps a report from being
judged only by the encoder that chose its texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from smotext_lab.errors import DataError
from smotext_lab.evaluation.statistics import Effect
from smotext_lab.evaluation.study import Arm, Results
from smotext_lab.reports.evidence import effect_figures

__all__ = [
    "by_classifier",
    "changes",
    "gains",
    "kept",
    "leading",
    "share",
    "shares",
    "trained",
    "verdicts",
]


def leading(methods: Sequence[str]) -> str:
    """Return the method that a report answers for: *smotext* where it is named, else the first."""
    return "smotext" if "smotext" in methods else methods[0]


def gains(results: Results, arm: Arm, over: Arm, k: Any) -> dict[str, Effect]:
    """Return the gain of macro-F1 of each classifier that was trained so, in the order asked.

    Raises
    ------
    DataError
        If none was.
    """
    return {name: results.gain(arm, over, name, k) for name in trained(results, arm, k)}


def kept(results: Results, arm: Arm, over: Arm, k: Any) -> dict[str, Effect]:
    """Return the share of macro-F1 above guessing that is kept; see `gains`."""
    return {name: results.kept(arm, over, name, k) for name in trained(results, arm, k)}


def trained(results: Results, arm: Arm, k: Any) -> list[str]:
    """Return which classifiers were trained so, in the order asked.

    Raises
    ------
    DataError
        If none was: of vectors alone some learn nothing.
    """
    found = [name for there, name, at in results.cells if (there, at) == (arm, k)]
    if not found:
        msg = (
            f"no classifier was trained on {arm}, of which there are vectors and no texts: take "
            "embedding-logreg among the classifiers"
        )
        raise DataError(msg)
    return found


def by_classifier(name: str, effects: Mapping[str, Effect]) -> dict[str, float]:
    """Return each classifier's effect as figures, called after it up to the first dash.

    Examples
    --------
    >>> list(by_classifier("gain", {"tfidf-logreg": Effect(0.1, 0.0, 0.2, 10)}))
    ['gain_tfidf', 'gain_tfidf_low', 'gain_tfidf_high']
    """
    figures: dict[str, float] = {}
    for classifier, effect in effects.items():
        figures |= effect_figures(f"{name}_{classifier.partition('-')[0]}", effect)
    return figures


def verdicts(effects: Mapping[str, Effect]) -> str:
    """Return which classifiers new texts help, with their gains.

    Examples
    --------
    >>> verdicts({"tfidf-logreg": Effect(0.1, 0.05, 0.2, 10)})
    'help tfidf-logreg (macro-F1 +0.100 [+0.050, +0.200])'
    """
    return _listed(
        f"{'help' if e.low > 0 else 'hurt' if e.high < 0 else 'make no clear difference to'} "
        f"{name} (macro-F1 {_signed(e)})"
        for name, e in effects.items()
    )


def changes(effects: Mapping[str, Effect]) -> str:
    """Return by how much each classifier gains.

    Examples
    --------
    >>> changes({"tfidf-logreg": Effect(0.1, 0.05, 0.2, 10)})
    '+0.100 [+0.050, +0.200] (tfidf-logreg)'
    """
    return _listed(f"{_signed(e)} ({name})" for name, e in effects.items())


def share(effect: Effect) -> str:
    """Return a share in percent, or that it is unknown."""
    return "unknown" if np.isnan(effect.value) else f"{effect.value:.0%}"


def shares(effects: Mapping[str, Effect]) -> str:
    """Return which share each classifier keeps.

    Examples
    --------
    >>> shares({"tfidf-logreg": Effect(0.95, 0.9, 1.0, 10)})
    '95% [90%, 100%] (tfidf-logreg)'
    """
    return _listed(
        f"an unknown share ({name}, to which the real texts teach not clearly more than guessing)"
        if np.isnan(e.value)
        else f"{e.value:.0%} [{e.low:.0%}, {e.high:.0%}] ({name})"
        for name, e in effects.items()
    )


def _signed(effect: Effect) -> str:
    return f"{effect.value:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"


def _listed(parts: Iterable[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
