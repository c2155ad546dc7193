from __future__ import annotations

import sys

import numpy as np
import pytest

from smotext_lab.errors import DataError, ModelError
from smotext_lab.evaluation import compression_ratio, distinct_1, mauve, self_bleu

SAME = ["the old bridge fell into the river last night"] * 6
OTHERS = [
    "the old bridge fell into the river last night",
    "shares rose when a bank cut its rates again",
    "two goals before half time won them this match",
    "snow is due on higher ground after the weekend",
]


def test_a_set_that_repeats_itself_is_told_by_every_measure():
    assert distinct_1(SAME) < distinct_1(OTHERS)
    assert self_bleu(SAME) > 99 > 30 > self_bleu(OTHERS)
    assert compression_ratio(SAME) > 1.5 * compression_ratio(OTHERS)


def test_many_texts_are_thinned_the_same_way_twice():
    texts = [f"word{row} stands in text {row % 7} of the set" for row in range(60)]
    assert self_bleu(texts, most=20) == self_bleu(texts, most=20)
    assert self_bleu(texts, most=20) != self_bleu(texts, most=20, random_state=1)


def test_too_little_is_refused_in_one_sentence():
    assert np.isnan(distinct_1([]))
    with pytest.raises(DataError, match="2 are needed, 1 given"):
        self_bleu(["one"])
    with pytest.raises(DataError, match="no text"):
        compression_ratio([])


def test_mauve_is_high_for_the_same_spread_and_low_for_another() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 16)) * 3

    def drawn(n: int, shares: list[float]) -> np.ndarray:
        return centres[rng.choice(4, n, p=shares)] + rng.normal(size=(n, 16))

    even, lopsided = [0.25] * 4, [0.97, 0.01, 0.01, 0.01]
    real = drawn(200, even)
    same, skewed = mauve(real, drawn(200, even)), mauve(real, drawn(200, lopsided))
    assert 0 <= skewed < 0.7 < same <= 1
    assert mauve(real, real[::-1]) == pytest.approx(1.0, abs=0.02)


def test_mauve_of_few_texts_is_refused() -> None:
    with pytest.raises(DataError, match="needs 20 texts of each set, got 30 and 19"):
        mauve(np.zeros((30, 4)), np.zeros((19, 4)))


def test_without_mauve_text_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mauve", None)
    with pytest.raises(ModelError, match=r"smotext-lab\[mauve\]"):
        mauve(np.zeros((30, 4)), np.zeros((30, 4)))
