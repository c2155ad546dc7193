"""Means, ratios and their standard errors: of a set, and over sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.inversion.decoding import Written
from benchmarks.inversion.sets import LabelledSet, Points
from smotext_lab.evaluation import distinct_2

__all__ = ["Estimate", "flat", "over_sets", "summarise"]

_GROUPS = 20
_AT_ONCE = 0.005  # seconds; rows that come as fast are of one batch


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error, as if the texts had been drawn at random."""

    value: float
    se: float


def mean(values: Any) -> Estimate:
    """Return the mean of the values that are not NaN."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return Estimate(np.nan, np.nan)
    se = known.std(ddof=1) / len(known) ** 0.5 if len(known) > 1 else np.nan
    return Estimate(float(known.mean()), float(se))


def ratio(above: Any, below: Any) -> Estimate:
    """Return ``Σ above / Σ below`` of pairs (Cochran, Sampling Techniques, 1977, section 6.3)."""
    a, b = np.asarray(above, np.float64), np.asarray(below, np.float64)
    if not b.sum():
        return Estimate(np.nan, np.nan)
    value = a.sum() / b.sum()
    se = (a - value * b).std(ddof=1) / len(a) ** 0.5 / abs(b.mean()) if len(a) > 1 else np.nan
    return Estimate(float(value), float(se))


def jackknife(statistic: Callable[[list[str]], float], texts: Sequence[str]) -> Estimate:
    """Return a statistic of all texts, with its delete-a-group jackknife error."""
    value, group = statistic(list(texts)), np.arange(len(texts)) % _GROUPS
    groups = min(_GROUPS, len(texts))
    left = [
        statistic([t for t, g in zip(texts, group, strict=True) if g != out])
        for out in range(groups)
    ]
    spread = np.square(np.array(left) - np.mean(left)).sum()
    return Estimate(value, float(np.sqrt((groups - 1) / groups * spread)))


def summarise(
    of: LabelledSet,
    points: Points,
    written: Written,
    scores: pd.DataFrame,
    originals: pd.DataFrame,
) -> dict[str, Estimate]:
    """Return every column of the table for one set and one way of writing.

    For each judge: the share of labels kept, the same of the texts the points were made from
    (of a blend, both), and the ratio of the two.
    """
    plain = ["log_likelihood", "tokens", *(c for c in scores if c.startswith("label_"))]
    found = {name: mean(scores[name]) for name in scores.columns.drop(plain)}
    for name in originals.columns.drop(["log_likelihood", "tokens"]):
        real = originals[name].to_numpy()[points.sources].mean(axis=1)
        judge = name.removeprefix("label_")
        found[name] = mean(scores[name])
        found[f"originals_{judge}"] = mean(real)
        found[f"kept_{judge}"] = ratio(scores[name], real)
    theirs = originals.iloc[np.unique(points.sources)]
    ours, real = _perplexity(scores), _perplexity(theirs)
    relative = ours.value / real.value
    error = relative * np.hypot(ours.se / ours.value, real.se / real.value)
    found |= {"perplexity": ours, "perplexity_ratio": Estimate(relative, float(error))}
    found["distinct_2"] = jackknife(distinct_2, written.texts)
    found["originals_distinct_2"] = jackknife(distinct_2, [of.texts[i] for i in theirs.index])
    return found | {"ended": mean(written.ended), "seconds": _seconds(written)}


def _seconds(written: Written) -> Estimate:
    """Return the seconds a text, with the error of the batches that the texts came in."""
    batch = np.cumsum(written.seconds > _AT_ONCE)
    frame = pd.DataFrame({"seconds": written.seconds, "n": 1}).groupby(batch).sum()
    return ratio(frame["seconds"], frame["n"])


def _perplexity(scores: pd.DataFrame) -> Estimate:
    per_token = ratio(scores["log_likelihood"], scores["tokens"])
    value = float(np.exp(-per_token.value))
    return Estimate(value, value * per_token.se)


def over_sets(each: Sequence[Mapping[str, Estimate]]) -> dict[str, Estimate]:
    """Return the mean over sets of every column that all of them have.

    The error is that of the texts drawn within these sets, not of which sets were taken.
    """
    names = [name for name in each[0] if all(name in found for found in each)]
    return {
        name: Estimate(
            float(np.mean([found[name].value for found in each])),
            float(np.sqrt(np.sum([found[name].se ** 2 for found in each])) / len(each)),
        )
        for name in names
    }


def flat(found: Mapping[str, Estimate]) -> dict[str, float | None]:
    """Return ``name`` and ``name_se`` for JSON, NaN as None."""
    pairs = {name: e.value for name, e in found.items()} | {
        f"{name}_se": e.se for name, e in found.items()
    }
    return {name: None if np.isnan(v) else float(v) for name, v in pairs.items()}
