"""`InterpolationExplorer`: the traits a user turns, the text that follows, and what is kept."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pytest

from smotext_lab import DecoderComparison, Guards, InterpolationExplorer, XRAGDecoder
from smotext_lab.encoders import BertEncoder
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.jupyter.widgets.places import Finder, Place
from smotext_lab.jupyter.widgets.work import Latest
from smotext_lab.steering import Steering

TEXTS = ["bank rate share bond", "rain snow wind storm", "goal match team coach"]
HOSTILE = "<img src=x onerror=alert(1)> $$x$$ \u202eabc"


@pytest.fixture
def decoder(tiny_encoder: Path, tiny_llm: Path, tiny_bridge: Path) -> XRAGDecoder:
    encoder = BertEncoder(str(tiny_encoder))
    return XRAGDecoder(
        str(tiny_llm), tiny_bridge, encoder=encoder, max_new_tokens=8, n_candidates=3
    )


@pytest.fixture
def explorer(decoder: XRAGDecoder) -> InterpolationExplorer:
    made = InterpolationExplorer(TEXTS, ["money", "weather", "sport"], decoder=decoder)
    made.wait(60)
    return made


def test_the_first_two_texts_are_where_it_begins(explorer: InterpolationExplorer) -> None:
    assert (explorer.start, explorer.end, explorer.lam) == (TEXTS[0], TEXTS[1], 0.5)
    assert explorer.text
    assert explorer.found is not None
    assert explorer.found.final


def test_moving_lambda_writes_another_point(explorer: InterpolationExplorer) -> None:
    before = explorer.found
    explorer.lam = 1.0
    explorer.wait(60)
    assert explorer.found is not before
    kept = explorer.keep()
    assert kept["lambda"] == 1.0
    assert kept["text"] == explorer.text
    assert kept["nearest_real"] in (0, 1, 2)
    assert kept["cosine_to_nearest_real"] <= 1.001


def test_the_same_place_gives_the_same_text(explorer: InterpolationExplorer) -> None:
    first = explorer.text
    explorer.lam = 0.1
    explorer.wait(60)
    explorer._finder._found.clear()
    explorer.lam = 0.5
    explorer.wait(60)
    assert explorer.text == first


def test_the_text_is_the_nearest_of_the_decoders_candidates(
    explorer: InterpolationExplorer, decoder: XRAGDecoder
) -> None:
    point = explorer._finder.point(explorer._place())[None]
    [best] = decoder.decode_rows(point, seeds=[0])
    assert explorer.found.cosine >= best.cosine - 1e-6


def test_a_third_text_moves_the_point(explorer: InterpolationExplorer) -> None:
    place = explorer._place()
    before = explorer._finder.point(place)
    explorer.third, explorer.third_weight = TEXTS[2], 0.5
    third = explorer._finder.vector(TEXTS[2])
    after = explorer._finder.point(explorer._place())
    assert after @ third > before @ third
    assert np.linalg.norm(after) == pytest.approx(1, abs=1e-5)
    explorer.wait(60)


def test_steps_can_be_jumped_to(explorer: InterpolationExplorer) -> None:
    explorer.steps(3)
    explorer.wait(60)
    assert [value for _, value in explorer._strip.options] == [0.0, 0.5, 1.0]
    explorer._strip.value = 1.0
    explorer.wait(60)
    assert explorer.lam == 1.0


def test_controls_and_traits_are_the_same(explorer: InterpolationExplorer) -> None:
    slider = next(c for c in explorer.children if isinstance(c, ipywidgets.FloatSlider))
    slider.value = 0.25
    assert explorer.lam == 0.25
    explorer.lam = 0.75
    assert slider.value == 0.75
    explorer.wait(60)


def test_a_blank_end_is_said_in_the_widget_and_raised(explorer: InterpolationExplorer) -> None:
    explorer.end = "  "
    with pytest.raises(DataError, match="second text is blank"):
        explorer.wait(60)
    assert "second text is blank" in explorer.error
    assert "second text is blank" in explorer._note.value
    explorer.end = TEXTS[2]
    explorer.wait(60)
    assert explorer.error == ""


def test_words_cannot_be_pinned_where_the_bridge_has_none(explorer: InterpolationExplorer) -> None:
    explorer.pinned = ["rain"]
    with pytest.raises(ParameterError, match="predicts no words"):
        explorer.wait(60)


def test_keeping_nothing_is_said() -> None:
    with pytest.raises(DataError, match="Nothing is written yet"):
        InterpolationExplorer().keep()


def test_hostile_texts_are_shown_to_the_letter(decoder: XRAGDecoder) -> None:
    explorer = InterpolationExplorer([HOSTILE, "rain"], decoder=decoder)
    explorer.wait(60)
    explorer.keep()
    shown = explorer._repr_mimebundle_()["text/html"] + explorer._kept_table.value
    shown += explorer._written.value + explorer._facts.value
    assert "<img" not in shown
    assert "\u202e" not in shown
    assert "&lt;img" in shown


LISTED = Guards(blocked_words=["zugzwang"])


class Drafting:
    """Tells what it writes word by word, and has settings as a decoder does."""

    def __init__(self, decoder: Any, text: str, better: str = "") -> None:
        self.decoder, self.drafted, self.better = decoder, text, better or text
        self.encoder, self.n_candidates, self.corrections = decoder.encoder, 2, 0

    def varied(self, n_candidates: int = 2, **_: Any) -> Drafting:
        made = Drafting(self.decoder, self.drafted, self.better)
        made.n_candidates = n_candidates
        return made

    def explain(self, vectors: np.ndarray, _: int) -> list[list[tuple[str, float]]]:
        return [[("zugzwang", 0.9), ("rain", 0.5)]] * len(vectors)

    def decode_rows(
        self, vectors: np.ndarray, *, seeds: Any, written: Any = None, **_: Any
    ) -> Iterator[Any]:
        text = self.drafted if self.n_candidates == 1 else self.better
        for end in range(len(text) if written else 0):
            written(0, text[: end + 1])
        for decoded in self.decoder.decode_rows(vectors, seeds=seeds):
            # the draft is the nearer one
            yield replace(decoded, text=text, cosine=0.9 / self.n_candidates)


def watched(finder: Finder, place: Place) -> tuple[list[str], list[str]]:
    told: list[str] = []
    found = [found.text for found in finder.find(place, threading.Event(), told.append)]
    return told, found


def test_a_listed_word_is_not_even_shown_while_it_is_written(word_decoder: Any) -> None:
    drafting = Drafting(word_decoder(), "rain zugzwang bank", "rain bank")
    place = Place(TEXTS[0], TEXTS[1])
    told, found = watched(Finder(drafting, LISTED), place)
    assert found == ["[not shown]", "rain bank"], "nearer or not"
    assert set(told) >= {"rain", "[not shown]"}
    assert not any("z" in text for text in told), "nor how it begins"
    assert [word for word, _ in Finder(drafting, LISTED).words(place)] == ["rain"]
    other_way = Finder(Drafting(word_decoder(), "rain bank", "rain zugzwang bank"), LISTED)
    assert watched(other_way, place) == (
        [*("rain bank"[:end] for end in range(1, 10))],
        ["rain bank", "rain bank"],
    )


@pytest.mark.parametrize(
    ("place", "guards"),
    [
        (Place("bank", "A zugzwang!"), LISTED),
        (Place("bank", "rain", third="Zugzwang", third_weight=0.1), LISTED),
        (Place("bank", "rain", steering=Steering(("zugzwang",))), LISTED),
        (Place("bank", "rain"), False),
    ],
)
def test_a_listed_word_is_shown_where_the_texts_have_one_or_the_guard_is_off(
    word_decoder: Any, place: Place, guards: Any
) -> None:
    finder = Finder(Drafting(word_decoder(), "rain zugzwang bank"), guards)
    told, found = watched(finder, place)
    assert set(found) == {told[-1]} == {"rain zugzwang bank"}
    assert len(finder.words(place)) == 2


def test_explorer_and_comparison_show_no_listed_word(word_decoder: Any) -> None:
    decoder = word_decoder(lambda text, rng: "rain zugzwang bank")
    explorer = InterpolationExplorer(TEXTS, decoder=decoder, guards=LISTED)
    explorer.wait(60)
    explorer.keep()
    explorer.steps(2)
    explorer.wait(60)
    shown = explorer._static_html() + explorer._written.value + str(explorer._strip.options)
    assert "zugzwang" not in shown + explorer._kept_table.value
    assert explorer.text == "[not shown]"
    ends = [TEXTS[0], "a zugzwang", TEXTS[1]]
    compared = DecoderComparison(ends, {"it": decoder}, steps=2, guards=LISTED)
    compared.wait(60)
    there = ["zugzwang" in text for text in compared.frame["text"]]
    assert there == [False, True, False]
    assert compared._static_html().count("zugzwang") == 2
    compared = DecoderComparison(TEXTS, {"it": decoder}, steps=2, guards=False)
    compared.wait(60)
    assert all("zugzwang" in text for text in compared.frame["text"])


def test_where_no_kernel_is_a_table_stands(explorer: InterpolationExplorer) -> None:
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert TEXTS[0] in bundle["text/html"]
    assert bundle["text/plain"] == "InterpolationExplorer(λ=0.50, 3 texts, 0 kept)"


def test_only_the_newest_piece_of_work_is_finished() -> None:
    done: list[Any] = []
    latest = Latest(failed=done.append)
    started = threading.Event()

    def slow(cancelled: threading.Event) -> None:
        started.set()
        done.append("cancelled" if cancelled.wait(30) else "finished")

    latest.submit(slow)
    started.wait(30)
    for number in range(20):
        latest.submit(lambda _, number=number: done.append(number))
    assert latest.wait(30)
    assert done[0] == "cancelled"
    assert done[-1] == 19
    assert len(done) <= 20
    assert not latest.busy


def test_what_fails_on_the_thread_is_told() -> None:
    failed: list[Exception] = []
    latest = Latest(failed=failed.append)
    latest.submit(lambda _: 1 / 0)
    latest.wait(30)
    assert isinstance(failed[0], ZeroDivisionError)
    latest.submit(lambda _: time.sleep(0))
    assert latest.wait(30)


def test_a_process_ends_in_peace_while_a_model_is_at_work() -> None:
    code = (
        "import torch\nfrom smotext_lab.jupyter.widgets.work import Latest\n"
        "def work(cancelled):\n"
        "    while not cancelled.is_set(): torch.randn(600, 600) @ torch.randn(600, 600)\n"
        "latest = Latest(print)\nlatest.submit(work)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
