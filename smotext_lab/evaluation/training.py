"""What a classifier is trained on: texts and labels, of whatever origin."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from smotext_lab.errors import DataError
from smotext_lab.guards.words import fold

__all__ = ["TrainingTexts"]


@dataclass(frozen=True, eq=False)
class TrainingTexts:
    """Texts with labels to learn from, and what else a way of augmenting brings.

    Attributes
    ----------
    texts : list of str, length n
    labels : ndarray of str, shape (n,)
    weights : ndarray of float64, shape (n,), optional
        How much each text counts; None: all the same.
    points : ndarray of float32, shape (m, d), optional
        Vectors that no text was written for, for classifiers that read vectors.
    point_labels : ndarray of str, shape (m,), optional
    shares : ndarray of float64, shape (n, n_classes), optional
        Soft labels in the order of the sorted classes of the data set, in place of `labels`.
    refused : DataFrame, optional
        What was written beside them and not taken: columns ``text``, ``label``, ``reason``. It
        belongs to texts as they were made; what is joined or cut to fewer has none.

    Examples
    --------
    >>> few = TrainingTexts(["rain", "goal"], np.array(["weather", "sport"]))
    >>> len(few + few)
    4
    """

    texts: list[str]
    labels: np.ndarray
    weights: np.ndarray | None = None
    points: np.ndarray | None = None
    point_labels: np.ndarray | None = None
    shares: np.ndarray | None = None
    refused: pd.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __add__(self, other: TrainingTexts) -> TrainingTexts:
        both = (self, other)
        if any(part.shares is not None for part in both):
            msg = "training texts with soft labels cannot be joined to others"
            raise DataError(msg)
        weighted = any(part.weights is not None for part in both)
        pointed = [part for part in both if part.points is not None]
        return TrainingTexts(
            self.texts + other.texts,
            np.concatenate([part.labels for part in both]),
            np.concatenate([part.weights_or_ones() for part in both]) if weighted else None,
            np.concatenate([_there(part.points) for part in pointed]) if pointed else None,
            np.concatenate([_there(part.point_labels) for part in pointed]) if pointed else None,
        )

    def weights_or_ones(self) -> np.ndarray:
        """Return `weights`, or ones; shape (n,)."""
        return np.ones(len(self)) if self.weights is None else self.weights

    def targets(self, classes: np.ndarray) -> np.ndarray:
        """Return what is to be said of each text: `shares`, or 1 for its label; (n, n_classes).

        Parameters
        ----------
        classes : ndarray of str, shape (n_classes,)
            Sorted.
        """
        if self.shares is not None:
            return self.shares
        hard: np.ndarray = np.eye(len(classes))[np.searchsorted(classes, self.labels)]
        return hard

    def refusals(self) -> dict[str, int]:
        """Return how many texts were refused for each kind of reason, the most frequent first.

        The kind is what stands before the colon, as in `Synthesis.reasons`.
        """
        if self.refused is None:
            return {}
        kinds = self.refused["reason"].map(lambda reason: str(reason).partition(":")[0])
        return {str(kind): int(count) for kind, count in kinds.value_counts().items()}

    def softened(self, shares: np.ndarray) -> TrainingTexts:
        """Return the same texts with a teacher's soft labels."""
        return replace(self, shares=shares)

    def share(self, share: float) -> TrainingTexts:
        """Return the first such share of the texts, or of the points, of each class."""
        there = self.labels if self.point_labels is None else self.point_labels
        sizes = zip(*np.unique(there, return_counts=True), strict=True)
        return self.first({str(label): round(share * int(n)) for label, n in sizes})

    def without(self, folded: Container[str], reason: str) -> TrainingTexts:
        """Return the same without the texts that are `folded` ones, which count as refused.

        Parameters
        ----------
        folded : container of str
            As `guards.words.fold` makes them.
        reason : str
        """
        out = np.array([fold(text) in folded for text in self.texts], dtype=bool)
        if not out.any():
            return self
        refused = pd.DataFrame({"text": np.array(self.texts, dtype=object)[out]})
        refused = refused.assign(label=self.labels[out], reason=reason)
        before = [] if self.refused is None else [self.refused]
        return replace(
            self,
            texts=[text for text, gone in zip(self.texts, out, strict=True) if not gone],
            labels=self.labels[~out],
            weights=None if self.weights is None else self.weights[~out],
            shares=None if self.shares is None else self.shares[~out],
            refused=pd.concat([*before, refused], ignore_index=True),
        )

    def first(self, wanted: Mapping[str, int]) -> TrainingTexts:
        """Return, of each class, the first so many texts and the first so many points."""
        rows = _first(self.labels, wanted)
        less = TrainingTexts([self.texts[row] for row in rows], self.labels[rows])
        if self.points is None or self.point_labels is None:
            return less
        kept = _first(self.point_labels, wanted)
        return replace(less, points=self.points[kept], point_labels=self.point_labels[kept])


def _first(labels: np.ndarray, wanted: Mapping[str, int]) -> list[int]:
    rows = [row for c, n in wanted.items() for row in np.flatnonzero(labels == c)[:n].tolist()]
    return sorted(rows)


def _there(array: Any) -> np.ndarray:
    return np.asarray(array)
