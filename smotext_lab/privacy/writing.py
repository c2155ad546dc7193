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
from smotext_lab.interpolators import Interpolator, SMOTEInterpolator
from smotext_lab.privacy.guarantee import Guarantee
from smotext_lab.sampler.counts import plain
from smotext_lab.sampler.generation import Generation, Source
from smotext_lab.synthesis import Synthesis

__all__ = ["Told", "blind", "check_guidance", "synthesis_of", "write_between"]

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
    return replace(guards, max_copy_cosine=None, max_shared_words=None, allow_equal=True)


def write_between(
    vectors: np.ndarray,
    labels: np.ndarray,
    n: Mapping[Any, int],
    decoder: Any,
    *,
    guards: Guards,
    random_state: int,
    k_neighbors: int = 5,
    interpolator: Interpolator | None = None,
    max_attempts: int = 3,
    max_blends: int = 3,
    guidance_scale: float = 0.0,
    told: Told | None = None,
    progress: bool = True,
) -> Generation:
    """Run SMOTE among released vectors, and decode.

    Labels are judged by the released vectors too, so that the guards' vote costs nothing; nor
    does guidance, which follows their means.

    Parameters
    ----------
    vectors : ndarray of shape (m, d)
        Released, or public.
    labels : ndarray of shape (m,)
    n : dict of label -> int

    Raises
    ------
    DataError
        If a class has no vectors.
    """
    told = told or Told()
    for label in n:
        if not (labels == label).any():
            msg = f"Nothing was released of class {label!r}, so nothing can be written of it."
            raise DataError(msg)
    vectors, labels = _at_least_two(vectors, labels)
    few = int(np.unique(labels, return_counts=True)[1].min())
    source = Source(
        vectors,
        labels,
        interpolator or SMOTEInterpolator(min(k_neighbors, few - 1)),
        random_state,
        forms=None if told.like is None else [TextForm.of(told.like)] * len(vectors),
        lengths=None if told.words is None else np.full(len(vectors), told.words),
    )
    judge = blind(guards).fit([""] * len(vectors), vectors, labels)
    made = Generation(
        source,
        plain(n),
        decoder,
        judge,
        max_attempts=max_attempts,
        max_blends=max_blends,
        guidance_scale=guidance_scale,
        progress=progress,
    )
    made.run()
    return made


def synthesis_of(
    records: list[dict[str, Any]], guarantee: Guarantee, info: Mapping[str, Any]
) -> Synthesis:
    """Return texts and labels; what else is known of them is withheld."""
    rows = [
        {"text": r["text"], "label": r["label"], "status": "accepted"}
        for r in records
        if r["status"] == "accepted"
    ]
    facts = {
        "privacy": guarantee.sentence,
        "guarantee": guarantee.described(),
        "withheld": [*WITHHELD, "rejected texts"],
        "guards": "copies of private texts are not looked for; released vectors judge labels",
        **info,
    }
    return Synthesis.from_rows(rows, info=facts)


def _at_least_two(vectors: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Repeat the vector of a class that has only one: SMOTE needs a neighbour."""
    names, counts = np.unique(labels, return_counts=True)
    alone = np.isin(labels, names[counts == 1])
    return np.concatenate([vectors, vectors[alone]]), np.concatenate([labels, labels[alone]])
