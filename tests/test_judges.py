"""Judges of labels, and perplexity: against direct computation on small models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smotext_lab.errors import DataError
from smotext_lab.evaluation import NeighborJudge, TfidfJudge, log_likelihoods, perplexity
from smotext_lab.models import load_llm


def test_neighbors_say_the_topic(word_encoder: Any, topics: Callable[..., Any]) -> None:
    texts, labels = topics(seed=1, money=20, sport=20, weather=20)
    judge = NeighborJudge(word_encoder, word_encoder.encode(texts), labels)
    unseen, wanted = topics(seed=2, money=10, sport=10, weather=10)
    assert np.mean(judge.predict(unseen) == np.array(wanted)) > 0.9


class _OnALine:
    name = fingerprint = "line"
    dim = 2

    def encode(self, texts: Any, *, progress: bool = False) -> np.ndarray:
        angles = np.array([float(text) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_a_near_neighbor_outvotes_two_far_ones() -> None:
    encoder = _OnALine()
    real = ["0.1", "1.3", "1.4"]
    labels = ["near", "far", "far"]
    judge = NeighborJudge(encoder, encoder.encode(real), labels, k=3)
    assert judge.predict(["0.0"]).tolist() == ["near"]
    assert judge.predict(["0.9"]).tolist() == ["far"]


def test_neighbors_behind_do_not_vote_and_k_may_exceed_the_texts() -> None:
    encoder = _OnALine()
    judge = NeighborJudge(encoder, encoder.encode(["1.5", "3.0", "3.1"]), [1, 0, 0], k=50)
    assert judge.predict(["0.0"]).tolist() == [1]


def test_tfidf_knows_words_pairs_and_question_marks(topics: Callable[..., Any]) -> None:
    texts, labels = topics(seed=1, money=20, sport=20)
    judge = TfidfJudge([*texts, "who ?", "why ?"], [*labels, "asks", "asks"])
    assert judge.predict(["bank and debt", "the league cup", "well?"]).tolist() == [
        "money",
        "sport",
        "asks",
    ]


def test_judges_without_labels_to_tell_apart_are_refused(word_encoder: Any) -> None:
    with pytest.raises(DataError, match="at least two classes"):
        TfidfJudge(["a", "b"], ["x", "x"])
    with pytest.raises(DataError, match="2 and 1 given"):
        NeighborJudge(word_encoder, np.ones((2, 48)), ["x"])


def test_log_likelihoods_are_those_of_one_text_at_a_time(tiny_llm: Path) -> None:
    llm, tokenizer = load_llm(tiny_llm, "float32")
    texts = ["rain snow", "", "goal match team coach player .", "bank"]
    sums, tokens = log_likelihoods(llm, tokenizer, texts, batch_tokens=9)
    assert tokens.tolist() == [2, 0, 6, 1]
    for text, total in zip(texts, sums, strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = llm(torch.tensor([[tokenizer.eos_token_id, *ids]])).logits[0]
        steps = logits.log_softmax(-1)[range(len(ids)), ids] if ids else torch.zeros(1)
        assert total == pytest.approx(float(steps.sum()), abs=1e-4)


def test_perplexity_weighs_every_token_alike() -> None:
    sums, tokens = np.array([np.log(0.5) * 3, np.log(0.1)]), np.array([3, 1])
    assert perplexity(sums, tokens) == pytest.approx((2.0**3 * 10) ** 0.25)
    assert np.isnan(perplexity(np.zeros(1), np.zeros(1, int)))
