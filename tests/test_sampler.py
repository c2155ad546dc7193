from __future__ import annotations

import pickle
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import NearestNeighbors

from smotext_lab import Guards, MixupInterpolator, SMOTEInterpolator, SMOTExT
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.forms import TextForm
from smotext_lab.interpolators import ADASYNInterpolator, Blends, BorderlineSMOTEInterpolator
from smotext_lab.sampler.counts import shares
from smotext_lab.sampler.generation import attempt_seeds

# Texts of seven out of fourteen words share runs of words by chance.
GUARDS = Guards(max_duplicate_cosine=None)


@pytest.fixture
def sampler(word_decoder):
    """A sampler on the road of words; keyword arguments are parameters of SMOTExT."""

    def make(write=None, **parameters):
        defaults = {"random_state": 0, "progress": False, "guards": GUARDS, "k_neighbors": 3}
        if "interpolator" in parameters:
            del defaults["k_neighbors"]
        return SMOTExT(decoder=word_decoder(write), **defaults | parameters)

    return make


@pytest.fixture
def data(topics):
    return topics(money=14, sport=9, weather=5)


def failing(share):
    """Spoil a share of what is decoded."""
    return lambda text, rng: "" if rng.random() < share else text


# --- what is given back ----------------------------------------------------------------------


def test_originals_come_first_and_untouched_and_counts_are_exact(sampler, data):
    texts, labels = data
    kept = list(texts), list(labels)
    new_texts, new_labels = sampler().fit_resample(texts, labels)
    assert (texts, labels) == kept
    assert (new_texts[:28], new_labels[:28]) == kept
    assert Counter(new_labels) == {"money": 14, "sport": 14, "weather": 14}
    assert len(new_texts) == 42
    assert not set(new_texts[28:]) & set(texts)


def test_new_texts_speak_of_their_class(sampler, data, word_encoder):
    texts, labels = data
    new_texts, new_labels = sampler().fit_resample(texts, labels)
    vectors = word_encoder.encode(texts)
    centres = {c: vectors[np.array(labels) == c].mean(axis=0) for c in set(labels)}
    for vector, label in zip(word_encoder.encode(new_texts[28:]), new_labels[28:], strict=True):
        assert max(centres, key=lambda c: float(centres[c] @ vector)) == label


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        np.array,
        lambda v: np.array(v, dtype=object),
        lambda v: np.array(v, dtype=np.dtypes.StringDType()),
        pd.Series,
        lambda v: pd.Series(v, name="body", dtype="string"),
        lambda v: pd.DataFrame({"body": v}),
        lambda v: np.array(v, dtype=object).reshape(-1, 1),
    ],
    ids=[
        "list",
        "tuple",
        "str-array",
        "object-array",
        "string-array",
        "Series",
        "string-Series",
        "frame",
        "column",
    ],
)
def test_texts_come_back_in_the_form_they_were_given_in(sampler, data, form):
    texts, labels = data
    given = form(texts)
    back, _ = sampler().fit_resample(given, labels)
    plain, _ = sampler().fit_resample(texts, labels)
    assert type(back) is type(given)
    assert np.ndim(back) == np.ndim(given)
    assert np.ravel(np.asarray(back)).tolist() == plain
    if isinstance(given, pd.DataFrame):
        assert back.columns.equals(given.columns)
    if isinstance(given, pd.Series):
        assert (back.dtype, back.name) == (given.dtype, given.name)


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        np.array,
        lambda v: np.array(v, dtype=object),
        lambda v: pd.Series(v, name="topic"),
        lambda v: pd.Series(v, dtype="category"),
        pd.Categorical,
        lambda v: pd.DataFrame({"topic": v}),
    ],
    ids=[
        "list",
        "tuple",
        "array",
        "objects",
        "Series",
        "categorical-Series",
        "Categorical",
        "frame",
    ],
)
def test_labels_come_back_in_the_form_they_were_given_in(sampler, data, form):
    texts, labels = data
    given = form(labels)
    _, back = sampler().fit_resample(texts, given)
    _, plain = sampler().fit_resample(texts, labels)
    assert type(back) is type(given)
    assert np.ravel(np.asarray(back)).tolist() == plain
    if hasattr(given, "dtype") and given.dtype.kind == "O":
        assert back.dtype == given.dtype


def test_index_is_kept_and_goes_on_counting(sampler, data):
    texts, labels = data
    index = pd.Index(range(100, 128), name="id")
    X = pd.Series(texts, index=index, name="body")
    new_X, new_y = sampler().fit_resample(X, pd.Series(labels, index=index))
    pd.testing.assert_series_equal(new_X.iloc[:28], X)
    assert new_X.index.tolist() == list(range(100, 142))
    assert new_y.index.equals(new_X.index)


def test_default_index_is_what_imbalanced_learn_gives(sampler, data):
    texts, labels = data
    new_X, _ = sampler().fit_resample(pd.DataFrame({"body": texts}), labels)
    numbers = pd.DataFrame(np.random.default_rng(0).normal(size=(28, 2)))
    theirs, _ = SMOTE(k_neighbors=3).fit_resample(numbers, labels)
    assert new_X.index.equals(theirs.index)


def test_an_index_of_names_gets_names_that_are_not_there(sampler, topics):
    texts, labels = topics(money=5, sport=4)
    X = pd.DataFrame({"body": texts}, index=["synthetic-0", *"abcdefgh"])
    new_X, _ = sampler().fit_resample(X, labels)
    assert new_X.index.is_unique
    assert new_X.index[:9].tolist() == X.index.tolist()


def test_synthesis_gives_the_users_rows_under_their_own_names(sampler, data):
    texts, labels = data
    X = pd.Series(texts, index=range(50, 78), name="body")
    made = sampler()
    made.fit_resample(X, pd.Series(labels, index=X.index, name="topic"))
    frame = made.synthesis_.to_pandas(with_originals=True)
    assert frame.loc[50:77, "body"].tolist() == texts
    assert frame["topic"].value_counts().to_dict() == {"money": 14, "sport": 14, "weather": 14}


# --- how many --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strategy",
    [
        "auto",
        "all",
        "minority",
        "not minority",
        "not majority",
        {"weather": 9},
        {"weather": 5, "sport": 12, "money": 15},
        lambda y: {label: count + 2 for label, count in Counter(y).items()},
    ],
)
def test_strategies_are_those_of_imbalanced_learn(sampler, data, strategy):
    texts, labels = data
    ours = sampler(sampling_strategy=strategy)
    _, new_labels = ours.fit_resample(texts, labels)
    theirs = SMOTE(sampling_strategy=strategy, k_neighbors=3)
    _, expected = theirs.fit_resample(np.random.default_rng(0).normal(size=(28, 4)), labels)
    assert Counter(new_labels) == Counter(expected)
    assert ours.sampling_strategy_ == theirs.sampling_strategy_


def test_a_ratio_is_that_of_imbalanced_learn(sampler, topics):
    texts, labels = topics(money=20, sport=6)
    _, new_labels = sampler(sampling_strategy=0.5).fit_resample(texts, labels)
    assert Counter(new_labels) == {"money": 20, "sport": 10}


def test_balanced_data_come_back_as_they_are_and_load_nothing(topics):
    texts, labels = topics(money=4, sport=4)
    made = SMOTExT(decoder=Unused(), progress=False)
    new_texts, new_labels = made.fit_resample(texts, labels)
    assert (new_texts, new_labels) == (texts, labels)
    assert len(made.synthesis_) == 0


class Unused:
    """A decoder whose use is an error."""

    @property
    def encoder(self):
        pytest.fail("nothing was to be made")

    def decode_rows(self, vectors, *, seeds=None, forms=None, lengths=None, agreement=None):
        pytest.fail("nothing was to be made")


def test_the_decoder_is_asked_to_go_beyond_a_blend_away_from_other_classes(data, word_decoder):
    class Watching(word_decoder):
        def decode_rows(self, vectors, *, guidance=None, **given):
            asked.append((vectors, guidance))
            return super().decode_rows(vectors, **given)

    texts, labels = data
    asked: list = []
    how = {"decoder": Watching(), "random_state": 0, "progress": False}
    SMOTExT(guidance_scale=2.0, **how).generate(texts, labels, {"sport": 3})
    vectors = Watching().encoder.encode(texts)
    means = {c: vectors[np.array(labels) == c].mean(axis=0) for c in set(labels)}
    way = 2.0 * (means["sport"] - np.mean(list(means.values()), axis=0))
    assert asked
    for points, guidance in asked:
        np.testing.assert_allclose(guidance, [way] * len(points), atol=1e-5)
    asked.clear()
    SMOTExT(guidance_scale=0, **how).generate(texts, labels, {"sport": 3})
    assert [guidance for _, guidance in asked] == [None] * len(asked) != []


def test_a_negative_guidance_scale_is_refused(sampler, data):
    with pytest.raises(ParameterError, match="guidance_scale"):
        sampler(guidance_scale=-1).generate(*data, n=3)


def test_generate_shares_a_total_in_proportion(sampler, data):
    made = sampler().generate(*data, n=10)
    assert made.counts().to_dict() == {"money": 5, "sport": 3, "weather": 2}
    assert (made.frame["status"] == "accepted").sum() == len(made) == 10


def test_generate_takes_numbers_per_class_and_a_single_class(sampler, data, topics):
    assert sampler().generate(*data, n={"sport": 4, "money": 0}).counts().to_dict() == {"sport": 4}
    made = sampler().generate(*topics(sport=6), n=3)
    assert made.counts().to_dict() == {"sport": 3}
    assert made.frame["label_probability"].isna().all()


@pytest.mark.parametrize("total", [1, 2, 3, 7, 10, 99, 1001])
def test_shares_add_up_and_are_within_one_of_proportion(total):
    labels = ["a"] * 7 + ["b"] * 5 + ["c"] * 1
    shared = shares(total, labels)
    assert sum(shared.values()) == total
    for label, count in shared.items():
        assert abs(count - total * labels.count(label) / 13) < 1


@pytest.mark.parametrize("interpolator", [ADASYNInterpolator(), BorderlineSMOTEInterpolator()])
def test_interpolators_that_give_other_numbers_are_topped_up_and_trimmed(
    sampler, topics, interpolator
):
    texts, labels = topics(money=20, sport=12)
    mixed = [f"{text} {other}" for text, other in zip(texts, texts[::-1], strict=True)]
    made = sampler(interpolator=interpolator, guards=False)
    _, new_labels = made.fit_resample(mixed, labels)
    assert Counter(new_labels) == {"money": 20, "sport": 20}


def test_counts_are_exact_under_a_decoder_that_spoils_most_rows(sampler, data):
    made = sampler(failing(0.6), max_attempts=5, max_blends=4)
    _, new_labels = made.fit_resample(*data)
    assert Counter(new_labels) == {"money": 14, "sport": 14, "weather": 14}
    frame = made.synthesis_.frame
    assert (frame["status"] == "rejected").sum() > 10
    assert frame.loc[frame["status"] == "accepted", "text"].ne("").all()


# --- retries ---------------------------------------------------------------------------------


def test_a_refused_row_is_decoded_again_with_a_new_seed_then_from_a_new_blend(sampler, data):
    made = sampler(lambda text, rng: "", max_attempts=2, max_blends=3)
    with pytest.warns(UserWarning, match="made 0 of 1 texts"):
        frame = made.generate(*data, n={"sport": 1}).frame
    assert frame["attempts"].tolist() == [1, 2, 3, 4, 5, 6]
    assert frame["seed"].nunique() == 6
    blends = [(tuple(p), tuple(w)) for p, w in zip(frame["parents"], frame["weights"], strict=True)]
    assert blends[0] == blends[1] != blends[2] == blends[3] != blends[4] == blends[5]
    assert set(frame["reason"]) == {"degenerate: empty"}


def test_rejected_rows_are_replaced_in_place_and_keep_their_history(sampler, data):
    calls = iter(["", "", ""])
    made = sampler(lambda text, rng: next(calls, text))
    frame = made.generate(*data, n={"sport": 3}).frame
    assert frame["status"].tolist() == ["rejected", "accepted"] * 3
    assert frame["attempts"].tolist() == [1, 2] * 3


def test_a_decoder_that_always_copies_is_warned_of_with_numbers_and_reasons(sampler, data):
    made = sampler(lambda text, rng: data[0][0])
    pattern = r"made 0 of 14 texts: .*0 of 9 for 'weather'.* copy 14"
    with pytest.warns(UserWarning, match=pattern):
        new_texts, _ = made.fit_resample(*data)
    assert new_texts == data[0]
    assert set(made.synthesis_.rejected["reason"]) == {"copy: equal to text 0"}
    assert len(made.synthesis_.rejected) == 14 * 9


def test_strict_raises_where_a_count_is_not_reached_and_keeps_what_was_made(sampler, data):
    made = sampler(failing(0.8), strict=True, max_attempts=1, max_blends=1)
    with pytest.raises(DataError, match=r"made \d+ of 14 texts"):
        made.fit_resample(*data)
    assert 0 < len(made.synthesis_) < 14


def test_a_decoder_that_always_says_the_same_makes_one_text_and_says_duplicate(sampler, topics):
    made = sampler(lambda text, rng: "goal match team.")
    with pytest.warns(UserWarning, match="made 1 of 4 texts: .*duplicate 3"):
        made.generate(*topics(sport=9), n=4)


def test_a_decoder_that_passes_rows_over_is_asked_again(sampler, data):
    made = sampler()
    decode = made.decoder.decode_rows
    made.decoder.decode_rows = lambda v, **given: list(decode(v, **given))[: (len(v) + 1) // 2]
    _, new_labels = made.fit_resample(*data)
    assert Counter(new_labels)["weather"] == 14


def test_a_new_text_is_written_as_the_parent_that_weighs_most(sampler, data):
    texts = [text.upper() if i % 2 else text.lower() for i, text in enumerate(data[0])]
    made = sampler(guards=False)
    decode, asked, lengths = made.decoder.decode_rows, [], []

    def noting(vectors, *, seeds, forms, **given):
        asked.extend(forms)
        lengths.extend(given["lengths"])
        return decode(vectors, seeds=seeds)

    made.decoder.decode_rows = noting
    rows = made.generate(texts, data[1], n=20).frame
    pairs = zip(rows["weights"], rows["parents"], strict=True)
    heavier = [max(zip(weights, parents, strict=True))[1] for weights, parents in pairs]
    assert asked == [TextForm.of(texts[parent]) for parent in heavier]
    assert {form.case for form in asked} == {"lower", "upper"}
    words = [len(text.split()) for text in texts]
    for length, weights, parents in zip(lengths, rows["weights"], rows["parents"], strict=True):
        mean = sum(w * words[p] for w, p in zip(weights, parents, strict=True))
        assert abs(length - mean) <= 0.5


def test_the_decoder_is_told_how_far_tries_agree_with_their_label(sampler, data):
    made = sampler()
    decode, told = made.decoder.decode_rows, []

    def noting(vectors, *, agreement, **given):
        real = made.decoder.encoder.encode(data[0])
        told.append(agreement(np.zeros(len(data[0]), int), real))
        return decode(vectors, **given)

    made.decoder.decode_rows = noting
    rows = made.generate(*data, n={"sport": 3}).frame
    assert len(rows) == 3
    labels = np.array(data[1])
    assert told[0].shape == labels.shape
    assert told[0][labels == "sport"].min() > 0.5 > told[0][labels == "money"].max()


def test_rows_may_come_in_any_order(sampler, data):
    made = sampler()
    decode = made.decoder.decode_rows
    made.decoder.decode_rows = lambda v, **given: list(decode(v, **given))[::-1]
    assert made.fit_resample(*data) == sampler().fit_resample(*data)


def test_without_guards_everything_is_taken(sampler, data):
    made = sampler(lambda text, rng: data[0][0], guards=False)
    new_texts, _ = made.fit_resample(*data)
    assert new_texts[28:] == [data[0][0]] * 14
    assert made.synthesis_.frame["cosine_to_nearest_real"].min() == pytest.approx(1.0)


def test_a_label_that_the_neighbours_contradict_is_refused(sampler, data):
    made = sampler(lambda text, rng: "bank rate share bond market profit.")
    with pytest.warns(UserWarning, match="label"):
        made.generate(*data, n={"weather": 1})
    assert made.synthesis_.rejected["reason"].str.startswith("label: nearest real").all()


class FirstTwo:
    """Plans one row: the first text at weight 1, the second at weight 0."""

    def plan(self, vectors, labels, n, *, random_state=None):
        parents, weights = np.array([[0, 1]]), np.array([[1.0, 0.0]])
        return Blends(parents, weights, np.array(labels[:1]), np.array([7], dtype=np.uint64))


ONLY_WORDS = replace(Guards.off(), blocked_words="default")


def test_a_blocked_word_passes_where_a_parent_has_one_whatever_the_texts_are_called(
    sampler, topics
):
    texts, labels = topics(sport=15)
    texts = ["", *(text if i % 3 else f"bitch {text}" for i, text in enumerate(texts))]
    made = sampler(lambda text, rng: f"shit {text}", guards=ONLY_WORDS, max_attempts=1)
    with pytest.warns(UserWarning, match="unsafe"):
        frame = made.generate(texts, ["sport", *labels], n=12).frame
    listed = [any("bitch" in texts[parent] for parent in row) for row in frame["parents"]]
    assert (frame["status"] == "accepted").tolist() == listed
    assert set(listed) == {True, False}
    assert frame["reason"].dropna().str.startswith("unsafe: blocked word 's***'").all()


def test_a_text_that_has_no_weight_in_a_blend_is_no_parent(sampler):
    made = sampler(lambda text, rng: f"shit {text}", guards=ONLY_WORDS, interpolator=FirstTwo())
    with pytest.warns(UserWarning, match="made 0 of 1 texts: .*unsafe 1"):
        made.generate(["goal.", "bitch.", "match."], ["a"] * 3, n=1)
    assert len(made.generate(["bitch.", "goal.", "match."], ["a"] * 3, n=1)) == 1


# --- interruption ----------------------------------------------------------------------------


def test_an_interrupted_fit_resample_keeps_what_was_finished(sampler, data):
    made = sampler()
    made.decoder.stop_after = 6
    with pytest.raises(KeyboardInterrupt, match=r"6 of 14 new texts are finished"):
        made.fit_resample(*data)
    whole = sampler()
    whole.fit_resample(*data)
    assert (
        made.synthesis_.accepted["text"].tolist()
        == (whole.synthesis_.accepted["text"].tolist()[:6])
    )


def test_an_interrupted_generate_returns_what_was_finished(sampler, data):
    made = sampler()
    made.decoder.stop_after = 4
    with pytest.warns(UserWarning, match="4 of 9 new texts are finished"):
        part = made.generate(*data, n=9)
    assert len(part) == 4
    assert part is made.synthesis_


def test_an_interruption_in_a_later_round_keeps_the_earlier_ones(sampler, data):
    made = sampler(failing(0.5))
    made.decoder.stop_after = 22
    with pytest.raises(KeyboardInterrupt):
        made.fit_resample(*data)
    assert made.decoder.decoded == 22
    assert len(made.synthesis_.frame) == 22


def test_an_interruption_before_the_first_text_is_an_interruption(sampler, data):
    made = sampler()
    made.decoder.stop_after = 0
    with pytest.raises(KeyboardInterrupt):
        made.generate(*data, n=3)


def test_an_error_in_the_decoder_passes_through_and_keeps_what_was_finished(sampler, data):
    made = sampler()
    made.decoder.stop_after, made.decoder.error = 5, MemoryError
    with pytest.raises(MemoryError) as caught:
        made.generate(*data, n=9)
    assert "synthesis_" in caught.value.__notes__[0]
    assert len(made.synthesis_) == 5


# --- randomness ------------------------------------------------------------------------------


def test_the_same_random_state_gives_the_same_result_and_another_another(sampler, data):
    first, second, other = (sampler(failing(0.4), random_state=seed) for seed in (7, 7, 8))
    for each in (first, second, other):
        each.fit_resample(*data)
    pd.testing.assert_frame_equal(first.synthesis_.frame, second.synthesis_.frame)
    assert first.synthesis_.frame["text"].tolist() != other.synthesis_.frame["text"].tolist()


def test_a_run_without_a_seed_tells_the_one_it_took(sampler, data):
    made = sampler(random_state=None)
    texts, _ = made.fit_resample(*data)
    again, _ = sampler(random_state=made.synthesis_.info["random_state"]).fit_resample(*data)
    assert texts == again
    assert sampler(random_state=None).fit_resample(*data)[0] != texts


def test_the_interpolators_own_seed_serves_where_the_sampler_has_none(sampler, data):
    parameters = {"interpolator": SMOTEInterpolator(3, random_state=5), "random_state": None}
    assert sampler(**parameters).fit_resample(*data) == sampler(random_state=5).fit_resample(*data)


def test_a_random_stream_goes_on_from_fit_to_fit(sampler, data):
    stream = np.random.RandomState(3)
    first = sampler(random_state=stream).fit_resample(*data)
    second = sampler(random_state=stream).fit_resample(*data)
    assert first != second
    assert first == sampler(random_state=np.random.RandomState(3)).fit_resample(*data)


def test_parents_and_weights_are_those_of_smote(sampler, data, word_encoder):
    made = sampler(random_state=11)
    made.fit_resample(*data)
    plan = SMOTEInterpolator(3, random_state=11).plan(
        word_encoder.encode(data[0]), data[1], {"sport": 5, "weather": 9}
    )
    first = made.synthesis_.frame.query("attempts == 1")
    assert np.array_equal(np.stack(first["parents"]), plan.parents)
    assert np.allclose(np.stack(first["weights"]), plan.weights)
    assert first["seed"].tolist() == plan.seed.tolist()


def test_seeds_of_attempts_depend_on_their_own_row_only():
    seeds = np.arange(50, dtype=np.uint64)
    table = np.stack([attempt_seeds(seeds, attempt) for attempt in range(1, 6)])
    assert len(np.unique(table)) == table.size
    assert attempt_seeds(seeds[[9, 3]], 4).tolist() == table[3, [9, 3]].tolist()


# --- an estimator among estimators -----------------------------------------------------------


def test_clone_copies_parameters_and_shares_the_decoder(sampler):
    made = sampler(interpolator=SMOTEInterpolator(4))
    twin = clone(made)
    assert twin.decoder is made.decoder
    assert twin.interpolator is not made.interpolator
    assert twin.get_params(deep=False).keys() == made.get_params(deep=False).keys()
    assert twin.set_params(interpolator__k_neighbors=2).interpolator.k_neighbors == 2
    assert made.interpolator.k_neighbors == 4


def test_a_fitted_sampler_pickles_and_goes_on_the_same(sampler, data):
    made = sampler()
    first = made.fit_resample(*data)
    again = pickle.loads(pickle.dumps(made))
    pd.testing.assert_frame_equal(again.synthesis_.frame, made.synthesis_.frame)
    assert again.fit_resample(*data) == first


def test_a_pickle_holds_no_weights():
    from smotext_lab import BertEncoder, XRAGDecoder

    decoder = XRAGDecoder(encoder=BertEncoder())
    decoder._loaded = decoder.encoder._loaded = Weights()
    again = pickle.loads(pickle.dumps(SMOTExT(decoder=decoder)))
    assert again.decoder._loaded is None
    assert again.decoder.encoder._loaded is None


class Weights:
    def __reduce__(self):
        pytest.fail("weights were pickled")


def test_a_pipeline_before_tfidf_fits_scores_and_leaves_prediction_alone(sampler, topics):
    texts, labels = topics(money=14, sport=9, weather=8)
    pipeline = make_pipeline(sampler(), TfidfVectorizer(), LogisticRegression())
    pipeline.fit(texts, labels)
    assert pipeline.predict(texts).tolist() == labels
    assert pipeline[0].synthesis_.counts().to_dict() == {"sport": 5, "weather": 6}
    for form in (pd.Series(texts), np.array(texts)):
        assert cross_val_score(pipeline, form, labels, cv=2, error_score="raise").min() > 0.8


def test_a_grid_search_over_neighbours(sampler, topics):
    made = sampler()
    pipeline = make_pipeline(made, TfidfVectorizer(), LogisticRegression())
    search = GridSearchCV(pipeline, {"smotext__k_neighbors": [1, 2]}, cv=2, error_score="raise")
    search.fit(*topics(money=14, sport=9, weather=8))
    assert search.best_params_["smotext__k_neighbors"] in (1, 2)
    assert search.best_estimator_[0].decoder is made.decoder


def test_neighbours_may_be_an_estimator_as_in_imbalanced_learn(sampler, data):
    ours = sampler(k_neighbors=NearestNeighbors(n_neighbors=4))
    assert ours.fit_resample(*data) == sampler(k_neighbors=3).fit_resample(*data)


def test_fit_only_checks(sampler, data):
    made = sampler()
    assert made.fit(*data) is made
    assert made.sampling_strategy_ == {"sport": 5, "weather": 9}
    assert made.n_features_in_ == 1
    assert made.decoder.decoded == 0


def test_feature_names_are_those_of_the_last_fit(sampler, data):
    made = sampler()
    made.fit(pd.DataFrame({"body": data[0]}), data[1])
    assert made.feature_names_in_.tolist() == ["body"]
    assert made.get_feature_names_out().tolist() == ["body"]
    made.fit(*data)
    assert not hasattr(made, "feature_names_in_")


def test_mixup_keeps_its_soft_labels(sampler, data):
    made = sampler(interpolator=MixupInterpolator(alpha=1.0), guards=False)
    frame = made.generate(*data, n=6).frame
    for weights, label in zip(frame["label_weights"], frame["label"], strict=True):
        assert sum(weights.values()) == pytest.approx(1.0)
        assert weights[label] == max(weights.values())


# --- what is told ----------------------------------------------------------------------------


def test_info_says_how_the_texts_were_made_and_can_be_written(sampler, data, tmp_path):
    made = sampler(failing(0.3)).generate(*data, n=6)
    assert made.info["asked"] == {"money": 3, "sport": 2, "weather": 1}
    assert made.info["guards"]["max_copy_cosine"] == 0.95
    assert made.info["guards"]["blocked_words"] == "default"
    assert made.info["encoder"] == "words@1"
    assert made.info["length_ratio"] == pytest.approx(7 / 6, abs=1e-4)
    made.to_parquet(tmp_path / "made.parquet")
    assert len(pd.read_parquet(tmp_path / "made.parquet")) == 6


def test_blank_texts_are_counted_and_are_nobodys_parents(sampler, data):
    texts, labels = ["  ", "", *data[0]], ["weather", "sport", *data[1]]
    made = sampler()
    new_texts, _ = made.fit_resample(texts, labels)
    assert new_texts[:2] == ["  ", ""]
    assert made.synthesis_.info["blank_texts"] == 2
    parents = np.concatenate(made.synthesis_.frame["parents"].tolist())
    assert parents.min() >= 2
    for row, label in zip(
        made.synthesis_.frame["parents"], made.synthesis_.frame["label"], strict=True
    ):
        assert [labels[parent] for parent in row] == [label, label]


def test_the_policy_for_long_texts_is_the_encoders_and_its_count_is_told(sampler, data):
    made = sampler()
    made.decoder.encoder.long_texts = "truncate"
    made.decoder.encoder.lengths_ = type("Lengths", (), {"n_long": 3})()
    made.set_params(long_texts="sentences")
    assert made.generate(*data, n=2).info["long_texts"] == 3
    assert made.decoder.encoder.long_texts == "truncate"


def test_a_bar_counts_decodings(sampler, data, capfd):
    sampler(failing(0.5), progress=True).fit_resample(*data)
    assert "decode" in capfd.readouterr().err


# --- hostile input ---------------------------------------------------------------------------


def test_hostile_texts_pass_through_as_they_are(sampler, data):
    hostile = [
        "<script>alert('x')</script>",
        "{{ template }} ${money} $x^2$",
        "\u202eright to left\u202c",
        "half a pair \ud800",
        "nul \x00 and bell \x07",
        "word " * 10_000,
        "🙂👩‍👩‍👧‍👦",
    ]
    texts, labels = hostile + data[0], ["weather"] * len(hostile) + data[1]
    made = sampler(guards=False)
    new_texts, new_labels = made.fit_resample(texts, labels)
    assert new_texts[: len(texts)] == texts
    assert Counter(new_labels)["sport"] == 14
    column, _ = made.fit_resample(pd.Series(texts, dtype=object), labels)
    assert column.tolist() == new_texts


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (["a", "b", None, "d"], "aabb", "Text 2 is missing"),
        (["a", "b", float("nan"), "d"], "aabb", "Text 2 is missing"),
        (["a", "b", 3, "d"], "aabb", "Text 2 is a int, not a string"),
        ("abcd", "aabb", "what was given is a str"),
        (pd.DataFrame({"a": list("abcd"), "b": 1}), "aabb", r"has shape \(4, 2\)"),
        ([["a", "b"]] * 4, "aabb", "Text 0 is a list"),
        (list("abcd"), "aab", "4 texts but 3 labels"),
        (list("abcd"), ["a", None, "b", "b"], "Label 1 is missing"),
        (list("abcd"), ["a", "a", 1, 1], "Some labels are strings"),
        (list("abcd"), [0.1, 0.2, 0.3, 0.5], "Unknown label type: continuous"),
        (list("abcd"), None, "There are no labels"),
        (list("abcd"), "aaaa", "All labels are 'a'"),
        ([], [], "There are no labels"),
    ],
)
def test_texts_and_labels_that_cannot_be_used_are_named(sampler, X, y, message):
    y = list(y) if isinstance(y, str) else y
    with pytest.raises(DataError, match=message):
        sampler().fit_resample(X, y)


def test_a_class_of_one_is_named_with_the_way_out(sampler, topics):
    with pytest.raises(DataError, match=r"'sport' has one text.*MixupInterpolator"):
        sampler().fit_resample(*topics(money=6, sport=1))


def test_a_class_smaller_than_its_neighbours_uses_those_it_has_and_says_so(sampler, topics):
    with pytest.warns(UserWarning, match="'sport' has 2 texts"):
        _, labels = sampler().fit_resample(*topics(money=6, sport=2))
    assert Counter(labels)["sport"] == 6


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"k_neighbors": 0}, "k_neighbors"),
        ({"blending": "slurp"}, "blending"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"guards": "strict"}, "guards"),
        ({"decoder": "gpt"}, "decoder"),
        ({"sampling_strategy": "majority"}, "sampling_strategy"),
        ({"sampling_strategy": 1.5}, "sampling_strategy"),
        ({"sampling_strategy": 0.5}, "binary"),
        ({"sampling_strategy": {"wether": 20}}, "did you mean 'weather'"),
        ({"sampling_strategy": {"weather": 2}}, "greater or equal"),
        ({"random_state": -1}, "random_state"),
        ({"long_texts": "sentences"}, "has no policy for long texts"),
    ],
)
def test_parameters_that_cannot_be_used_are_named(sampler, data, parameters, message):
    with pytest.raises(ParameterError, match=message):
        sampler().set_params(**parameters).fit_resample(*data)


def test_neighbours_beside_an_interpolator_are_refused_since_they_would_do_nothing(sampler, data):
    made = sampler(interpolator=SMOTEInterpolator(3)).set_params(k_neighbors=2)
    with pytest.raises(ParameterError, match="interpolator__k_neighbors"):
        made.fit_resample(*data)


@pytest.mark.parametrize("n", [0, -1, 2.5, True, None, {"wether": 1}, {"weather": -1}])
def test_numbers_that_cannot_be_generated_are_named(sampler, data, n):
    with pytest.raises(ParameterError, match=r"^n"):
        sampler().generate(*data, n=n)


def test_an_encoder_other_than_the_decoders_is_refused(sampler, data, word_encoder):
    word_encoder.fingerprint = "others@2"
    with pytest.raises(ParameterError, match="others@2 but the decoder's is words@1"):
        sampler(encoder=word_encoder).fit_resample(*data)


def test_a_good_run_warns_of_nothing(sampler, data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler().fit_resample(pd.Series(data[0]), pd.Series(data[1], dtype="category"))
