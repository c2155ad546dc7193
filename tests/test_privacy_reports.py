from __future__ import annotations

import json

import nbformat
import pandas as pd
import pytest

from smotext_lab.charts import svg
from smotext_lab.charts.privacy import epsilon_chart, roc_chart
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.privacy import audit
from smotext_lab.reports import privacy, template_parameters, template_path


@pytest.fixture
def found(word_encoder, topics):
    (train, _), (holdout, _) = topics(money=30, sport=30), topics(weather=30, money=30)
    return audit(train, train, holdout, encoder=word_encoder)


def test_halves_share_no_text_and_have_the_same_classes(topics):
    texts, labels = topics(money=20, sport=9, weather=2)
    first, second = privacy.halves(pd.DataFrame({"text": texts, "label": labels}), 6, 0)
    assert first["label"].value_counts().to_dict() == {"money": 6, "sport": 4}
    assert second["label"].value_counts().to_dict() == {"money": 6, "sport": 4}
    assert not set(first["text"]) & set(second["text"])
    with pytest.raises(DataError):
        privacy.halves(pd.DataFrame({"text": ["a"], "label": ["b"]}), 6, 0)


def test_all_three_files_are_needed():
    with pytest.raises(ParameterError, match="all three files"):
        privacy.read_three("new.csv", "train.csv", None, None, None)


def test_the_curves_can_be_drawn_with_rates_of_zero(found):
    assert "<svg" in svg(roc_chart(found.roc()))


def test_figures_against_epsilon_can_be_drawn():
    rows = [
        {"method": "plain", "epsilon": float("inf"), "kept": 0.9},
        {"method": "DPAnchors", "epsilon": 1.0, "kept": 0.7},
        {"method": "DPAnchors", "epsilon": 4.0, "kept": 0.8},
    ]
    assert "<svg" in svg(epsilon_chart(rows, value="kept", title="kept"))


def test_real_texts_stand_on_the_page_only_where_they_may(found):
    shown = found.worst["training text"].iloc[0]
    assert shown in privacy.worst_table(found, show_texts=True).data
    hidden = privacy.worst_table(found, show_texts=False).data
    assert "training text" not in hidden


def test_the_answer_says_that_nothing_is_guaranteed(found):
    assert "Nothing is guaranteed" in privacy.answer(found).data


@pytest.mark.parametrize("name", ["privacy_audit", "differential_privacy"])
def test_the_templates_explain_their_parameters_and_have_no_outputs(name):
    assert all(p.help and p.type != "any" for p in template_parameters(name))
    notebook = json.loads(template_path(name).read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    nbformat.validate(nbformat.from_dict(notebook))
