"""Real texts to train on and real texts to test on, with nothing in both."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from smotext_lab.cache import content_key
from smotext_lab.datasets.labelled import part_of
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.guards.words import fold

__all__ = ["Split"]

_LEAST = 4  # texts of a class: two to train on, two to test on


@dataclass(frozen=True, eq=False)
class Split:
    """A labelled data set in two parts.

    Attributes
    ----------
    name : str
    train_texts, test_texts : list of str
    train_labels, test_labels : ndarray of str
    classes : ndarray of str
        Sorted.
    overlap : int
        Test texts that were left out because they stand in the training part.
    too_small : tuple of str
        Classes of the data that were left out because there are too few texts of them.
    beyond : int
        Classes of the data that were left out because others are larger.

    Raises
    ------
    DataError
        If a test text stands in the training part, whatever its case, spaces and marks.
    """

    name: str
    train_texts: list[str]
    train_labels: np.ndarray
    test_texts: list[str]
    test_labels: np.ndarray
    classes: np.ndarray
    overlap: int = 0
    too_small: tuple[str, ...] = ()
    beyond: int = 0

    def __post_init__(self) -> None:
        learnt = {_same(text) for text in self.train_texts}
        both = [text for text in self.test_texts if _same(text) in learnt]
        if both:
            raise DataError(_leak(self.name, len(both), len(self.test_texts), both[0]))

    @classmethod
    def read(
        cls,
        frame: pd.DataFrame,
        name: str = "data",
        *,
        test_rows: int = 500,
        test_share: float = 0.4,
        overlap: Literal["error", "drop"] = "error",
        random_state: int = 0,
    ) -> Split:
        """Split a frame with columns ``text``, ``label`` and, where it has one, ``split``.

        Parameters
        ----------
        frame : DataFrame
            Where ``split`` is "test" for some rows and "train" for others, that is kept, and
            rows of which it says something else are left out; where it says neither, a warning
            says so. Else `test_share` of each class is drawn. Texts that repeat within a part
            count once.
        name : str
        test_rows : int, default=500
            About so many test texts at most, drawn within classes, of each at least two.
        test_share : float, default=0.4
        overlap : {"error", "drop"}, default="error"
            What happens to test texts that also stand in the given training part, up to case,
            white space and marks: a classifier that has seen them is not tested by them. Where
            the parts are drawn here they are left out.
        random_state : int, default=0

        Raises
        ------
        DataError
            If test texts stand in the training part, or fewer than two classes have 4 texts.
        ParameterError
            If `overlap` is neither.

        Examples
        --------
        >>> rows = [(f"{word} {n}", word) for word in ("rain", "goal") for n in range(10)]
        >>> split = Split.read(pd.DataFrame(rows, columns=["text", "label"]))
        >>> len(split.train_texts), len(split.test_texts)
        (12, 8)
        """
        if overlap not in ("error", "drop"):
            msg = f"overlap must be 'error' or 'drop', not {overlap!r}"
            raise ParameterError(msg)
        data = pd.DataFrame(
            {
                "text": frame["text"].astype(str),
                "label": frame["label"].astype(str),
                "split": frame.get("split", pd.Series("train", frame.index)).map(part_of),
            }
        ).reset_index(drop=True)  # frames put together may have a row's name twice
        data["same"] = data["text"].str.casefold().str.split().str.join(" ")
        data = data[data["same"] != ""].drop_duplicates(["same", "split"])
        given = {"train", "test"} <= set(data["split"])
        if not given:
            if data["split"].nunique() > 1:
                _say_unused(name, data["split"])
            data = data.drop_duplicates("same").assign(split="train")
            drawn = data.groupby("label").sample(frac=test_share, random_state=random_state)
            data.loc[drawn.index, "split"] = "test"
        train, test = data[data["split"] == "train"], data[data["split"] == "test"]
        both = test["text"].map(_same).isin(set(train["text"].map(_same)))
        if both.any() and given and overlap == "error":
            first = test.loc[both, "text"].iloc[0]
            raise DataError(_leak(name, int(both.sum()), len(test), first))
        test = test[~both]
        every = np.unique(data["label"])
        train, test = _common(name, train, test)
        return cls(
            name,
            train["text"].tolist(),
            train["label"].to_numpy(dtype=str),
            *_thinned(test, test_rows, random_state),
            classes=np.unique(train["label"].to_numpy(dtype=str)),
            overlap=int(both.sum()),
            too_small=tuple(every[~np.isin(every, train["label"])]),
        )

    @property
    def digest(self) -> str:
        """Identity of the texts and labels."""
        train, test = self.train_labels.tolist(), self.test_labels.tolist()
        return content_key(self.train_texts, train, self.test_texts, test)

    def only(self, classes: Any) -> Split:
        """Return the same with these classes alone."""
        kept = np.unique(np.asarray(classes, dtype=str))
        train, test = (np.isin(each, kept) for each in (self.train_labels, self.test_labels))
        return Split(
            self.name,
            [text for text, there in zip(self.train_texts, train, strict=True) if there],
            self.train_labels[train],
            [text for text, there in zip(self.test_texts, test, strict=True) if there],
            self.test_labels[test],
            kept,
            self.overlap,
            self.too_small,
            self.beyond,
        )

    def with_texts(self, least: int) -> Split:
        """Return the same with the classes that have `least` training texts.

        Raises
        ------
        DataError
            If fewer than two have.
        """
        labels, counts = np.unique(self.train_labels, return_counts=True)
        if np.sum(counts >= least) < 2:
            msg = (
                f"{self.name}: {np.sum(counts >= least)} classes have {least} training texts and "
                f"two are needed; the largest have {sorted(counts.tolist())[-2:]}: ask for fewer"
            )
            raise DataError(msg)
        small = tuple(labels[counts < least].tolist())
        return replace(self.only(labels[counts >= least]), too_small=(*self.too_small, *small))


def _same(text: str) -> str:
    """Return what texts have in common that differ in case, spaces and marks alone."""
    return fold(text) or " ".join(text.split())  # of marks alone: they say something then


def _leak(name: str, both: int, tested: int, first: str) -> str:
    return (
        f"{name}: {both} of {tested} test texts stand in the training part too, the first is "
        f"{first[:60]!r}; take them out, or leave them out of the test with overlap='drop'"
    )


def _say_unused(name: str, said: pd.Series) -> None:
    there = ", ".join(map(repr, said.unique()[:4].tolist()))
    msg = (
        f"{name}: the column split says {there}, and not 'train' for some rows and 'test' for "
        f"others, so it is not used: both parts are drawn"
    )
    warnings.warn(msg, UserWarning, stacklevel=3)


def _common(
    name: str, train: pd.DataFrame, test: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave out classes that are too small for either part."""
    counts = [part["label"].value_counts() for part in (train, test)]
    kept = [each.index[each >= _LEAST // 2] for each in counts]
    classes = set(kept[0]) & set(kept[1])
    if len(classes) < 2:
        msg = (
            f"{name}: two classes with at least {_LEAST} texts are needed, to train on some and "
            f"test on others; there are {len(classes)}"
        )
        raise DataError(msg)
    return train[train["label"].isin(classes)], test[test["label"].isin(classes)]


def _thinned(test: pd.DataFrame, rows: int, random_state: int) -> tuple[list[str], np.ndarray]:
    """Return at most `rows` test texts, of each class the same share and at least two."""
    if len(test) > rows:
        share = rows / len(test)
        parts = [
            part.sample(max(2, round(share * len(part))), random_state=random_state)
            for _, part in test.groupby("label")
        ]
        test = pd.concat(parts)
    return test["text"].tolist(), test["label"].to_numpy(dtype=str)
