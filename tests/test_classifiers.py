"""Students trained step by step: what they learn from, and that they are the same twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from smotext_lab import BertEncoder
from smotext_lab.errors import DataError
from smotext_lab.evaluation import protocols
from smotext_lab.evaluation.bag_of_embeddings import BagOfEmbeddings
from smotext_lab.evaluation.classifiers import text_classifier
from smotext_lab.evaluation.methods import Models
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.study import Setup
from smotext_lab.evaluation.training import TrainingTexts

CLASSES = np.array(["money", "sport", "weather"])


def of_topics(topics: Callable[..., Any], n: int, seed: int = 0) -> TrainingTexts:
    texts, labels = topics(seed=seed, money=n, sport=n, weather=n)
    return TrainingTexts(texts, np.array(labels))


def test_the_named_student_tells_unseen_texts_apart(topics: Callable[..., Any]) -> None:
    model = text_classifier("bag-of-embeddings", None, 0)  # type: ignore[arg-type]
    model.fit(of_topics(topics, 10), CLASSES)
    unseen = of_topics(topics, 20, seed=1)
    chances = model.predict_proba(unseen.texts)
    assert chances.dtype == np.float64
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert np.mean(CLASSES[chances.argmax(axis=1)] == unseen.labels) > 0.95
    assert model.predict_proba([]).shape == (0, 3)


def test_it_is_the_same_twice_and_leaves_the_global_stream_alone(
    topics: Callable[..., Any],
) -> None:
    train = of_topics(topics, 5)
    torch.manual_seed(1)
    stream = torch.get_rng_state()

    def told(random_state: int) -> np.ndarray:
        model = BagOfEmbeddings(steps=20, random_state=random_state)
        model.fit(train, CLASSES)
        return model.predict_proba(train.texts)

    assert np.array_equal(told(0), told(0))
    assert not np.array_equal(told(0), told(1))
    assert torch.equal(torch.get_rng_state(), stream)


def test_soft_labels_are_learnt_in_place_of_the_hard_ones() -> None:
    texts = ["rain", "goal", "bank"]
    shares = np.array([[0.0, 0.2, 0.8], [0.1, 0.9, 0.0], [0.5, 0.5, 0.0]])
    train = TrainingTexts(texts * 8, np.array(["money"] * 24)).softened(np.tile(shares, (8, 1)))
    model = BagOfEmbeddings()
    model.fit(train, CLASSES)
    np.testing.assert_allclose(model.predict_proba(texts), shares, atol=0.1)


def test_a_heavier_text_counts_for_more() -> None:
    train = TrainingTexts(["rain"] * 8, np.array(["sport", "weather"] * 4))
    found = []
    for weights in ([1.0, 1.0], [0.5, 1.5]):
        model = BagOfEmbeddings()
        model.fit(TrainingTexts(train.texts, train.labels, np.array(weights * 4)), CLASSES)
        found.append(model.predict_proba(["rain"])[0, 2])
    assert found == pytest.approx([0.5, 0.75], abs=0.05)


def test_weights_count_where_the_strength_of_regularisation_is_chosen() -> None:
    """Half of the labels are wrong, and weigh next to nothing."""

    class Numbers:
        def encode(self, texts: list[str], **_: Any) -> np.ndarray:
            return np.array([[float(text), 1.0] for text in texts], np.float32)

    rng = np.random.default_rng(0)
    numbers = rng.uniform(-1, 1, 80)
    sides = np.where(numbers > 0, "more", "less")
    wrong = np.arange(80) % 2 == 1
    labels = np.where(wrong, rng.permutation(sides), sides)
    weights = np.where(wrong, 1e-6, 1.0)
    train = TrainingTexts([f"{number}" for number in numbers], labels, weights)
    model = text_classifier("embedding-logreg", Numbers(), 0)  # type: ignore[arg-type]
    model.fit(train, np.array(["less", "more"]))
    assert model.predict_proba(["0.5"])[0, 1] > 0.99


def test_regularisation_is_not_chosen_on_copies_of_what_was_learnt(word_encoder: Any) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice([*"abcdefgh"], 5)) for _ in range(40)]
    labels = rng.permutation(np.repeat(["x", "y"], 20))  # there is nothing to learn
    copies = TrainingTexts([*texts, *(f"{text}." for text in texts * 4)], np.tile(labels, 5))
    model = text_classifier("embedding-logreg", word_encoder, 0)
    model.fit(copies, np.array(["x", "y"]))
    assert model._model.C == 0.1


def test_words_that_were_never_seen_do_not_count() -> None:
    texts = ["rain", "rain", "rain", "goal"] * 4
    model = BagOfEmbeddings()
    model.fit(TrainingTexts(texts, np.array(["w", "w", "w", "s"] * 4)), np.array(["s", "w"]))
    told = model.predict_proba(["Rain", "rain thaw slush", "thaw", ""])
    assert np.array_equal(told[0], told[1])
    assert np.array_equal(told[2], told[3])
    assert 0.05 < told[2, 0] < told[2, 1]  # of such a text the shares of the classes are said


def test_a_question_is_known_by_its_mark_and_texts_without_words_are_no_error() -> None:
    model = BagOfEmbeddings()
    train = TrainingTexts(["it rains", "it rains?"] * 6, np.array(["says", "asks"] * 6))
    model.fit(train, np.array(["asks", "says"]))
    assert model.predict_proba(["rains ?", "it rains."]).argmax(axis=1).tolist() == [0, 1]
    marks = TrainingTexts(["...", "--"], np.array(["asks", "says"]))
    model.fit(marks, np.array(["asks", "says"]))
    assert model.predict_proba(["rain"]).shape == (1, 2)


def test_no_texts_are_refused() -> None:
    with pytest.raises(DataError, match="there are none"):
        BagOfEmbeddings().fit(TrainingTexts([], np.array([], dtype=str)), CLASSES)


@pytest.mark.parametrize("classifier", ["bag-of-embeddings", "finetuned-bert"])
def test_trained_students_take_part_in_protocols_with_hard_and_soft_labels(
    topics: Callable[..., Any], tiny_encoder: Path, classifier: str
) -> None:
    texts, labels = topics(weather=20, money=20)
    split = Split.read(pd.DataFrame({"text": texts, "label": labels}), "topics")
    models = Models(BertEncoder(str(tiny_encoder)), decoder=None)
    setup = Setup(split, models, [classifier], resamples=1, progress=False)

    def found(protocol: Callable[..., Any]) -> pd.DataFrame:
        results = protocol(setup, ks=[6], times=[1], methods=["eda"])
        return results.frame.drop(columns="seconds")

    twice = [found(protocols.distillation) for _ in range(2)]
    pd.testing.assert_frame_equal(*twice)
    for frame in (found(protocols.synthetic_only), twice[0]):
        scores = frame[frame["metric"] == "macro_f1"]
        assert set(scores["classifier"]) == {classifier}
        assert set(scores["method"]) >= {"real", "eda"}
        assert scores["value"].mean() > 0.6  # guessing: 0.5
