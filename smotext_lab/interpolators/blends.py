"""Blends: which parents, which weights, and the points they stand for.

A plan names parents and weights and is a few bytes a row; the vectors are computed from it
when they are wanted. So a plan can be kept, cut, joined and replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from smotext_lab.errors import DataError, ParameterError, did_you_mean
from smotext_lab.interpolators.geometry import check_vectors, lerp, slerp

__all__ = ["Blending", "Blends", "path", "path_weights"]

Blending = Literal["lerp", "slerp"]

_BLOCK_BYTES = 32 * 2**20  # of float64 working space while points are computed


@dataclass(frozen=True, eq=False, repr=False)
class Blends:
    """A plan of new points: each row blends `p` parents with `p` weights.

    Parameters
    ----------
    parents : ndarray of shape (m, p), int64
        Row numbers in the vectors that the plan was made from. For SMOTE and its kin the
        first is the anchor and the second its neighbour.
    weights : ndarray of shape (m, p), float64
        They sum to 1 in each row; for SMOTE they are ``1 - λ, λ``. SVM-SMOTE extrapolates,
        so a weight may be negative or above 1.
    label : ndarray of shape (m,)
        The class of each new row, in the type that the labels were given in.
    seed : ndarray of shape (m,), uint64
        One seed a row, for whatever is drawn later (the decoder's sampling).
    label_weights : ndarray of shape (m, c), float64, optional
        Soft labels over `classes` (mixup); None where the label is the whole truth.
    classes : ndarray of shape (c,), optional
        What the columns of `label_weights` stand for.

    Examples
    --------
    >>> import numpy as np
    >>> from smotext_lab.interpolators import Blends
    >>> blends = Blends(
    ...     parents=np.array([[0, 1]]),
    ...     weights=np.array([[0.25, 0.75]]),
    ...     label=np.array(["sport"]),
    ...     seed=np.array([7], dtype=np.uint64),
    ... )
    >>> blends
    Blends(1 row of 2 parents: 'sport' 1)
    >>> blends.points(np.array([[4.0, 0.0], [0.0, 4.0]]), normalize=False)
    array([[1., 3.]])
    """

    parents: np.ndarray
    weights: np.ndarray
    label: np.ndarray
    seed: np.ndarray
    label_weights: np.ndarray | None = None
    classes: np.ndarray | None = None

    def __post_init__(self) -> None:
        m = len(self.parents)
        columns = () if self.label_weights is None else (self.label_weights,)
        if self.parents.ndim != 2 or self.weights.shape != self.parents.shape:
            msg = (
                "parents and weights must both be (m, p) arrays, "
                f"got {self.parents.shape} and {self.weights.shape}."
            )
            raise ParameterError(msg)
        if any(len(column) != m for column in (self.label, self.seed, *columns)):
            msg = f"label, seed and label_weights must have {m} rows, one for each row of parents."
            raise ParameterError(msg)
        if (self.label_weights is None) != (self.classes is None):
            msg = "label_weights and classes go together: give both or neither."
            raise ParameterError(msg)

    def __len__(self) -> int:
        return len(self.parents)

    def __repr__(self) -> str:
        names, counts = np.unique(self.label, return_counts=True)
        per_class = ", ".join(
            f"{name!r} {count}" for name, count in zip(names.tolist(), counts, strict=True)
        )
        rows = "row" if len(self) == 1 else "rows"
        about = f"{len(self)} {rows} of {self.parents.shape[1]} parents"
        return f"Blends({about}: {per_class})" if per_class else f"Blends({about})"

    def __getitem__(self, rows: Any) -> Blends:
        """Return the rows that a number, slice, index array or mask names, as `Blends`."""
        if isinstance(rows, (int, np.integer)):
            rows = [rows]
        soft = self.label_weights
        return Blends(
            parents=self.parents[rows],
            weights=self.weights[rows],
            label=self.label[rows],
            seed=self.seed[rows],
            label_weights=None if soft is None else soft[rows],
            classes=self.classes,
        )

    @staticmethod
    def concatenate(parts: Sequence[Blends]) -> Blends:
        """Join plans that were made from the same vectors.

        Rows with fewer parents are filled up with their first parent at weight 0. Where some
        parts have soft labels, the others' labels become soft ones of weight 1.

        Parameters
        ----------
        parts : sequence of Blends
            At least one.

        Returns
        -------
        Blends

        Raises
        ------
        ParameterError
            If there is nothing to join.

        Examples
        --------
        >>> import numpy as np
        >>> from smotext_lab.interpolators import Blends, RandomPairInterpolator
        >>> pairs = RandomPairInterpolator(random_state=0)
        >>> plan = pairs.plan(np.eye(3), ["a", "a", "a"], {"a": 2})
        >>> len(Blends.concatenate([plan, plan[:1]]))
        3
        """
        if not parts:
            msg = "There are no blends to concatenate: give at least one."
            raise ParameterError(msg)
        p = max(part.parents.shape[1] for part in parts)
        padded = [_pad(part, p) for part in parts]
        classes, soft = _join_soft_labels(parts)
        return Blends(
            parents=np.concatenate([parents for parents, _ in padded]),
            weights=np.concatenate([weights for _, weights in padded]),
            label=np.concatenate([part.label for part in parts]),
            seed=np.concatenate([part.seed for part in parts]),
            label_weights=soft,
            classes=classes,
        )

    def points(
        self, vectors: np.ndarray, blending: Blending = "lerp", normalize: bool = True
    ) -> np.ndarray:
        """Compute the points that the plan stands for.

        Parameters
        ----------
        vectors : ndarray of shape (n, d)
            The vectors that the plan was made from.
        blending : {"lerp", "slerp"}, default="lerp"
            The weighted sum of the parents, or, for two parents, the point on the arc
            between their directions (Shoemake 1985). Under slerp, opposite parents are joined
            by one arbitrary but fixed arc; with ``normalize=False`` the length is the weighted
            sum of the parents' lengths (at least 0).
        normalize : bool, default=True
            Scale each point to length 1, as sentence encoders' vectors are. Where the sum
            vanishes (opposite parents, half way) the heaviest parent is taken; only where all
            parents are zero is the point zero.

        Returns
        -------
        ndarray of shape (m, d)
            float64 for float64 vectors, else float32. The work goes in blocks of about 32 MB;
            slice the blends to have the points themselves in parts.

        Raises
        ------
        DataError
            If the vectors are not those of the plan (too few) or not finite.
        ParameterError
            If the blending is unknown, or is slerp and there are not two parents a row.

        References
        ----------
        K. Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985, section 3.3.

        Examples
        --------
        >>> import numpy as np
        >>> from smotext_lab.interpolators import SMOTEInterpolator
        >>> vectors = np.eye(4, dtype=np.float32)
        >>> plan = SMOTEInterpolator(k_neighbors=3, random_state=0).plan(vectors, [1] * 4, {1: 5})
        >>> points = plan.points(vectors, blending="slerp")
        >>> points.shape, points.dtype, bool(np.allclose(np.linalg.norm(points, axis=1), 1))
        ((5, 4), dtype('float32'), True)
        """
        _check_blending(blending, self.parents.shape[1])
        vectors = check_vectors(vectors)
        if len(self) and not 0 <= self.parents.min() <= self.parents.max() < len(vectors):
            msg = (
                f"The blends name parents up to row {self.parents.max()}, but there are "
                f"{len(vectors)} vectors: give the vectors that the plan was made from."
            )
            raise DataError(msg)
        d = vectors.shape[1]
        points = np.empty((len(self), d), dtype=vectors.dtype)
        block = max(1, _BLOCK_BYTES // (8 * max(d, 1) * (self.parents.shape[1] + 2)))
        for start in range(0, len(self), block):
            rows = slice(start, start + block)
            parents, weights = self.parents[rows], self.weights[rows]
            blend = slerp if blending == "slerp" else lerp
            points[rows] = blend(vectors, parents, weights, normalize=normalize)
        return points


def path(
    a: np.ndarray,
    b: np.ndarray,
    steps: int,
    *,
    blending: Blending = "lerp",
    normalize: bool = True,
) -> np.ndarray:
    """Walk from one vector to another in equal steps of λ, both ends included.

    Parameters
    ----------
    a, b : array-like of shape (d,)
        Where the walk begins (λ = 0) and ends (λ = 1).
    steps : int
        How many points, at least 2.
    blending : {"lerp", "slerp"}, default="lerp"
        As in `Blends.points`. With slerp the angle between one point and the next is the same.
    normalize : bool, default=True
        Scale each point, the ends too, to length 1.

    Returns
    -------
    ndarray of shape (steps, d), float32

    Raises
    ------
    DataError
        If the vectors differ in size or are not finite.
    ParameterError
        If there are fewer than 2 steps or the blending is unknown.

    References
    ----------
    SMOTExT, arXiv 2505.13434, section 3: points between the vectors of two texts.

    Examples
    --------
    >>> path([1.0, 0.0], [0.0, 1.0], 3).round(3).tolist()
    [[1.0, 0.0], [0.7070000171661377, 0.7070000171661377], [0.0, 1.0]]
    """
    shapes = np.shape(a), np.shape(b)
    if shapes[0] != shapes[1] or len(shapes[0]) != 1:
        msg = f"A path needs two vectors of one size, got shapes {shapes[0]} and {shapes[1]}."
        raise DataError(msg)
    weights = path_weights(steps)
    m = len(weights)
    walk = Blends(
        parents=np.tile(np.array([0, 1], dtype=np.int64), (m, 1)),
        weights=weights,
        label=np.zeros(m, dtype=np.int64),
        seed=np.arange(m, dtype=np.uint64),
    )
    ends = np.stack([np.asarray(a), np.asarray(b)])
    return walk.points(ends, blending=blending, normalize=normalize).astype(np.float32)


def path_weights(steps: int) -> np.ndarray:
    """Return the weights ``1 - λ, λ`` of a walk in `steps` points from λ = 0 to λ = 1.

    Parameters
    ----------
    steps : int
        At least 2.

    Returns
    -------
    ndarray of shape (steps, 2), float64

    Raises
    ------
    ParameterError
        If there are fewer than 2 steps.

    Examples
    --------
    >>> path_weights(3)
    array([[1. , 0. ],
           [0.5, 0.5],
           [0. , 1. ]])
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 2:
        msg = f"steps must be a whole number of at least 2 (both ends), got {steps!r}."
        raise ParameterError(msg)
    lam = np.linspace(0.0, 1.0, int(steps))
    return np.stack([1.0 - lam, lam], axis=1)


def _check_blending(blending: str, p: int) -> None:
    if blending not in ("lerp", "slerp"):
        near = did_you_mean(blending, ["lerp", "slerp"])
        msg = f"blending must be 'lerp' or 'slerp', got {blending!r}{near}."
        raise ParameterError(msg)
    if blending == "slerp" and p != 2:
        msg = f"slerp joins two parents, these blends have {p} a row: use blending='lerp'."
        raise ParameterError(msg)


def _pad(part: Blends, p: int) -> tuple[np.ndarray, np.ndarray]:
    missing = p - part.parents.shape[1]
    if not missing:
        return part.parents, part.weights
    first = np.repeat(part.parents[:, :1], missing, axis=1)
    return np.hstack([part.parents, first]), np.pad(part.weights, ((0, 0), (0, missing)))


def _join_soft_labels(parts: Sequence[Blends]) -> tuple[np.ndarray | None, np.ndarray | None]:
    if all(part.label_weights is None for part in parts):
        return None, None
    named = [part.label if part.classes is None else part.classes for part in parts]
    classes = np.unique(np.concatenate(named))
    rows = []
    for part in parts:
        soft = np.zeros((len(part), len(classes)))
        if part.label_weights is None or part.classes is None:
            soft[np.arange(len(part)), np.searchsorted(classes, part.label)] = 1.0
        else:
            soft[:, np.searchsorted(classes, part.classes)] = part.label_weights
        rows.append(soft)
    return classes, np.concatenate(rows)
