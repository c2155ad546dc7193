from __future__ import annotations

import json
import math
from dataclasses import replace

import nbformat
import numpy as np
import pandas as pd
import pytest

from smotext_lab.charts import svg
from smotext_lab.charts.privacy import epsilon_chart, roc_chart
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.guards.words import fold
from smotext_lab.privacy import Anchors, Audit, DPAnchors, audit
from smotext_lab.privacy.guarantee import FIGURES_NOT_COVERED
from smotext_lab.reports import privacy, template_parameters, template_path
from smotext_lab.synthesis import Synthesis


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


def test_halves_share_no_text_but_for_case_and_marks(topics):
    texts, labels = topics(money=20)
    marked = [f"{text.upper()} !" for text in texts]
    frame = pd.DataFrame({"text": texts + marked, "label": labels * 2})
    first, second = privacy.halves(frame, 20, 0)
    assert len(first) == len(second) == 10
    both = [*first["text"].map(fold), *second["text"].map(fold)]
    assert len(set(both)) == 20


def test_every_class_of_train_is_tested_and_one_too_small_is_named(topics):
    texts, labels = topics(money=300, sport=1000, weather=1000)
    twice = [f"{text.upper()} !" for text in texts[:300]]
    more = {"text": [*texts, *twice, "a", "b", "c"], "label": [*labels, *["money"] * 300, *"xxx"]}
    frame = pd.DataFrame(more)
    train, holdout, test = privacy.train_holdout_test(frame, 200, 0)
    sizes = [part["label"].value_counts().to_dict() for part in (train, holdout, test)]
    assert sizes[0] == sizes[1] == {"money": 120, "sport": 200, "weather": 200}
    assert sizes[2] == {"money": 60, "sport": 200, "weather": 200}
    folds = [fold(text) for part in (train, holdout, test) for text in part["text"]]
    assert len(set(folds)) == len(folds)
    told = privacy.about_parts(frame, train, test)
    assert told.startswith(
        "3 classes: 520 texts in train, as many in the holdout, 460 in the test."
    )
    assert told.endswith("fewer than six different texts: x.")
    assert "Left out" not in privacy.about_parts(train, train, test)
    with pytest.raises(DataError, match="Fewer than two classes"):
        privacy.train_holdout_test(frame[frame["label"].isin(["money", "x"])], 200, 0)


def test_all_three_files_are_needed():
    with pytest.raises(ParameterError, match="all three files"):
        privacy.read_three("new.csv", "train.csv", None, None, None)


def test_files_of_texts_alone_can_be_audited_whatever_their_columns_are_called(topics, tmp_path):
    texts, labels = topics(money=9, sport=9)
    files = {name: str(tmp_path / f"{name}.csv") for name in ("new", "train", "holdout")}
    pd.DataFrame({"text": texts[:3], "label": labels[:3]}).to_csv(files["new"], index=False)
    pd.DataFrame({"mail": texts[3:9], "date": "today"}).to_csv(files["train"], index=False)
    pd.DataFrame({"mail": texts[9:]}).to_csv(files["holdout"], index=False)
    made, train, holdout = privacy.read_three(*files.values(), "mail", None)
    assert made == texts[:3]
    assert train["text"].tolist() == texts[3:9]
    assert holdout["text"].tolist() == texts[9:]
    with pytest.raises(DataError, match="has no column 'post'"):
        privacy.read_three(*files.values(), "post", None)


def test_of_a_file_that_says_train_and_test_each_part_is_taken_for_what_it_is(topics, tmp_path):
    texts, labels = topics(money=9, sport=9)
    parts = ["Training"] * 10 + ["test"] * 6 + ["dev"] * 2
    real, new = tmp_path / "real.csv", str(tmp_path / "new.parquet")
    pd.DataFrame({"text": texts, "label": labels, "split": parts}).to_csv(real, index=False)
    rows = [{"text": texts[0], "label": "money", "status": "accepted"}]
    Synthesis.from_rows(rows, info={"texts": 10}).to_parquet(new)
    _, train, holdout = privacy.read_three(new, str(real), str(real), None, None)
    assert (train["text"].tolist(), holdout["text"].tolist()) == (texts[:10], texts[10:16])
    Synthesis.from_rows(rows, info={"texts": 18}).to_parquet(new)
    assert len(privacy.read_three(new, str(real), str(real), None, None)[1]) == 18
    pd.DataFrame({"text": texts, "label": labels, "split": "test"}).to_csv(real, index=False)
    assert len(privacy.read_three(new, str(real), str(real), None, None)[1]) == 18


def test_a_train_file_that_is_not_what_the_new_texts_were_made_of_is_told(topics, tmp_path):
    texts, labels = topics(money=9, sport=9)
    frame = pd.DataFrame({"text": texts, "label": labels})
    frame.to_csv(tmp_path / "real.csv", index=False)
    rows = [{"text": texts[0], "label": "money", "status": "accepted"}]
    files = str(tmp_path / "new.parquet"), *[str(tmp_path / "real.csv")] * 2
    Synthesis.from_rows(rows, info={"texts": 18}).to_parquet(files[0])
    privacy.read_three(*files, None, None)  # a warning would be an error
    Synthesis.from_rows(rows, info={"texts": 20}).to_parquet(files[0])
    with pytest.warns(UserWarning, match="made from 20 texts, and real.csv has 18"):
        privacy.read_three(*files, None, None)


def test_the_curves_can_be_drawn_with_rates_of_zero(found):
    assert "<svg" in svg(roc_chart(found.roc()))


def test_figures_against_epsilon_can_be_drawn():
    rows = [
        {"method": "plain", "epsilon": float("inf"), "kept": 0.9},
        {"method": "DPAnchors", "epsilon": 1.0, "kept": 0.7},
        {"method": "DPAnchors", "epsilon": 4.0, "kept": 0.8},
    ]
    assert "<svg" in svg(epsilon_chart(rows, value="kept", title="kept"))
    assert "<svg" in svg(epsilon_chart(rows, value="kept", title="kept", limit=True))
    both = [{"method": name, "epsilon": 4.0, "kept": 0.7} for name in ("one", "other")]
    points = epsilon_chart(both, value="kept", title="kept").to_dict()["layer"][-1]
    assert len({row["at"] for row in points["data"]["values"]}) == 2, "one would hide the other"


def test_real_texts_stand_on_the_page_only_where_they_may(found):
    shown = found.worst["training text"].iloc[0]
    assert shown in privacy.worst_table(found, show_texts=True).data
    hidden = privacy.worst_table(found, show_texts=False).data
    assert shown not in hidden  # nor as the synthetic text that copies it
    assert "words in a row" in hidden


def test_the_answer_says_what_is_guaranteed_and_what_is_not_known(found):
    assert "is not stated in the file" in privacy.answer(found).data
    assert "Nothing is guaranteed" in privacy.answer(replace(found, guarantee={})).data
    assert FIGURES_NOT_COVERED not in privacy.answer(replace(found, guarantee={})).data
    stated = {"epsilon": 1.0, "sentence": "ε = 1, in full."}
    told = privacy.answer(replace(found, guarantee=stated)).data
    assert "ε = 1, in full." in told
    assert FIGURES_NOT_COVERED in told


def test_the_template_says_that_its_figures_are_not_covered():
    notebook = nbformat.read(template_path("differential_privacy"), as_version=4)
    before = [cell["source"] for cell in notebook.cells if "What is guaranteed" in cell["source"]]
    assert FIGURES_NOT_COVERED in before[0]


def test_methods_are_compared_by_worth_and_by_attack(word_decoder, topics):
    texts, labels = topics(money=90, sport=90)
    cuts = [slice(0, 80), slice(80, 150), slice(150, None)]
    parts = [(texts[cut], labels[cut]) for cut in cuts]
    frames = [pd.DataFrame({"text": t, "label": y}) for t, y in parts]
    decoder = word_decoder()
    compare = privacy.Comparison(*frames, decoder.encoder)
    wanted = {"money": 20, "sport": 20}
    copied = Synthesis.from_rows(
        {"text": t, "label": y, "status": "accepted"} for t, y in zip(*parts[0], strict=True)
    )
    compare.add("copies", math.inf, copied)
    compare.add("random points", math.inf, privacy.random_texts(decoder, wanted, 0))
    public, _ = topics(money=30, sport=30)
    anchors = Anchors.of_texts(public, decoder.encoder, n_anchors=2, dimensions=20, random_state=0)
    settings = {"anchors": anchors, "decoder": decoder, "progress": False}
    strong = DPAnchors(50.0, 1e-2, **settings).fit(*parts[0])
    compare.add_mechanism("DPAnchors", 50.0, strong, wanted)
    with pytest.warns(UserWarning, match="too small"):
        weak = DPAnchors(0.01, 1e-4, **settings).fit(*parts[0])
    compare.add_mechanism("DPAnchors", 0.01, weak, wanted)
    compare.add("nothing", math.inf, Synthesis.from_rows([]))
    copies, noise, strong_row, weak_row, nothing = compare.rows
    shown = compare.table()
    assert shown["method"].tolist() == [row["method"] for row in compare.rows]
    assert shown["stated ε"].iloc[0] == "none"
    assert shown["kept"].iloc[0].startswith(f"{copies['retention']:.2f} (")
    assert nothing["texts"] == 0
    assert math.isnan(nothing["retention"])
    assert copies["retention"] == 1
    assert copies["auc"] > 0.9
    assert noise["retention"] < 0.9
    assert strong_row["retention"] > 0.8
    assert weak_row["texts"] == 0
    assert math.isnan(weak_row["epsilon_put_to_test"])
    assert strong_row["retention_low"] <= strong_row["retention"] <= strong_row["retention_high"]
    assert compare.headline(at_most=60)["retention_at_most_60"] == strong_row["retention"]
    assert compare.headline(at_most=0.1)["retention_at_most_0.1"] is None
    assert compare.sentences()[0].startswith("DPAnchors: Differentially private with ε = 50")
    assert compare.figures()["copies_inf_retention"] == 1


def test_several_draws_of_a_method_are_one_row_with_a_wider_interval(word_encoder, topics):
    texts, labels = topics(money=60, sport=60)
    frame = pd.DataFrame({"text": texts, "label": labels})
    compare = privacy.Comparison(frame[:40], frame[40:80], frame[80:], word_encoder)

    def made(rows):
        named = zip(rows["text"], rows["label"], strict=True)
        return Synthesis.from_rows({"text": t, "label": y, "status": "accepted"} for t, y in named)

    compare.add("copies", math.inf, made(frame[:40]))
    (right,) = compare.rows
    turned = frame[:40].assign(label=frame["label"].map({"money": "sport", "sport": "money"}))
    compare.add("copies", math.inf, made(turned))
    (both,) = compare.rows
    assert (both["draws"], both["texts"]) == (2, 80)
    assert right["retention"] == right["retention_low"] == 1
    assert both["retention_low"] < both["retention"] < both["retention_high"]
    compare.add("copies", math.inf, made(frame[:3].assign(label="money")))
    assert compare.rows[0]["draws"] == 3, "texts of one class are a draw as well"


def test_the_bound_of_several_draws_is_not_the_luckiest(word_encoder, topics, monkeypatch):
    texts, labels = topics(money=60, sport=60)
    frame = pd.DataFrame({"text": texts, "label": labels})
    compare = privacy.Comparison(frame[:40], frame[40:80], frame[80:], word_encoder)
    made = Synthesis.from_rows(
        {"text": t, "label": y, "status": "accepted"} for t, y in zip(texts, labels, strict=True)
    )
    shown = iter([0.0, 0.1, 1.2])
    monkeypatch.setattr(Audit, "epsilon_put_to_test", property(lambda _: next(shown)))
    for _ in range(3):
        compare.add("mechanism", 1.0, made)
    (row,) = compare.rows
    assert row["epsilon_put_to_test"] == 0.1
    assert row["epsilon_copying_shows"] == pytest.approx(1.4, abs=0.1)
    assert compare.figures()["mechanism_1_epsilon_copying_shows"] == row["epsilon_copying_shows"]


def test_the_shell_audits_three_files(topics, word_encoder, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from smotext_lab import cli, encoders

    monkeypatch.setattr(encoders, "BertEncoder", lambda name: word_encoder)
    texts, labels = topics(money=60, sport=60)
    frame = pd.DataFrame({"text": texts, "label": labels})
    frame[:60].to_csv(tmp_path / "train.csv", index=False)
    frame[60:].to_csv(tmp_path / "holdout.csv", index=False)
    files = {name: str(tmp_path / f"{name}.csv") for name in ("train", "holdout")}
    told = ["audit", files["train"], "--train", files["train"], "--holdout", files["holdout"]]
    ran = CliRunner().invoke(cli.app, [*told, "--json", str(tmp_path / "out.json")])
    assert ran.exit_code == 0, ran.output
    assert "Yes, better than by guessing." in ran.stdout
    assert json.loads((tmp_path / "out.json").read_text())["auc"] > 0.9


def test_the_shell_reads_guarantee_and_parents_back_from_parquet(
    topics, word_encoder, tmp_path, monkeypatch
):
    from typer.testing import CliRunner

    from smotext_lab import cli, encoders
    from smotext_lab.interpolators import SMOTEInterpolator

    monkeypatch.setattr(encoders, "BertEncoder", lambda name: word_encoder)
    texts, labels = topics(money=60, sport=60)
    frame = pd.DataFrame({"body": texts, "queue": labels})
    frame[:60].to_csv(tmp_path / "train.csv", index=False)
    frame[60:].to_csv(tmp_path / "holdout.csv", index=False)
    few = np.array(labels[:25])
    plan = SMOTEInterpolator(3, random_state=0).plan(
        word_encoder.encode(texts[:25]), few, {"money": 90}
    )
    rows = [
        {"text": texts[p[0]], "label": "money", "status": "accepted", "parents": p, "weights": w}
        for p, w in zip(plan.parents.tolist(), plan.weights.tolist(), strict=True)
    ]
    info = {"guarantee": {"epsilon": 0.01, "delta": 1e-5, "sentence": "ε = 0.01, as it says."}}
    originals = frame[:60]
    Synthesis.from_rows(
        rows, originals=originals, info=info, text_column="body", label_column="queue"
    ).to_parquet(tmp_path / "new.parquet", with_originals=True)
    files = {name: str(tmp_path / f"{name}.csv") for name in ("train", "holdout")}
    told = ["audit", str(tmp_path / "new.parquet"), "--json", str(tmp_path / "out.json")]
    told += ["--train", files["train"], "--holdout", files["holdout"]]
    told += ["--text", "body", "--label", "queue"]
    ran = CliRunner().invoke(cli.app, told)
    assert ran.exit_code == 0, ran.output
    assert "ε = 0.01, as it says." in ran.stdout
    assert FIGURES_NOT_COVERED in ran.stdout
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["epsilon_stated"] == 0.01
    assert figures["synthetic"] == 90
    assert figures["recovered_from_points"] > 3
    assert CliRunner().invoke(cli.app, [*told, "--no-reconstruction"]).exit_code == 0
    assert "parents" not in json.loads((tmp_path / "out.json").read_text())


@pytest.mark.parametrize("name", ["privacy_audit", "differential_privacy"])
def test_the_templates_explain_their_parameters_and_have_no_outputs(name):
    assert all(p.help and p.type != "any" for p in template_parameters(name))
    notebook = json.loads(template_path(name).read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    nbformat.validate(nbformat.from_dict(notebook))
