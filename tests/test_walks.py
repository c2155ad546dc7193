import numpy as np
import pandas as pd
import pytest

from smotext_lab.decoded import Decoded
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.reports.walks import (
    blendable,
    neighbor_pairs,
    sample_texts,
    unrelated_cosine,
    walk,
)


def frame(**classes):
    rows = [(f"{c} text {i}", c, "train") for c, n in classes.items() for i in range(n)]
    return pd.DataFrame(rows, columns=["text", "label", "split"])


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clusters(labels, d=16, seed=0):
    """Return vectors that lie near their class's centre."""
    rng = np.random.default_rng(seed)
    _, codes = np.unique(labels, return_inverse=True)
    return unit(2 * rng.normal(size=(codes.max() + 1, d))[codes] + rng.normal(size=(len(codes), d)))


class Echo:
    """Stands for a decoder: writes the number of the row and the seed, misses by a little."""

    def decode_rows(self, vectors, *, seeds=None, forms=None, lengths=None, agreement=None):
        for row in reversed(range(len(vectors))):  # any order is allowed
            vector = unit(vectors[row : row + 1] + 0.01)[0]
            cosine = float(vector @ vectors[row])
            text = f"made {row} with {seeds[row]}"
            yield Decoded(row, text, cosine, -1.0, 5, True, int(seeds[row]), 1, vector, ())

    def explain(self, vectors, top=8):
        return [[(f"word {row}", 0.5)] for row in range(len(vectors))]


@pytest.fixture
def walked():
    texts = frame(a=12, b=9)
    vectors = clusters(texts["label"])
    pairs = neighbor_pairs(vectors, texts["label"], 4, random_state=0)
    return walk(Echo(), texts, vectors, pairs, steps=5, random_state=7)


def test_sample_takes_so_many_of_each_class_and_the_same_ones_again():
    first = sample_texts(frame(a=30, b=5), 8, random_state=1)
    assert first["label"].value_counts().to_dict() == {"a": 8, "b": 5}
    assert first.equals(sample_texts(frame(a=30, b=5), 8, random_state=1))
    assert not first.equals(sample_texts(frame(a=30, b=5), 8, random_state=2))


def test_sample_leaves_out_test_texts_repeats_and_other_classes():
    rows = frame(a=6, b=6)
    rows.loc[0, "split"] = "test"
    rows.loc[1, "text"] = rows.loc[2, "text"]
    taken = sample_texts(rows, 10, classes=["a"])
    assert sorted(taken["text"]) == ["a text 2", "a text 3", "a text 4", "a text 5"]


def test_sample_finds_a_class_by_its_printed_form():
    rows = frame(a=4, b=4).replace({"label": {"a": 1, "b": 2}})
    assert set(sample_texts(rows, 2, classes=["2"])["label"]) == {2}


def test_sample_of_an_unknown_class_suggests_the_near_one():
    with pytest.raises(DataError, match=r"no class 'sports' \(did you mean 'sport'\?\)"):
        sample_texts(frame(sport=3, tech=3), 2, classes=["sports"])


def test_sample_with_nothing_to_walk_between_is_an_error():
    with pytest.raises(DataError, match="nothing to walk between"):
        sample_texts(frame(a=1, b=1), 5)


def test_pairs_are_near_neighbors_of_one_class_spread_over_the_classes():
    labels = np.repeat(["a", "b", "c"], [20, 20, 20])
    vectors = clusters(labels)
    pairs = neighbor_pairs(vectors, labels, 5, k_neighbors=3, random_state=0)
    assert [labels[a] for a, _ in pairs] == ["a", "a", "b", "b", "c"]
    assert len(set(pairs.ravel())) == 10
    for a, b in pairs:
        own = np.flatnonzero(labels == labels[a])
        nearest = own[np.argsort(-(vectors[own] @ vectors[a]))][1:4]
        assert b in nearest


def test_pairs_of_near_copies_are_taken_only_where_there_are_no_others():
    labels = ["a"] * 4
    vectors = unit(np.array([[1, 0, 0], [1, 0.01, 0], [0, 1, 0.4], [0, 1, -0.4]]))
    one = neighbor_pairs(vectors, labels, 1, k_neighbors=1, max_cosine=0.9, random_state=0)
    assert sorted(one[0]) == [2, 3]
    two = neighbor_pairs(vectors, labels, 2, k_neighbors=1, max_cosine=0.9, random_state=0)
    assert sorted(two[1]) == [0, 1]


def test_pairs_need_a_class_of_two():
    with pytest.raises(DataError, match="No class has two texts"):
        neighbor_pairs(np.eye(2), ["a", "b"], 1)


def test_class_of_one_is_left_out_of_pairs_and_of_what_is_blendable():
    labels = ["a"] * 6 + ["b"]
    pairs = neighbor_pairs(clusters(labels), labels, 3, random_state=0)
    assert 6 not in pairs
    assert blendable(labels, 2) == {"a": 2}


def test_unrelated_cosine_is_the_mean_over_pairs_of_different_classes():
    labels = np.array(["a", "b", "a", "c", "b"])
    vectors = clusters(labels)
    pairs = [vectors[i] @ vectors[j] for i in range(5) for j in range(5) if labels[i] != labels[j]]
    assert unrelated_cosine(vectors, labels) == pytest.approx(np.mean(pairs), abs=1e-6)


def test_unrelated_cosine_of_one_class_is_over_different_texts():
    vectors = clusters(["a"] * 4)
    cosines = (vectors @ vectors.T)[~np.eye(4, dtype=bool)]
    assert unrelated_cosine(vectors, ["a"] * 4) == pytest.approx(cosines.mean(), abs=1e-6)


def test_walk_begins_at_text_a_and_ends_at_text_b(walked):
    assert walked.lambdas.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert np.allclose(walked.targets[:, 0], walked.vectors[walked.pairs[:, 0]], atol=1e-6)
    assert np.allclose(walked.targets[:, -1], walked.vectors[walked.pairs[:, 1]], atol=1e-6)


def test_walk_keeps_every_text_with_its_own_point(walked):
    numbers = [[step.row for step in steps] for steps in walked.decoded]
    assert np.array_equal(numbers, np.arange(20).reshape(4, 5))
    assert walked.words[2][1] == [("word 11", 0.5)]
    assert np.allclose(walked.cosines, (walked.made * walked.targets).sum(axis=2), atol=1e-5)
    assert walked.between == 2


def test_walk_of_the_same_random_state_has_the_same_seeds(walked):
    texts = frame(a=12, b=9)
    again = walk(Echo(), texts, walked.vectors, walked.pairs, steps=5, random_state=7)
    other = walk(Echo(), texts, walked.vectors, walked.pairs, steps=5, random_state=8)
    seeds = [[[s.seed for s in steps] for steps in w.decoded] for w in (walked, again, other)]
    assert seeds[0] == seeds[1]
    assert seeds[0] != seeds[2]


def test_repeating_a_real_text_is_perfect_at_the_ends_only(walked):
    assert np.allclose(walked.repeating[:, [0, -1]], 1, atol=1e-6)
    assert (walked.repeating[:, 2] < 0.999).all()


def test_own_class_is_that_of_the_nearest_real_text(walked):
    nearest = (walked.made @ walked.vectors.T).argmax(axis=2)
    own = walked.labels[nearest] == walked.labels[walked.pairs[:, 0]][:, None]
    assert np.array_equal(walked.own_class, own)


def test_walk_of_two_steps_is_refused(walked):
    with pytest.raises(ParameterError, match="steps must be at least 3"):
        walk(Echo(), frame(a=12, b=9), walked.vectors, walked.pairs, steps=2)
