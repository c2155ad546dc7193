from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from smotext_lab.bridges import split_words
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.forms import TextForm
from smotext_lab.guards import Guards
from smotext_lab.privacy import Anchors, DPGaussian, PrivacyBudget, as_read
from smotext_lab.privacy.accounting import mu_of
from smotext_lab.privacy.aim import aimed
from smotext_lab.privacy.as_read import write_as_read
from smotext_lab.privacy.discriminant import Discriminant
from smotext_lab.privacy.habits import N_HABITS, Habits, marks
from smotext_lab.privacy.moments import Moments, moments_sensitivity, release_moments, summed
from smotext_lab.privacy.release import LEAST_DIMENSIONS, dimensions, release
from smotext_lab.privacy.writing import WITHHELD, Points

PLAIN = Anchors(np.eye(6)[:2], np.eye(6))


@pytest.fixture
def mechanism(word_encoder, word_decoder, topics):
    public, _ = topics(money=40, sport=40, weather=40)
    anchors = Anchors.of_texts(public, word_encoder, n_anchors=2, dimensions=20, random_state=0)

    def make(epsilon=8.0, **settings):
        given = {"anchors": anchors, "decoder": word_decoder(), "random_state": 0} | settings
        return DPGaussian(epsilon, 1e-3, progress=False, **given)

    return make


def flat(rows, labels, classes=("a", "b"), clip=1.0, texts=None):
    texts = texts or ["Rain."] * len(rows)
    marked = marks(texts, np.array([len(text.split()) for text in texts]))
    made = summed(rows, labels, marked, classes, PLAIN, clip=clip, sigma=1.0)
    return np.concatenate([(made.sums * made.step).ravel(), made.moment * made.fine])


def released(rows, labels, classes, anchors, **noise):
    marked = marks(["Rain."] * len(rows), np.ones(len(rows), int))
    return release_moments(rows, labels, marked, classes, anchors, **noise)


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
    made = released(rows, labels, ["a", "b"], PLAIN, clip=2.0, sigma=1.0)
    np.testing.assert_allclose(made.within(), np.diag(spread**2), atol=0.003)
    drawn = made.points(0)
    points, names = drawn.vectors, drawn.labels
    assert names.tolist() == ["a"] * 1500 + ["b"] * 1500
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-5)
    nearer = (points @ means.T).argmax(axis=1) == (names == "b")
    assert nearer.mean() > 0.99
    again, other = made.points(0), made.points(1)
    np.testing.assert_array_equal(points, again.vectors)
    assert drawn.manner[0] == again.manner[0]
    np.testing.assert_array_equal(drawn.manner[1], again.manner[1])
    assert (points != other.vectors).any()


@pytest.mark.parametrize(("n_classes", "each"), [(2, 1500), (10, 900), (40, 300)])
def test_many_classes_have_fewer_points_each(n_classes, each):
    rows = np.random.default_rng(0).normal(size=(400, 6)) * 0.3
    labels = [f"{row % n_classes}" for row in range(400)]
    made = released(rows, labels, sorted(set(labels)), PLAIN, clip=1.0, sigma=0.0)
    assert set(np.unique(made.points(0).labels, return_counts=True)[1]) == {each}


def in_turns(word_decoder):
    """Return settings that write of money and of sport in turns, whatever is asked for."""
    words = word_decoder().words

    def write(text, rng):
        of_one = words[:14] if decoder.decoded % 2 else words[14:28]
        return " ".join(rng.permutation(of_one)) + "."  # all its words: surely of that class

    decoder = word_decoder(write)
    return {"decoder": decoder, "guards": Guards(max_duplicate_cosine=None)}


def test_a_text_gets_the_class_that_it_reads_as(mechanism, topics, word_decoder):
    """Every second text that is asked for comes out as one of the other class."""
    money, settings = word_decoder().words[:14], in_turns(word_decoder)
    made = mechanism(99.0, **settings).fit(*topics(money=200, sport=200))  # hardly any noise
    new = made.generate({"money": 12, "sport": 8}).frame
    assert new["label"].value_counts().to_dict() == {"money": 12, "sport": 8}
    of_money = new["text"].map(lambda text: text.split()[0] in money)
    assert (of_money == (new["label"] == "money")).all()
    assert len(made.generate({"sport": 6})) == 6
    asked = replace(settings["guards"], label_classifier=False)
    as_asked = mechanism(99.0, **settings | {"guards": asked})
    as_asked.released_, as_asked._promised = made.released_, made._promised
    left = as_asked.generate({"money": 20}).frame
    assert len(left) == 20
    assert 3 < left["text"].map(lambda text: text.split()[0] in money).sum() < 17


def test_classes_are_told_apart_by_covariance_and_size():
    rng = np.random.default_rng(0)
    means, sizes = np.array([[0.0, 0.0], [0.3, 0.3]]), np.array([900, 100])
    within = np.diag([0.09, 0.0025])  # the second tells more than the first
    codes = np.repeat([0, 1], sizes)
    texts = means[codes] + rng.multivariate_normal([0, 0], within, 1000)
    given = {"sizes": sizes, "components": np.eye(2), "classes": np.array(["a", "b"]), "clip": 9.0}
    shares = Discriminant.of(means, within, **given).shares(texts)
    assert np.allclose(shares.sum(axis=1), 1)
    assert 0.05 < shares[:, 1].mean() < 0.15  # as many as there are
    even = np.eye(2) * np.trace(within) / 2
    blind = Discriminant.of(means, even, **given).shares(texts)
    wrong, of_blind = ((said.argmax(axis=1) != codes).sum() for said in (shares, blind))
    assert wrong < 0.75 * of_blind


def test_texts_are_read_as_long_as_those_that_the_means_are_of():
    given = {"sizes": np.ones(2), "components": np.eye(3)[:2], "classes": np.array(["a", "b"])}
    means, within = np.array([[0.4, 0.1], [0.1, 0.2]]), np.eye(2) / 50
    told = Discriminant.of(means, within, **given, clip=0.5)
    shortened = told.shares(np.array([[0.3, 0.4, 0.0]]))
    np.testing.assert_allclose(told.shares(np.array([[0.6, 0.8, 5.0]])), shortened)
    inside = told.shares(np.array([[0.03, 0.04, 0.0]]))
    assert abs(inside - shortened).max() > 0.05  # what is shorter stays so


def test_where_a_small_class_is_hidden_it_has_the_mean_of_all():
    anchors = Anchors(np.eye(64)[:2], np.eye(64))
    counts, habits = np.array([40_000.0, 120.0]), Habits(np.zeros((2, N_HABITS)), 1.0)
    sums = counts[:, None] * np.full((2, 64), 0.125)
    hidden = Moments(("a", "b"), counts, sums, np.eye(64), habits, 1.0, 10.0, anchors)
    assert LEAST_DIMENSIONS < dimensions(120, 10.0, 64) < 64
    np.testing.assert_allclose(hidden.centroids()[0], 0.125, atol=1e-6)


def test_what_may_be_of_either_class_is_taken_only_where_there_is_nothing_else(word_decoder):
    axes = np.eye(48, dtype=np.float32)
    near = {"money": axes[0], "sport": axes[1], "either": axes[0] + 1.01 * axes[1]}
    even = {"within": np.eye(48) / 100, "sizes": np.array([30.0, 30.0]), "components": np.eye(48)}
    even["clip"] = 1.0
    told = Discriminant.of(axes[:2], classes=np.array(["money", "sport"]), **even)

    class Reading:
        def encode(self, texts):
            return np.stack([near[text.split()[0]] for text in texts])

    def written(kinds, n, stop_after=None):
        decoder = word_decoder(lambda _, rng: f"{rng.choice(kinds)} {rng.integers(10**9)}.")
        rng = np.random.default_rng(0)
        points = np.repeat(axes[:2], 30, axis=0) + 0.02 * rng.normal(size=(60, 48))
        places = Points(points.astype(np.float32), np.repeat(["money", "sport"], 30))
        decoder.stop_after, made = stop_after, []
        settings = {"guards": Guards(), "random_state": 0, "progress": False, "kept": made}
        with suppress(KeyboardInterrupt):
            write_as_read(places, n, decoder, encoder=Reading(), discriminant=told, **settings)
        return [(record["label"], record["text"].split()[0]) for record in made]

    found = written(["money", "sport", "money", "sport", "either"], {"money": 8, "sport": 8})
    assert sorted(found) == [("money", "money")] * 8 + [("sport", "sport")] * 8
    found = written(["money", "either", "either"], {"money": 4, "sport": 4})
    assert sorted(found) == [("money", "money")] * 4 + [("sport", "either")] * 4
    found = written(["money", "either"], {"money": 4, "sport": 4}, stop_after=6)
    assert {text for _, text in found} == {"money", "either"}  # interrupted: it is all there is


def drawn_to_one_side():
    """Return points, and a decoder whose texts come out to one side of them and too near."""
    rng = np.random.default_rng(0)
    axes = np.eye(24)
    points = np.repeat(axes[:2], 300, axis=0) + rng.normal(size=(600, 24)) / 10
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels = np.repeat(["money", "sport"], 300)

    def come_out(targets):
        rows = 0.6 * targets + 0.5 * axes[5] + rng.normal(size=targets.shape) / 20
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    return Points(points.astype(np.float32), labels), come_out


def test_texts_come_out_at_their_points_where_these_are_moved_against_what_draws_them():
    points, come_out = drawn_to_one_side()
    rows = [*range(100), *range(300, 400)]
    records = [{"label": points.labels[i], "parents": [i], "weights": [1.0]} for i in rows]
    moved = aimed(points, records, come_out(points.vectors[rows]))
    before, after = come_out(points.vectors), come_out(moved.vectors)
    for label in ("money", "sport"):
        own = points.labels == label
        wanted = points.vectors[own]
        means = [np.linalg.norm((each[own] - wanted).mean(axis=0)) for each in (before, after)]
        assert means[1] < 0.7 * means[0]
        places = wanted - wanted.mean(axis=0)
        along = [(each[own] * places).sum() / (places**2).sum() for each in (before, after)]
        assert along[0] + 0.02 < along[1] < 1, "they come out farther apart"
    few = aimed(points, records[80:110], come_out(points.vectors[rows[80:110]]))
    assert few is points, "20 and 10 texts tell little"


def test_no_more_is_tried_of_small_classes_than_twice_what_is_wanted():
    assert as_read._trial({"a": 3000, "b": 48, "c": 10}) == {"a": 100, "b": 96}
    assert as_read._trial({"a": 100, "b": 48}) == {}
    many = as_read._trial({"large": 101} | {f"class {i}": 20 for i in range(150)})
    assert many.total() == 100 + 150 * 40


def test_the_first_texts_tell_where_the_others_are_asked_for(
    mechanism, topics, word_decoder, monkeypatch
):
    asked = []

    class Noting(word_decoder):
        def decode_rows(self, vectors, **others):
            asked.append(np.array(vectors))
            return super().decode_rows(vectors, **others)

    def turned(points, records, written):
        assert len(records) == len(written) > 100
        return replace(points, vectors=-points.vectors)

    monkeypatch.setattr(as_read, "aimed", turned)
    made = mechanism(99.0, decoder=Noting()).fit(*topics(money=300, sport=300))
    made.generate({"money": 140, "sport": 20})
    assert len(asked[0]) == 100 + 2 * 20
    assert 60 <= len(asked[1]) < 80  # 40 of the one, and all of the other
    assert asked[1].mean(axis=0) @ asked[0].mean(axis=0) < 0
    asked.clear()
    made.generate({"money": 90, "sport": 20})
    assert all(each.mean(axis=0) @ asked[0].mean(axis=0) > 0 for each in asked)


def test_a_text_that_no_other_class_comes_near_has_odds_that_are_a_number():
    class Certain:
        classes = np.array(list("abc"))

        def shares(self, vectors):
            return np.tile(np.array([1, 0, 0], np.float32), (len(vectors), 1))

    with np.errstate(divide="raise", over="raise"):
        read = as_read._read([{"text": "goal"}], np.eye(1, 48, dtype=np.float32), Certain())
    assert [record["label"] for _, record in read] == ["a"]
    assert 1e30 < read[0][0] < np.inf


def test_a_class_that_no_text_reads_as_is_told(mechanism, topics, word_decoder):
    money = word_decoder().words[:14]
    decoder = word_decoder(lambda _, rng: " ".join(rng.choice(money, 7, replace=False)) + ".")
    made = mechanism(99.0, decoder=decoder).fit(*topics(money=200, sport=200))
    with pytest.warns(UserWarning, match="made 5 of 9 texts"):
        assert made.generate({"money": 5, "sport": 4}).counts().to_dict() == {"money": 5}


def test_what_was_written_when_it_was_interrupted_is_returned(mechanism, topics, word_decoder):
    settings = in_turns(word_decoder)
    decoder = settings["decoder"]
    made = mechanism(99.0, **settings).fit(*topics(money=200, sport=200))  # hardly any noise
    whole = made.generate({"money": 6, "sport": 6}).frame
    assert decoder.decoded == len(whole) == 12
    decoder.decoded, decoder.stop_after = 0, 7
    with pytest.warns(UserWarning, match="Interrupted: 7 of 12 new texts"):
        part = made.generate({"money": 6, "sport": 6})
    assert part.info["interrupted"] is True
    assert "guarantee" in part.info
    pd.testing.assert_frame_equal(part.frame, whole[:7])
    decoder.decoded, decoder.error = 0, RuntimeError
    with pytest.raises(RuntimeError) as raised:
        made.generate({"money": 6, "sport": 6})
    assert raised.value.__notes__ == ["What was finished is in the mechanism's synthesis_."]
    pd.testing.assert_frame_equal(made.synthesis_.frame, part.frame)
    decoder.decoded, decoder.stop_after, decoder.error = 0, 0, KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        made.generate({"money": 6})


def test_each_class_is_written_in_its_own_forms_and_lengths(
    mechanism, topics, word_decoder, monkeypatch
):
    asked = []
    plain = word_decoder.decode_rows

    def noting(self, vectors, *, forms, lengths, **others):
        asked.extend(zip(forms, lengths, strict=True))
        return plain(self, vectors, **others)

    monkeypatch.setattr(word_decoder, "decode_rows", noting)
    money, _ = topics(money=300)
    sport, _ = topics(sport=300)
    texts = [f"{text.upper()}!" for text in money] + [f"is it {text}?" for text in sport]
    made = mechanism().fit(texts, ["money"] * 300 + ["sport"] * 300)
    made.generate({"money": 8})
    assert {form for form, _ in asked} == {TextForm("exclamation", "upper")}
    words = [len(split_words(text)) for text in texts[:300]]
    assert min(words) - 3 <= min(n for _, n in asked) <= max(n for _, n in asked) <= max(words) + 4
    asked.clear()
    made.generate({"sport": 8})
    assert {form for form, _ in asked} == {TextForm("question", "lower")}
    asked.clear()
    told = mechanism(like="Rain.", words=4)  # goes before what was counted
    told.released_, told._promised = made.released_, made._promised
    told.generate({"sport": 2})
    assert set(asked) == {(TextForm("statement", "sentence"), 4)}


def test_counts_of_forms_that_noise_may_have_made_are_left_out():
    rng = np.random.default_rng(0)
    counts = rng.normal(size=(3, N_HABITS)) * 10
    counts[0, [2, 22]] += 200
    forms, lengths = Habits(counts, 10.0).drawn(np.repeat([0, 1, 2], 50), rng)
    assert len(set(forms)) == 1  # where nothing is clear, all classes together tell
    assert len(forms) == len(lengths) == 150
    assert set(lengths) == {5, 6, 7}
    assert Habits(counts[1:], 10.0).drawn(np.array([0, 1]), rng) is None


def moments_of(true, n, sigma, rng):
    """Return what is released of n texts about 0 with covariance `true`, with noise of a seed."""
    r = len(true)
    noise = np.triu(rng.normal(size=(r, r)) / np.sqrt(2), 1)
    noise = noise + noise.T + np.diag(rng.normal(size=r))
    scatter = n * true + 2 * sigma * noise  # twice: a text adds half of its moment
    habits = Habits(np.zeros((1, N_HABITS)), sigma)
    many = Anchors(np.eye(r)[:2], np.eye(r))
    return Moments(("a",), np.array([n]), np.zeros((1, r)), scatter, habits, 1.0, sigma, many)


@pytest.mark.parametrize("seed", range(5))
def test_where_the_noise_hides_directions_all_have_the_mean_of_what_varies(seed):
    true = np.full(40, 0.01)
    true[3] = 0.25
    made = moments_of(np.diag(true), 3000, 20.0, np.random.default_rng(seed))
    values, directions = np.linalg.eigh(made.within())
    np.testing.assert_allclose(values[:39], values[0])
    assert values[39] > 5 * values[0] > 0
    assert abs(directions[3, 39]) > 0.9


def test_what_the_noise_adds_to_a_direction_that_varies_much_is_taken_off():
    n, true = 2000, np.diag([0.2, *[0.004] * 99])
    rng, raw, found = np.random.default_rng(0), [], []
    for _ in range(10):
        made = moments_of(true, n, 10.0, rng)
        raw.append(np.linalg.eigvalsh(made.scatter / n)[-1])
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
        np.trace(released(rows, labels, classes, PLAIN, **settings).within()) for _ in range(20)
    ]
    assert np.mean(traces) == pytest.approx(6 * 0.3**2, rel=0.15)


@pytest.mark.parametrize("relation", ["add_or_remove", "replace"])
def test_no_text_moves_the_figures_further_than_the_sensitivity(relation):
    rng = np.random.default_rng(0)
    most, furthest = moments_sensitivity(1.0, relation), 0.0
    common = rng.normal(size=(4, 6)) * 9
    for trial in range(300):
        one, other = rng.normal(size=(2, 6)) * rng.choice([0.01, 1, 100], size=(2, 1))
        if trial % 3 == 0:
            one = rng.normal(size=6) * 100
            other = -one
        names = ["a", "a" if trial % 2 else "b"]
        texts = ["Rain."] * 4
        before = flat(common, ["a"] * 4, texts=texts)
        if relation == "replace":
            before = flat([*common, other], ["a"] * 4 + names[1:], texts=[*texts, "who is it"])
        after = flat([*common, one], ["a"] * 4 + names[:1], texts=[*texts, "RAIN!"])
        moved = np.linalg.norm(after - before)
        furthest = max(furthest, moved)
    assert most * 0.99 < furthest <= most


def test_the_noise_is_what_epsilon_asks_for():
    sigma = moments_sensitivity(1.0, "add_or_remove") / mu_of(1.0, 1e-4)
    mechanism = DPGaussian(1.0, 1e-4)
    assert mechanism.sigma == pytest.approx(sigma)
    drawn = [
        released(np.zeros((0, 6)), [], ["a"], PLAIN, clip=1.0, sigma=sigma) for _ in range(2000)
    ]
    off = np.triu_indices(6, 1)
    assert np.std([made.counts for made in drawn]) == pytest.approx(2 * sigma, rel=0.1)
    assert np.std([made.sums for made in drawn]) == pytest.approx(sigma, rel=0.05)
    habits = [made.habits for made in drawn]
    assert np.std([each.counts for each in habits]) == pytest.approx(4 * sigma, rel=0.05)
    assert habits[0].deviation == pytest.approx(4 * sigma, rel=1e-3)
    diagonal = np.std([np.diag(made.scatter) for made in drawn])
    assert diagonal == pytest.approx(2 * sigma, rel=0.05)
    beside = np.std([made.scatter[off] for made in drawn])
    assert beside == pytest.approx(2 * sigma / np.sqrt(2), rel=0.05)


def test_of_a_user_no_more_texts_are_read_than_are_stated(mechanism, topics):
    texts, labels = topics(money=150, sport=150)
    settings = {"epsilon": 1e6, "texts_per_user": 4}
    made = mechanism(**settings).fit(texts, labels, users=[row % 20 for row in range(300)])
    assert sum(made.released_.sizes.values()) == pytest.approx(80, abs=1)
    assert made.sigma == pytest.approx(4 * mechanism(1e6).sigma)
    assert "user (at most 4 texts of each are read)" in made.guarantee().sentence


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
    counted = np.array([0, *range(7, 7 + N_HABITS)])
    np.testing.assert_array_equal(np.delete(whole, counted), np.delete(alone, counted))
    np.testing.assert_array_equal(whole[counted], 3 * alone[counted])
    assert len(whole) == 7 + N_HABITS + 21


def test_a_classifier_learns_from_points_what_centroids_do_not_tell():
    """Classes lie a little apart along what hardly varies, and mixed along what varies much."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 1500)
    rows = rng.normal(size=(3000, 6)) * [0.4, 0.02, 0.1, 0.1, 0.1, 0.1] + [0, 0, 0.6, 0, 0, 0]
    rows[labels == "b", :2] += [0.25, 0.06]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = {}
    one = Anchors(np.eye(6)[:1], np.eye(6))
    for kind in (release, released):
        made = kind(rows, labels.tolist(), ["a", "b"], one, clip=1.0, sigma=1.0)
        points = Points(*made.centroids()) if kind is release else made.points(0)
        model = LogisticRegression(C=1000, max_iter=1000).fit(points.vectors, points.labels)
        found[kind] = model.score(rows, labels)
    assert found[released] > 0.9
    assert found[released] > found[release] + 0.2


def test_noise_that_leaves_nothing_of_a_count_is_refused_before_it_is_paid_for(
    mechanism, topics, tmp_path
):
    budget = PrivacyBudget(tmp_path / "b.json", 8, 1e-3, unit="user")
    many = round(6_000 * mu_of(8.0, 1e-3) / 1.275)  # its count is more than a step, its form less
    made = mechanism(texts_per_user=many, budget=budget)
    assert 4096 < made.sigma < 8192
    with pytest.raises(ParameterError, match="nothing would be left"):
        made.fit(*topics(money=5, sport=5), users=range(10))
    assert not budget.entries
