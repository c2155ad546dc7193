"""Metrics: what they count, what they do not, and where they have nothing to say."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from smotext_lab.errors import DataError, ModelError
from smotext_lab.evaluation import metrics
from smotext_lab.evaluation.metrics import (
    cosines,
    distinct_2,
    exact_match,
    length_ratio,
    sentence_bleu,
    token_f1,
)
from smotext_lab.forms import FUNCTION_WORDS


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
