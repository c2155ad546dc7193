"""Labelled texts that nothing was trained on, and the points that are decoded."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from smotext_lab import SMOTEInterpolator, load_dataset
from smotext_lab.bridges import split_words
from smotext_lab.datasets import DataWarning
from smotext_lab.datasets.labelled import part_of
from smotext_lab.encoders import Encoder
from smotext_lab.errors import DataError
from smotext_lab.sampler.counts import shares

__all__ = ["LabelledSet", "Points", "digest", "read_set"]


@dataclass(frozen=True, eq=False)
class Points:
    """What is decoded, and what it was made from.

    Attributes
    ----------
    of : {"vector", "blend"}
        Texts' own vectors, or points half way between two neighbours of a class.
    vectors : ndarray of float32, shape (n, d)
        Unit rows.
    labels : ndarray of shape (n,)
    sources : ndarray of int64, shape (n, 1) or (n, 2)
        The set's texts that each point was made from; a form that is given to the decoder
        is that of the first.
    """

    of: str
    vectors: np.ndarray
    labels: np.ndarray
    sources: np.ndarray

    def __len__(self) -> int:
        return len(self.vectors)

    def key(self, of: LabelledSet) -> str:
        """Return what stands for these points; the last bits of vectors may differ by machine."""
        return digest(self.of, of.texts, self.sources.tolist())


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Unseen texts with labels, and the real texts that judges learn from.

    Attributes
    ----------
    name : str
    texts : list of str, length n
    labels : ndarray of shape (n,)
    points : tuple of Points
        Vectors and, where a class has two texts, blends.
    train_texts : list of str
    train_labels : ndarray
        Never decoded.
    """

    name: str
    texts: list[str]
    labels: np.ndarray
    points: tuple[Points, ...]
    train_texts: list[str]
    train_labels: np.ndarray

    @property
    def digest(self) -> str:
        """Identity of the texts and labels."""
        return digest(
            self.texts, self.labels.tolist(), self.train_texts, self.train_labels.tolist()
        )


def digest(*parts: Any) -> str:
    """Return 16 hexadecimal digits that stand for `parts`, which JSON can write."""
    packed = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(packed.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return what the sets of some files are called: the stem, with folders where it comes again.

    With folders too where it is "mean", as the row over all sets is called.

    Raises
    ------
    DataError
        If a file is named twice.
    """
    whole = [Path(path).resolve() for path in paths]
    if len(set(whole)) < len(whole):
        msg = "a set is named twice: name each file once"
        raise DataError(msg)
    for folders in range(max(len(path.parts) for path in whole)):
        names = [_called(path, folders) for path in whole]
        if len({*names} - {"mean"}) == len(names):
            return names
    return [str(path) for path in whole]


def _called(path: Path, folders: int) -> str:
    parts = path.parent.parts[len(path.parent.parts) - folders :]
    return "/".join([*parts, path.name.partition(".")[0]])


def read_set(
    path: str | Path,
    encoder: Encoder,
    n: int,
    random_state: int,
    *,
    name: str,
    **columns: str | None,
) -> LabelledSet:
    """Read a labelled file and draw `n` of its test texts and as many pairs of neighbours.

    Where the file has no test part, judges learn from the texts that are not drawn: half of them
    at least. `columns` are ``text``, ``label`` and ``split`` of `load_dataset`.

    Raises
    ------
    DataError
        If it cannot be read, or does not hold what is decoded and what judges learn from.
    """
    frame = load_dataset(path, duplicates="drop", **columns)
    frame = frame[[bool(split_words(text)) for text in frame["text"]]]
    frame = frame.assign(label=frame["label"].astype(str))  # scikit-learn takes 4.5 for no class
    _refuse_one_class(f"texts of {name} with words in them", frame["label"])
    drawn, train = _parts(frame, n, random_state, name)
    _refuse_one_class(f"texts of {name} that judges would learn from", train["label"])
    texts, labels = drawn["text"].tolist(), drawn["label"].to_numpy()
    vectors = encoder.encode(texts)
    points = [Points("vector", vectors, labels, np.arange(len(texts))[:, None])]
    blends = _halves(vectors, labels, len(texts), random_state)
    points += [blends] if len(blends) else []
    return LabelledSet(
        name, texts, labels, tuple(points), train["text"].tolist(), train["label"].to_numpy()
    )


def _refuse_one_class(what: str, labels: pd.Series) -> None:
    if labels.nunique() < 2:
        classes = "".join(f", all of them {label}" for label in labels.unique())
        msg = f"there are {len(labels)} {what}{classes}: judges need two classes to tell apart"
        raise DataError(msg)


def _parts(
    frame: pd.DataFrame, n: int, random_state: int, name: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the texts that are decoded, and those that judges learn from."""
    part = frame["split"].map(part_of)
    test, train = frame[part == "test"], frame[part == "train"]
    if not len(test):
        half = len(frame) // 2
        if n > half:
            msg = f"{name} has no test part: {half} of its {len(frame)} texts are decoded"
            warnings.warn(msg, DataWarning, stacklevel=3)
        test, train, n = frame, frame, min(n, half)
    elif not len(train):
        msg = f"{name} has a test part, but no train part for judges to learn from"
        raise DataError(msg)
    drawn = test.sample(frac=1, random_state=random_state)[:n]
    if len(drawn) < 2:
        msg = f"{name} has {len(drawn)} text to decode: two are needed"
        raise DataError(msg)
    # a text that stands in both parts would be its own judge
    return drawn, train[~train["text"].isin(set(drawn["text"]))]


def _halves(vectors: np.ndarray, labels: np.ndarray, n: int, random_state: int) -> Points:
    """Return up to `n` different pairs of SMOTE, with their mid-points at unit length."""
    counts = pd.Series(labels).value_counts()
    kept = labels[np.isin(labels, counts.index[counts > 1].tolist())]
    if not len(kept):
        return Points("blend", vectors[:0], labels[:0], np.empty((0, 2), np.int64))
    smote = SMOTEInterpolator(random_state=random_state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with few texts: they have few
        plan = smote.plan(vectors, labels, shares(4 * n, kept))  # more than enough; pairs repeat
    pairs, first = np.unique(np.sort(plan.parents, axis=1), axis=0, return_index=True)
    rng = np.random.default_rng(random_state)
    chosen = np.sort(first[rng.permutation(len(pairs))[:n]])
    parents = plan.parents[chosen]
    middles = vectors[parents].mean(axis=1)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True).clip(1e-12)
    return Points("blend", middles, np.asarray(plan.label[chosen]), parents)
