from __future__ import annotations

import pickle
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import ADASYN, SMOTE, SVMSMOTE, BorderlineSMOTE, KMeansSMOTE
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.interpolators import (
    ADASYNInterpolator,
    Blends,
    BorderlineSMOTEInterpolator,
    DirichletInterpolator,
    Interpolator,
    KMeansSMOTEInterpolator,
    MixupInterpolator,
    RandomPairInterpolator,
    SMOTEInterpolator,
    SVMSMOTEInterpolator,
    plan_exactly,
)

EVERY = {
    "smote": SMOTEInterpolator,
    "borderline-1": BorderlineSMOTEInterpolator,
    "borderline-2": lambda **kwargs: BorderlineSMOTEInterpolator("borderline-2", **kwargs),
    "svm": SVMSMOTEInterpolator,
    "kmeans": lambda **kwargs: KMeansSMOTEInterpolator(kmeans_estimator=3, **kwargs),
    "adasyn": ADASYNInterpolator,
    "pairs": RandomPairInterpolator,
    "mixup": MixupInterpolator,
    "mixup-any": lambda **kwargs: MixupInterpolator(1.0, partners="any", **kwargs),
    "dirichlet": lambda **kwargs: DirichletInterpolator(3, alpha=0.5, **kwargs),
}
ACROSS_CLASSES = {"borderline-2", "mixup", "mixup-any"}
EXACT = {"smote", "pairs", "mixup", "mixup-any", "dirichlet"}

every_interpolator = pytest.mark.parametrize("kind", EVERY)


def crowd(rng, sizes, d=4, spread=1.2):
    """Return classes that overlap, so that each kind of SMOTE finds a border, shuffled."""
    centres = rng.normal(scale=spread, size=(len(sizes), d))
    vectors = np.vstack([rng.normal(c, 1, (s, d)) for c, s in zip(centres, sizes, strict=True)])
    labels = np.repeat(np.arange(len(sizes)), sizes)
    order = rng.permutation(len(labels))
    return vectors[order], labels[order]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Keep hundreds of tiny searches and clusterings from waiting for idle threads."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def three_classes():
    vectors, codes = crowd(np.random.RandomState(3), (60, 25, 18))
    return vectors, np.array(["news", "sport", "arts"])[codes]


N = {"sport": 40, "arts": 50}


# --- what every interpolator keeps to ---------------------------------------------------


@every_interpolator
def test_a_plan_is_well_formed(kind, three_classes):
    vectors, labels = three_classes
    interpolator = EVERY[kind](random_state=0)
    plan = interpolator.plan(vectors, labels, N)

    assert isinstance(interpolator, Interpolator)
    assert len(plan) > 0
    assert plan.parents.dtype == np.int64
    assert plan.weights.dtype == np.float64
    assert plan.seed.dtype == np.uint64
    assert plan.weights.shape == plan.parents.shape
    assert len(plan.label) == len(plan.seed) == len(plan)
    np.testing.assert_allclose(plan.weights.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert plan.parents.min() >= 0
    assert plan.parents.max() < len(vectors)
    assert set(plan.label) == set(N)
    assert plan.label.tolist() == sorted(plan.label)
    assert len(np.unique(plan.seed)) == len(plan)


@every_interpolator
def test_parents_are_of_the_rows_class_where_that_is_promised(kind, three_classes):
    vectors, labels = three_classes
    plan = EVERY[kind](random_state=0).plan(vectors, labels, N)
    same = labels[plan.parents] == plan.label[:, None]
    assert same[:, 0].all()
    if kind not in ACROSS_CLASSES:
        assert same.all()
    else:
        assert not same.all()
        assert (plan.weights[~same[:, 1], 0] >= 0.5).all()


@every_interpolator
def test_the_same_random_state_gives_the_same_plan_and_another_another(kind, three_classes):
    vectors, labels = three_classes
    plans = [EVERY[kind](random_state=seed).plan(vectors, labels, N) for seed in (7, 7, 8)]
    overridden = EVERY[kind](random_state=8).plan(vectors, labels, N, random_state=7)
    for again in (plans[1], overridden):
        np.testing.assert_array_equal(plans[0].parents, again.parents)
        np.testing.assert_array_equal(plans[0].weights, again.weights)
        np.testing.assert_array_equal(plans[0].seed, again.seed)
    assert not np.array_equal(plans[0].weights[:10], plans[2].weights[:10])
    assert not np.intersect1d(plans[0].seed, plans[2].seed).size


@every_interpolator
def test_a_random_state_object_goes_on_from_plan_to_plan(kind, three_classes):
    vectors, labels = three_classes
    interpolator = EVERY[kind](random_state=np.random.RandomState(0))
    first, second = (interpolator.plan(vectors, labels, N) for _ in range(2))
    assert not np.array_equal(first.weights[:10], second.weights[:10])
    assert not np.intersect1d(first.seed, second.seed).size


@every_interpolator
@pytest.mark.parametrize(
    ("names", "dtype"),
    [
        (["b", "c", "a"], "U"),
        ([10, 20, -5], "i"),
        ([1.0, 2.0, 0.0], "f"),
        (np.array(["b", "c", "a"], dtype=object), "O"),
    ],
)
def test_labels_keep_their_type(kind, names, dtype):
    vectors, codes = crowd(np.random.RandomState(3), (60, 25, 18))
    labels = np.array(names)[codes]
    plan = EVERY[kind](random_state=0).plan(vectors, labels, {names[1]: 20, names[2]: 30})
    assert plan.label.dtype.kind == dtype
    assert set(plan.label.tolist()) == set(names[1:])


@every_interpolator
def test_nothing_asked_for_gives_an_empty_plan(kind, three_classes):
    vectors, labels = three_classes
    for n in ({}, {"sport": 0}):
        plan = EVERY[kind](random_state=0).plan(vectors, labels, n)
        assert len(plan) == 0
        assert plan.points(vectors).shape == (0, vectors.shape[1])


@every_interpolator
def test_lists_and_series_are_taken_as_arrays_are(kind, three_classes):
    vectors, labels = three_classes
    interpolator = EVERY[kind](random_state=0)
    plain = interpolator.plan(vectors, labels, N)
    series = pd.Series(labels, index=np.arange(len(labels)) + 1000)
    for others in (
        interpolator.plan(vectors.tolist(), labels.tolist(), N),
        interpolator.plan(vectors, series, N),
        interpolator.plan(
            vectors, series.astype("category"), {np.str_(k): v for k, v in N.items()}
        ),
    ):
        np.testing.assert_array_equal(plain.parents, others.parents)
        assert plain.label.tolist() == others.label.tolist()


@every_interpolator
def test_the_order_of_the_classes_asked_for_does_not_matter(kind, three_classes):
    vectors, labels = three_classes
    interpolator = EVERY[kind](random_state=0)
    forth = interpolator.plan(vectors, labels, N)
    back = interpolator.plan(vectors, labels, dict(reversed(N.items())))
    np.testing.assert_array_equal(forth.parents, back.parents)


@every_interpolator
def test_inputs_are_left_as_they_were(kind, three_classes):
    vectors, labels = three_classes
    before = vectors.copy(), labels.copy()
    EVERY[kind](random_state=0).plan(vectors, labels, N).points(vectors)
    np.testing.assert_array_equal(vectors, before[0])
    np.testing.assert_array_equal(labels, before[1])


@every_interpolator
def test_it_clones_and_pickles(kind, three_classes):
    vectors, labels = three_classes
    interpolator = EVERY[kind](random_state=5)
    plan = interpolator.plan(vectors, labels, N)
    for copy in (clone(interpolator), pickle.loads(pickle.dumps(interpolator))):
        assert copy.get_params() == interpolator.get_params()
        np.testing.assert_array_equal(copy.plan(vectors, labels, N).parents, plan.parents)


@every_interpolator
def test_exact_plans_are_exact(kind, three_classes):
    vectors, labels = three_classes
    for n in (N, {"arts": 1}, {"sport": 3, "arts": 201}):
        plan = plan_exactly(EVERY[kind](random_state=0), vectors, labels, n)
        assert Counter(plan.label.tolist()) == n
        assert len(np.unique(plan.seed)) == len(plan)
        assert plan.label.tolist() == sorted(plan.label)
    if kind in EXACT:
        at_once = EVERY[kind](random_state=0).plan(vectors, labels, N)
        exact = plan_exactly(EVERY[kind](random_state=0), vectors, labels, N)
        np.testing.assert_array_equal(at_once.parents, exact.parents)
        np.testing.assert_array_equal(at_once.seed, exact.seed)


def test_what_is_trimmed_is_spread_over_the_plan(three_classes):
    vectors, labels = three_classes
    adasyn = ADASYNInterpolator(random_state=0)
    n = next(m for m in range(60, 99) if len(adasyn.plan(vectors, labels, {"arts": m})) > m)
    whole = adasyn.plan(vectors, labels, {"arts": n})
    exact = plan_exactly(adasyn, vectors, labels, {"arts": n})
    dropped = np.flatnonzero(~np.isin(whole.seed, exact.seed))
    assert len(dropped) == len(whole) - n
    assert dropped.max() < len(whole) - 1  # ADASYN's rows go anchor by anchor: not the last
    np.testing.assert_array_equal(exact.seed, np.delete(whole.seed, dropped))


@every_interpolator
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_refused_by_row(kind, three_classes, bad):
    vectors, labels = three_classes
    vectors[4, 1] = bad
    with pytest.raises(DataError, match=r"NaN or infinity in 1 of 103 rows, first in row 4"):
        EVERY[kind]().plan(vectors, labels, N)


@every_interpolator
def test_lengths_must_agree(kind, three_classes):
    vectors, labels = three_classes
    with pytest.raises(DataError, match="103 vectors but 102 labels"):
        EVERY[kind]().plan(vectors, labels[1:], N)


@every_interpolator
def test_an_unknown_class_is_named_with_the_near_one(kind, three_classes):
    vectors, labels = three_classes
    with pytest.raises(DataError, match=r"class 'sprot'.*did you mean 'sport'"):
        EVERY[kind]().plan(vectors, labels, {"sprot": 3})


@every_interpolator
@pytest.mark.parametrize("count", [-1, 2.5, True, "3", None])
def test_counts_must_be_whole_and_not_negative(kind, three_classes, count):
    vectors, labels = three_classes
    with pytest.raises(ParameterError, match=r"n\['sport'\]"):
        EVERY[kind]().plan(vectors, labels, {"sport": count})


@every_interpolator
@pytest.mark.parametrize("random_state", ["seven", -1, 1.5, np.random.default_rng(0)])
def test_a_random_state_that_cannot_be_used_is_refused(kind, three_classes, random_state):
    vectors, labels = three_classes
    with pytest.raises(ParameterError, match="random_state must be"):
        EVERY[kind](random_state=random_state).plan(vectors, labels, N)


@pytest.mark.parametrize("kind", sorted(set(EVERY) - {"mixup", "mixup-any"}))
def test_a_class_of_one_is_named_with_the_way_out(kind, three_classes):
    vectors, labels = three_classes
    labels[0] = "rare"
    with pytest.raises(DataError, match=r"'rare' has one text.*MixupInterpolator"):
        EVERY[kind]().plan(vectors, labels, {"rare": 3})


def test_mixup_serves_a_class_of_one(three_classes):
    vectors, labels = three_classes
    labels[0] = "rare"
    plan = MixupInterpolator(random_state=0).plan(vectors, labels, {"rare": 5})
    assert (plan.parents[:, 0] == 0).all()
    assert not (plan.parents[:, 1] == 0).any()


@pytest.mark.parametrize(
    ("interpolator", "parameter"),
    [
        (SMOTEInterpolator(0), "k_neighbors"),
        (SMOTEInterpolator(2.0), "k_neighbors"),
        (SMOTEInterpolator(True), "k_neighbors"),
        (BorderlineSMOTEInterpolator(m_neighbors="10"), "m_neighbors"),
        (BorderlineSMOTEInterpolator("borderline-3"), "kind.*did you mean 'borderline-"),
        (SVMSMOTEInterpolator(out_step=1.5), "out_step"),
        (SVMSMOTEInterpolator(svm_estimator=NearestNeighbors()), "support_"),
        (KMeansSMOTEInterpolator(cluster_balance_threshold="none"), "cluster_balance_threshold"),
        (KMeansSMOTEInterpolator(density_exponent=None), "density_exponent"),
        (KMeansSMOTEInterpolator(kmeans_estimator=0), "kmeans_estimator"),
        (KMeansSMOTEInterpolator(kmeans_estimator=SVC()), "kmeans_estimator"),
        (ADASYNInterpolator(-1), "n_neighbors"),
        (MixupInterpolator(0), "alpha"),
        (MixupInterpolator(np.nan), "alpha"),
        (MixupInterpolator(partners="all"), "partners"),
        (DirichletInterpolator(0), "n_neighbors"),
        (DirichletInterpolator(alpha=-1.0), "alpha"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(three_classes, interpolator, parameter):
    with pytest.raises(ParameterError, match=parameter):
        interpolator.plan(*three_classes, N)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a", None, "b", "b"], "1 of 4 labels are missing, the first in row 1"),
        (["a", float("nan"), "b", "b"], "missing"),
        (pd.Series(["a", "b", pd.NA, "b"], dtype="string"), "missing"),
        (np.array([0.0, np.nan, 1.0, 1.0]), "missing"),
        (["a", 1, "b", "b"], "mix types"),
        ([["a"], ["b"], ["b"], ["b"]], "one list"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(labels, words):
    with pytest.raises(DataError, match=words):
        SMOTEInterpolator().plan(np.eye(4), labels, {"b": 1})


def test_vectors_must_be_a_matrix_of_numbers():
    with pytest.raises(DataError, match="encode the texts first"):
        SMOTEInterpolator().plan(["a text", "another"], [0, 0], {0: 1})
    with pytest.raises(DataError, match=r"\(n, d\) array, got shape \(3,\)"):
        SMOTEInterpolator().plan(np.ones(3), [0, 0, 0], {0: 1})


# --- small classes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "interpolator",
    [
        SMOTEInterpolator(random_state=0),
        BorderlineSMOTEInterpolator(k_neighbors=5, m_neighbors=4, random_state=0),
        SVMSMOTEInterpolator(k_neighbors=5, m_neighbors=4, random_state=0),
        KMeansSMOTEInterpolator(5, kmeans_estimator=1, random_state=0),
        ADASYNInterpolator(random_state=0),
        DirichletInterpolator(random_state=0),
    ],
)
def test_a_small_class_uses_the_neighbours_it_has_and_says_so_once(interpolator):
    rng = np.random.RandomState(1)
    vectors, labels = rng.normal(size=(43, 3)), np.array(["big"] * 40 + ["tiny"] * 3)
    vectors[40:] /= 100  # three near each other in the middle of the rest: a border
    with pytest.warns(UserWarning, match=r"'tiny' has 3 texts, fewer than \w+ \+ 1 = 6") as said:
        plan = interpolator.plan(vectors, labels, {"tiny": 12, "big": 30})
    assert len(said) == 1
    assert said[0].filename == __file__
    assert set(plan.parents[plan.label == "tiny"].ravel()) <= {40, 41, 42}
    assert (plan.label == "tiny").any()


def test_few_texts_in_all_are_said_too():
    vectors, labels = np.random.RandomState(1).normal(size=(8, 3)), [0, 1] * 4
    with pytest.warns(UserWarning, match=r"8 texts in all, fewer than m_neighbors \+ 1 = 11"):
        BorderlineSMOTEInterpolator(k_neighbors=2, random_state=0).plan(vectors, labels, {1: 4})


def test_a_class_that_is_not_asked_for_may_be_of_any_size(three_classes):
    vectors, labels = three_classes
    labels[0] = "rare"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SMOTEInterpolator(random_state=0).plan(vectors, labels, N)


def test_a_full_class_needs_no_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = SMOTEInterpolator(5, random_state=0).plan(np.eye(6), [0] * 6, {0: 200})
    pairs = set(map(tuple, plan.parents.tolist()))
    assert len(pairs) == 30  # of 6 texts each pairs with each of the 5 others


def test_smote_needs_no_second_class():
    plan = SMOTEInterpolator(2, random_state=0).plan(np.eye(3), ["only"] * 3, {"only": 4})
    assert len(plan) == 4


# --- where a variant does not suit the texts ----------------------------------------------


def far_apart():
    rng = np.random.RandomState(0)
    vectors = np.vstack([rng.normal(0, 0.1, (20, 2)), rng.normal(9, 0.1, (20, 2))])
    return vectors, np.repeat(["a", "b"], 20)


def test_borderline_without_danger_plans_nothing_and_the_exact_plan_says_so():
    vectors, labels = far_apart()
    border = BorderlineSMOTEInterpolator(random_state=0)
    assert len(border.plan(vectors, labels, {"b": 5})) == 0
    with pytest.warns(UserWarning, match="no texts to blend for 5 of class 'b'"):
        assert len(plan_exactly(border, vectors, labels, {"b": 5})) == 0


def test_adasyn_without_foreign_neighbours_says_what_to_use():
    with pytest.raises(DataError, match=r"class 'b'.*SMOTEInterpolator"):
        ADASYNInterpolator().plan(*far_apart(), {"b": 5})


def test_kmeans_without_a_fit_cluster_says_what_to_change():
    with pytest.raises(DataError, match=r"class 'b'.*cluster_balance_threshold"):
        KMeansSMOTEInterpolator(kmeans_estimator=2, cluster_balance_threshold=1.1).plan(
            *far_apart(), {"b": 5}
        )


def test_kmeans_with_more_clusters_than_texts_says_so():
    with pytest.raises(DataError, match="4 texts for 8 clusters"):
        KMeansSMOTEInterpolator(1).plan(np.eye(4), [0, 0, 1, 1], {0: 1})


def test_kmeans_copes_with_a_class_of_duplicates():
    vectors = np.vstack([np.zeros((6, 2)), np.full((6, 2), 9.0)])
    plan = KMeansSMOTEInterpolator(kmeans_estimator=2, random_state=0).plan(
        vectors, [0] * 6 + [1] * 6, {0: 4}
    )
    assert not plan.points(vectors, normalize=False).any()
    assert len(plan) == 4


def test_svm_among_strangers_only_says_what_to_use():
    rng = np.random.RandomState(0)
    vectors = np.vstack([rng.normal(size=(40, 2)), [[0.7, 0.0], [-0.7, 0.0]]])
    with pytest.raises(DataError, match=r"support vectors of class 1.*SMOTEInterpolator"):
        SVMSMOTEInterpolator(1, m_neighbors=3).plan(vectors, [0] * 40 + [1] * 2, {1: 4})


def test_svm_with_one_class_says_what_to_use():
    with pytest.raises(DataError, match="border between classes"):
        SVMSMOTEInterpolator(1, m_neighbors=3).plan(np.eye(4), [0] * 4, {0: 1})


def test_mixup_with_one_class_says_what_to_do():
    with pytest.raises(DataError, match="partners='any'"):
        MixupInterpolator().plan(np.eye(4), [0] * 4, {0: 1})
    with pytest.raises(DataError, match="one text in all"):
        MixupInterpolator(partners="any").plan(np.eye(1), [0], {0: 1})


# --- mixup, pairs, Dirichlet ----------------------------------------------------------------


@pytest.mark.parametrize("partners", ["other", "any"])
def test_mixup_labels_are_the_parents_labels_in_their_weights(three_classes, partners):
    vectors, labels = three_classes
    plan = MixupInterpolator(1.0, partners=partners, random_state=0).plan(vectors, labels, N)
    assert plan.classes.tolist() == ["arts", "news", "sport"]
    expected = np.zeros((len(plan), 3))
    for row in range(len(plan)):
        for parent, weight in zip(plan.parents[row], plan.weights[row], strict=True):
            expected[row, plan.classes.tolist().index(labels[parent])] += weight
    np.testing.assert_allclose(plan.label_weights, expected, atol=1e-15)
    assert (plan.classes[plan.label_weights.argmax(axis=1)] == plan.label).all()
    assert Counter(plan.label.tolist()) == N
    same = labels[plan.parents[:, 1]] == plan.label
    assert same.any() == (partners == "any")


def test_mixup_weights_follow_a_folded_beta(three_classes):
    vectors, labels = three_classes
    plan = MixupInterpolator(0.4, random_state=0).plan(vectors, labels, {"arts": 20000})
    lam = np.random.default_rng(1).beta(0.4, 0.4, 20000)
    for share in (0.1, 0.5, 0.9):
        drawn = np.quantile(plan.weights[:, 1], share)
        assert drawn == pytest.approx(np.quantile(np.minimum(lam, 1 - lam), share), abs=0.01)


def test_a_random_pair_is_two_texts_and_each_pair_is_as_likely():
    plan = RandomPairInterpolator(random_state=0).plan(np.eye(4), [0] * 4, {0: 12000})
    counts = Counter(map(tuple, plan.parents.tolist()))
    assert len(counts) == 12
    assert max(counts.values()) < 1150
    assert min(counts.values()) > 850
    assert np.quantile(plan.weights[:, 1], [0.25, 0.75]) == pytest.approx([0.25, 0.75], abs=0.02)


def test_dirichlet_blends_a_text_with_its_nearest_of_the_class(three_classes):
    vectors, labels = three_classes
    plan = DirichletInterpolator(4, random_state=0).plan(vectors, labels, {"arts": 200})
    own = np.flatnonzero(labels == "arts")
    for parents in plan.parents[:20]:
        distance = np.linalg.norm(vectors[own] - vectors[parents[0]], axis=1)
        assert parents.tolist() == own[np.argsort(distance)[:5]].tolist()
    assert (plan.weights >= 0).all()


@pytest.mark.parametrize("alpha", [1e-3, 0.1, 1.0, 100.0])
def test_dirichlet_concentration(alpha):
    plan = DirichletInterpolator(4, alpha=alpha, random_state=0).plan(np.eye(9), [0] * 9, {0: 4000})
    # The mean square of a Dirichlet weight: (α + 1) / (p (p α + 1)).
    expected = (alpha + 1) / (5 * (5 * alpha + 1))
    assert np.mean(plan.weights**2) == pytest.approx(expected, rel=0.05)


@pytest.mark.filterwarnings("ignore:DirichletInterpolator")
def test_dirichlet_fills_a_small_class_with_the_text_at_weight_nought():
    plan = DirichletInterpolator(4, random_state=0).plan(np.eye(9), [0] * 7 + [1] * 2, {0: 5, 1: 5})
    small = plan[plan.label == 1]
    assert plan.parents.shape == (10, 5)
    assert not small.weights[:, 2:].any()
    assert (small.parents[:, 2:] == small.parents[:, :1]).all()
    assert (small.weights[:, :2] > 0).all()


# --- equal to imbalanced-learn --------------------------------------------------------------

PAIRS = {
    "smote": (SMOTE, SMOTEInterpolator),
    "borderline-1": (BorderlineSMOTE, BorderlineSMOTEInterpolator),
    "borderline-2": (BorderlineSMOTE, BorderlineSMOTEInterpolator),
    "svm": (SVMSMOTE, SVMSMOTEInterpolator),
    "kmeans": (KMeansSMOTE, KMeansSMOTEInterpolator),
    "adasyn": (ADASYN, ADASYNInterpolator),
}
every_sampler = pytest.mark.parametrize("kind", PAIRS)


def parameters_of(kind, rng):
    k = int(rng.randint(1, 6))
    if kind.startswith("borderline"):
        return {"kind": kind, "k_neighbors": k, "m_neighbors": int(rng.randint(2, 12))}
    if kind == "svm":
        m, step = int(rng.randint(2, 12)), float(rng.choice([0.0, 0.3, 0.5, 1.0]))
        return {"k_neighbors": k, "m_neighbors": m, "out_step": step}
    if kind == "kmeans":
        return {
            "k_neighbors": int(rng.randint(1, 4)),
            "kmeans_estimator": [None, 1, 2, 4][rng.randint(4)],
            "cluster_balance_threshold": ["auto", 0.05, 0.2][rng.randint(3)],
            "density_exponent": ["auto", 0.0, 2.0][rng.randint(3)],
        }
    return {"n_neighbors" if kind == "adasyn" else "k_neighbors": k}


def task_of(rng):
    sizes = rng.randint(8, 60, size=rng.randint(2, 5))
    vectors, labels = crowd(rng, sizes, d=int(rng.choice([2, 5, 16, 40])), spread=0.8)
    if rng.rand() < 0.2:
        vectors = np.round(vectors)  # duplicates and ties
    names = rng.permutation(["w", "x", "y", "z"]) if rng.rand() < 0.5 else rng.permutation(4) - 1
    asked = rng.permutation(len(sizes))[: rng.randint(1, len(sizes) + 1)]
    n = {names[c].item(): int(rng.randint(0, 80)) for c in asked}
    return vectors, names[labels], n


def compare(kind, parameters, task, streams, atol=1e-12):
    """Compare one plan with one resampling; return whether there was anything to compare."""
    vectors, labels, n = task
    theirs, ours = PAIRS[kind]
    totals = {c: int(np.count_nonzero(labels == c)) + count for c, count in n.items()}
    sampler = theirs(**parameters, random_state=streams[0], sampling_strategy=totals)
    interpolator = ours(**parameters, random_state=streams[1])
    try:
        points, classes = sampler.fit_resample(vectors, labels)
    except (RuntimeError, ValueError) as error:
        if "No samples will be generated" in str(error):  # where ours plans none, as documented
            return False
        with pytest.raises(DataError):
            interpolator.plan(vectors, labels, n)
        return False
    plan = interpolator.plan(vectors, labels, n)
    assert plan.label.tolist() == classes[len(labels) :].tolist()
    found = plan.points(vectors, normalize=False)
    np.testing.assert_allclose(found, points[len(labels) :], rtol=1e-6, atol=atol)
    return len(plan) > 0


@every_sampler
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning:imblearn")
def test_points_equal_imbalanced_learns_for_int_seeds(kind):
    compared = 0
    for seed in range(60):
        rng = np.random.RandomState(1000 + seed)
        compared += compare(kind, parameters_of(kind, rng), task_of(rng), (seed, seed))
    assert compared >= 30


@every_sampler
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning:imblearn")
def test_points_equal_imbalanced_learns_for_random_state_objects(kind):
    compared = 0
    for seed in range(60):
        rng = np.random.RandomState(2000 + seed)
        streams = [np.random.RandomState(seed) for _ in range(2)]
        if compare(kind, parameters_of(kind, rng), task_of(rng), streams):
            compared += 1
            # Both have spent as much of the stream: what comes after is equal too.
            assert streams[0].randint(2**31) == streams[1].randint(2**31)
    assert compared >= 30


@every_sampler
def test_points_equal_imbalanced_learns_for_numpys_own_stream(kind, three_classes):
    vectors, labels = three_classes
    theirs, ours = PAIRS[kind]
    parameters = {"kind": kind} if kind.startswith("borderline") else {}
    totals = {c: int(np.count_nonzero(labels == c)) + count for c, count in N.items()}
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(5)  # noqa: NPY002
        points, _ = theirs(**parameters, sampling_strategy=totals).fit_resample(vectors, labels)
        np.random.seed(5)  # noqa: NPY002
        plan = ours(**parameters).plan(vectors, labels, N)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    found = plan.points(vectors, normalize=False)
    np.testing.assert_allclose(found, points[len(labels) :], rtol=1e-6, atol=1e-12)


@every_sampler
def test_points_equal_imbalanced_learns_in_float32_on_unit_vectors(kind):
    parameters = {"kind": kind} if kind.startswith("borderline") else {}
    for seed in range(5):
        vectors, labels = crowd(np.random.RandomState(seed), (90, 40, 30), d=48, spread=0.1)
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        task = vectors, labels, {1: 50, 2: 60}
        # Coordinates near 0 differ by the rounding of single precision.
        assert compare(kind, parameters, task, (seed, seed), atol=1e-7)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("smote", {"k_neighbors": NearestNeighbors(n_neighbors=4, metric="cosine")}),
        ("borderline-1", {"m_neighbors": NearestNeighbors(n_neighbors=8, metric="manhattan")}),
        ("borderline-2", {"kind": "borderline-2", "k_neighbors": NearestNeighbors(n_neighbors=3)}),
        ("svm", {"svm_estimator": SVC(kernel="linear", C=0.1)}),
        ("svm", {"svm_estimator": SVC(class_weight="balanced", gamma=0.1)}),
        ("kmeans", {"kmeans_estimator": MiniBatchKMeans(3, n_init=1, random_state=0)}),
        ("adasyn", {"n_neighbors": NearestNeighbors(n_neighbors=4, metric="chebyshev")}),
    ],
)
def test_points_equal_imbalanced_learns_with_estimators_of_ones_own(
    kind, parameters, three_classes
):
    vectors, labels = three_classes
    for seed in range(5):
        assert compare(kind, parameters, (vectors, labels, N), (seed, seed))


# --- seeds and examples -----------------------------------------------------------------------


def test_a_rows_seed_does_not_depend_on_how_many_rows_there_are(three_classes):
    vectors, labels = three_classes
    smote = SMOTEInterpolator(random_state=0)
    few, many = (smote.plan(vectors, labels, {"arts": m}) for m in (10, 1000))
    np.testing.assert_array_equal(few.seed, many.seed[:10])


def test_topping_up_goes_on_with_another_stream(three_classes):
    vectors, labels = three_classes
    svm = SVMSMOTEInterpolator(random_state=0)
    first = svm.plan(vectors, labels, N)
    more = svm.plan(vectors, labels, N, random_state=1)
    both = Blends.concatenate([first, more])
    assert len(np.unique(both.seed)) == len(both)
    assert svm.random_state == 0
