"""Interpolators beyond SMOTE: random pairs, mixup across classes, Dirichlet neighbourhoods."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.interpolators.neighborhoods import Labelled, neighbors_of
from smotext_lab.interpolators.planning import BaseInterpolator, Draw, stream_of

__all__ = ["DirichletInterpolator", "MixupInterpolator", "RandomPairInterpolator"]


class RandomPairInterpolator(BaseInterpolator):
    """Blend two random texts of a class, near or far, with a uniform λ.

    SMOTE without the neighbours: it reaches the whole hull of the class, and what lies
    between two clusters too.

    Parameters
    ----------
    random_state : int, RandomState or None, default=None
        An int gives the same plan each time.

    Examples
    --------
    >>> import numpy as np
    >>> pairs = RandomPairInterpolator(random_state=0)
    >>> plan = pairs.plan(np.eye(4), ["a", "a", "b", "b"], {"a": 2, "b": 1})
    >>> plan
    Blends(3 rows of 2 parents: 'a' 2, 'b' 1)
    >>> sorted(set(plan.parents[:2].ravel().tolist()))
    [0, 1]
    """

    def __init__(self, *, random_state: Any = None) -> None:
        self.random_state = random_state

    def _draw(self, data: Labelled, wanted: dict[int, int], random_state: Any) -> Iterator[Draw]:
        rng = _generator(random_state)
        for code, count in wanted.items():
            rows = data.rows(code)
            first = rng.integers(len(rows), size=count)
            # A step of 1 to n - 1 around the circle: any other row, all alike.
            second = (first + rng.integers(1, len(rows), size=count)) % len(rows)
            lam = rng.random(count)
            parents = np.stack([rows[first], rows[second]], axis=1)
            yield Draw.pairs(code, parents, lam)


class MixupInterpolator(BaseInterpolator):
    """Blend texts across classes, with labels blended likewise (mixup).

    Each row of class c has a text of c as its heavier parent (weight at least ½, so `label`
    is c and the counts of `n` hold) and a partner as its lighter one; λ ~ Beta(α, α), folded
    at ½. `label_weights` are the parents' weights, summed by class.

    Parameters
    ----------
    alpha : float, default=0.4
        Of Beta(α, α): small keeps near the parents, 1 is uniform, large goes to the middle.
    partners : {"other", "any"}, default="other"
        Partners from the other classes only, or any other text, as in the paper.
    random_state : int, RandomState or None, default=None
        An int gives the same plan each time.

    References
    ----------
    H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, "mixup: Beyond empirical risk
    minimization", ICLR 2018, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> mixup = MixupInterpolator(alpha=1.0, random_state=0)
    >>> plan = mixup.plan(np.eye(3), ["cat", "cat", "dog"], {"dog": 2})
    >>> plan.label.tolist(), plan.classes.tolist()
    (['dog', 'dog'], ['cat', 'dog'])
    >>> bool((plan.label_weights[:, 1] >= 0.5).all())
    True
    """

    _least_texts: ClassVar[int] = 1

    def __init__(
        self,
        alpha: float = 0.4,
        *,
        partners: Literal["other", "any"] = "other",
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.partners = partners
        self.random_state = random_state

    def _check_parameters(self) -> None:
        _check_positive("alpha", self.alpha)
        if self.partners not in ("other", "any"):
            msg = f"partners must be 'other' or 'any', got {self.partners!r}."
            raise ParameterError(msg)

    def _draw(self, data: Labelled, wanted: dict[int, int], random_state: Any) -> Iterator[Draw]:
        rng = _generator(random_state)
        for code, count in wanted.items():
            rows = data.rows(code)
            first = rows[rng.integers(len(rows), size=count)]
            second = self._partners(data, code, first, rng)
            lam = rng.beta(self.alpha, self.alpha, size=count)
            lam = np.minimum(lam, 1.0 - lam)
            parents = np.stack([first, second], axis=1)
            weights = np.stack([1.0 - lam, lam], axis=1)
            soft = np.zeros((count, len(data.classes)))
            soft[:, code] = weights[:, 0]
            soft[np.arange(count), data.codes[second]] += weights[:, 1]
            yield Draw(code, parents, weights, soft)

    def _partners(
        self, data: Labelled, code: int, first: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        if self.partners == "any":
            n = len(data.codes)
            if n < 2:
                msg = "There is one text in all, and mixup needs a partner: give at least two."
                raise DataError(msg)
            found: np.ndarray = (first + rng.integers(1, n, size=len(first))) % n
            return found
        others = np.flatnonzero(data.codes != code)
        if not others.size:
            msg = (
                f"All texts are of class {data.name(code)}, and mixup blends across classes: "
                "give another class, or partners='any'."
            )
            raise DataError(msg)
        return others[rng.integers(len(others), size=len(first))]


class DirichletInterpolator(BaseInterpolator):
    """Blend a random text with all of its nearest neighbours, weights ~ Dirichlet(α).

    Where SMOTE's points lie on lines between two texts, these fill the simplex of a text
    and its neighbours. A row has ``n_neighbors + 1`` parents, the text itself first; in a
    class with fewer, the rest of the row repeats the text at weight 0.

    Parameters
    ----------
    n_neighbors : int or nearest-neighbours estimator, default=5
        Neighbours within the class.
    alpha : float, default=1.0
        Concentration: 1 is uniform on the simplex, small keeps near one parent, large goes
        to the mean of all.
    random_state : int, RandomState or None, default=None
        An int gives the same plan each time.

    Examples
    --------
    >>> import numpy as np
    >>> dirichlet = DirichletInterpolator(n_neighbors=2, random_state=0)
    >>> plan = dirichlet.plan(np.eye(4), [0, 0, 0, 0], {0: 3})
    >>> plan.parents.shape, plan.weights.sum(axis=1).round(6).tolist()
    ((3, 3), [1.0, 1.0, 1.0])
    """

    _within_class: ClassVar[tuple[str, ...]] = ("n_neighbors",)

    def __init__(
        self, n_neighbors: Any = 5, *, alpha: float = 1.0, random_state: Any = None
    ) -> None:
        self.n_neighbors = n_neighbors
        self.alpha = alpha
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        _check_positive("alpha", self.alpha)

    def _draw(self, data: Labelled, wanted: dict[int, int], random_state: Any) -> Iterator[Draw]:
        rng = _generator(random_state)
        ((_, most),) = self._neighbor_counts(self._within_class)
        for code, count in wanted.items():
            rows = data.rows(code)
            anchors = rng.integers(len(rows), size=count)
            # The search runs once for each text that is an anchor, not for each new row.
            used, which = np.unique(anchors, return_inverse=True)
            near = neighbors_of(self.n_neighbors, data, rows, rows[used])[which]
            parents = np.repeat(rows[anchors][:, None], most + 1, axis=1)
            parents[:, 1 : near.shape[1] + 1] = near
            weights = np.zeros((count, most + 1))
            drawn = rng.dirichlet(np.full(near.shape[1] + 1, self.alpha), size=count)
            weights[:, : near.shape[1] + 1] = drawn
            yield Draw(code, parents, weights)


def _check_positive(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        msg = f"{name} must be a number above 0, got {value!r}."
        raise ParameterError(msg)


def _generator(random_state: Any) -> np.random.Generator:
    """Return a generator whose key is drawn from the stream: an int repeats, a stream goes on."""
    return np.random.default_rng(stream_of(random_state).randint(0, 2**32, size=4, dtype=np.uint64))
