"""What every interpolator shares: checks, random streams, and the plan.

An interpolator only says how it *draws* parents and weights for the classes wanted; `plan`
of `BaseInterpolator` checks what comes in and assembles what goes out.
"""

from __future__ import annotations

import copy
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.interpolators.blends import Blends
from smotext_lab.interpolators.neighborhoods import Labelled, neighbor_count

__all__ = [
    "BaseInterpolator",
    "Draw",
    "Interpolator",
    "draw_pairs",
    "plan_exactly",
    "stream_of",
]


@runtime_checkable
class Interpolator(Protocol):
    """Anything that plans blends: which parents, which weights, for how many new rows."""

    def plan(
        self,
        vectors: np.ndarray,
        labels: Any,
        n: Mapping[Any, int],
        *,
        random_state: Any = None,
    ) -> Blends:
        """Plan about ``n[label]`` new rows of each class; see `BaseInterpolator.plan`."""
        ...


@dataclass(frozen=True, eq=False)
class Draw:
    """What was drawn for one class: parents (m, p), weights (m, p), soft labels (m, c)."""

    code: int
    parents: np.ndarray
    weights: np.ndarray
    label_weights: np.ndarray | None = None

    @classmethod
    def pairs(cls, code: int, parents: np.ndarray, lam: np.ndarray) -> Draw:
        """Return pairs weighted ``1 - λ, λ``."""
        return cls(code, parents, np.stack([1.0 - lam, lam], axis=1))


class BaseInterpolator(BaseEstimator):
    """Base of the interpolators: `plan` is here, each kind adds `_draw`.

    Parameters are stored as given and checked when planning, as scikit-learn does, so `clone`,
    `get_params` and `set_params` work, also from within `SMOTExT`.
    """

    # Names of the parameters that count neighbours within the class, and among all texts.
    _within_class: ClassVar[tuple[str, ...]] = ()
    _among_all: ClassVar[tuple[str, ...]] = ()
    _least_texts: ClassVar[int] = 2
    random_state: Any

    def plan(
        self,
        vectors: np.ndarray,
        labels: Any,
        n: Mapping[Any, int],
        *,
        random_state: Any = None,
    ) -> Blends:
        """Plan new rows: who blends with whom, and with which weights.

        Parameters
        ----------
        vectors : array-like of shape (n_texts, d)
            float32 or float64.
        labels : array-like of shape (n_texts,)
            Of any one type that has an order (str, int, ...).
        n : dict of label -> int
            How many new rows each class gets; 0 is allowed, a class left out gets none.
            Borderline, SVM, k-means and ADASYN may give more or fewer, as in
            imbalanced-learn; `plan_exactly` trims and tops up.
        random_state : int, RandomState or None, default=None
            Another stream for this call only, e.g. to top up; None means the interpolator's.

        Returns
        -------
        Blends
            Class by class in sorted order; labels in the type that they came in.

        Raises
        ------
        DataError
            Vectors not finite, labels missing or of another length, a class in `n` that no
            label has, a class too small.
        ParameterError
            A parameter that cannot be used.

        Warns
        -----
        UserWarning
            If a class has fewer texts than the neighbours asked for (it uses those it has).
        """
        data = Labelled.check(vectors, labels)
        wanted = data.wanted(n)
        self._check_parameters()
        self._check_sizes(data, wanted)
        source = self.random_state if random_state is None else random_state
        key = _seed_key(source)
        draws = list(self._draw(data, wanted, source))
        return _assemble(data, draws, key)

    @abstractmethod
    def _draw(self, data: Labelled, wanted: dict[int, int], random_state: Any) -> Iterator[Draw]:
        """Yield what is drawn, class by class; `random_state` as the user gave it."""

    def _check_parameters(self) -> None:
        for name in dict.fromkeys((*self._within_class, *self._among_all)):
            value = getattr(self, name)
            if hasattr(value, "kneighbors") and hasattr(value, "kneighbors_graph"):
                continue
            if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
                msg = (
                    f"{name} must be a whole number of at least 1 or a nearest-neighbours "
                    f"estimator, got {value!r}."
                )
                raise ParameterError(msg)

    def _check_sizes(self, data: Labelled, wanted: dict[int, int]) -> None:
        """Refuse classes that cannot be blended, and say once which have few neighbours."""
        few = []
        for code in wanted:
            size = data.size(code)
            if size < self._least_texts:
                msg = (
                    f"Class {data.name(code)} has one text, and {type(self).__name__} blends "
                    "texts of one class: give it at least two, or use MixupInterpolator, which "
                    "blends across classes."
                )
                raise DataError(msg)
            few += [
                f"class {data.name(code)} has {size} texts, fewer than {name} + 1 = {k + 1}"
                for name, k in self._neighbor_counts(self._within_class)
                if size < k + 1
            ]
        if wanted:
            few += [
                f"there are {len(data.codes)} texts in all, fewer than {name} + 1 = {k + 1}"
                for name, k in self._neighbor_counts(self._among_all)
                if len(data.codes) < k + 1
            ]
        if few:
            msg = (
                f"{type(self).__name__}: {'; '.join(few)}; all the others that there are serve "
                "as neighbours."
            )
            warnings.warn(msg, UserWarning, stacklevel=3)

    def _neighbor_counts(self, names: tuple[str, ...]) -> list[tuple[str, int]]:
        return [(name, neighbor_count(getattr(self, name))) for name in names]


def stream_of(random_state: Any) -> np.random.RandomState:
    """Return the random stream that `random_state` names: an int starts a new one.

    Raises
    ------
    ParameterError
        If it is neither None, an int, nor a `numpy.random.RandomState`.
    """
    try:
        stream: np.random.RandomState = check_random_state(random_state)
    except ValueError as error:
        msg = (
            "random_state must be None, an int from 0 to 2**32 - 1 or a numpy RandomState, "
            f"got {random_state!r}."
        )
        raise ParameterError(msg) from error
    return stream


def draw_pairs(
    anchors: np.ndarray,
    neighbors: np.ndarray,
    count: int,
    random_state: Any,
    step: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw `count` cells of the table (anchors, neighbours), then their λ times `step`."""
    stream = stream_of(random_state)
    row, column = np.divmod(stream.randint(0, neighbors.size, size=count), neighbors.shape[1])
    lam = step * stream.uniform(size=count)
    return np.stack([anchors[row], neighbors[row, column]], axis=1), lam


def plan_exactly(
    interpolator: Interpolator,
    vectors: np.ndarray,
    labels: Any,
    n: Mapping[Any, int],
    *,
    random_state: Any = None,
    rounds: int = 8,
) -> Blends:
    """Plan exactly ``n[label]`` new rows of each class, where the interpolator can give them.

    What is too many is trimmed to a random subset; what is missing is planned again with
    another stream (and, for an interpolator that rounds small numbers down to none, with a
    larger `n`), up to `rounds` times. A class that gets its number at once keeps its rows
    unchanged.

    Parameters
    ----------
    interpolator : Interpolator
    vectors, labels, n
        As for `BaseInterpolator.plan`.
    random_state : int, RandomState or None, default=None
        As for `BaseInterpolator.plan`.
    rounds : int, default=8
        How many plans are made at most.

    Returns
    -------
    Blends

    Warns
    -----
    UserWarning
        If a class cannot be filled, e.g. because Borderline-SMOTE finds no text in danger.

    Examples
    --------
    >>> import numpy as np
    >>> from smotext_lab.interpolators import ADASYNInterpolator, plan_exactly
    >>> rng = np.random.RandomState(0)
    >>> vectors, labels = rng.normal(size=(40, 3)), ["a"] * 30 + ["b"] * 10
    >>> adasyn = ADASYNInterpolator(random_state=0)
    >>> len(adasyn.plan(vectors, labels, {"b": 3}))
    0
    >>> len(plan_exactly(adasyn, vectors, labels, {"b": 3}))
    3
    """
    data = Labelled.check(vectors, labels)
    wanted = data.wanted(n)
    names = data.classes.tolist()
    ask = {names[code]: count for code, count in wanted.items()}
    source = getattr(interpolator, "random_state", None) if random_state is None else random_state
    kept: list[Blends] = []
    missing = dict(wanted)
    for turn in range(max(1, rounds)):
        plan = interpolator.plan(vectors, labels, ask, random_state=_turn(source, turn))
        codes = np.searchsorted(data.classes, plan.label)
        kept.append(plan[_choose(plan, codes, missing)])
        got = {code: int(np.count_nonzero(codes == code)) for code in missing}
        missing = {c: missing[c] - got[c] for c in missing if got[c] < missing[c]}
        # ADASYN rounds each text's share: with as many new rows as texts, one share is ≥ 1.
        larger = {c: max(wanted[c], data.size(c)) for c in missing}
        if all(got[c] == 0 and ask[names[c]] == larger[c] for c in missing):
            break  # nothing is missing, or what is missing cannot be had
        ask.update({names[code]: count for code, count in larger.items()})
    if missing:
        short = ", ".join(f"{count} of class {data.name(c)}" for c, count in missing.items())
        msg = (
            f"{type(interpolator).__name__} finds no texts to blend for {short}: use "
            "SMOTEInterpolator, or other neighbour counts."
        )
        warnings.warn(msg, UserWarning, stacklevel=2)
    joined = Blends.concatenate(kept)
    return joined[np.argsort(np.searchsorted(data.classes, joined.label), kind="stable")]


def _turn(source: Any, turn: int) -> Any:
    """Return the stream for one round: a stream of its own kind goes on by itself."""
    if turn == 0 or not isinstance(source, Integral):
        return source
    return int(np.random.SeedSequence([int(source), turn]).generate_state(1)[0])


def _choose(plan: Blends, codes: np.ndarray, missing: dict[int, int]) -> np.ndarray:
    """Return up to the missing number of rows of each class, chosen at random, in order.

    The rows' own seeds are the lots: they are uniform and already drawn.
    """
    chosen = []
    for code, count in missing.items():
        rows = np.flatnonzero(codes == code)
        chosen.append(rows[np.argsort(plan.seed[rows], kind="stable")[:count]])
    return np.sort(np.concatenate(chosen)) if chosen else np.arange(0)


def _seed_key(random_state: Any) -> list[int]:
    """Return the key of the rows' seeds, read from a copy so that the stream stays as it is."""
    stream = copy.deepcopy(stream_of(random_state))
    return [int(word) for word in stream.randint(0, 2**32, size=4, dtype=np.uint64)]


def _row_seeds(key: list[int], m: int) -> np.ndarray:
    """Return one seed a row from a counter-based generator: row i is the i-th word."""
    words: np.ndarray = np.random.Philox(np.random.SeedSequence(key)).random_raw(m)
    return words


def _assemble(data: Labelled, draws: list[Draw], key: list[int]) -> Blends:
    m = sum(len(draw.parents) for draw in draws)
    p = max((draw.parents.shape[1] for draw in draws), default=2)
    soft = [draw.label_weights for draw in draws if draw.label_weights is not None]
    codes = [np.full(len(draw.parents), draw.code) for draw in draws]
    empty = np.zeros((0, p))
    return Blends(
        parents=np.concatenate([empty.astype(np.int64), *(draw.parents for draw in draws)]),
        weights=np.concatenate([empty, *(draw.weights for draw in draws)]),
        label=data.classes[np.concatenate([np.zeros(0, dtype=np.int64), *codes])],
        seed=_row_seeds(key, m),
        label_weights=np.concatenate(soft) if soft else None,
        classes=data.classes if soft else None,
    )
