"""What was wanted of the shipped bridge, and whether it was met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["RETRIEVAL", "goals_of"]

RETRIEVAL = "nearest corpus sentence"
"""What the rows without a decoder are called."""

_FORMS = ("left", "given")
_BEST, _CORRECTED = "best-of-8", "best-of-8-corrected"


@dataclass(frozen=True)
class _Goal:
    what: str
    column: str
    search: str
    least: float = -np.inf
    most: float = np.inf
    of: str = "vector"


_GOALS = (
    _Goal("cosine, greedy", "cosine", "greedy", least=0.75),
    _Goal("cosine, best of 8 + corrections", "cosine", _CORRECTED, least=0.86),
    _Goal("token F1, best of 8 + corrections", "token_f1", _CORRECTED, least=0.50),
    _Goal("cosine at λ = ½, best of 8", "cosine", _BEST, least=0.78, of="blend"),
    _Goal("label kept / of originals, 5 nearest, best of 8", "kept_neighbors", _BEST, least=0.97),
    _Goal("the same, TF-IDF", "kept_tfidf", _BEST, least=0.97),
    _Goal("the same, another encoder", "kept_second", _BEST, least=0.97),
    _Goal("form kept, best of 8", "form_kept", _BEST, least=0.90),
    _Goal("perplexity / of real texts, best of 8", "perplexity_ratio", _BEST, 0.7, 1.3),
)


def goals_of(table: pd.DataFrame, bridge: str, training: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each goal with what was measured for `bridge`, with the form left to it and given.

    Parameters
    ----------
    table : DataFrame
        A row for every bridge, search, form, set and sort of point; ``set="mean"`` is the
        mean over sets.
    bridge : str
    training : dict
        The bridge's own facts, for its loss on unseen corpus sentences.

    Returns
    -------
    list of dict
        ``what`` (with "form given" where it was; a goal measured in one form only comes once),
        ``goal``, ``measured`` and ``se`` (None: not measured), ``met``.
    """
    loss = training.get("unseen_loss")
    rows = [_judged("loss a token, unseen corpus sentences", loss, None, -np.inf, 2.75)]
    for goal in _GOALS:
        measured = {form: _measured(table, bridge, goal, form) for form in _FORMS}
        there = [form for form, (value, _) in measured.items() if value is not None]
        for form in there or ["left"]:
            what = goal.what + ", form given" * (form == "given")
            rows.append(_judged(what, *measured[form], goal.least, goal.most))
    return [*rows, _above_retrieval(table, bridge)]


def _measured(
    table: pd.DataFrame, bridge: str, goal: _Goal, form: str
) -> tuple[float | None, float | None]:
    row = _at(table, bridge, goal.of, goal.search, form)
    row = row[row["set"] == "mean"]
    if not len(row) or goal.column not in row or row[goal.column].isna().all():
        return None, None
    return row[goal.column].iloc[0], row[f"{goal.column}_se"].iloc[0]


def _at(table: pd.DataFrame, bridge: str, of: str, search: str, form: str) -> pd.DataFrame:
    rows = table[(table["bridge"] == bridge) & (table["of"] == of)]
    return rows[(rows["search"] == search) & (rows["form"] == form)]


def _above_retrieval(table: pd.DataFrame, bridge: str) -> dict[str, Any]:
    """Judge the set on which decoding is least above the nearest corpus sentence."""
    what = "cosine above the nearest corpus sentence, least of the sets, best of 8"
    ours = _at(table, bridge, "vector", _BEST, "left").set_index("set")
    theirs = _at(table, RETRIEVAL, "vector", "-", "-").set_index("set")
    if not len(ours) or not len(theirs):
        return _judged(what, None, None, 0.0, np.inf)
    above = (ours["cosine"] - theirs["cosine"]).drop("mean")
    least = above.idxmin()
    se = np.hypot(ours["cosine_se"][least], theirs["cosine_se"][least])
    return _judged(what, above[least], se, 0.0, np.inf)


def _judged(
    what: str, value: float | None, se: float | None, least: float, most: float
) -> dict[str, Any]:
    wanted = " and ".join(
        [f"≥ {least:g}"] * bool(np.isfinite(least)) + [f"≤ {most:g}"] * bool(np.isfinite(most))
    )
    met = None if value is None else bool(least <= value <= most)
    known = None if value is None else float(value)
    error = None if se is None or np.isnan(se) else float(se)
    return {"what": what, "goal": wanted, "measured": known, "se": error, "met": met}
