"""SMOTE with the new rows allotted by density: k-means SMOTE and ADASYN."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.base import clone

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.interpolators.neighborhoods import Labelled, neighbor_count, neighbors_of
from smotext_lab.interpolators.planning import BaseInterpolator, Draw, draw_pairs, stream_of

__all__ = ["ADASYNInterpolator", "KMeansSMOTEInterpolator"]


class KMeansSMOTEInterpolator(BaseInterpolator):
    """SMOTE inside k-means clusters where the class is well represented, most where sparse.

    Parameters
    ----------
    k_neighbors : int or nearest-neighbours estimator, default=2
        Neighbours within the cluster's texts of the class. A cluster with no more of them
        than that is left out.
    kmeans_estimator : int, clusterer or None, default=None
        The number of clusters, or a clusterer; None is ``MiniBatchKMeans()``.
    cluster_balance_threshold : "auto" or float, default="auto"
        The least share of the class in a cluster that is used; "auto" is half of the class's
        share of the new rows.
    density_exponent : "auto" or float, default="auto"
        How much the sparsity of a cluster counts.
    random_state : int, RandomState or None, default=None
        As in `imblearn.over_sampling.KMeansSMOTE`, whose parents and weights these are.

    Notes
    -----
    Each cluster's share is rounded up, so a class may get a few rows more than asked for, as
    in imbalanced-learn; `plan_exactly` trims.

    References
    ----------
    G. Douzas, F. Bacao, F. Last, "Improving imbalanced learning through a heuristic
    oversampling method based on k-means and SMOTE", Information Sciences 465, 2018, section 3
    (arXiv 1711.00837).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.RandomState(0)
    >>> vectors = np.vstack([rng.normal(size=(30, 2)), rng.normal(9, size=(10, 2))])
    >>> kmeans = KMeansSMOTEInterpolator(kmeans_estimator=2, random_state=0)
    >>> kmeans.plan(vectors, [0] * 30 + [1] * 10, {1: 20})
    Blends(20 rows of 2 parents: 1 20)
    """

    _within_class: ClassVar[tuple[str, ...]] = ("k_neighbors",)

    def __init__(
        self,
        k_neighbors: Any = 2,
        *,
        kmeans_estimator: Any = None,
        cluster_balance_threshold: float | Literal["auto"] = "auto",
        density_exponent: float | Literal["auto"] = "auto",
        random_state: Any = None,
    ) -> None:
        self.k_neighbors = k_neighbors
        self.kmeans_estimator = kmeans_estimator
        self.cluster_balance_threshold = cluster_balance_threshold
        self.density_exponent = density_exponent
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        given: Any = self.kmeans_estimator
        counts = isinstance(given, Integral) and given is not True and int(given) >= 1
        clusters = hasattr(given, "fit_predict") and hasattr(given, "n_clusters")
        if not (given is None or counts or clusters):
            msg = (
                "kmeans_estimator must be None, a number of clusters or a clusterer with "
                f"n_clusters, got {given!r}."
            )
            raise ParameterError(msg)
        for name in ("cluster_balance_threshold", "density_exponent"):
            value = getattr(self, name)
            if value != "auto" and (isinstance(value, bool) or not isinstance(value, Real)):
                msg = f"{name} must be 'auto' or a number, got {value!r}."
                raise ParameterError(msg)

    def _draw(self, data: Labelled, wanted: dict[int, int], random_state: Any) -> Iterator[Draw]:
        clusterer = self._clusterer(random_state)
        n_clusters = clusterer.n_clusters
        if wanted and n_clusters > len(data.codes):
            msg = (
                f"There are {len(data.codes)} texts for {n_clusters} clusters: "
                "set kmeans_estimator to a smaller number."
            )
            raise DataError(msg)
        total = sum(wanted.values())
        for code, count in wanted.items():
            # Clustered for every class anew: it spends a RandomState, as in imbalanced-learn.
            cluster_of = clusterer.fit_predict(data.vectors)
            least = self._least_share(count / total, n_clusters)
            groups = self._groups(data, code, cluster_of, least)
            if not groups:
                msg = (
                    f"No cluster holds enough texts of class {data.name(code)}: lower "
                    "cluster_balance_threshold or k_neighbors, or change the number of clusters."
                )
                raise DataError(msg)
            shares = self._shares(data, groups)
            for rows, share in zip(groups, shares, strict=True):
                neighbors = neighbors_of(self.k_neighbors, data, rows, rows)
                size = math.ceil(count * share)
                yield Draw.pairs(code, *draw_pairs(rows, neighbors, size, random_state))

    def _clusterer(self, random_state: Any) -> Any:
        from sklearn.cluster import MiniBatchKMeans

        given = self.kmeans_estimator
        if given is None:
            return MiniBatchKMeans(random_state=random_state)
        if isinstance(given, Integral):
            return MiniBatchKMeans(n_clusters=int(given), random_state=random_state)
        return clone(given)

    def _least_share(self, share_of_new: float, n_clusters: int) -> float:
        if n_clusters == 1:
            return -math.inf  # one cluster is all texts: there is nothing to choose
        threshold: Any = self.cluster_balance_threshold
        return share_of_new / 2 if threshold == "auto" else float(threshold)

    def _groups(
        self, data: Labelled, code: int, cluster_of: np.ndarray, least: float
    ) -> list[np.ndarray]:
        """Return the rows of the class in each cluster that can be used."""
        enough = min(neighbor_count(self.k_neighbors) + 1, data.size(code))
        groups = []
        for cluster in np.unique(cluster_of):
            members = np.flatnonzero(cluster_of == cluster)
            own = members[data.codes[members] == code]
            share = len(own) / len(members)
            # Back through the share, as imbalanced-learn counts: where the product falls a
            # rounding short of len(own), it leaves the cluster out.
            if share >= least and share * len(members) >= enough:
                groups.append(own)
        return groups

    def _shares(self, data: Labelled, groups: list[np.ndarray]) -> np.ndarray:
        sparsity = np.array([self._sparsity(data.vectors[rows]) for rows in groups])
        if not sparsity.sum() > 0:  # clusters of duplicates only have no distances to compare
            return np.full(len(groups), 1.0 / len(groups))
        shares: np.ndarray = sparsity / sparsity.sum()
        return shares

    def _sparsity(self, vectors: np.ndarray) -> float:
        from sklearn.metrics import pairwise_distances_chunked

        n = len(vectors)
        sums = pairwise_distances_chunked(vectors, reduce_func=lambda part, _: part.sum(axis=1))
        mean = float(np.concatenate(list(sums)).sum(dtype=np.float64)) / (n * n - n)
        given: Any = self.density_exponent
        exponent = math.log(n, 1.6) ** 1.8 * 0.16 if given == "auto" else float(given)
        return float(mean**exponent / n)


class ADASYNInterpolator(BaseInterpolator):
    """SMOTE with more rows for texts that have more neighbours of other classes (ADASYN).

    Parameters
    ----------
    n_neighbors : int or nearest-neighbours estimator, default=5
        Neighbours, both among all texts (how hard is this text?) and within the class (what
        to blend it with).
    random_state : int, RandomState or None, default=None
        As in `imblearn.over_sampling.ADASYN`, whose parents and weights these are.

    Notes
    -----
    Each text's share is rounded, so a class may get some rows more or fewer than asked for, as
    in imbalanced-learn; when very few are asked for it may get none (imbalanced-learn
    raises). `plan_exactly` trims and tops up.

    References
    ----------
    H. He, Y. Bai, E. A. Garcia, S. Li, "ADASYN: Adaptive synthetic sampling approach for
    imbalanced learning", IJCNN 2008, section III.

    Examples
    --------
    >>> import numpy as np
    >>> vectors = np.array([[0.0], [1.0], [2.0], [2.1], [2.2], [9.0]])
    >>> adasyn = ADASYNInterpolator(n_neighbors=1, random_state=0)
    >>> plan = adasyn.plan(vectors, ["a", "a", "a", "b", "b", "b"], {"b": 4})
    >>> sorted(set(plan.parents[:, 0].tolist()))
    [3]
    """

    _within_class: ClassVar[tuple[str, ...]] = ("n_neighbors",)
    _among_all: ClassVar[tuple[str, ...]] = ("n_neighbors",)

    def __init__(self, n_neighbors: Any = 5, *, random_state: Any = None) -> None:
        self.n_neighbors = n_neighbors
        self.random_state = random_state

    def _draw(self, data: Labelled, wanted: dict[int, int], random_state: Any) -> Iterator[Draw]:
        stream = stream_of(random_state)
        everyone = np.arange(len(data.codes))
        for code, count in wanted.items():
            rows = data.rows(code)
            around = neighbors_of(self.n_neighbors, data, everyone, rows)
            hardness = np.mean(data.codes[around] != code, axis=1)
            if not hardness.any():
                msg = (
                    f"No text of class {data.name(code)} has a neighbour of another class, so "
                    "ADASYN has nowhere to put weight: use SMOTEInterpolator."
                )
                raise DataError(msg)
            sizes = np.rint(hardness / hardness.sum() * count).astype(np.int64)
            neighbors = neighbors_of(self.n_neighbors, data, rows, rows)
            base = np.repeat(np.arange(len(rows)), sizes)
            column = stream.choice(neighbors.shape[1], size=len(base))
            lam = stream.uniform(size=len(base))
            yield Draw.pairs(code, np.stack([rows[base], neighbors[base, column]], axis=1), lam)
