"""Forms of texts: by their marks, by how unmarked questions begin, by their capitals."""

from __future__ import annotations

import pytest

from smotext_lab.errors import DataError
from smotext_lab.forms import (
    TextForm,
    case_kept,
    case_style,
    form_kept,
    kind_kept,
    restyled,
    sentence_kind,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("How did serfdom develop in and then leave Russia ?", "question"),
        ('He said: "Who paid?"', "question"),
        ("Really?!", "question"),
        ("what are the steps for setting up direct deposit", "question"),
        ("is there a fee", "question"),
        ("what's my balance", "question"),
        ("where's the bank", "question"),
        ("when does it open", "question"),
        ("when it opens", "fragment"),
        ("do not call me", "fragment"),
        ("is", "fragment"),
        ("What a film.", "statement"),
        ("It rained (all day.)", "statement"),
        ("and then…", "statement"),
        ("Free entry!!", "exclamation"),
        ("a stirring, funny re-imagining", "fragment"),
        ("", "fragment"),
        ("雨ですか？", "question"),
    ],
)
def test_the_kind_of_a_sentence(text: str, kind: str) -> None:
    assert sentence_kind(text) == kind


@pytest.mark.parametrize(
    ("text", "case"),
    [
        ("i live in Kent", "lower"),
        ("It rained in Kent.", "sentence"),
        ("42 days of Rain", "lower"),
        ("Sprint to Buy Nextel in Big Deal", "title"),
        ("What is Head Start ?", "sentence"),
        ("John Smith went home and slept there", "sentence"),
        ("FREE ENTRY 2 WIN", "upper"),
        ("I", "sentence"),
        ("I'm", "sentence"),
        ("1,200?", "none"),
        ("雨", "none"),
    ],
)
def test_the_style_of_capitals(text: str, case: str) -> None:
    assert case_style(text) == case


def test_a_form_is_kept_only_with_both_its_kind_and_its_case() -> None:
    texts, references = ["Who?", "who?", "It is.", "so"], ["Why?", "Why?", "Is it?", "no"]
    assert kind_kept(texts, references).tolist() == [True, True, False, True]
    assert case_kept(texts, references).tolist() == [True, False, True, True]
    assert form_kept(texts, references).tolist() == [True, False, False, True]
    same = [TextForm.of(a) == TextForm.of(b) for a, b in zip(texts, references, strict=True)]
    assert form_kept(texts, references).tolist() == same


def test_texts_and_references_must_pair_up() -> None:
    with pytest.raises(DataError, match="2 texts but 1 references"):
        form_kept(["a", "b"], ["a"])


@pytest.mark.parametrize(
    ("text", "case", "wanted"),
    [
        ("Who paid?", "lower", "who paid?"),
        ("(rain) is due", "sentence", "(Rain) is due"),
        ("RAIN IS DUE", "sentence", "Rain is due"),
        ("the NATO met", "sentence", "The NATO met"),
        ("rain", "upper", "RAIN"),
        ("Rain is Due", "title", "Rain is Due"),
        ("12", "sentence", "12"),
        ("", "upper", ""),
    ],
)
def test_capitals_are_put_where_a_style_has_them(text, case, wanted):
    assert restyled(text, case) == wanted
