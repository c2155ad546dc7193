from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from smotext_lab.decoded import Tried
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.guards import BlockedWords, Guards
from smotext_lab.paths import COLUMNS, text_path

TEXTS = ["rain snow wind storm.", "bank rate share bond.", "goal match team coach."]


@pytest.fixture
def decoder(word_decoder):
    return word_decoder()


def test_a_leg_has_both_ends_and_equal_steps(decoder):
    frame = text_path(TEXTS[:2], decoder, steps=5, random_state=0).to_pandas()
    assert tuple(frame.columns) == COLUMNS
    assert frame["lambda"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert set(frame["start"]) == {0}
    assert set(frame["end"]) == {1}


def test_where_legs_meet_one_text_is_written(decoder):
    frame = text_path(TEXTS, decoder, steps=3, random_state=0).to_pandas()
    assert frame["start"].tolist() == [0, 0, 0, 1, 1]
    assert frame["lambda"].tolist() == [0, 0.5, 1, 0.5, 1]


def test_it_goes_from_the_one_text_to_the_other(decoder):
    frame = text_path(TEXTS[:2], decoder, steps=5, random_state=0).to_pandas()
    near = frame["cosine_to_end"] - frame["cosine_to_start"]
    assert near.iloc[0] < 0 < near.iloc[-1]
    assert frame["cosine_to_target"].between(-1, 1).all()


def test_the_same_random_state_gives_the_same_texts_and_a_drawn_one_is_told(decoder):
    drawn = text_path(TEXTS[:2], decoder)
    again = text_path(TEXTS[:2], decoder, random_state=drawn.info["random_state"])
    other = text_path(TEXTS[:2], decoder, random_state=drawn.info["random_state"] + 1)
    assert drawn.to_pandas().equals(again.to_pandas())
    assert drawn.frame["text"].tolist() != other.frame["text"].tolist()


def test_slerp_is_another_way_than_lerp(decoder):
    straight, round_ = (
        text_path(TEXTS[:2], decoder, steps=4, blending=how, random_state=0).frame
        for how in ("lerp", "slerp")
    )
    assert straight["cosine_to_target"].iloc[1] != round_["cosine_to_target"].iloc[1]


def test_what_is_finished_is_kept_when_interrupted(decoder):
    decoder.stop_after = 3
    path = text_path(TEXTS[:2], decoder, steps=7, random_state=0)
    assert len(path) == 3
    assert (path.info["interrupted"], path.info["asked"]) == (True, 7)
    assert "λ = 0.33" in repr(path)


def test_an_interruption_before_the_first_text_is_an_interruption(decoder):
    decoder.stop_after = 0
    with pytest.raises(KeyboardInterrupt):
        text_path(TEXTS[:2], decoder)


@pytest.mark.parametrize(
    ("texts", "says"),
    [(TEXTS[:1], "give at least two, not 1"), (["rain.", " \t\n"], "Text 2 of 2 is blank")],
)
def test_a_path_needs_two_texts(decoder, texts, says):
    with pytest.raises(DataError, match=says):
        text_path(texts, decoder)


def test_a_path_needs_two_steps(decoder):
    with pytest.raises(ParameterError, match="at least 2"):
        text_path(TEXTS, decoder, steps=1)


def test_given_texts_are_shown_to_the_letter_and_never_run(decoder):
    hostile = ["rain <img src=x onerror=alert(1)> $$x$$ {{y}}", "bank \u202e\ud800 rate"]
    path = text_path(hostile, decoder, steps=2, random_state=0)
    page = path._repr_html_()
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt; $$x$$ &#123;&#123;y" in page
    assert "U+202E" in page
    assert page.count("class=smotext-given") == 2


class Trying:
    """Writes a listed word at every point, and has tried other texts besides."""

    def __init__(self, decoder: Any, listed: str, *others: str) -> None:
        self.decoder, self.listed, self.others = decoder, listed, others
        self.encoder = decoder.encoder

    def decode_rows(self, vectors: np.ndarray, **how: Any) -> Iterator[Any]:
        for decoded in self.decoder.decode_rows(vectors, **how):
            texts = [f"rain {self.listed} bank", *self.others]
            trace = tuple(Tried(text, 0.5, -1.0, 0.5) for text in texts)
            yield replace(decoded, text=texts[0], trace=trace)


@pytest.fixture
def listed() -> str:
    return min(entry for entry in BlockedWords.default()._entries if " " not in entry)


def test_a_listed_word_that_no_given_text_has_is_not_shown(decoder, listed):
    trying = Trying(decoder, listed, f"bank {listed}", "", "wind share")
    path = text_path(TEXTS[:2], trying, steps=3, random_state=0)
    assert set(path.frame["text"]) == {"wind share"}
    assert path.frame["cosine_to_target"].tolist() == [0.5] * 3
    [own] = decoder.encoder.encode(["wind share"])
    start, _ = decoder.encoder.encode(TEXTS[:2])
    assert path.frame["cosine_to_start"].iloc[0] == pytest.approx(own @ start)
    assert listed not in path._repr_html_() + repr(path)
    alone = text_path(TEXTS[:2], Trying(decoder, listed), steps=3, random_state=0)
    assert set(alone.frame["text"]) == {"[not shown]"}
    assert listed not in alone._repr_html_() + repr(alone)


def test_a_listed_word_is_shown_where_an_end_has_one_or_the_guard_is_off(decoder, listed):
    ends = [f"rain {listed}.", *TEXTS[1:]]
    path = text_path(ends, Trying(decoder, listed), steps=3, random_state=0)
    there = [listed in text for text in path.frame["text"]]
    assert there == [True, True, False, False, False], "the end of a leg is made from one text"
    for off in (False, Guards.off(), Guards(blocked_words=["zugzwang"])):
        path = text_path(TEXTS[:2], Trying(decoder, listed), steps=2, guards=off)
        assert all(listed in text for text in path.frame["text"])


def test_the_picture_in_a_terminal_is_a_line_a_text(decoder):
    path = text_path(["rain\n\tsnow " * 100, TEXTS[1]], decoder, steps=2, random_state=0)
    lines = repr(path).splitlines()
    assert len(lines) == 5
    assert max(map(len, lines)) < 220
    assert np.isclose(float(lines[2][-5:-1]), path.frame["cosine_to_target"].iloc[0], atol=0.01)
