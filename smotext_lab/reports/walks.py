"""λ walks: from one real text to a neighbour of its class, decoded at each step."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from smotext_lab.errors import DataError, ParameterError, did_you_mean

if TYPE_CHECKING:
    from smotext_lab.decoded import Decoded
    from smotext_lab.decoders import XRAGDecoder
    from smotext_lab.guards.judge import Verdict

__all__ = ["Walks", "blendable", "neighbor_pairs", "sample_texts", "unrelated_cosine", "walk"]

_DRAWS = 20  # SMOTE blends drawn for each pair wanted: some repeat a text or join near copies


def sample_texts(
    frame: pd.DataFrame,
    per_class: int,
    *,
    classes: Sequence[object] | None = None,
    random_state: int | None = None,
) -> pd.DataFrame:
    """Return up to `per_class` different texts of each class, from the training part.

    Parameters
    ----------
    frame : DataFrame
        Columns text, label and split, as `load_dataset` returns.
    per_class : int
        At least 2: a text needs a neighbour.
    classes : sequence, optional
        Only these classes, by their label or its printed form.
    random_state : int, optional

    Returns
    -------
    DataFrame
        Rows in the order of `frame`, with a new index from 0.

    Raises
    ------
    DataError
        If a class is not there, or no class has two different texts.
    ParameterError
        If `per_class` is below 2.
    """
    if per_class < 2:
        msg = f"per_class must be at least 2 (a text needs a neighbour), got {per_class}."
        raise ParameterError(msg)
    train = frame[frame["split"] == "train"] if (frame["split"] == "train").any() else frame
    rows = train.drop_duplicates("text")
    names = rows["label"].astype(str)
    for wanted in classes or []:
        if str(wanted) not in set(names):
            known = ", ".join(sorted(set(names))[:20])
            msg = f"There is no class {str(wanted)!r}{did_you_mean(wanted, set(names))}: {known}."
            raise DataError(msg)
    if classes:
        rows = rows[names.isin([str(name) for name in classes])]
    shuffled = rows.sample(frac=1, random_state=random_state)
    taken = shuffled.groupby("label", sort=False).head(per_class).sort_index(kind="stable")
    if taken["label"].value_counts().max() < 2:
        msg = "No class has two different texts, so there is nothing to walk between."
        raise DataError(msg)
    return taken.reset_index(drop=True)


def neighbor_pairs(
    vectors: np.ndarray,
    labels: Sequence[Any] | np.ndarray,
    n: int,
    *,
    k_neighbors: int = 5,
    max_cosine: float = 0.9,
    random_state: int | None = None,
) -> np.ndarray:
    """Draw pairs of neighbours as SMOTE draws them, spread evenly over the classes.

    Parameters
    ----------
    vectors : ndarray of shape (n_texts, d)
        Unit rows.
    labels : sequence of length n_texts
    n : int
        How many pairs; fewer are returned where the classes do not hold as many.
    k_neighbors : int, default=5
        As in SMOTE.
    max_cosine : float, default=0.9
        Pairs nearer than this are taken only where there are no others: between copies
        there is no way to go.
    random_state : int, optional

    Returns
    -------
    ndarray of int64, shape (at most n, 2)
        Rows of `vectors`; no row comes twice. Drawn, not chosen by their outcome.

    Raises
    ------
    DataError
        If no class has two texts.
    ParameterError
        If `n` is below 1.

    References
    ----------
    SMOTExT, arXiv 2505.13434, section 3.
    """
    from smotext_lab.interpolators import SMOTEInterpolator

    if n < 1:
        msg = f"n must be at least 1 pair, got {n}."
        raise ParameterError(msg)
    labels = np.asarray(labels)
    classes, counts = np.unique(labels, return_counts=True)
    classes = classes[counts >= 2]
    if not len(classes):
        msg = "No class has two texts, so there is no pair to walk between."
        raise DataError(msg)
    shares = {c: n // len(classes) + (i < n % len(classes)) for i, c in enumerate(classes.tolist())}
    smote = SMOTEInterpolator(k_neighbors, random_state=random_state)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*neighbo", category=UserWarning)
        plan = smote.plan(vectors, labels, {c: _DRAWS * m for c, m in shares.items() if m})
    drawn = plan.parents[:, :2].tolist()
    drawn.sort(key=lambda pair: float(vectors[pair[0]] @ vectors[pair[1]]) > max_cosine)
    found: list[tuple[int, int]] = []
    used: set[int] = set()
    for a, b in drawn:
        label = labels[a : a + 1].tolist()[0]
        if a != b and not used & {a, b} and shares[label]:
            found.append((a, b))
            used |= {a, b}
            shares[label] -= 1
    order = np.argsort([labels[a : a + 1] for a, _ in found], axis=0, kind="stable")[:, 0]
    return np.array(found, dtype=np.int64)[order]


def unrelated_cosine(vectors: np.ndarray, labels: Sequence[Any] | np.ndarray) -> float:
    """Return the mean cosine between texts of different classes: what chance gives.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Unit rows.
    labels : sequence of length n

    Returns
    -------
    float
        With one class only: between any two texts of it.

    Examples
    --------
    >>> unrelated_cosine(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), ["a", "a", "b"])
    0.0
    """
    data = np.asarray(vectors, dtype=np.float64)
    _, codes = np.unique(np.asarray(labels), return_inverse=True)
    groups = codes if codes.max() else np.arange(len(data))
    sums = np.zeros((groups.max() + 1, data.shape[1]))
    np.add.at(sums, groups, data)
    pairs = len(data) ** 2 - float((np.bincount(groups) ** 2).sum())
    return float((data.sum(axis=0) @ data.sum(axis=0) - (sums**2).sum()) / max(pairs, 1.0))


@dataclass(frozen=True, eq=False)
class Walks:
    """Walks between real texts: p pairs, s steps each, vectors of length d.

    Attributes
    ----------
    texts, labels : list, ndarray
        All real texts that the walks were drawn from.
    vectors : float32 ndarray of shape (n, d)
    pairs : int64 ndarray of shape (p, 2)
        Rows of text A and text B.
    lambdas : float64 ndarray of shape (s,)
        From 0 (text A) to 1 (text B).
    targets : float32 ndarray of shape (p, s, d)
        The points that were decoded.
    decoded : list of p lists of s Decoded
    verdicts : list of p lists of s Verdict
        Of the guards; walks may repeat a real text.
    words : list of p lists of s lists of (word, weight)
        What each point stands for; empty for a bridge with no words.
    """

    texts: list[str]
    labels: np.ndarray
    vectors: np.ndarray
    pairs: np.ndarray
    lambdas: np.ndarray
    targets: np.ndarray
    decoded: list[list[Decoded]]
    verdicts: list[list[Verdict]]
    words: list[list[list[tuple[str, float]]]]

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def between(self) -> int:
        """The step nearest to λ = ½."""
        return int(np.abs(self.lambdas - 0.5).argmin())

    @property
    def cosines(self) -> np.ndarray:
        """Cosine of each decoded text, encoded again, to its target, shape (p, s)."""
        return np.array([[step.cosine for step in steps] for steps in self.decoded])

    @property
    def made(self) -> np.ndarray:
        """Vectors of the decoded texts, shape (p, s, d)."""
        return np.array([[step.vector for step in steps] for steps in self.decoded])

    @property
    def own_class(self) -> np.ndarray:
        """Whether the real text nearest to each decoded one is of the pair's class, (p, s)."""
        nearest = np.array([[v.nearest_real for v in steps] for steps in self.verdicts])
        same: np.ndarray = self.labels[nearest] == self.labels[self.pairs[:, :1]]
        return same

    @property
    def repeating(self) -> np.ndarray:
        """Cosine to the target of the nearer of text A and text B themselves, (p, s)."""
        cosines = np.einsum("psd,ped->pse", self.targets, self.vectors[self.pairs])
        nearer: np.ndarray = cosines.max(axis=2)
        return nearer


def walk(
    decoder: XRAGDecoder,
    frame: pd.DataFrame,
    vectors: np.ndarray,
    pairs: np.ndarray,
    *,
    steps: int = 5,
    random_state: int | None = None,
    words: int = 8,
) -> Walks:
    """Decode `steps` points on the line between the two texts of each pair.

    Parameters
    ----------
    decoder : XRAGDecoder
    frame : DataFrame
        Columns text and label, one row for each vector.
    vectors : ndarray of shape (n, d)
    pairs : ndarray of shape (p, 2)
    steps : int, default=5
        At least 3, both ends included: 5 are λ = 0, ¼, ½, ¾, 1.
    random_state : int, optional
        The same one gives the same texts.
    words : int, default=8
        How many words are told of each point.

    Returns
    -------
    Walks

    Raises
    ------
    ParameterError
        If there are fewer than 3 steps.

    References
    ----------
    SMOTExT, arXiv 2505.13434, section 3 and its figure of interpolated texts.
    """
    from smotext_lab.guards import Guards
    from smotext_lab.guards.screen import Screen
    from smotext_lab.interpolators import path

    if steps < 3:
        msg = f"steps must be at least 3 (both ends and something between), got {steps}."
        raise ParameterError(msg)
    targets = np.stack([path(vectors[a], vectors[b], steps) for a, b in pairs])
    points = targets.reshape(-1, targets.shape[-1])
    seeds = np.random.SeedSequence(random_state).generate_state(len(points), np.uint64)
    rows = sorted(decoder.decode_rows(points, seeds=seeds), key=lambda decoded: decoded.row)
    texts, labels = frame["text"].tolist(), frame["label"].to_numpy()
    parents = [pair[[at < 1, at > 0]] for pair in pairs for at in np.linspace(0.0, 1.0, steps)]
    judge = Guards().fit(texts, vectors, labels)
    verdicts = judge.judge(
        [row.text for row in rows],
        np.array([row.vector for row in rows]),
        np.repeat(labels[pairs[:, 0]], steps),
        parents=parents,
        exempt=np.ones(len(rows), dtype=bool),
    )
    screen = Screen.of(True)
    told = [
        [found for found in row if not screen.hides(found[0], [texts[i] for i in of])]
        for row, of in zip(decoder.explain(points, words), parents, strict=True)
    ]
    return Walks(
        texts=texts,
        labels=labels,
        vectors=vectors,
        pairs=pairs,
        lambdas=np.linspace(0.0, 1.0, steps),
        targets=targets,
        decoded=[rows[i : i + steps] for i in range(0, len(rows), steps)],
        verdicts=[verdicts[i : i + steps] for i in range(0, len(rows), steps)],
        words=[told[i : i + steps] for i in range(0, len(rows), steps)],
    )


def blendable(labels: Sequence[Any] | np.ndarray, n: int) -> dict[Any, int]:
    """Return ``{class: n}`` for every class with two texts or more, as samplers take it.

    Examples
    --------
    >>> blendable(["a", "a", "b"], 3)
    {'a': 3}
    """
    classes, counts = np.unique(np.asarray(labels), return_counts=True)
    return dict.fromkeys(classes[counts >= 2].tolist(), n)
