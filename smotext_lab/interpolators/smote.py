"""SMOTE, Borderline-SMOTE and SVM-SMOTE: a text and a near one, on the line between."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.base import clone

from smotext_lab.errors import DataError, ParameterError, did_you_mean
from smotext_lab.interpolators.neighborhoods import Labelled, neighbors_of
from smotext_lab.interpolators.planning import (
    BaseInterpolator,
    Draw,
    draw_pairs,
    stream_of,
)

__all__ = [
    "BorderlineSMOTEInterpolator",
    "SMOTEInterpolator",
    "SVMSMOTEInterpolator",
]


class SMOTEInterpolator(BaseInterpolator):
    """Blend a random text of a class with one of its nearest neighbours in the class (SMOTE).

    Parameters
    ----------
    k_neighbors : int or nearest-neighbours estimator, default=5
        Neighbours within the class to choose from.
    random_state : int, RandomState or None, default=None
        As in `imblearn.over_sampling.SMOTE`, whose parents and weights these are.

    References
    ----------
    N. V. Chawla, K. W. Bowyer, L. O. Hall, W. P. Kegelmeyer, "SMOTE: synthetic minority
    over-sampling technique", JAIR 16, 2002, section 4.2. On vectors of texts: SMOTExT,
    arXiv 2505.13434, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> vectors = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    >>> smote = SMOTEInterpolator(k_neighbors=1, random_state=0)
    >>> plan = smote.plan(vectors, ["a", "a", "a", "b"], {"a": 2})
    >>> plan
    Blends(2 rows of 2 parents: 'a' 2)
    >>> plan.points(vectors, normalize=False).shape
    (2, 2)
    """

    _within_class: ClassVar[tuple[str, ...]] = ("k_neighbors",)

    def __init__(self, k_neighbors: Any = 5, random_state: Any = None) -> None:
        self.k_neighbors = k_neighbors
        self.random_state = random_state

    def _draw(self, data: Labelled, wanted: dict[int, int], random_state: Any) -> Iterator[Draw]:
        for code, count in wanted.items():
            rows = data.rows(code)
            neighbors = neighbors_of(self.k_neighbors, data, rows, rows)
            yield Draw.pairs(code, *draw_pairs(rows, neighbors, count, random_state))


class BorderlineSMOTEInterpolator(BaseInterpolator):
    """SMOTE from the texts in danger only: at least half of their neighbours are of others.

    Parameters
    ----------
    kind : {"borderline-1", "borderline-2"}, default="borderline-1"
        Whether the second parent is of the same class, or any near text; one of another class
        then has at most half of the weight.
    k_neighbors : int or nearest-neighbours estimator, default=5
        Neighbours to blend with.
    m_neighbors : int or nearest-neighbours estimator, default=10
        Neighbours among all texts that say whether a text is in danger. A text whose
        neighbours are all of other classes counts as noise.
    random_state : int, RandomState or None, default=None
        As in `imblearn.over_sampling.BorderlineSMOTE`, whose parents and weights these are.

    Notes
    -----
    A class in which no text is in danger gets no rows, as in imbalanced-learn.

    References
    ----------
    H. Han, W.-Y. Wang, B.-H. Mao, "Borderline-SMOTE: a new over-sampling method in imbalanced
    data sets learning", ICIC 2005, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> vectors = np.array([[0.0], [1.0], [2.0], [2.1], [2.2], [9.0]])
    >>> border = BorderlineSMOTEInterpolator(k_neighbors=1, m_neighbors=2, random_state=0)
    >>> plan = border.plan(vectors, ["a", "a", "a", "b", "b", "b"], {"b": 3})
    >>> sorted(set(plan.parents[:, 0].tolist()))
    [3, 4]
    """

    _within_class: ClassVar[tuple[str, ...]] = ("k_neighbors",)
    _among_all: ClassVar[tuple[str, ...]] = ("m_neighbors",)

    def __init__(
        self,
        kind: Literal["borderline-1", "borderline-2"] = "borderline-1",
        *,
        k_neighbors: Any = 5,
        m_neighbors: Any = 10,
        random_state: Any = None,
    ) -> None:
        self.kind = kind
        self.k_neighbors = k_neighbors
        self.m_neighbors = m_neighbors
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        kinds = ["borderline-1", "borderline-2"]
        if self.kind not in kinds:
            near = did_you_mean(self.kind, kinds)
            msg = f"kind must be 'borderline-1' or 'borderline-2', got {self.kind!r}{near}."
            raise ParameterError(msg)

    def _neighbor_counts(self, names: tuple[str, ...]) -> list[tuple[str, int]]:
        # Borderline-2 takes its k neighbours from all texts, not from the class.
        anywhere = self.kind == "borderline-2"
        if names == self._within_class and anywhere:
            return []
        if names == self._among_all and anywhere:
            names = (*self._within_class, *names)
        return super()._neighbor_counts(names)

    def _draw(self, data: Labelled, wanted: dict[int, int], random_state: Any) -> Iterator[Draw]:
        everyone = np.arange(len(data.codes))
        for code, count in wanted.items():
            rows = data.rows(code)
            danger = _in_danger(self.m_neighbors, data, rows, code)
            if not danger.any():
                continue
            anchors = rows[danger]
            among = rows if self.kind == "borderline-1" else everyone
            neighbors = neighbors_of(self.k_neighbors, data, among, anchors)
            parents, lam = draw_pairs(anchors, neighbors, count, random_state)
            if self.kind == "borderline-2":
                foreign = data.codes[parents[:, 1]] != code
                half = stream_of(random_state).uniform(0.0, 0.5, size=np.count_nonzero(foreign))
                lam[foreign] *= half
            yield Draw.pairs(code, parents, lam)


class SVMSMOTEInterpolator(BaseInterpolator):
    """SMOTE from a class's support vectors: inwards where crowded, outwards where safe.

    A support vector in danger is blended with a neighbour of its class; a safe one moves away
    from it by up to `out_step` of the distance, so its weight is above 1 and the neighbour's
    negative.

    Parameters
    ----------
    k_neighbors : int or nearest-neighbours estimator, default=5
        Neighbours within the class to blend with.
    m_neighbors : int or nearest-neighbours estimator, default=10
        Neighbours among all texts that say whether a support vector is in danger or noise.
    svm_estimator : estimator with ``support_``, default=None
        None is ``SVC(gamma="scale")``.
    out_step : float, default=0.5
        From 0 to 1: how far to extrapolate.
    random_state : int, RandomState or None, default=None
        As in `imblearn.over_sampling.SVMSMOTE`, whose parents and weights these are.

    Notes
    -----
    Where all of a class's support vectors are in danger it gets fewer rows than asked for (a
    Beta(10, 10) share), as in imbalanced-learn; `plan_exactly` tops up. The support
    vector machine takes time and memory that grow with the square of the texts.

    References
    ----------
    H. M. Nguyen, E. W. Cooper, K. Kamei, "Borderline over-sampling for imbalanced data
    classification", IJKESDP 3(1), 2009, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.RandomState(0)
    >>> vectors = np.vstack([rng.normal(size=(30, 2)), rng.normal(2, size=(10, 2))])
    >>> svm = SVMSMOTEInterpolator(k_neighbors=3, m_neighbors=5, random_state=0)
    >>> plan = svm.plan(vectors, [0] * 30 + [1] * 10, {1: 20})
    >>> len(plan), bool((plan.weights < 0).any())
    (20, True)
    """

    _within_class: ClassVar[tuple[str, ...]] = ("k_neighbors",)
    _among_all: ClassVar[tuple[str, ...]] = ("m_neighbors",)

    def __init__(
        self,
        k_neighbors: Any = 5,
        *,
        m_neighbors: Any = 10,
        svm_estimator: Any = None,
        out_step: float = 0.5,
        random_state: Any = None,
    ) -> None:
        self.k_neighbors = k_neighbors
        self.m_neighbors = m_neighbors
        self.svm_estimator = svm_estimator
        self.out_step = out_step
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        step: Any = self.out_step
        if isinstance(step, bool) or not isinstance(step, Real) or not 0 <= float(step) <= 1:
            msg = f"out_step must be a number from 0 to 1, got {step!r}."
            raise ParameterError(msg)

    def _draw(self, data: Labelled, wanted: dict[int, int], random_state: Any) -> Iterator[Draw]:
        if wanted and len(data.classes) < 2:
            msg = (
                f"All texts are of class {data.name(0)}, and SVM-SMOTE looks for the border "
                "between classes: give another class, or use SMOTEInterpolator."
            )
            raise DataError(msg)
        machine = self._machine(random_state)
        shares = stream_of(random_state)
        for code, count in wanted.items():
            support = self._support(machine, data, code)
            danger = _in_danger(self.m_neighbors, data, support, code)
            inward = int(shares.beta(10, 10) * (count + 1))
            groups = (
                (support[danger], inward, 1.0),
                (support[~danger], count - inward, -float(self.out_step)),
            )
            rows = data.rows(code)
            for anchors, size, step in groups:
                if len(anchors):
                    neighbors = neighbors_of(self.k_neighbors, data, rows, anchors)
                    yield Draw.pairs(
                        code, *draw_pairs(anchors, neighbors, size, random_state, step)
                    )

    def _machine(self, random_state: Any) -> Any:
        from sklearn.svm import SVC

        if self.svm_estimator is None:
            return SVC(gamma="scale", random_state=random_state)
        return clone(self.svm_estimator)

    def _support(self, machine: Any, data: Labelled, code: int) -> np.ndarray:
        """Return the class's support vectors, without the noise."""
        # Fitted for every class anew: fitting spends a RandomState, as in imbalanced-learn.
        machine.fit(data.vectors, data.labels)
        if not hasattr(machine, "support_"):
            msg = (
                f"svm_estimator must have support_ once it is fitted, as SVC has; "
                f"{type(machine).__name__} has not."
            )
            raise ParameterError(msg)
        support = machine.support_[data.codes[machine.support_] == code].astype(np.int64)
        foreign, m = _foreign_neighbors(self.m_neighbors, data, support, code)
        if (foreign == m).all():
            msg = (
                f"All support vectors of class {data.name(code)} lie among other classes: "
                "SVM-SMOTE does not suit these texts, use SMOTEInterpolator."
            )
            raise DataError(msg)
        kept: np.ndarray = support[foreign < m]
        return kept


def _foreign_neighbors(
    m_neighbors: Any, data: Labelled, rows: np.ndarray, code: int
) -> tuple[np.ndarray, int]:
    """Return how many of each row's m neighbours among all texts are of other classes, and m."""
    around = neighbors_of(m_neighbors, data, np.arange(len(data.codes)), rows)
    foreign: np.ndarray = np.count_nonzero(data.codes[around] != code, axis=1)
    return foreign, around.shape[1]


def _in_danger(m_neighbors: Any, data: Labelled, rows: np.ndarray, code: int) -> np.ndarray:
    """Say which rows have at least half of their neighbours in other classes, but not all."""
    foreign, m = _foreign_neighbors(m_neighbors, data, rows, code)
    danger: np.ndarray = (foreign >= m / 2) & (foreign < m)
    return danger
