"""Metrics: what they count, what they do not, and where they have nothing to say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smotext_lab import evaluation
from smotext_lab.errors import DataError, ModelError
from smotext_lab.evaluation import log_likelihoods, metrics
from smotext_lab.evaluation.metrics import (
    TfidfJudge,
    cosines,
    distinct_2,
    exact_match,
    label_agreement,
    length_ratio,
    nearest_real,
    sentence_bleu,
    token_f1,
)
from smotext_lab.forms import FUNCTION_WORDS
from smotext_lab.models import load_llm


def test_the_cosine_does_not_depend_on_lengths_and_a_zero_vector_has_none() -> None:
    a = np.array([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]])
    b = np.array([[30.0, 40.0], [1.0, 0.0], [-2.0, 0.0]])
    np.testing.assert_allclose(cosines(a, b), [1.0, 0.0, -1.0])


def test_token_f1_counts_a_word_as_often_as_both_have_it() -> None:
    # 2 · |{rain, rain}| / (3 + 2)
    assert token_f1(["Rain rain RAIN"], ["rain rain"]).tolist() == [0.8]
    assert token_f1(["rain"], ["snow"]).tolist() == [0.0]


def test_token_f1_does_not_see_order_and_takes_two_empty_texts_as_equal() -> None:
    found = token_f1(["dog bites man", "", ""], ["man bites dog", "", "rain"])
    assert found.tolist() == [1.0, 1.0, 0.0]


def test_content_f1_leaves_out_function_words_and_marks() -> None:
    texts, references = ["What is the rain?"], ["Is it the snow and the rain?"]
    assert token_f1(texts, references, ignore=FUNCTION_WORDS)[0] == pytest.approx(2 / 3)


def test_a_curly_apostrophe_is_the_straight_one() -> None:
    assert token_f1(["it’s rain"], ["it's rain"])[0] == 1.0
    assert np.isnan(token_f1(["it’s"], ["That's"], ignore=FUNCTION_WORDS)[0])


def test_another_split_serves_languages_without_spaces() -> None:
    assert token_f1(["今日雨"], ["今日雪"], split=list)[0] == pytest.approx(2 / 3)


def test_bleu_is_sacrebleus_sentence_score() -> None:
    import sacrebleu

    texts = ["it rained all day on the hill", "yes"]
    references = ["it rained all night on the hill", "yes"]
    expected = [
        sacrebleu.sentence_bleu(a, [b], use_effective_order=True).score
        for a, b in zip(texts, references, strict=True)
    ]
    np.testing.assert_allclose(sentence_bleu(texts, references), expected)
    assert expected[0] < 100
    assert expected[1] == pytest.approx(100)  # by effective order: it has no 4-gram


def test_without_sacrebleu_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(ModelError, match=r"smotext-lab\[evaluation\]"):
        sentence_bleu(["a"], ["a"])


def test_an_exact_match_has_the_same_case_and_marks() -> None:
    texts = ["So it is.", "So it is", "so it is.", " So\nit is. "]
    assert exact_match(texts, ["So it is."] * 4).tolist() == [True, False, False, True]


def test_the_length_ratio_counts_words() -> None:
    found = length_ratio(["one two three", "", "one"], ["one, two!", "one", "--"])
    assert found[0] == 1.0  # a mark of exclamation is a word to `split_words`
    assert found[1] == 0.0
    assert np.isnan(found[2])


def test_distinct_2_falls_when_phrases_come_again() -> None:
    assert distinct_2(["a b c"]) == 1.0
    assert distinct_2(["a b c", "A B c"]) == 0.5
    assert np.isnan(distinct_2(["a", ""]))


@pytest.mark.parametrize(
    "metric",
    [token_f1, sentence_bleu, exact_match, length_ratio, cosines],
    ids=lambda m: m.__name__,
)
def test_texts_and_references_must_pair_up(metric: object) -> None:
    ours, theirs = (np.ones((2, 3)), np.ones((1, 3))) if metric is cosines else (["a", "b"], ["a"])
    with pytest.raises(DataError, match="pair up"):
        metric(ours, theirs)  # type: ignore[operator]


def test_function_words_are_words_as_the_metrics_split_them() -> None:
    assert all(metrics.split_words(word) == [word] for word in FUNCTION_WORDS)
    assert not FUNCTION_WORDS & {"computer", "bill", "fire", "first", "good", "bank"}


def test_label_agreement_tells_each_text_apart(topics: Callable[..., Any]) -> None:
    texts, labels = topics(seed=1, money=20, sport=20)
    judge = TfidfJudge(texts, labels)
    unseen, meant = topics(seed=2, money=10, sport=10)
    assert label_agreement(unseen, meant, judge).all()
    swapped = ["sport" if label == "money" else label for label in meant]
    found = label_agreement(unseen, swapped, judge)
    assert found.tolist() == [label == "sport" for label in meant]
    with pytest.raises(DataError, match="20 texts and labels of shape \\(1,\\)"):
        label_agreement(unseen, ["money"], judge)


def test_copies_are_nearer_to_the_training_texts_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    train, holdout, fresh = rng.normal(size=(3, 200, 8))
    copies = 3 * train[:100] + 0.01 * rng.normal(size=(100, 8))
    found = nearest_real(copies, train, holdout)
    assert found.train.max() < 0.01 < found.holdout.mean()
    assert found.nearer_to_train > 0.98
    assert 0.4 < nearest_real(fresh, train, holdout).nearer_to_train < 0.6
    assert nearest_real(copies, holdout, train).nearer_to_train < 0.02


def test_the_distances_are_those_to_the_nearest_of_either_part() -> None:
    rng = np.random.default_rng(1)
    new, train, holdout = rng.normal(size=(3, 9, 4))
    found = nearest_real(new, train, holdout)
    for row, text in enumerate(new):
        for distances, part in ((found.train, train), (found.holdout, holdout)):
            alike = [t @ text / np.linalg.norm(t) / np.linalg.norm(text) for t in part]
            assert distances[row] == pytest.approx(1 - max(alike))


def test_more_training_than_held_out_texts_are_no_sign_of_copying() -> None:
    rng = np.random.default_rng(0)
    train, holdout, fresh = (rng.normal(size=(n, 8)) for n in (4000, 100, 500))
    found = nearest_real(fresh, train, holdout)
    assert 0.35 < found.nearer_to_train < 0.65
    assert np.array_equal(nearest_real(fresh, train, holdout).train, found.train)
    other = nearest_real(fresh, train, holdout, random_state=1)
    assert not np.array_equal(other.train, found.train)
    assert np.array_equal(other.holdout, found.holdout)


def test_without_held_out_texts_nothing_is_compared() -> None:
    with pytest.raises(DataError, match="give some of each, not 2 and 0"):
        nearest_real(np.ones((1, 3)), np.ones((2, 3)), np.ones((0, 3)))
    nothing = nearest_real(np.ones((0, 3)), np.ones((2, 3)), np.ones((2, 3)))
    assert np.isnan(nothing.nearer_to_train)


@pytest.mark.parametrize(("places", "read"), [(8, 7), (2048, 512)])
def test_of_a_long_text_as_much_is_read_as_the_llm_has_positions_for_and_512_tokens_at_most(
    tiny_llm: Path, places: int, read: int
) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = load_llm(tiny_llm, "float32")[1]
    torch.manual_seed(0)
    shape = {"n_positions": places, "n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 60}
    llm = GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=1, eos_token_id=1)).eval()
    long = "rain snow wind goal bank " * 150
    first = " ".join(long.split()[:read])
    sums, tokens = log_likelihoods(llm, tokenizer, [long, first, "rain"])
    assert tokens.tolist() == [read, read, 1]
    assert sums[0] == pytest.approx(sums[1], abs=1e-3)


def test_every_measure_is_listed_where_they_are_explained_and_can_be_had_from_the_package() -> None:
    explained = metrics.__doc__ or ""
    functions = {name for name in metrics.__all__ if name[0].islower()}
    assert functions == {name for name in functions if f"`{name}`" in explained}
    assert set(metrics.__all__) <= set(evaluation.__all__)
    assert {"cosines", "self_bleu", "perplexity", "mauve", "label_agreement"} <= functions
