"""The reports of the protocols, run with tiny models on a file of hostile texts."""

from __future__ import annotations

import inspect
import json

import nbformat
import numpy as np
import pandas as pd
import pytest

from smotext_lab import BertEncoder
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.evaluation import protocols
from smotext_lab.evaluation.methods import Models
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.statistics import Effect
from smotext_lab.evaluation.study import Arm, Setup
from smotext_lab.reports import (
    METRICS_MIME,
    answers,
    evidence,
    run_report,
    template_parameters,
    template_path,
)
from smotext_lab.reports.tables import TABLE_MIME

HEADLINES = {
    "synthetic_only": ["retention", "retention_low", "retention_high"],
    "few_shot": ["gain", "gain_low", "gain_high"],
    "class_imbalance": ["gain", "gain_low", "gain_high"],
    "distillation": ["gain", "gain_low", "gain_high"],
    "robustness": [
        f"drop_{name}{end}"
        for name in ("real", "augmented", "difference")
        for end in ("", "_low", "_high")
    ]
    + ["accuracy_difference", "accuracy_difference_low", "accuracy_difference_high"],
}

pytestmark = pytest.mark.usefixtures("one_strength")


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


def executed(template, given):
    """Run a template's cells here; return its variables, and the pages that it shows."""
    names: dict = {}
    pages = []
    for cell in nbformat.read(template_path(template), as_version=4).cells:
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
    return names, pages


def headline_of(shown):
    recorded = [bundle[METRICS_MIME] for bundle in shown if METRICS_MIME in bundle]
    assert recorded[0]["headline"]
    return dict(recorded[0]["values"])


@pytest.mark.parametrize("template", HEADLINES)
def test_every_template_runs_on_sixty_rows_and_begins_with_its_figure(template, given, shown):
    given |= {"most": 8, "ratios": [4]} if template == "class_imbalance" else {"ks": [4, 60]}
    names, pages = executed(template, given)
    assert list(headline_of(shown))[: len(HEADLINES[template])] == HEADLINES[template]
    assert any("A quick run" in page for page in pages)
    assert template == "class_imbalance" or names["ks"] == [4]
    assert not any("<img" in page for page in pages)
    [failed] = [page for page in pages if "short of" in page]
    assert "Refused in the first resample" in failed
    assert [bundle[TABLE_MIME]["name"] for bundle in shown if TABLE_MIME in bundle] == ["results"]


def test_every_classifier_is_named_in_the_answer_and_duplication_only_where_it_was_run(
    given, shown
):
    given |= {"most": 8, "ratios": [4], "classifiers": ["tfidf-logreg", "embedding-logreg"]}
    for methods in (["eda"], ["eda", "duplication"]):
        _, pages = executed("class_imbalance", given | {"methods": methods})
        [said] = [page for page in pages if "filling the rare classes up" in page]
        found = headline_of(shown)
        repeated = "duplication" in methods
        assert ("repeating the rare texts" in said, "duplication" in said) == (repeated, repeated)
        assert any("duplication" in name for name in found) == repeated
        for classifier in given["classifiers"]:
            assert f"({classifier})" in said
            assert f"gain_{classifier.partition('-')[0]}_high" in found
        assert found["gain"] == found["gain_tfidf"]
        shown.clear()


def test_a_ratio_that_leaves_no_two_texts_is_not_claimed(given, shown):
    given |= {"most": 8, "ratios": [50], "methods": ["eda"]}
    _, pages = executed("class_imbalance", given)
    assert headline_of(shown)["ratio"] == 4
    assert any("At 1:4," in page and "too few texts for ratio = 50" in page for page in pages)


def test_of_many_rows_a_quick_run_encodes_a_few(given, topics, tmp_path, monkeypatch, shown):
    texts, labels = topics(weather=2600, money=2360, sport=40)
    many = pd.DataFrame({"body": texts, "queue": labels})
    many.to_csv(tmp_path / "many.csv", index=False)
    read: set[str] = set()
    encode = BertEncoder.encode

    def counted(self, texts, **how):
        read.update(texts)
        return encode(self, texts, **how)

    monkeypatch.setattr(BertEncoder, "encode", counted)
    given |= {"dataset": str(tmp_path / "many.csv"), "methods": ["eda"], "ks": [4]}
    names, _ = executed("distillation", given)
    split = names["split"]
    drawn = pd.Series(split.train_labels).value_counts()
    assert drawn["sport"] == 24  # few as they are, none is left out
    assert 1990 <= drawn.sum() <= 2030
    # the teacher reads all that may be drawn; beside those there are the test texts
    assert read & set(texts) <= {*split.train_texts, *split.test_texts}


def test_defaults_of_the_templates_are_those_of_the_protocols():
    for template, names in {
        "few_shot": ["ks", "times", "controls"],
        "class_imbalance": ["ratios", "most"],
        "synthetic_only": ["ks", "times"],
    }.items():
        asked = inspect.signature(getattr(protocols, template)).parameters
        found = {p.name: p.default for p in template_parameters(template)}
        for name in names:
            default = asked[name].default
            assert found[name] == (list(default) if isinstance(default, tuple) else default)


@pytest.fixture
def studied(topics, word_decoder, tmp_path, monkeypatch):
    """Return a maker of results by a decoder that often writes what is refused."""
    monkeypatch.setenv("SMOTEXT_LAB_RESULTS", str(tmp_path / "results"))
    texts, labels = topics(weather=20, money=20, sport=20)
    split = Split.read(pd.DataFrame({"text": texts, "label": labels}))
    bad = "<img src=x> " * 9
    decoder = word_decoder(write=lambda text, rng: bad if rng.random() < 0.4 else text)
    models = Models(decoder.encoder, decoder, k_neighbors=3)

    def run(protocol, classifiers=("tfidf-logreg", "embedding-logreg"), **asked):
        setup = Setup(split, models, classifiers, 2, progress=False)
        return getattr(protocols, protocol)(setup, ks=[4, 6], **asked)

    run.decoder = decoder
    return run


def test_what_failed_is_counted_once_and_told_again_by_texts_that_were_kept(studied):
    first = studied("few_shot", times=[1, 2], controls=["eda"])
    found = evidence.failures(first).set_index("method")
    assert list(found.index) == ["smotext", "eda"]
    # 3 classes, 4 and 6 texts of each, twice as many new ones, 2 resamples
    assert found["asked for"].tolist() == [3 * (4 + 6) * 2 * 2, 3 * (4 + 6) * 2 * 2]
    assert (found["asked for"] - found["made"]).equals(found["short of"])
    assert found.loc["smotext", "refused: degenerate"] > 10
    assert found.loc["eda", "refused: degenerate"] == 0
    decoded = studied.decoder.decoded
    made = found.loc["smotext", "made"] + found.loc["smotext"].filter(like="refused").sum()
    assert made == decoded
    again = studied("few_shot", times=[1, 2], controls=["eda"])
    assert studied.decoder.decoded == decoded
    pd.testing.assert_frame_equal(evidence.failures(again), evidence.failures(first))
    pd.testing.assert_frame_equal(again.refused, first.refused, check_dtype=False)
    assert set(first.refused["method"]) == {"smotext"}
    page = evidence.what_failed(first).data
    assert "&lt;img src=x&gt;" in page
    assert "<img" not in page
    assert "degenerate" in page


def test_unsafe_texts_are_not_shown_among_those_that_failed(studied):
    results = studied("few_shot", times=[1], controls=[])
    row = {"method": "smotext", "label": "a", "text": "a slur", "reason": "unsafe: blocked word"}
    results.refused.loc[0] = row
    page = evidence.what_failed(results).data
    assert "a slur" not in page
    assert "[not shown]" in page


def test_what_is_kept_is_told_for_every_number_of_texts_and_classifier(studied, shown):
    results = studied("synthetic_only", times=[1, 3], methods=["eda", "smote on vectors"])
    found = evidence.retained(results)
    assert len(found) == 2 * 2 * (2 + 1)  # k, times; the vectors have one classifier alone
    row = found[(found["k"] == 6) & (found["trained on"] == "3 × eda")].set_index("classifier")
    kept = results.kept(Arm("eda", 3, with_real=False), Arm(), "tfidf-logreg", 6)
    told = row.loc["tfidf-logreg", ["retention", "low", "high"]]
    assert told.tolist() == [kept.value, kept.low, kept.high]
    assert row["shared_run"].between(1, 6).all()
    assert row["near_real"].between(0, 1).all()
    evidence.show_compared(found, title="kept", value="retention", line=1.0)
    for classifier in ("tfidf-logreg", "embedding-logreg"):
        assert f"{classifier}, k = 6" in shown[0]["image/svg+xml"]


def test_answers_name_every_classifier_with_its_own_verdict():
    good, bad = Effect(0.1, 0.05, 0.2, 10), Effect(-0.1, -0.2, -0.05, 10)
    unknown = Effect(np.nan, np.nan, np.nan, 10)
    said = answers.verdicts({"a": good, "b": bad, "c": Effect(0.0, -0.1, 0.1, 10)})
    assert said.startswith("help a (macro-F1 +0.100 [+0.050, +0.200]), hurt b (")
    assert " and make no clear difference to c (" in said
    assert "an unknown share (b, " in answers.shares({"a": good, "b": unknown})
    assert [answers.share(each) for each in (good, unknown)] == ["10%", "unknown"]


def test_the_answer_is_on_smotext_where_it_is_named(given, shown):
    given |= {"most": 8, "methods": ["duplication", "smotext"], "resamples": 2}
    _, pages = executed("class_imbalance", given | {"ratios": [4, 2], "quick": False})
    assert any("At 1:4, filling the rare classes up (smotext) changes" in page for page in pages)
    assert headline_of(shown)["ratio"] == 4
    assert answers.leading(["eda", "aeda"]) == "eda"


def test_a_bridge_of_one_token_is_compared_with_where_it_is_given(given, shown, tiny_bridge):
    given |= {"ks": [4], "methods": ["eda"], "single_token": str(tiny_bridge), "quick": False}
    given |= {"times": [1], "resamples": 2, "n_candidates": 1}
    names, _ = executed("synthetic_only", given)
    assert set(names["retained"]["trained on"]) == {"1 × eda", "1 × single token"}


def test_robustness_of_vectors_alone_is_told_by_the_classifier_that_reads_them(given, shown):
    given |= {"ks": [4], "methods": ["smote on vectors"], "times": [1], "resamples": 2}
    given |= {"classifiers": ["tfidf-logreg", "embedding-logreg"]}
    executed("robustness", given)
    found = headline_of(shown)
    assert found["classifier"] == "embedding-logreg"
    assert "drop_difference_tfidf" not in found


def test_the_part_that_a_column_of_any_name_says_is_kept(topics, tmp_path):
    texts, labels = topics(weather=20, money=20)
    parts = ["Train"] * 20 + ["Test"] * 20
    frame = pd.DataFrame({"text": texts, "label": labels, "where": parts})
    leaky = pd.concat([frame, frame.tail(2).assign(where="Train")])
    leaky.to_csv(tmp_path / "own.csv", index=False)
    asked = {"text": None, "label": None, "test_rows": 50, "overlap": "error", "random_state": 0}
    with pytest.raises(DataError, match="own: 2 of 20 test texts stand in the training part"):
        evidence.prepared(str(tmp_path / "own.csv"), max_classes=None, **asked)
    named = evidence.prepared(
        str(tmp_path / "own.csv"), max_classes=None, split="where", **asked | {"overlap": "drop"}
    )
    assert named.overlap == 2


def test_the_page_says_which_classes_are_beyond_and_how_alike_resamples_are(topics, tmp_path):
    texts, labels = topics(weather=20, money=20, sport=10)
    pd.DataFrame({"text": texts, "label": labels}).to_csv(tmp_path / "own.csv", index=False)
    asked = {"text": None, "label": None, "test_rows": 50, "overlap": "error", "random_state": 0}
    split = evidence.prepared(str(tmp_path / "own.csv"), max_classes=2, **asked)
    told = evidence.about(split, 10, "models", drawn=10)
    assert "the 2 largest of 3 classes; " in told
    assert "10 of the 12 training texts of a class are drawn each time: resamples are much" in told
    told = evidence.about(split.only(split.classes), 10, "models", drawn=6)
    assert "the 2 largest of 3 classes; " in told
    assert "drawn each time" not in told


def test_a_method_without_texts_needs_a_classifier_of_vectors(studied):
    asked = {"times": [1], "methods": ["smote on vectors"]}
    results = studied("synthetic_only", classifiers=("tfidf-logreg",), **asked)
    with pytest.raises(DataError, match="take embedding-logreg among the classifiers"):
        answers.kept(results, Arm("smote on vectors", 1, with_real=False), Arm(), 6)


def test_a_report_is_written_with_its_headline_first(given, tmp_path):
    given |= {"ks": [4], "methods": ["eda"], "classifiers": ["tfidf-logreg"], "resamples": 2}
    given |= {"times": [1]}
    made = run_report("synthetic_only", given, tmp_path / "out", progress=False)
    metrics = json.loads(made.metrics_path.read_text())
    assert next(iter(metrics)) == "retention"
    assert metrics["retention_tfidf_low"] == metrics["retention_low"]
    assert "<img src=x" not in made.html.read_text()
    [table] = made.tables
    assert table == tmp_path / "out" / "results.parquet"
    found = pd.read_parquet(table)
    assert {"macro_f1", "n_asked", "near_real"} <= set(found["metric"])
    # what was measured is kept, so that the report goes on if it is stopped: 2 resamples of
    # the real texts and of EDA's
    assert len(list((tmp_path / "results").glob("*.parquet"))) == 4


def test_a_quick_run_is_cut_down_and_a_full_one_is_as_asked():
    asked = {"ks": [5, 10], "resamples": 10, "test_rows": 50, "max_classes": None}
    assert evidence.quickly(False, **asked) == asked
    ways = ["smotext", "eda", "prompted", "random pairs"]
    assert evidence.quickly(True, methods=ways, controls=["prompted"]) == {
        "methods": ["smotext", "eda"],
        "controls": ["prompted"],
    }
    quick = evidence.quickly(True, **asked)
    assert quick == {"ks": [5], "resamples": 3, "test_rows": 50, "max_classes": 3}
    assert evidence.quickly(True, most=200, train_rows=5000) == {"most": 40, "train_rows": 2000}
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
    evidence.show_compared(frame.assign(gain=np.nan), title="gain")
    assert "Nothing to draw" in shown[2].data


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


def test_numbers_and_names_of_a_table_are_not_broken_in_the_middle():
    frame = pd.DataFrame({"k": [20], "gain": [-0.001], "low": [float("nan")], "way": ["real"]})
    page = evidence.table(frame).data
    row = "<td class='v'>20</td><td class='v'>-0.001</td><td class='v'></td><td class='w'>"
    assert row in page
    assert ".smx td.v{white-space:nowrap" in page
    assert ".smx th,.smx td.w{overflow-wrap:break-word}" in page
