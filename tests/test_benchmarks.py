"""Benches that train on new texts: each runs through on a small set, and writes its figures."""

from __future__ import annotations

import dataclasses
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import ablation, claims, paper, privacy
from smotext_lab.decoded import Tried
from smotext_lab.evaluation import thesaurus
from smotext_lab.interpolators.blends import Blends
from smotext_lab.privacy import Anchors, DPAnchors, DPGaussian


@pytest.fixture
def tickets(topics: Any, tmp_path: Path) -> Path:
    """Return a file with a train and a test part, one of whose classes is rare."""
    parts = []
    for split, seed, sizes in (("train", 0, (40, 40, 12)), ("test", 1, (12, 12, 6))):
        texts, labels = topics(seed, **dict(zip(("money", "weather", "sport"), sizes, strict=True)))
        parts.append(pd.DataFrame({"split": split, "label": labels, "text": texts}))
    pd.concat(parts).to_csv(tmp_path / "tickets.csv", index=False)
    return tmp_path / "tickets.csv"


@pytest.fixture
def run(
    word_decoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_strength: None
) -> Any:
    """Run a bench's command with a decoder that draws words, and returns two tries of each."""

    class Twice(word_decoder):
        def decode_rows(self, vectors: Any, *, seeds: Any = None, **asked: Any) -> Any:
            pairs = (super(Twice, self).decode_rows(vectors, seeds=seeds + i) for i in range(2))
            for tries in zip(*(list(rows) for rows in pairs), strict=True):
                best, other = sorted(tries, key=lambda decoded: -decoded.cosine)
                trace = tuple(Tried(d.text, d.cosine, -1.0, d.cosine) for d in (best, other))
                yield dataclasses.replace(best, trace=trace)
                given.append(asked.get("guidance") is not None)

        def decode(self, vectors: Any) -> list[str]:
            seeds = np.arange(len(vectors), dtype=np.uint64)
            return [decoded.text for decoded in self.decode_rows(vectors, seeds=seeds)]

    given: list[bool] = []

    def run(bench: Any, *arguments: Any) -> list[bool]:
        monkeypatch.setattr(bench, "named_decoder", lambda **_: Twice())
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        bench.main()
        return given

    monkeypatch.setenv("SMOTEXT_LAB_RESULTS", str(tmp_path / "results"))
    return run


def test_ways_of_choosing_are_measured_on_the_same_tries(run: Any, tickets: Path) -> None:
    out = tickets.with_name("ablation.json")
    asked = ["--k", 6, "--times", 1, 2, "--resamples", 2, "--out", out]
    guided = run(ablation, tickets, *asked)
    assert guided.count(True) == guided.count(False) == 2 * 3 * 6 * 2
    found = pd.DataFrame(json.loads(out.read_text())["kept"])
    found = found[found["classifier"] == "embedding-logreg"]
    assert found.loc[found["chosen"] == "real", "kept"].tolist() == [1.0]
    times = found[found["chosen"] != "real"].groupby("chosen")["times"].unique()
    of_blends = times.index.str.contains("the half|weighted")
    assert {tuple(sizes) for sizes in times[~of_blends]} == {(1, 2)}
    assert {"the nearest to the point", "guided, and not refused by any guard"} <= set(times.index)
    assert (~of_blends).sum() == 10
    assert {tuple(sizes) for sizes in times[of_blends]} == {(1,), (2,)}
    assert of_blends.sum() == 7


def test_halves_of_blends_are_what_they_are_called() -> None:
    vectors = np.eye(4)[[0, 1, 2, 3]]
    labels = np.array(["a", "a", "b", "b"])
    weights = np.array([[0.9, 0.1], [0.5, 0.5], [0.4, 0.6], [0.0, 1.0]])
    blends = Blends(
        np.array([[0, 1]] * 4), weights, np.repeat("a", 4), np.arange(4, dtype=np.uint64)
    )
    points = blends.points(vectors)
    points[3] = (points[3] + vectors[2]) / np.linalg.norm(points[3] + vectors[2])
    ranks = ablation._ranks(vectors, labels, blends, points, 0)
    first = {how: int(ablation._highest(rank, blends.label, 1)[0]) for how, rank in ranks.items()}
    assert first["with λ nearest to a half"] == first["nearest to the class's centre"] == 1
    assert first["with λ nearest to a parent"] == 3
    assert ranks["farthest from other classes"].argmin() == 3


@pytest.fixture
def folder(tickets: Path) -> Path:
    """Return a folder with a set, packed, and something else."""
    pd.read_csv(tickets).to_csv(tickets.with_name("tickets.csv.gz"), index=False)
    return tickets.parent


@pytest.mark.filterwarnings("ignore:tickets. 1.50 was asked for:UserWarning")
def test_claims_are_measured_and_held_against_their_goals(run: Any, folder: Path) -> None:
    controls = ["--controls", "paraphrase", "duplication", "smote on vectors"]
    asked = ["--data", folder, "--hours", 0, *controls, "--store", folder / "cells"]
    run(paper, *asked, "--out", folder)
    told = json.loads((folder / "paper.json").read_text())
    assert told["plan"]["resamples"] == paper.PLANS[-1].resamples  # the smallest there is
    assert told["asked"]["sets"] == ["tickets.csv.gz"]
    assert told["wordnet"] == thesaurus.wordnet()
    told_again = ["--plan", folder / "paper.json", "--protocols", "synthetic_only"]
    other = folder / "again"
    run(paper, *asked, *told_again, "--hours", 9, "--out", other)
    again = json.loads((other / "paper.json").read_text())["plan"]
    assert 0 < again.pop("texts") < told["plan"]["texts"]  # of fewer protocols
    assert again.pop("hours") < told["plan"]["hours"]
    assert again == {name: told["plan"][name] for name in again}
    fewer = ["--protocols", "few_shot", "--controls", "duplication", "--ks", 4, "--times", 2]
    run(paper, *asked, *told_again, *fewer, "--out", other)
    again = json.loads((other / "paper.json").read_text())["plan"]
    assert (again["ks"], again["times"]) == ([4], 2)
    like = {row["method"]: row for row in told["texts"] if "kept, tfidf-logreg" in row}
    assert set(like) == {"smotext", "paraphrase", "duplication"}
    assert like["duplication"]["near_real"] == like["duplication"]["made"] == 1
    labelled = {r["method"]: r["label_agreement"] for r in told["texts"] if r["label_agreement"]}
    assert set(labelled) == {*like, "other real texts", "real test texts"}
    names = {claim["claim"] for claim in told["claims"]}
    # 2 of 40 is what can be had of these, and the goal is for 1:50
    assert {"imbalance, 1:20", claims.OWN, claims.DISTILLED_REAL, "retention, k = 10"} <= names
    page = (folder / "paper.md").read_text().splitlines()
    share = f"{labelled['smotext']:.0%}"
    line = next(row for row in page if row.startswith("| tickets | smotext | 10 |"))
    assert line.split(" | ")[3:5] == [share, f"{like['smotext']['kept, embedding-logreg']:.0%}"]
    for goal in claims.GOALS:
        asked_of = (goal.claim, goal.classifier)
        held = [c["holds"] for c in told["claims"] if (c["claim"], c["classifier"]) == asked_of]
        left = goal.sets - len(held)
        short = "not measured" if sum(held) + left >= goal.wanted else "missed"
        verdict = "met" if sum(held) >= goal.wanted else short
        line = next(row for row in page if row.startswith(f"| {goal.claim} | {goal.classifier} |"))
        assert f" | {sum(held)} of {len(held)} measured, " in line
        assert line.endswith(f"| {verdict} |")


def test_the_cost_counts_every_way_that_a_model_writes_for(run: Any, folder: Path) -> None:
    def planned(*asked: Any) -> int:
        given = ["--data", folder, "--hours", 0, "--store", folder / "cells", "--out", folder]
        run(paper, *given, "--protocols", "few_shot", *asked)
        return json.loads((folder / "paper.json").read_text())["plan"]["texts"]

    plan = paper.PLANS[-1]
    one = plan.resamples * plan.max_classes * 4  # by one way, from 4 real texts of each class
    assert planned("--ks", 4, "--controls", "duplication", "eda") == one
    assert planned("--ks", 4, "--times", 2, "--controls", "random pairs", "paraphrase") == 6 * one
    told = json.loads((folder / "paper.json").read_text())
    assert {claim["claim"] for claim in told["claims"]} == {"few-shot, k = 4"}


@pytest.mark.filterwarnings("ignore:tickets. 1.50 was asked for:UserWarning")
def test_nothing_is_said_to_be_above_every_control_where_none_is_written(
    run: Any, folder: Path
) -> None:
    asked = ["--data", folder, "--hours", 0, "--controls", "duplication", "--ks", 10]
    asked += ["--protocols", "few_shot", "class_imbalance", "distillation"]
    run(paper, *asked, "--store", folder / "cells", "--out", folder)
    found = {claim["claim"] for claim in json.loads((folder / "paper.json").read_text())["claims"]}
    assert found == {
        claims.NO_WORSE,
        claims.unwritten("imbalance, 1:20"),
        claims.DISTILLED,
        claims.unwritten(claims.DISTILLED),
        claims.DISTILLED_REAL,
    }


def test_a_page_needs_the_name_of_a_file(run: Any, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        run(paper, "--join", tmp_path / "a.json", "--out", tmp_path)
    assert (
        capsys.readouterr().err
        == f"--out {tmp_path} is a folder: with --join, name the page's file\n"
    )


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ([], "no set to measure on: give files, or a folder of *.csv.gz with --data\n"),
        (["--data", "."], "--data .: no *.csv.gz there; give a folder that has some\n"),
    ],
)
def test_where_there_is_no_set_one_sentence_says_what_to_give(
    run: Any, tmp_path: Path, monkeypatch: Any, capsys: Any, asked: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        run(paper, *asked)
    assert capsys.readouterr().err == told


def test_runs_are_joined_and_the_last_named_counts(run: Any, tmp_path: Path) -> None:
    plan = {"resamples": 10, "max_classes": 4, "ks": [10], "times": 4, "most": 100}
    shared = {"plan": plan | {"texts": 80, "hours": 0.1}, "machine": {"cores": 2, "cpu": "a CPU"}}

    def kept(dataset: str, holds: bool, claim: str = "retention, k = 10") -> dict[str, Any]:
        ends = {"value": 0.9, "low": 0.8, "high": 1.0, "told": "so"}
        what = {"claim": claim, "dataset": dataset, "classifier": "embedding-logreg"}
        return {**what, **ends, "holds": holds}

    first = [kept(name, True) for name in "abcd"] + [kept("a", False, "imbalance, 1:50")]
    fewer = claims.unwritten("imbalance, 1:50")
    third = [kept("b", False, fewer), kept("c", False, fewer), kept("d", True, fewer)]
    second = [kept("d", False), kept("e", False), *(kept(n, False, "few-shot") for n in "abcde")]
    for name, found in (("first", first), ("second", second), ("third", third)):
        told = {**shared, "wordnet": "WordNet 3.0" if name == "second" else None, "claims": found}
        (tmp_path / f"{name}.json").write_text(json.dumps(told))
    both = [tmp_path / "first.json", tmp_path / "second.json"]
    out = tmp_path / "docs" / "claims.md"
    out.parent.mkdir()

    def verdict(claim: str) -> str:
        lines = [row for row in out.read_text().splitlines() if row.startswith(f"| {claim} | ")]
        return lines[0].rpartition(" wanted | ")[2]

    run(paper, "--join", *both, "--out", out)
    assert verdict("retention, k = 10") == "missed |"
    assert verdict("imbalance, 1:50") == "not measured |"  # the other four could still do
    page = out.read_text()
    assert (
        "| retention, k = 10 | d | embedding-logreg | 0.900 [0.800, 1.000] | yes | so | first |"
        in page
    )
    assert "[second](../second.json): 10 resamples; " in page
    assert page.count("from: WordNet 3.0") == page.count("from: none") == 1
    run(paper, "--join", *reversed(both), "--out", out)
    assert verdict("retention, k = 10") == "met |"
    run(paper, "--join", *both, tmp_path / "third.json", "--out", out)
    assert verdict("imbalance, 1:50") == "missed |"  # what fewer controls settle is settled
    assert "| imbalance, 1:50 | embedding-logreg | above every control" in out.read_text()
    assert "0 of 3 measured, 3 of 5 wanted | missed |" in out.read_text()


@pytest.mark.parametrize("per_part", [40, 0])
def test_texts_of_a_mechanism_are_weighed_and_attacked_where_there_is_a_holdout(
    run: Any,
    tickets: Path,
    per_part: int,
    topics: Any,
    word_encoder: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tickets.with_name("privacy.json")
    asked = ["--per-part", per_part, "--n", 30, "--epsilon", 200, "--resamples", 2, "--out", out]
    if not per_part:
        asked += ["--methods", "copying", "DPAnchors", "--shares", "equal"]
    public, _ = topics(7, money=20, weather=20, sport=20)
    anchors = Anchors.of_texts(public, word_encoder, n_anchors=2, dimensions=20, random_state=0)
    with pytest.MonkeyPatch.context() as patch:
        for kind in (DPGaussian, DPAnchors):
            patch.setattr(privacy, kind.__name__, partial(kind, anchors=anchors))
        run(privacy, tickets, *asked)
    told = json.loads(out.read_text())
    assert told["resamples"] == 2
    found = told["sets"]["tickets"]
    named = ["copying", "DPAnchors 200"]
    if per_part:
        mechanisms = ["DPGaussian 200", "DPAnchors 200", "PrivateEvolution 200"]
        named = ["copying", "SMOTExT", *mechanisms]
        told_of = "none of 2 runs has texts enough to show more than the stated ε"
        assert capsys.readouterr().out.count(told_of) == 3
    assert list(found) == named
    for figures in found.values():
        assert len(figures) == 2
        assert all(("auc" in each) == bool(per_part) for each in figures)
        assert all(each["train"] == (per_part or 92) for each in figures)
    assert found["copying"][0]["retention"] > 0.8
    assert all(found[name][0]["retention"] > 0.3 for name in named if name.startswith("DP"))


def test_only_runs_that_could_show_more_than_is_stated_count_as_below_it() -> None:
    def figures(shown: float, stated: float | None, could: float = 3.5) -> dict[str, Any]:
        return {
            "epsilon_put_to_test": shown,
            "epsilon_stated": stated,
            "epsilon_copying_shows": could,
        }

    few = [figures(1.4, 4.0, could=1.4)] * 3
    held, broken = figures(0.2, 1.0), figures(1.2, 1.0)
    assert privacy.above_stated([figures(2.0, None)]) == ""
    assert "none of 3 runs" in privacy.above_stated(few)
    told = privacy.above_stated([*few, held, held])
    assert "in 0 of the 2 runs that could show more (of 5), p = 1" in told
    told = privacy.above_stated([*few, held, broken, broken, broken])
    assert "in 3 of the 4 runs that could show more (of 7), p = 0.00048" in told


def test_canaries_sing_in_copies(run: Any, tickets: Path) -> None:
    out = tickets.with_name("privacy.json")
    few = ["--per-part", 40, "--n", 60, "--methods", "copying", "--canaries", 8, "--out", out]
    run(privacy, tickets, *few)
    once, *_, often = json.loads(out.read_text())["sets"]["tickets"]["copying"][0]["canaries"]
    assert (once["repetitions"], often["repetitions"]) == (1, 16)
    assert often["auc"] > 0.9
