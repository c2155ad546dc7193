"""How mechanisms read private texts: capped for each user, each encoded by itself."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.sampler.forms import Given

__all__ = [
    "PUBLIC",
    "SHARE_ONLY",
    "Private",
    "check_classes",
    "encoded_alone",
    "plain_labels",
    "plain_texts",
    "read_private",
]

PUBLIC = (
    "the names of the classes",
    "the models, anchors and public texts",
    "all parameters",
    "how long it took",
)
"""What the mechanisms take for known."""

SHARE_ONLY = "{l_bar}{bar}"
"""A bar that does not say how many texts there are."""


@dataclass(frozen=True, eq=False)
class Private:
    """Texts and labels that are read, at most so many of each user."""

    texts: list[str]
    labels: np.ndarray

    def of(self, classes: Sequence[Any]) -> Private:
        """Return those of `classes` alone."""
        known = set(classes)
        kept = [row for row, label in enumerate(self.labels.tolist()) if label in known]
        return Private([self.texts[row] for row in kept], self.labels[kept])


def plain_texts(texts: Any, what: str) -> list[str]:
    """Return texts as a list: of a column, an array or a list of them.

    Parameters
    ----------
    texts : sequence of str
    what : str
        What they are called where they are refused.

    Raises
    ------
    DataError
        If it is one text, a frame, or one of them is missing.

    Examples
    --------
    >>> plain_texts(pd.Series(["rain", "goal"]), "train")
    ['rain', 'goal']
    """
    if isinstance(texts, (str, pd.DataFrame, Mapping)):
        kind = "one text" if isinstance(texts, str) else f"a {type(texts).__name__}"
        msg = f"{what} is {kind}: give the texts themselves, as a list or a column of a frame."
        raise DataError(msg)
    found = list(texts)
    gone = next((row for row, text in enumerate(found) if not isinstance(text, str)), None)
    if gone is not None:
        msg = f"Text {gone} of {what} is no text, but {found[gone]!r}: leave it out."
        raise DataError(msg)
    return found


def check_classes(classes: Sequence[Any] | None, labels: Iterable[Any]) -> None:
    """Refuse classes of another kind than the labels, such as "1" for 1: all would be left out.

    The kind of the labels is known with the names of the classes, which are public.

    Raises
    ------
    ParameterError
    """
    named = () if classes is None else classes
    kinds = [{isinstance(each, str) for each in some} for some in (named, labels)]
    if all(kinds) and not kinds[0] & kinds[1]:
        names = ["strings" if True in kind else "numbers" for kind in kinds]
        msg = f"classes are {names[0]} and the labels {names[1]}: give classes as the labels are."
        raise ParameterError(msg)


def plain_labels(labels: Iterable[Any]) -> list[Any]:
    """Return labels as JSON holds them, each of numpy's as Python's own.

    Examples
    --------
    >>> plain_labels(np.array([2, 1]))
    [2, 1]
    """
    return [label.item() if isinstance(label, np.generic) else label for label in labels]


def read_private(
    texts: Any, y: Any, users: Sequence[Any] | None, texts_per_user: int | None
) -> Private:
    """Return the texts that a mechanism reads.

    Raises
    ------
    DataError
        If there is not one user a text in their order, or one is missing.
    ParameterError
        If users are given and not capped, or the other way round.
    """
    given = Given.read(texts, y)
    # without halves of characters, which a tokenizer refuses: it would be paid for by then
    whole = [text.encode("utf-8", "replace").decode() for text in given.texts]
    if (users is None) != (texts_per_user is None):
        msg = (
            "users and texts_per_user go together: say whose each text is, and how many texts of "
            "one user are read at most."
        )
        raise ParameterError(msg)
    if users is None or texts_per_user is None:
        return Private(whole, given.labels)
    if isinstance(users, (str, pd.DataFrame, Mapping, Set)):  # the cap would count something else
        msg = (
            f"users is a {type(users).__name__}: give one user a text, as a list or a column of a "
            "frame."
        )
        raise DataError(msg)
    if len(users) != len(given.texts):
        msg = f"There are {len(given.texts)} texts but {len(users)} users: give one each."
        raise DataError(msg)
    if pd.isna(pd.Series(list(users), dtype=object)).any():
        msg = (
            "Some texts have no user, so that the texts of one user cannot be counted: give each "
            "of them a user, or leave them out."
        )
        raise DataError(msg)
    seen: Counter[Any] = Counter()
    kept = []
    for row, user in enumerate(users):
        seen[user] += 1
        if seen[user] <= texts_per_user:
            kept.append(row)
    return Private([whole[row] for row in kept], given.labels[kept])


def encoded_alone(encoder: Any, texts: Sequence[str], *, progress: bool = False) -> np.ndarray:
    """Return vectors that depend on their own text only.

    In a batch, the last bits of a vector depend on the texts beside it: on one text, more rows
    than one would hang, and the guarantee would not hold to the letter. Nor is anything said of
    the texts that has not been paid for: no warning of a long one, no number of them in a bar that
    stays, nothing noted in the encoder.

    Raises
    ------
    ParameterError
        If the encoder refuses long texts: which are long must not be told.
    """
    from tqdm.auto import tqdm

    if getattr(encoder, "long_texts", None) == "error":
        msg = (
            "long_texts='error' would tell how long a private text is: use 'truncate' or "
            "'sentences'."
        )
        raise ParameterError(msg)
    dim = encoder.dim  # loads the weights, so that the copy shares them
    encoder = copy.copy(encoder)
    known: dict[str, np.ndarray] = {}
    bar = tqdm(texts, "encode", disable=not progress, bar_format=SHARE_ONLY, leave=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in bar:
            if text not in known:
                known[text] = np.asarray(encoder.encode([text]))[0]
    return np.array([known[text] for text in texts], np.float32).reshape(len(texts), dim)
