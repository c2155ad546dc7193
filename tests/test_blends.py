from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.interpolators import (
    DirichletInterpolator,
    MixupInterpolator,
    RandomPairInterpolator,
)
from smotext_lab.interpolators.blends import Blends, path, path_weights


def pairs(weights, parents=None, label="a"):
    weights = np.array(weights, dtype=np.float64)
    m, p = weights.shape
    return Blends(
        parents=np.tile(np.arange(p), (m, 1)) if parents is None else np.array(parents),
        weights=weights,
        label=np.array([label] * m),
        seed=np.arange(m, dtype=np.uint64),
    )


QUARTERS = [[1 - x, x] for x in (0, 0.25, 0.5, 0.75, 1)]
either_blending = pytest.mark.parametrize("blending", ["lerp", "slerp"])


def unit_rows(n, d, seed=0, dtype=np.float64):
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(dtype)


# --- the points -------------------------------------------------------------------------


def test_lerp_is_the_weighted_sum_of_any_number_of_parents():
    vectors = np.random.default_rng(0).normal(size=(20, 6))
    weights = np.random.default_rng(1).dirichlet(np.ones(4), size=50)
    parents = np.random.default_rng(2).integers(20, size=(50, 4))
    expected = np.einsum("mp,mpd->md", weights, vectors[parents])
    blends = pairs(weights, parents)
    np.testing.assert_allclose(blends.points(vectors, normalize=False), expected, atol=1e-14)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(blends.points(vectors), expected, atol=1e-14)


def test_lerp_extrapolates_with_negative_weights():
    points = pairs([[1.5, -0.5]]).points(np.array([[1.0, 0.0], [0.0, 1.0]]), normalize=False)
    assert points.tolist() == [[1.5, -0.5]]


def test_slerp_turns_by_the_same_angle_at_each_step():
    vectors = unit_rows(2, 30)
    points = pairs(QUARTERS).points(vectors, blending="slerp")
    angles = np.arccos((points[1:] * points[:-1]).sum(axis=1))
    np.testing.assert_allclose(angles, np.arccos(vectors[0] @ vectors[1]) / 4, atol=1e-12)
    np.testing.assert_allclose(points[[0, -1]], vectors, atol=1e-14)


def test_slerp_equals_the_textbook_formula():
    vectors, lam = unit_rows(2, 8), np.linspace(0, 1, 11)
    angle = np.arccos(vectors[0] @ vectors[1])
    textbook = (
        np.outer(np.sin((1 - lam) * angle), vectors[0]) + np.outer(np.sin(lam * angle), vectors[1])
    ) / np.sin(angle)
    points = pairs(np.stack([1 - lam, lam], axis=1)).points(vectors, blending="slerp")
    np.testing.assert_allclose(points, textbook, atol=1e-13)


def test_slerp_without_normalizing_goes_from_length_to_length():
    vectors = np.array([[2.0, 0.0], [0.0, 4.0]])
    points = pairs(QUARTERS).points(vectors, blending="slerp", normalize=False)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), [2, 2.5, 3, 3.5, 4])
    np.testing.assert_allclose(points[[0, -1]], vectors, atol=1e-14)


def test_slerp_that_extrapolates_past_length_nought_stays_there():
    vectors = np.array([[1.0, 0.0], [0.0, 9.0]])
    points = pairs([[1.5, -0.5]]).points(vectors, blending="slerp", normalize=False)
    assert points.tolist() == [[0, 0]]


@either_blending
def test_parallel_vectors_blend_to_themselves(blending):
    a = unit_rows(1, 12)[0]
    for b in (a, a * (1 + 1e-15), a + 1e-13):
        points = pairs(QUARTERS).points(np.stack([a, b]), blending=blending)
        np.testing.assert_allclose(points, np.tile(a, (5, 1)), atol=1e-12)


@either_blending
@pytest.mark.parametrize("d", [2, 3, 12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_opposite_vectors_give_unit_rows_from_end_to_end(blending, d, dtype):
    a = unit_rows(1, d, dtype=dtype)[0]
    points = pairs(QUARTERS).points(np.stack([a, -a]), blending=blending)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(points[[0, -1]], [a, -a], atol=1e-6)


def test_slerp_between_opposite_vectors_is_an_even_half_turn():
    a = unit_rows(1, 12)[0]
    points = pairs(QUARTERS).points(np.stack([a, -a]), blending="slerp")
    angles = np.arccos((points[1:] * points[:-1]).sum(axis=1))
    np.testing.assert_allclose(angles, np.pi / 4, atol=1e-12)


@either_blending
def test_one_dimension_is_enough(blending):
    points = pairs(QUARTERS).points(np.array([[1.0], [3.0]]), blending=blending, normalize=False)
    np.testing.assert_allclose(points[:, 0], [1, 1.5, 2, 2.5, 3])


@either_blending
def test_a_zero_vector_leaves_the_other_and_two_leave_zero(blending):
    a = np.array([0.0, 1.0, 0.0])
    points = pairs(QUARTERS[1:]).points(np.stack([0 * a, a]), blending=blending)
    np.testing.assert_allclose(points, np.tile(a, (4, 1)), atol=1e-15)
    assert not pairs(QUARTERS).points(np.zeros((2, 3)), blending=blending).any()


@either_blending
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    ("given", "back"), [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("i8", "f8")]
)
def test_points_have_the_vectors_precision(blending, normalize, given, back):
    points = pairs(QUARTERS).points(np.eye(2).astype(given), blending, normalize)
    assert points.dtype == np.dtype(back)


@either_blending
def test_blocks_do_not_change_the_points(blending, monkeypatch):
    vectors = unit_rows(10, 7)
    plan = RandomPairInterpolator(random_state=0).plan(vectors, [0] * 10, {0: 33})
    whole = plan.points(vectors, blending=blending)
    monkeypatch.setattr("smotext_lab.interpolators.blends._BLOCK_BYTES", 8 * 7 * 4 * 5)
    np.testing.assert_array_equal(plan.points(vectors, blending=blending), whole)


@either_blending
def test_points_need_little_room_beside_themselves(blending):
    vectors = unit_rows(50, 64, dtype=np.float32)
    plan = RandomPairInterpolator(random_state=0).plan(vectors, [0] * 50, {0: 400_000})
    tracemalloc.start()
    try:
        points = plan.points(vectors, blending=blending)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert points.nbytes == 400_000 * 64 * 4
    assert peak - points.nbytes < 120e6


def test_slerp_is_for_pairs_only():
    plan = DirichletInterpolator(2, random_state=0).plan(np.eye(3), [0, 0, 0], {0: 2})
    with pytest.raises(ParameterError, match=r"these blends have 3 a row.*'lerp'"):
        plan.points(np.eye(3), blending="slerp")


def test_an_unknown_blending_is_named_with_the_near_one():
    with pytest.raises(ParameterError, match=r"'slrp'.*did you mean 'slerp'"):
        pairs(QUARTERS).points(np.eye(2), blending="slrp")


def test_too_few_vectors_for_the_plan_are_refused():
    with pytest.raises(DataError, match="up to row 1, but there are 1 vectors"):
        pairs(QUARTERS).points(np.eye(1))


def test_vectors_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="first in row 1"):
        pairs(QUARTERS).points(np.array([[1.0, 0.0], [np.nan, 0.0]]))


def test_large_finite_vectors_are_not_taken_for_infinite():
    vectors = np.full((2, 3), 1e308)
    np.testing.assert_allclose(pairs(QUARTERS).points(vectors, normalize=False), 1e308)


# --- the frame ----------------------------------------------------------------------------


def test_rows_are_taken_by_number_slice_index_and_mask():
    plan = MixupInterpolator(random_state=0).plan(np.eye(6), list("aaabbb"), {"a": 4, "b": 4})
    for rows, numbers in (
        (3, [3]),
        (-1, [7]),
        (slice(2, 5), [2, 3, 4]),
        (np.array([6, 1]), [6, 1]),
        (plan.label == "b", [4, 5, 6, 7]),
        ([], []),
    ):
        part = plan[rows]
        assert len(part) == len(numbers)
        np.testing.assert_array_equal(part.parents, plan.parents[numbers])
        np.testing.assert_array_equal(part.weights, plan.weights[numbers])
        np.testing.assert_array_equal(part.label, plan.label[numbers])
        np.testing.assert_array_equal(part.seed, plan.seed[numbers])
        np.testing.assert_array_equal(part.label_weights, plan.label_weights[numbers])
    assert len(list(plan)) == 8
    with pytest.raises(IndexError):
        plan[8]


def test_parts_join_to_the_whole():
    vectors = unit_rows(6, 3)
    plan = RandomPairInterpolator(random_state=0).plan(vectors, list("aaabbb"), {"a": 4, "b": 4})
    joined = Blends.concatenate([plan[:3], plan[3:4], plan[4:4], plan[4:]])
    np.testing.assert_array_equal(joined.points(vectors), plan.points(vectors))
    assert joined.label.tolist() == plan.label.tolist()
    assert joined.label_weights is None


def test_joining_fills_up_parents_without_moving_a_point():
    vectors, labels = unit_rows(6, 3), list("aaaaaa")
    two = RandomPairInterpolator(random_state=0).plan(vectors, labels, {"a": 4})
    four = DirichletInterpolator(3, random_state=0).plan(vectors, labels, {"a": 5})
    joined = Blends.concatenate([two, four])
    assert joined.parents.shape == (9, 4)
    separately = np.concatenate([two.points(vectors), four.points(vectors)])
    np.testing.assert_allclose(joined.points(vectors), separately, atol=1e-15)


def test_joining_soft_and_hard_labels_makes_all_soft():
    vectors = unit_rows(6, 3)
    hard = RandomPairInterpolator(random_state=0).plan(vectors, list("ccaabb"), {"c": 2})
    soft = MixupInterpolator(random_state=0).plan(vectors, list("bbaabb"), {"a": 3})
    joined = Blends.concatenate([hard, soft])
    assert joined.classes.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(joined.label_weights[:2], [[0, 0, 1]] * 2)
    np.testing.assert_array_equal(joined.label_weights[2:, :2], soft.label_weights)
    np.testing.assert_allclose(joined.label_weights.sum(axis=1), 1)


def test_nothing_to_join_is_an_error():
    with pytest.raises(ParameterError, match="at least one"):
        Blends.concatenate([])


@pytest.mark.parametrize(
    "change",
    [
        {"weights": np.ones((5, 3))},
        {"parents": np.zeros(5, dtype=np.int64), "weights": np.ones(5)},
        {"label": np.array(["a"])},
        {"seed": np.zeros(4, dtype=np.uint64)},
        {"label_weights": np.ones((5, 1))},
        {"label_weights": np.ones((4, 1)), "classes": np.array(["a"])},
    ],
)
def test_columns_that_do_not_fit_together_are_refused(change):
    plan = pairs(QUARTERS)
    columns = {name: getattr(plan, name) for name in ("parents", "weights", "label", "seed")}
    with pytest.raises(ParameterError):
        Blends(**{**columns, **change})


def test_the_repr_is_one_short_line():
    plan = RandomPairInterpolator(random_state=0).plan(
        np.eye(6), ["it's", "b", "b", "it's", "b", "b"], {"b": 3, "it's": 1}
    )
    assert repr(plan) == "Blends(4 rows of 2 parents: 'b' 3, \"it's\" 1)"
    assert repr(plan[:0]) == "Blends(0 rows of 2 parents)"


# --- the walk -------------------------------------------------------------------------------


@either_blending
def test_a_walk_keeps_both_ends(blending):
    a, b = unit_rows(2, 384, dtype=np.float32)
    walk = path(a, b, 5, blending=blending)
    assert walk.shape == (5, 384)
    assert walk.dtype == np.float32
    np.testing.assert_allclose(walk[[0, -1]], [a, b], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(walk, axis=1), 1, atol=1e-6)
    progress = walk @ b
    assert (np.diff(progress) > 0).all()


def test_a_walk_is_the_same_as_the_points_of_its_weights():
    a, b = unit_rows(2, 5, dtype=np.float32)
    expected = pairs(path_weights(7)).points(np.stack([a, b]))
    np.testing.assert_array_equal(path(a, b, 7), expected)


def test_a_walk_may_keep_the_lengths():
    walk = path([2.0, 0.0], [0.0, 4.0], 3, normalize=False)
    assert walk.tolist() == [[2, 0], [1, 2], [0, 4]]


@pytest.mark.parametrize("steps", [1, 0, -3, 2.0, "5", True, None])
def test_a_walk_has_at_least_two_steps(steps):
    with pytest.raises(ParameterError, match="steps must be"):
        path([1.0, 0.0], [0.0, 1.0], steps)


def test_the_ends_of_a_walk_must_be_alike():
    with pytest.raises(DataError, match=r"\(2,\) and \(3,\)"):
        path(np.ones(2), np.ones(3), 4)
    with pytest.raises(DataError, match="two vectors"):
        path(np.ones((1, 2)), np.ones((1, 2)), 4)
    with pytest.raises(DataError, match="NaN"):
        path([np.nan, 1.0], [0.0, 1.0], 4)
