import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from smotext_lab import charts
from smotext_lab.charts import maps
from smotext_lab.errors import ParameterError

HOSTILE = "<script>alert(1)</script> {{ x }} $x$ \u202eabc\u0000\ud800 " + "y" * 50_000
LAMBDAS = [0, 0.25, 0.5, 0.75, 1]


def written(drawing):
    """Return every piece of text in an SVG; fails where the SVG is not well formed."""
    return [e.text or "" for e in ET.fromstring(drawing).iter() if e.tag.endswith("text")]


def test_label_is_one_short_line_of_visible_characters():
    made = charts.label("a\u202e\u0000\n\tb\ud800  c\u200f" + "d" * 90, limit=10)
    assert made == "a b cdddd…"


def test_label_keeps_letters_of_other_scripts():
    assert charts.label("новости über 中文") == "новости über 中文"


@pytest.mark.parametrize(("weight", "said"), [(0, "0"), (0.5, "½"), (2 / 3, "⅔"), (0.35, "0.35")])
def test_fraction_says_a_weight_as_it_is_spoken(weight, said):
    assert charts.fraction(weight) == said


def test_projection_keeps_the_directions_of_greatest_spread():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 5)) * [0.1, 5, 0.1, 2, 0.1]
    plane, same = maps.project(vectors, vectors[3])
    assert np.isclose(abs(np.corrcoef(plane[:, 0], vectors[:, 1])[0, 1]), 1, atol=1e-2)
    assert np.isclose(abs(np.corrcoef(plane[:, 1], vectors[:, 3])[0, 1]), 1, atol=1e-2)
    assert np.allclose(same, plane[3])


def test_projection_of_the_same_vectors_never_flips():
    vectors = np.random.default_rng(1).normal(size=(50, 6))
    assert np.allclose(maps.project(vectors)[0], maps.project(vectors[::-1])[0][::-1])


def test_projection_of_one_vector_is_an_error():
    with pytest.raises(ParameterError, match="at least two vectors"):
        maps.project(np.ones((1, 3)))


def walk_map(n=60, classes=3):
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(n, 8))
    labels = [f"class {i % classes}" for i in range(n)]
    decoded = rng.normal(size=(2, 5, 8))
    return maps.vector_map(vectors, labels, np.array([[0, 3], [1, 4]]), decoded, LAMBDAS)


def test_map_names_the_classes_both_ends_and_the_middle():
    texts = written(charts.svg(walk_map()))
    assert {"class 0", "class 1", "class 2", "A1", "B1", "A2", "B2", "½"} <= set(texts)


def test_map_of_more_than_five_thousand_texts_is_drawn_and_thinned():
    chart = walk_map(n=12_000)
    drawn = [layer for layer in chart.to_dict()["layer"] if layer["mark"]["type"] == "circle"]
    assert len(drawn[0]["data"]["values"]) == 4000
    assert len(charts.svg(chart)) < 3_000_000


def test_map_of_many_classes_puts_the_rarest_under_one_name():
    texts = written(charts.svg(walk_map(n=200, classes=30)))
    assert "other classes" in texts
    assert len([t for t in texts if t.startswith("class ")]) == len(charts.PALETTE) - 1


def test_map_is_the_same_twice():
    assert charts.svg(walk_map()) == charts.svg(walk_map())


def test_map_needs_no_walks():
    chart = maps.vector_map(np.eye(4), ["a", "a", "b", "b"])
    assert set(written(charts.svg(chart))) == {"a", "b"}


def test_cosines_show_the_mean_of_each_step_and_the_named_references():
    cosines = np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.3, 0.4, 0.5, 0.6, 0.7]])
    references = {"copying": np.linspace(0.9, 1, 5), "chance": 0.05}
    texts = written(charts.svg(charts.cosine_walk(cosines, LAMBDAS, references)))
    assert {"0.20", "0.30", "0.40", "0.50", "0.60", "copying", "chance", "¼"} <= set(texts)


def test_cosines_below_zero_stay_on_the_page():
    chart = charts.cosine_walk(np.array([[-0.4, 0.2, 0.3, 0.4, 0.5]]), LAMBDAS)
    domain = chart.to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert domain == [-0.4, 1]


def test_words_stand_in_the_order_in_which_they_come_on_the_walk():
    words = [[("late", 0.1), ("early", 0.9)], [("early", 0.5)], [("late", 0.9), ("never", 0.01)]]
    chart = charts.word_walk(words, [0, 0.5, 1], most=2)
    assert chart.to_dict()["encoding"]["y"]["sort"] == ["early", "late"]


def test_words_of_a_walk_without_any_give_an_empty_chart():
    assert written(charts.svg(charts.word_walk([[], [], []], [0, 0.5, 1]))) == ["λ"]


def test_counts_are_written_beside_their_bars():
    counts = {"accepted": {"a": 12, "b": 0}, "rejected": {"a": 3, "b": 7}}
    texts = written(charts.svg(charts.class_counts(counts)))
    assert {"a", "b", "12", "0", "3", "7", "accepted", "rejected"} <= set(texts)


def hostile_charts():
    vectors = np.random.default_rng(3).normal(size=(6, 4))
    labels = [HOSTILE, HOSTILE, HOSTILE, "b", "b", "b"]
    return [
        maps.vector_map(vectors, labels),
        charts.cosine_walk(np.full((1, 5), 0.5), LAMBDAS, {HOSTILE: 0.1}),
        charts.word_walk([[(HOSTILE, 0.5)]] * 3, [0, 0.5, 1], title=HOSTILE),
        charts.class_counts({"accepted": {HOSTILE: 3}}),
    ]


@pytest.mark.parametrize("which", range(4))
def test_hostile_text_is_drawn_as_text(which):
    drawing = charts.svg(hostile_charts()[which])
    tags = {e.tag.rpartition("}")[2] for e in ET.fromstring(drawing).iter()}
    assert tags <= {"svg", "g", "path", "text", "rect", "defs", "clipPath", "line"}
    assert any(text.startswith("<script>") for text in written(drawing))
    assert "\u202e" not in drawing
    assert "y" * 100 not in drawing


@pytest.mark.parametrize("which", range(4))
def test_no_chart_holds_an_address_or_an_expression(which):
    spec = hostile_charts()[which].to_dict()
    spec.pop("$schema")
    keys = json.dumps(spec)
    for word in ('"url"', '"expr"', '"labelExpr"', '"signal"', '"href"'):
        assert word not in keys
