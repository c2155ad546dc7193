from __future__ import annotations

import numpy as np
import pytest

from smotext_lab.errors import DataError
from smotext_lab.evaluation import compression_ratio, distinct_1, self_bleu

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
