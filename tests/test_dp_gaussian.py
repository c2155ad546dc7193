from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.privacy import Anchors, DPGaussian, PrivacyBudget
from smotext_lab.privacy.accounting import mu_of
from smotext_lab.privacy.moments import Moments, moments_sensitivity, release_moments, summed
from smotext_lab.privacy.release import release
from smotext_lab.privacy.writing import WITHHELD

PLAIN = Anchors(np.eye(6)[:2], np.eye(6))


@pytest.fixture
def mechanism(word_encoder, word_decoder, topics):
    public, _ = topics(money=40, sport=40, weather=40)
    anchors = Anchors.of_texts(public, word_encoder, n_anchors=2, dimensions=20, random_state=0)

    def make(epsilon=8.0, **settings):
        given = {"anchors": anchors, "decoder": word_decoder(), "random_state": 0} | settings
        return DPGaussian(epsilon, 1e-3, progress=False, **given)

    return make


def flat(rows, labels, classes=("a", "b"), clip=1.0):
    made = summed(rows, labels, classes, PLAIN, clip=clip, sigma=1.0)
    return np.concatenate([(made.sums * made.step).ravel(), made.moment * made.fine])


def test_texts_of_each_class_come_out_and_nothing_of_the_real_ones(mechanism, topics, tmp_path):
    budget = PrivacyBudget(tmp_path / "b.json", 9, 1e-3)
    made = mechanism(budget=budget).fit(*topics(money=150, sport=150))
    new = made.generate({"money": 6, "sport": 4})
    assert new.counts().to_dict() == {"money": 6, "sport": 4}
    assert new.originals is None
    assert not new.frame[list(WITHHELD)].notna().any().any()
    assert new.info["guarantee"]["mechanism"].startswith("DPGaussian, Anchors(")
    again = made.generate({"money": 6, "sport": 4})
    assert new.frame["text"].tolist() == again.frame["text"].tolist()
    assert budget.spent == pytest.approx(8.0)
    assert made.guards.label_neighbors is None
    assert made.guards.label_classifier


def test_points_lie_about_the_means_as_the_real_vectors_do():
    rng = np.random.default_rng(0)
    spread = np.array([0.3, 0.2, 0.05, 0.02, 0.01, 0.01])
    means = np.array([[0.4, 0, 0, 0, 0.5, 0], [0.4, 0, 0, 0, 0, 0.5]])
    rows = np.repeat(means, 4000, axis=0) + rng.normal(size=(8000, 6)) * spread
    labels = ["a"] * 4000 + ["b"] * 4000
    made = release_moments(rows, labels, ["a", "b"], PLAIN, clip=2.0, sigma=1.0)
    np.testing.assert_allclose(made.within(), np.diag(spread**2), atol=0.003)
    points, names = made.points(0)
    assert names.tolist() == ["a"] * 1500 + ["b"] * 1500
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-5)
    nearer = (points @ means.T).argmax(axis=1) == (names == "b")
    assert nearer.mean() > 0.99
    np.testing.assert_array_equal(points, made.points(0)[0])
    assert (points != made.points(1)[0]).any()


@pytest.mark.parametrize(("n_classes", "each"), [(2, 1500), (10, 900), (40, 300)])
def test_many_classes_have_fewer_points_each(n_classes, each):
    rows = np.random.default_rng(0).normal(size=(400, 6)) * 0.3
    labels = [f"{row % n_classes}" for row in range(400)]
    made = release_moments(rows, labels, sorted(set(labels)), PLAIN, clip=1.0, sigma=0.0)
    assert set(np.unique(made.points(0)[1], return_counts=True)[1]) == {each}


def test_where_the_noise_hides_directions_all_have_the_mean_of_what_varies():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 6)) * [0.1, 0.1, 0.1, 0.5, 0.1, 0.1]
    made = release_moments(rows, ["a"] * 3000, ["a"], PLAIN, clip=1.0, sigma=40.0)
    values, directions = np.linalg.eigh(made.within())
    np.testing.assert_allclose(values[:5], values[0])
    assert values[5] > 5 * values[0] > 0
    assert abs(directions[3, 5]) > 0.9


def test_what_the_noise_adds_to_a_direction_that_varies_much_is_taken_off():
    r, n, sigma = 100, 2000, 20.0
    true = np.diag([0.2, *[0.004] * (r - 1)])
    many = Anchors(np.eye(r)[:2], np.eye(r))
    rng, raw, found = np.random.default_rng(0), [], []
    for _ in range(10):
        noise = np.triu(rng.normal(size=(r, r)) * sigma / np.sqrt(2), 1)
        scatter = n * true + noise + noise.T + np.diag(rng.normal(size=r) * sigma)
        made = Moments(("a",), np.array([n]), np.zeros((1, r)), scatter, 1.0, sigma, many)
        raw.append(np.linalg.eigvalsh(scatter / n)[-1])
        found.append(np.linalg.eigvalsh(made.within())[-1])
    assert np.mean(found) == pytest.approx(0.2, rel=0.05)
    assert np.mean(raw) > 1.08 * 0.2


def test_the_noise_of_many_small_classes_takes_nothing_from_the_spread():
    rng = np.random.default_rng(0)
    labels = [f"{row % 30}" for row in range(1200)]  # 40 each: 30 have means, 30 have no texts
    rows = rng.normal(size=(1200, 6)) * 0.3
    classes = [f"{code}" for code in range(60)]
    settings = {"clip": 1.0, "sigma": 4.0}
    traces = [
        np.trace(release_moments(rows, labels, classes, PLAIN, **settings).within())
        for _ in range(20)
    ]
    assert np.mean(traces) == pytest.approx(6 * 0.3**2, rel=0.15)


@pytest.mark.parametrize("relation", ["add_or_remove", "replace"])
def test_no_text_moves_the_figures_further_than_the_sensitivity(relation):
    rng = np.random.default_rng(0)
    most, furthest = moments_sensitivity(1.0, relation), 0.0
    common = rng.normal(size=(4, 6)) * 9
    turn = np.array([[-0.5, np.sqrt(0.75)], [-np.sqrt(0.75), -0.5]])  # 120 degrees
    for trial in range(300):
        one, other = rng.normal(size=(2, 6)) * rng.choice([0.01, 1, 100], size=(2, 1))
        if trial % 3 == 0:
            one = np.concatenate([rng.normal(size=2) * 100, np.zeros(4)])
            other = np.concatenate([turn @ one[:2], np.zeros(4)])
        names = ["a", "a" if trial % 2 else "b"]
        before = flat(common, ["a"] * 4)
        if relation == "replace":
            before = flat([*common, other], ["a"] * 4 + names[1:])
        moved = np.linalg.norm(flat([*common, one], ["a"] * 4 + names[:1]) - before)
        furthest = max(furthest, moved)
    assert most * 0.99 < furthest <= most


def test_the_noise_is_what_epsilon_asks_for():
    sigma = moments_sensitivity(1.0, "add_or_remove") / mu_of(1.0, 1e-4)
    mechanism = DPGaussian(1.0, 1e-4)
    assert mechanism.sigma == pytest.approx(sigma)
    drawn = [
        release_moments(np.zeros((0, 6)), [], ["a"], PLAIN, clip=1.0, sigma=sigma)
        for _ in range(2000)
    ]
    off = np.triu_indices(6, 1)
    assert np.std([made.counts for made in drawn]) == pytest.approx(2 * sigma, rel=0.1)
    assert np.std([made.sums for made in drawn]) == pytest.approx(sigma, rel=0.05)
    diagonal = np.std([np.diag(made.scatter) for made in drawn])
    assert diagonal == pytest.approx(sigma, rel=0.05)
    beside = np.std([made.scatter[off] for made in drawn])
    assert beside == pytest.approx(sigma / np.sqrt(2), rel=0.05)


def test_a_class_too_small_is_refused_with_the_number_that_would_do(mechanism, topics):
    made = mechanism(0.5)
    with pytest.warns(UserWarning, match="'sport' is too small for ε = 0.5"):
        made.fit(*topics(money=400, sport=3))
    with pytest.raises(DataError, match=f"{made.released_.least} would do"):
        made.generate({"sport": 1})
    assert made.generate(2).counts().to_dict() == {"money": 2}


def test_what_cannot_be_counted_with_moves_nothing():
    rows = np.array([[0.6, 0, 0, 0.8, 0, 0], [np.inf, 0, 0, 0, 0, 0], [1e308, 0, 0, 0, 0, 0]])
    whole = flat(rows, ["a", "a", "a"], classes=("a",))
    alone = flat(rows[:1], ["a"], classes=("a",))
    counted = len(PLAIN.components) + 1
    np.testing.assert_array_equal(whole[1:], alone[1:])
    assert whole[0] == 3 * alone[0]
    assert len(whole) == counted + 21


def test_a_classifier_learns_from_points_what_centroids_do_not_tell():
    """Classes lie a little apart along what hardly varies, and mixed along what varies much."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 1500)
    rows = rng.normal(size=(3000, 6)) * [0.4, 0.02, 0.1, 0.1, 0.1, 0.1] + [0, 0, 0.6, 0, 0, 0]
    rows[labels == "b", :2] += [0.25, 0.06]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = {}
    one = Anchors(np.eye(6)[:1], np.eye(6))
    for kind in (release, release_moments):
        made = kind(rows, labels.tolist(), ["a", "b"], one, clip=1.0, sigma=1.0)
        points = made.points(0) if kind is release_moments else made.centroids()
        model = LogisticRegression(C=1000, max_iter=1000).fit(*points)
        found[kind] = model.score(rows, labels)
    assert found[release_moments] > 0.9
    assert found[release_moments] > found[release] + 0.2


def test_noise_that_leaves_nothing_of_a_count_is_refused_before_it_is_paid_for(
    mechanism, topics, tmp_path
):
    budget = PrivacyBudget(tmp_path / "b.json", 8, 1e-3, unit="user")
    many = round(12_000 * mu_of(8.0, 1e-3) / 1.5)  # a text is more than a step, its count less
    made = mechanism(texts_per_user=many, budget=budget)
    assert 8192 < made.sigma < 16384
    with pytest.raises(ParameterError, match="nothing would be left"):
        made.fit(*topics(money=5, sport=5), users=range(10))
    assert not budget.entries
