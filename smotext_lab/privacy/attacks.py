"""Attacks on membership: which texts the synthetic ones betray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smotext_lab.guards.cosines import UnitRows
from smotext_lab.privacy.bounds import (
    Interval,
    area,
    epsilon_at_least,
    epsilon_could_show,
    true_positives_at,
)
from smotext_lab.privacy.likelihood import WordModel

__all__ = ["CONFIDENCE", "Attack", "membership", "nearest_of"]

CONFIDENCE = 0.95
"""Of an audit's intervals, over all attacks together."""

_ROWS = 1024  # real texts that are compared with the synthetic ones together


@dataclass(frozen=True, eq=False)
class Attack:
    """Scores of one attack: higher for what it takes for a training text.

    Attributes
    ----------
    name : str
    members, others : ndarray
        Of the training and the holdout texts.
    auc, tpr_1, tpr_01 : Interval
        AUC; share of training texts found at 1% and at 0.1% false alarms.
    epsilon : float
        What ε is at least, at 95% confidence; 0 where the attack shows nothing.
    could_show : float
        The most that `epsilon` can be with so many texts.
    """

    name: str
    members: np.ndarray
    others: np.ndarray
    auc: Interval
    tpr_1: Interval
    tpr_01: Interval
    epsilon: float
    could_show: float

    @classmethod
    def of(
        cls,
        name: str,
        members: np.ndarray,
        others: np.ndarray,
        *,
        delta: float,
        confidence: float,
    ) -> Attack:
        """Judge scores; a holdout below 1,000 texts cannot show 0.1%, and counts 0 false alarms."""
        return cls(
            name,
            members,
            others,
            area(members, others, confidence),
            true_positives_at(0.01, members, others, confidence),
            true_positives_at(0.001, members, others, confidence),
            epsilon_at_least(members, others, delta=delta, confidence=confidence),
            epsilon_could_show(len(members), len(others), delta=delta, confidence=confidence),
        )


def membership(
    texts: Mapping[str, Sequence[str]], vectors: Mapping[str, np.ndarray], *, delta: float = 0.0
) -> list[Attack]:
    """Return the attacks on membership, the more successful first.

    Parameters
    ----------
    texts : mapping
        Synthetic texts as ``"made"``, training texts as ``"in"``, holdout texts as ``"out"``.
    vectors : mapping
        Theirs, unit rows.
    delta : float, default=0.0
        Of the guarantee that is put to the test.
    """
    model, usual = WordModel(texts["made"]), WordModel([*texts["in"], *texts["out"]], order=1)
    scores = {
        "nearest synthetic text": (
            nearest_of(vectors["in"], vectors["made"])[0],
            nearest_of(vectors["out"], vectors["made"])[0],
        ),
        # beside how usual its words are, which tells nothing: that model has read both parts
        "likelihood under a word model": (
            model.scores(texts["in"]) - usual.scores(texts["in"]),
            model.scores(texts["out"]) - usual.scores(texts["out"]),
        ),
    }
    confidence = 1 - (1 - CONFIDENCE) / len(scores)  # the better one is picked
    attacks = [
        Attack.of(name, *pair, delta=delta, confidence=confidence) for name, pair in scores.items()
    ]
    return sorted(attacks, key=lambda attack: -attack.auc.value)


def nearest_of(real: np.ndarray, made: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cosine to the nearest of `made`, and which it is."""
    rows = UnitRows(made)
    blocks = [rows.nearest(real[at : at + _ROWS]) for at in range(0, len(real), _ROWS)]
    nearest, cosines, *_ = (np.concatenate(each) for each in zip(*blocks, strict=True))
    return cosines, nearest
