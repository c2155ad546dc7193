"""Texts written from released vectors only: nothing here has seen a private text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.forms import TextForm
from smotext_lab.guards import Guards
from smotext_lab.guards.judge import Judge
from smotext_lab.interpolators import Interpolator, SMOTEInterpolator
from smotext_lab.privacy.habits import Manner
from smotext_lab.sampler.counts import plain
from smotext_lab.sampler.generation import Generation, Source
from smotext_lab.synthesis import Synthesis

__all__ = ["Points", "Told", "blind", "check_guidance", "judge_by", "synthesis_of", "write_between"]

WITHHELD = (
    "parents",
    "weights",
    "cosine_to_target",
    "cosine_to_nearest_real",
    "label_probability",
    "attempts",
    "seed",
)
"""Columns that stay empty under a guarantee; rejected texts are left out too."""


@dataclass(frozen=True, eq=False)
class Points:
    """What SMOTE goes between: released, or computed from what was.

    Attributes
    ----------
    vectors : ndarray of shape (m, d)
    labels : ndarray of shape (m,)
    manner : tuple of list of TextForm and ndarray of int, optional
        How the text at each point is to be written, and of how many words; None where that is
        not known.
    """

    vectors: np.ndarray
    labels: np.ndarray
    manner: Manner | None = None


@dataclass(frozen=True)
class Told:
    """What the user tells about the texts wanted, as something public.

    Parameters
    ----------
    like : str, optional
        A public or made-up text that new ones should resemble in form: capitals, and whether it
        is a question.
    words : int, optional
        About how many words a new text should have.
    """

    like: str | None = None
    words: int | None = None


def check_guidance(scale: float) -> None:
    """Refuse a guidance that is no finite number of 0 or more."""
    number = isinstance(scale, int | float | np.number) and not isinstance(scale, bool)
    if not (number and 0 <= scale < math.inf):
        msg = f"guidance_scale must be a finite number of 0 or more, got {scale!r}."
        raise ParameterError(msg)


def blind(guards: Guards) -> Guards:
    """Return `guards` without those that compare with real texts.

    Examples
    --------
    >>> blind(Guards()).max_copy_cosine is None
    True
    """
    return replace(guards, max_copy_cosine=None, max_shared_words=None)


def write_between(
    points: Points,
    n: Mapping[Any, int],
    decoder: Any,
    *,
    guards: Guards,
    random_state: int,
    judge: Judge | None = None,
    k_neighbors: int = 5,
    interpolator: Interpolator | None = None,
    max_attempts: int = 3,
    max_blends: int = 3,
    guidance_scale: float = 0.0,
    told: Told | None = None,
    progress: bool = True,
    kept: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Run SMOTE among released vectors, decode, and return what was accepted.

    Labels are judged by the released vectors too, so that the guards' vote costs nothing; nor
    does guidance, which follows their means.

    Parameters
    ----------
    points : Points
        Released, or public.
    n : dict of label -> int
    judge : Judge, optional
        Of several calls that are to give no text twice; default one of `guards`.
    told : Told, optional
        Goes before the points' own manner.
    kept : list of dict, optional
        What is returned goes there, also where an interruption or an error breaks off.

    Returns
    -------
    list of dict
        With the columns of `Synthesis`.

    Raises
    ------
    DataError
        If a class has no vectors.
    """
    for label in n:
        if not (points.labels == label).any():
            msg = f"Nothing was released of class {label!r}, so nothing can be written of it."
            raise DataError(msg)
    points = _at_least_two(points)
    few = int(np.unique(points.labels, return_counts=True)[1].min())
    forms, lengths = _manner(points, told or Told())
    source = Source(
        points.vectors,
        points.labels,
        interpolator or SMOTEInterpolator(min(k_neighbors, few - 1)),
        random_state,
        forms=forms,
        lengths=lengths,
    )
    made = Generation(
        source,
        plain(n),
        decoder,
        judge or judge_by(points, guards),
        max_attempts=max_attempts,
        max_blends=max_blends,
        guidance_scale=guidance_scale,
        progress=progress,
    )
    kept = [] if kept is None else kept
    try:
        made.run()
    finally:
        kept += [record for record in made.records if record["status"] == "accepted"]
    return kept


def synthesis_of(
    records: list[dict[str, Any]], stated: Mapping[str, Any], info: Mapping[str, Any]
) -> Synthesis:
    """Return texts and labels with what is stated about them; what else is known is withheld."""
    rows = [{"text": r["text"], "label": r["label"], "status": "accepted"} for r in records]
    facts = {
        "privacy": stated["sentence"],
        "guarantee": dict(stated),
        "withheld": [*WITHHELD, "rejected texts"],
        "guards": "copies of private texts are not looked for; released vectors judge labels",
        **info,
    }
    return Synthesis.from_rows(rows, info=facts)


def judge_by(points: Points, guards: Guards) -> Judge:
    """Return a judge of labels that knows the points, and no real text."""
    return blind(guards).fit([""] * len(points.vectors), points.vectors, points.labels)


def _manner(points: Points, told: Told) -> tuple[list[TextForm] | None, np.ndarray | None]:
    forms, lengths = points.manner or (None, None)
    if told.like is not None:
        forms = [TextForm.of(told.like)] * len(points.vectors)
    if told.words is not None:
        lengths = np.full(len(points.vectors), told.words)
    return forms, lengths


def _at_least_two(points: Points) -> Points:
    """Repeat the point of a class that has only one: SMOTE needs a neighbour."""
    names, counts = np.unique(points.labels, return_counts=True)
    alone = np.flatnonzero(np.isin(points.labels, names[counts == 1]))
    rows = np.concatenate([np.arange(len(points.labels)), alone])
    manner = points.manner and ([points.manner[0][row] for row in rows], points.manner[1][rows])
    return Points(points.vectors[rows], points.labels[rows], manner)
