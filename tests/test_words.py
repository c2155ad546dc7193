from __future__ import annotations

import numpy as np
import pytest

from smotext_lab import words
from smotext_lab.errors import ParameterError


@pytest.mark.parametrize(
    ("typed", "counts"),
    [
        (["12"], 12),
        (["a=5"], {"a": 5}),
        (["a=5,b=0"], {"a": 5, "b": 0}),
        (["a=5", "b c=3"], {"a": 5, "b c": 3}),
        (["x=y=2"], {"x=y": 2}),
        (['{"a, b": 3}'], {"a, b": 3}),
    ],
)
def test_counts_as_typed(typed, counts):
    assert words.counts_of(typed) == counts


@pytest.mark.parametrize("typed", [["many"], ["a="], ["a=1.5"], ["-3"], ["5", "6"], ["{a: 1}"]])
def test_counts_that_are_none_say_how_they_are_typed(typed):
    with pytest.raises(ParameterError, match="takes a number, or label=number"):
        words.counts_of(typed)


def test_guards_as_typed():
    guards = words.guards_of(["max_copy_cosine=0.5", "max_repeats=none"], off=False)
    assert (guards.max_copy_cosine, guards.max_repeats) == (0.5, None)
    assert guards.max_shared_words == type(guards)().max_shared_words
    assert words.guards_of(["allow_equal=false"], off=True).allow_equal is False
    assert words.guards_of(["blocked_words=None"], off=False).blocked_words is None
    assert words.guards_of(["blocked_words=default"], off=True).blocked_words == "default"


def test_a_file_of_blocked_words_keeps_the_case_of_its_name(tmp_path):
    listed = tmp_path / "My Words.TXT"
    listed.write_text("darn")
    guards = words.guards_of([f"blocked_words={listed}"], off=False)
    assert guards.blocked().find("Darn it") == "darn"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("max_copy=1", "did you mean 'max_copy_cosine'"),
        ("max_repeats", "takes NAME=VALUE"),
        ("max_repeats=lots", "must be a whole number"),
        ("blocked_words=nowhere.txt", "'nowhere.txt', which cannot be read"),
    ],
)
def test_guards_that_are_none_say_so(word, says):
    with pytest.raises(ParameterError, match=says):
        words.guards_of([word], off=False)


@pytest.mark.parametrize("name", list(words.INTERPOLATORS))
def test_every_interpolator_named_can_be_made_and_plans(name):
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(size=(30, 3)), rng.normal(1, size=(12, 3))])
    labels = ["a"] * 30 + ["b"] * 12
    blender = words.interpolator_of(name, {"k_neighbors": None, "alpha": None})
    blender.random_state = 0
    assert set(blender.plan(vectors, labels, {"b": 12}).label) == {"b"}


def test_an_option_goes_by_the_interpolators_own_name_or_is_refused():
    assert words.interpolator_of("adasyn", {"k_neighbors": 3}).n_neighbors == 3
    assert words.interpolator_of("smote", {"k_neighbors": 3}).k_neighbors == 3
    with pytest.raises(ParameterError, match="--alpha has no effect with --interpolator smote"):
        words.interpolator_of("smote", {"alpha": 0.5})
    with pytest.raises(ParameterError, match="did you mean 'mixup'"):
        words.interpolator_of("mixap", {})


def test_a_usual_value_gives_way_to_an_option_and_stays_out_where_it_has_no_effect():
    usual = {"k_neighbors": 7}
    assert words.interpolator_of("smote", {}, usual).k_neighbors == 7
    assert words.interpolator_of("adasyn", {}, usual).n_neighbors == 7
    assert words.interpolator_of("smote", {"k_neighbors": 3}, usual).k_neighbors == 3
    assert not hasattr(words.interpolator_of("mixup", {}, usual), "k_neighbors")
