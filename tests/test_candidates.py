"""Candidates: what comes last, and that case is put right."""

from __future__ import annotations

from smotext_lab.candidates import in_form, score
from smotext_lab.forms import TextForm


def test_empty_and_looping_texts_come_after_all_others() -> None:
    fine, looping, marks, empty = (
        score(text, 0.5, -2.0, TextForm.of("Who?"))
        for text in ("It rains.", "so it is so it is so it is so it is", "...", "")
    )
    assert fine > 0 > looping
    assert looping >= marks - 0.1 > empty


def test_another_kind_of_sentence_loses_little() -> None:
    asked = TextForm.of("Who paid for it?")
    kept, other = score("Who came?", 0.5, -2.0, asked), score("They came.", 0.5, -2.0, asked)
    assert kept == score("Who came?", 0.5, -2.0) > other > kept - 0.2


def test_of_texts_equally_near_the_likelier_and_the_surer_of_its_label_comes_first() -> None:
    assert score("It rains.", 0.5, -1.0) > score("It rains.", 0.5, -3.0)
    assert score("It rains.", 0.5, -1.0, agreement=0.9) > score("It rains.", 0.5, -1.0)
    assert score("It rains.", 0.6, -3.0) > score("It rains.", 0.5, -1.0)


def test_without_a_form_a_text_stays_as_it_is() -> None:
    assert in_form("iPhone", None) == "iPhone"
    assert in_form("iPhone", TextForm.of("Rain.")) == "IPhone"
