"""What is asked of the texts that are written for some vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from smotext_lab.forms import TextForm
from smotext_lab.steering import Steering

__all__ = ["Agreement", "Wanted", "Written"]

Agreement = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Rows (m,) and vectors (m, d) of texts tried for them → how surely (0 to 1) each is of the label
that its row should have."""

Written = Callable[[int, str], None]
"""Told a row and its text so far, after every step of its first candidate."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is asked of rows that are decoded together.

    Attributes
    ----------
    vectors : ndarray of float32, shape (n, d)
    keys : ndarray of uint64, shape (n,)
        A row's random key.
    forms : list of (TextForm or None), length n
    lengths : list of (int or None), length n
        In words.
    guidance : ndarray of float32, shape (n, d), or None
        What the vectors are moved by before they are read; texts are ranked by those themselves.
    agreement : Agreement or None
        Its rows count from the block's first.
    steering : Steering
    written : Written or None
        Its rows, too.
    """

    vectors: np.ndarray
    keys: np.ndarray
    forms: list[TextForm | None]
    lengths: list[int | None]
    guidance: np.ndarray | None = None
    agreement: Agreement | None = None
    steering: Steering = field(default_factory=Steering)
    written: Written | None = None

    def block(self, rows: slice) -> Wanted:
        """Return what is asked of some rows, which count from the first of them."""
        agreement, written, first = self.agreement, self.written, rows.start
        return Wanted(
            self.vectors[rows],
            self.keys[rows],
            self.forms[rows],
            self.lengths[rows],
            None if self.guidance is None else self.guidance[rows],
            agreement and (lambda at, vectors: agreement(at + first, vectors)),
            self.steering,
            written and (lambda row, text: written(row + first, text)),
        )
