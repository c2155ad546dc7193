"""What a protocol measured: every way of training, by classifier, number of texts and resample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from smotext_lab.errors import DataError
from smotext_lab.evaluation.cells import COLUMNS, Cell
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.statistics import (
    Effect,
    difference,
    drop,
    drop_difference,
    drop_win_tie_loss,
    noisy_difference,
    retention,
    win_tie_loss,
)

__all__ = ["CLEAN", "Arm", "Results"]

CLEAN = "clean"
"""The test texts as they are."""


@dataclass(frozen=True)
class Arm:
    """One way of training.

    Attributes
    ----------
    method : str
        Of `METHODS`; "real" for nothing, "class weights" for the real texts weighted by class.
    times : float or None
        New texts for each real one; None: as many as make the classes equal.
    with_real : bool
        Whether the real texts are trained on too.
    teacher : bool
        Whether a teacher says the labels, softly.
    """

    method: str = "real"
    times: float | None = 0.0
    with_real: bool = True
    teacher: bool = False

    @property
    def makes(self) -> bool:
        """Whether it makes anything new."""
        return self.method not in ("real", "class weights")

    def __str__(self) -> str:
        if not self.makes:
            return f"{self.method}, teacher's labels" if self.teacher else self.method
        size = "" if self.times is None else f"{self.times:g} × "
        return f"{'real + ' if self.with_real else ''}{size}{self.method}"


@dataclass(frozen=True, eq=False)
class Results:
    """What a protocol measured.

    Attributes
    ----------
    protocol : str
    split : Split
    cells : dict
        (arm, classifier, k) -> one cell a resample.
    examples : DataFrame
        A few of the new texts of the first resample; columns ``method``, ``label``, ``text``.
    refused : DataFrame
        A few that were refused there, with a column ``reason`` besides. How many were is in
        `frame`, under the largest number of each method: ``n_asked``, ``n_new``, ``refused_…``.
    """

    protocol: str
    split: Split
    cells: Mapping[tuple[Arm, str, Any], list[Cell]]
    examples: pd.DataFrame
    refused: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def frame(self) -> pd.DataFrame:
        """One row a metric; columns `COLUMNS`."""
        rows = [row for cells in self.cells.values() for cell in cells for row in cell.rows]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def predicted(self, arm: Arm, classifier: str, k: Any, test: str = CLEAN) -> np.ndarray:
        """Return the classes said, int (resamples, n_test); -1 where a text was not tested."""
        cells = self._of(arm, classifier, k)
        return np.array([cell.predicted[test] for cell in cells], dtype=np.int64)

    def _of(self, arm: Arm, classifier: str, k: Any) -> list[Cell]:
        if (arm, classifier, k) not in self.cells:
            there = sorted({str(a) for a, name, at in self.cells if (name, at) == (classifier, k)})
            msg = (
                f"of {arm} nothing was measured by {classifier} at k = {k} (vectors without texts "
                f"teach those that read vectors only); there are: {', '.join(there) or 'none'}"
            )
            raise DataError(msg)
        return self.cells[arm, classifier, k]

    def mean(self, arm: Arm, classifier: str, k: Any, metric: str, test: str = CLEAN) -> float:
        """Return the mean of a metric over the resamples."""
        values = [
            row["value"]
            for cell in self._of(arm, classifier, k)
            for row in cell.rows
            if row["metric"] == metric and row["test"] == test
        ]
        return float(np.mean(values)) if values else float("nan")

    def gain(self, arm: Arm, over: Arm, classifier: str, k: Any, test: str = CLEAN) -> Effect:
        """Return the paired difference of macro-F1 between two arms."""
        both = [self.predicted(each, classifier, k, test) for each in (arm, over)]
        return difference(self.truth, both[0], both[1], len(self.split.classes))

    def kept(self, arm: Arm, over: Arm, classifier: str, k: Any) -> Effect:
        """Return the share of macro-F1 above guessing that `arm` keeps of `over`."""
        both = [self.predicted(each, classifier, k) for each in (arm, over)]
        return retention(self.truth, both[0], both[1], len(self.split.classes))

    def wins(self, arm: Arm, over: Arm, classifier: str, k: Any) -> tuple[int, int, int]:
        """Return in how many resamples `arm` is better, as good, worse."""
        both = [self.predicted(each, classifier, k) for each in (arm, over)]
        return win_tie_loss(self.truth, both[0], both[1], len(self.split.classes))

    @property
    def truth(self) -> np.ndarray:
        """The classes of the test texts, int (n_test,)."""
        return np.searchsorted(self.split.classes, self.split.test_labels)

    @property
    def noises(self) -> list[str]:
        """The tests beside the clean one."""
        cells = next(iter(self.cells.values()))
        return [test for test in cells[0].predicted if test != CLEAN]

    def drop(
        self, arm: Arm, classifier: str, k: Any, noises: Sequence[str] | None = None
    ) -> Effect:
        """Return the share of accuracy lost under `noises`, by default all that were tested.

        Raises
        ------
        DataError
            If nothing was tested under noise, or no clean text was classified right.
        """
        return drop(self.truth, self._under(noises, arm, classifier, k))

    def drop_difference(self, arm: Arm, over: Arm, classifier: str, k: Any) -> Effect:
        """Return how much less of its accuracy `arm` loses under all noises than `over`: paired.

        Raises
        ------
        DataError
            See `drop`.
        """
        both = [self._under(None, each, classifier, k) for each in (arm, over)]
        return drop_difference(self.truth, both[0], both[1])

    def noisy_gain(self, arm: Arm, over: Arm, classifier: str, k: Any) -> Effect:
        """Return how much more accurate `arm` is under all noises than `over`: paired.

        Raises
        ------
        DataError
            If nothing was tested under noise.
        """
        both = [self._under(None, each, classifier, k) for each in (arm, over)]
        return noisy_difference(self.truth, both[0], both[1])

    def drop_wins(self, arm: Arm, over: Arm, classifier: str, k: Any) -> tuple[int, int, int]:
        """Return in how many resamples `arm` loses less under all noises, as much, more."""
        both = [self._under(None, each, classifier, k) for each in (arm, over)]
        return drop_win_tie_loss(self.truth, both[0], both[1])

    def _under(self, noises: Sequence[str] | None, arm: Arm, classifier: str, k: Any) -> np.ndarray:
        """Return the classes said, the clean texts first, int (1 + noises, resamples, n_test)."""
        tests = self.noises if noises is None else list(noises)
        if not tests:
            msg = f"{self.protocol} tested nothing under noise: robustness does"
            raise DataError(msg)
        return np.stack([self.predicted(arm, classifier, k, test) for test in (CLEAN, *tests)])
