"""How mechanisms read private texts: capped for each user, each encoded by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.sampler.forms import Given

__all__ = ["PUBLIC", "Private", "encoded_alone", "read_private"]

PUBLIC = (
    "the names of the classes",
    "the models, anchors and public texts",
    "all parameters",
    "how long it took",
)
"""What the mechanisms take for known."""


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


def read_private(
    texts: Any, y: Any, users: Sequence[Any] | None, texts_per_user: int | None
) -> Private:
    """Return the texts that a mechanism reads.

    Raises
    ------
    DataError
        If there is not one user a text.
    ParameterError
        If users are given and not capped, or the other way round.
    """
    given = Given.read(texts, y)
    if (users is None) != (texts_per_user is None):
        msg = (
            "users and texts_per_user go together: say whose each text is, and how many texts of "
            "one user are read at most."
        )
        raise ParameterError(msg)
    if users is None or texts_per_user is None:
        return Private(given.texts, given.labels)
    if len(users) != len(given.texts):
        msg = f"There are {len(given.texts)} texts but {len(users)} users: give one each."
        raise DataError(msg)
    seen: Counter[Any] = Counter()
    kept = []
    for row, user in enumerate(users):
        seen[user] += 1
        if seen[user] <= texts_per_user:
            kept.append(row)
    return Private([given.texts[row] for row in kept], given.labels[kept])


def encoded_alone(encoder: Any, texts: Sequence[str], *, progress: bool = False) -> np.ndarray:
    """Return vectors that depend on their own text only.

    In a batch, the last bits of a vector depend on the texts beside it: on one text, more rows
    than one would hang, and the guarantee would not hold to the letter.
    """
    from tqdm.auto import tqdm

    known: dict[str, np.ndarray] = {}
    for text in tqdm(texts, "encode", disable=not progress, unit="text", leave=False):
        if text not in known:
            whole = text.encode("utf-8", "replace").decode("utf-8")
            known[text] = np.asarray(encoder.encode([whole]))[0]
    return np.array([known[text] for text in texts], np.float32).reshape(len(texts), encoder.dim)
