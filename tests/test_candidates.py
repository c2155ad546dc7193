"""Candidates: what comes last, and that case is put right."""

from __future__ import annotations

from smotext_lab.candidates import in_form, malus
from smotext_lab.forms import TextForm


def test_empty_and_looping_texts_come_after_all_others() -> None:
    fine, looping, marks, empty = (
        malus(text, TextForm.of("Who?"))
        for text in ("It rains.", "so it is so it is so it is so it is", "...", "")
    )
    assert fine < 1 < looping
    assert looping <= marks + 0.1 < empty


def test_another_kind_of_sentence_loses_little() -> None:
    asked = TextForm.of("Who paid for it?")
    assert 0 == malus("Who came?", asked) < malus("They came.", asked) < 0.2


def test_without_a_form_a_text_stays_as_it_is() -> None:
    assert in_form("iPhone", None) == "iPhone"
    assert in_form("iPhone", TextForm.of("Rain.")) == "IPhone"
