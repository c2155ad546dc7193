"""The reports of the protocols, run with tiny models on a file of hostile texts."""

from __future__ import annotations

import json

import nbformat
import pandas as pd
import pytest

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.reports import evidence, run_report, template_path

HEADLINES = {
    "synthetic_only": ["retention", "retention_low", "retention_high"],
    "few_shot": ["gain", "gain_low", "gain_high"],
    "class_imbalance": ["gain", "gain_low", "gain_high"],
    "distillation": ["gain", "gain_low", "gain_high"],
    "robustness": [
        f"drop_{name}{end}"
        for name in ("real", "augmented", "difference")
        for end in ("", "_low", "_high")
    ],
}


@pytest.fixture
def given(topics, tmp_path, tiny_encoder, tiny_llm, tiny_bridge, monkeypatch):
    """Return parameters for a quick run on 60 rows."""
    monkeypatch.setenv("SMOTEXT_LAB_RESULTS", str(tmp_path / "results"))
    texts, labels = topics(weather=20, money=20, sport=20)
    frame = pd.DataFrame(
        {"body": [f"{t} <img src=x onerror=alert(1)>" for t in texts], "queue": labels}
    )
    frame.to_csv(tmp_path / "tickets.csv", index=False)
    return {
        "dataset": str(tmp_path / "tickets.csv"),
        "text": "body",
        "label": "queue",
        "quick": True,
        "classifiers": ["embedding-logreg"],
        "max_new_tokens": 8,
        "encoder": str(tiny_encoder),
        "llm": str(tiny_llm),
        "bridge": str(tiny_bridge),
    }


@pytest.fixture
def shown(monkeypatch):
    """Collect what cells display."""
    found: list[dict] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: found.append(bundle))
    return found


@pytest.mark.parametrize("template", HEADLINES)
def test_every_template_runs_on_sixty_rows_and_begins_with_its_figure(template, given, shown):
    notebook = nbformat.read(template_path(template), as_version=4)
    names: dict = {}
    pages = []
    given |= {"most": 8, "ratios": [4]} if template == "class_imbalance" else {"ks": [4, 60]}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        exec(cell.source, names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= given
        last = cell.source.strip().splitlines()[-1]
        if cell.source.startswith("evidence.") or last == ")":
            start = cell.source.rfind("\nevidence.") + 1
            if cell.source[start:].startswith("evidence."):
                value = eval(cell.source[start:], names)
                pages.append(getattr(value, "data", ""))
    recorded = [
        b["application/vnd.smotext-lab.metrics+json"]
        for b in shown
        if "application/vnd.smotext-lab.metrics+json" in b
    ]
    assert recorded[0]["headline"]
    assert [name for name, _ in recorded[0]["values"]][: len(HEADLINES[template])] == HEADLINES[
        template
    ]
    assert any("A quick run" in page for page in pages)
    assert template == "class_imbalance" or names["ks"] == [4]
    assert not any("<img" in page for page in pages)


def test_a_report_is_written_with_its_headline_first(given, tmp_path):
    given |= {"ks": [4], "methods": ["eda"], "classifiers": ["tfidf-logreg"], "resamples": 2}
    made = run_report("synthetic_only", given, tmp_path / "out", progress=False)
    assert next(iter(json.loads(made.metrics_path.read_text()))) == "retention"
    assert "<img src=x" not in made.html.read_text()


def test_a_quick_run_is_cut_down_and_a_full_one_is_as_asked():
    asked = {"ks": [5, 10], "resamples": 10, "test_rows": 50, "max_classes": None}
    assert evidence.quickly(False, **asked) == asked
    quick = evidence.quickly(True, **asked)
    assert quick == {"ks": [5], "resamples": 3, "test_rows": 50, "max_classes": 3}
    with pytest.raises(ParameterError, match="max_classes must be 2 or more"):
        evidence.prepared(
            "bbc_titles",
            text=None,
            label=None,
            max_classes=1,
            test_rows=5,
            overlap="error",
            random_state=0,
        )


def test_the_numbers_of_a_comparison_are_called_what_they_are(shown):
    rows = [{"trained on": "eda", "classifier": "tfidf-logreg", "k": 50, "gain": 0.1}]
    frame = pd.DataFrame(rows).assign(low=0.0, high=0.2)
    evidence.show_compared(frame, title="gain")
    evidence.show_compared(frame, title="gain", k="ratio")
    assert ["k = 50" in page["image/svg+xml"] for page in shown] == [True, False]
    assert "ratio = 50" in shown[1]["image/svg+xml"]


def test_a_report_refuses_test_texts_in_the_training_part(topics, tmp_path):
    texts, labels = topics(weather=20, money=20)
    frame = pd.DataFrame({"text": texts, "label": labels, "split": ["train"] * 20 + ["test"] * 20})
    leak = frame.tail(2).assign(split="train")
    pd.concat([frame, leak]).to_csv(tmp_path / "leaky.csv", index=False)
    asked = {"text": None, "label": None, "max_classes": None, "test_rows": 50, "random_state": 0}
    with pytest.raises(DataError, match="leaky: 2 of 20 test texts stand in the training part"):
        evidence.prepared(str(tmp_path / "leaky.csv"), overlap="error", **asked)
    split = evidence.prepared(str(tmp_path / "leaky.csv"), overlap="drop", **asked)
    told = evidence.about(split, 10, "models", left_out={20})
    assert "2 test texts left out that stand in the training part; too few texts for k = 20" in told
    with pytest.raises(ParameterError, match="overlap must be"):
        evidence.prepared(str(tmp_path / "leaky.csv"), overlap="droop", **asked)
