"""The inversion benchmark: whole on tiny models, killed and gone on with, and its parts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import safety
from benchmarks.inversion import __main__ as benchmark
from benchmarks.inversion import bridges, curve, decoding, goals, overlap, scoring, summary
from benchmarks.inversion.sets import LabelledSet, names_of, read_set
from benchmarks.inversion.summary import Estimate, jackknife, over_sets, ratio
from smotext_lab.bridges import load_bridge
from smotext_lab.datasets import DataWarning
from smotext_lab.decoders import XRAGDecoder
from smotext_lab.encoders import BertEncoder
from smotext_lab.errors import DataError
from smotext_lab.guards import BlockedWords

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inversion")


@pytest.fixture
def labelled(folder: Path, topics: Callable[..., Any]) -> Path:
    texts, labels = topics(seed=3, money=20, sport=20, weather=20)
    path = folder / "tiny.csv"
    pd.DataFrame({"text": texts, "label": labels}).to_csv(path, index=False)
    return path


@pytest.fixture
def corpus(folder: Path, topics: Callable[..., Any]) -> Path:
    path = folder / "corpus.txt"
    path.write_text("\n".join(topics(seed=4, money=100, sport=100, weather=100)[0]))
    return path


@pytest.fixture
def run(
    labelled: Path,
    corpus: Path,
    tiny_encoder: Path,
    tiny_llm: Path,
    tiny_bridge: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    monkeypatch.setattr(scoring, "second_encoder", lambda: None)
    for settings in decoding.SEARCHES.values():  # random weights write on and on
        monkeypatch.setitem(settings, "max_new_tokens", 16)

    def go(cache: Path, *more: str) -> dict[str, Any]:
        out = cache / "inversion.json"
        benchmark.main(
            f"{labelled} --bridge tiny={tiny_bridge} --encoder {tiny_encoder} --llm {tiny_llm} "
            f"--n 6 --cache {cache} --out {out}".split()
            + list(more)
        )
        found: dict[str, Any] = json.loads(out.read_text("utf-8"))
        return found

    return go


def test_every_way_of_writing_has_its_rows(
    run: Run, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(tmp_path, "--corpus", str(corpus), "--check-overlap", str(corpus))
    table = pd.DataFrame(found["rows"])
    ways = {("tiny", search, form) for search in decoding.SEARCHES for form in ("left", "given")}
    ways |= {(goals.RETRIEVAL, "-", "-")}
    assert set(zip(table["bridge"], table["search"], table["form"], strict=True)) == ways
    assert len(table) == 7 * 2 * 2  # ways, vectors and blends, the set and the mean
    sizes = found["sets"]["tiny"]
    assert sizes["vector"] == 6
    assert (table["n"] == table["of"].map(sizes)).all()
    vectors, blends = (table[table["of"] == of] for of in ("vector", "blend"))
    assert vectors[["cosine", "token_f1", "bleu", "kept_tfidf", "seconds"]].notna().all(axis=None)
    assert blends["token_f1"].isna().all()
    assert found["overlap"]["texts"] == 6
    assert found["overlap"]["short"] == 6  # six words each
    judged = {row["what"]: row for row in found["goals"]["tiny"]}
    greedy = vectors[(vectors["search"] == "greedy") & (vectors["form"] == "left")]
    mean = greedy[greedy["set"] == "mean"]["cosine"].item()
    assert judged["cosine, greedy"]["measured"] == pytest.approx(mean)
    assert judged["cosine, greedy"]["met"] == (mean >= 0.75)
    assert judged["the same, another encoder"]["met"] is None
    said = capsys.readouterr().out
    assert "cosine, greedy: ≥ 0.75: " in said
    assert "another encoder: absent" in said


def test_of_points_only_those_that_are_asked_for_are_decoded(
    run: Run, corpus: Path, tmp_path: Path
) -> None:
    asked = ["--searches", "greedy", "--points", "blend", "--corpus", str(corpus)]
    found = run(tmp_path, *asked)
    table = pd.DataFrame(found["rows"])
    assert set(table["of"]) == {"blend"}
    assert set(found["sets"]["tiny"]) == {"digest", "blend"}
    assert len(table) == 3 * 2  # ways, the set and the mean


def test_retrieval_finds_the_nearest_corpus_sentence(
    run: Run, labelled: Path, corpus: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    found = run(tmp_path, "--corpus", str(corpus), "--searches", "greedy", "--forms", "left")
    encoder = BertEncoder(str(tiny_encoder))
    points = read_set(labelled, encoder, 6, 0, name="it").points[0].vectors
    near = points @ encoder.encode(corpus.read_text().splitlines()).T
    row = next(r for r in found["rows"] if r["bridge"] == goals.RETRIEVAL)
    assert row["cosine"] == pytest.approx(near.max(axis=1).mean(), abs=2e-3)


def test_a_run_that_was_killed_goes_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--searches", "greedy", "best-of-8", "--forms", "left"]
    unbroken = run(tmp_path / "unbroken", *options)
    add, added = decoding.RowStore.add, list[int]()

    def stop_at_8(self: Any, row: dict[str, Any]) -> None:
        if len(added) == 8:  # in the second of four files
            with self.path.open("a") as file:
                file.write('{"row": 2, "te')
            raise KeyboardInterrupt
        added.append(row["row"])
        add(self, row)

    monkeypatch.setattr(decoding.RowStore, "add", stop_at_8)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", *options)
    again = list[int]()
    monkeypatch.setattr(
        decoding.RowStore, "add", lambda self, row: (again.append(row["row"]), add(self, row))
    )
    gone_on = run(tmp_path / "killed", *options)
    blends = gone_on["sets"]["tiny"]["blend"]
    assert again == [*range(2, blends), *range(6), *range(blends)]  # none of the eight
    for ours, whole in zip(gone_on["rows"], unbroken["rows"], strict=True):
        timed = {"seconds", "seconds_se"}
        assert {k: v for k, v in ours.items() if k not in timed} == {
            k: v for k, v in whole.items() if k not in timed
        }


def test_a_finished_run_decodes_nothing_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path, "--searches", "greedy", "--forms", "left")
    monkeypatch.delattr(decoding.BridgeRun, "_decode")
    assert run(tmp_path, "--searches", "greedy", "--forms", "left")["rows"] == first["rows"]


def test_the_count_of_listed_words_goes_on_where_it_was_killed(
    labelled: Path,
    tiny_encoder: Path,
    tiny_llm: Path,
    tiny_bridge: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = BlockedWords(["rain", "goal", "bank", "loan"])
    monkeypatch.setattr(BlockedWords, "default", lambda: words)
    monkeypatch.setattr(safety, "BLOCKED", words)
    tiny = {"encoder": str(tiny_encoder), "max_new_tokens": 12, "n_candidates": 1}
    monkeypatch.setattr(
        safety, "XRAGDecoder", lambda bridge: XRAGDecoder(str(tiny_llm), bridge, **tiny)
    )
    add, added = decoding.RowStore.add, list[int]()

    def measure(cache: str, *, most: float) -> dict[str, Any]:
        def stop(self: Any, row: dict[str, Any]) -> None:
            if len(added) == most:
                raise KeyboardInterrupt
            added.append(row["row"])
            add(self, row)

        added.clear()
        monkeypatch.setattr(decoding.RowStore, "add", stop)
        out, kept = tmp_path / f"{cache}.json", tmp_path / cache
        asked = f"safety {labelled} --n 40 --bridge {tiny_bridge} --cache {kept} --out {out}"
        monkeypatch.setattr(sys, "argv", asked.split())
        safety.main()
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    unbroken = measure("unbroken", most=np.inf)
    rows = len(added)
    assert unbroken["sha256"] == load_bridge(tiny_bridge).facts.sha256
    assert unbroken["rows"][-1]["again"] > 0, "some were written again"
    with pytest.raises(KeyboardInterrupt):
        measure("killed", most=rows - 3)
    assert measure("killed", most=np.inf) == unbroken
    assert len(added) == 3


def test_other_code_that_scores_gives_other_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scoring._code()
    for module in (scoring.forms, scoring.lexical):
        changed = tmp_path / Path(str(module.__file__)).name
        changed.write_text("changed")
        with monkeypatch.context() as patched:
            patched.setattr(module, "__file__", str(changed))
            assert scoring._code() != before


def test_texts_and_pairs_are_as_many_and_no_text_is_its_own_judge(
    labelled: Path, tiny_encoder: Path
) -> None:
    of = read_set(labelled, BertEncoder(str(tiny_encoder)), 20, 0, name="it")
    vectors, blends = of.points
    assert len(vectors) == len(blends) == 20
    assert not set(of.texts) & set(of.train_texts)
    assert len({tuple(sorted(pair)) for pair in blends.sources}) == 20
    assert (of.labels[blends.sources] == blends.labels[:, None]).all()
    middles = vectors.vectors[blends.sources].mean(axis=1)
    cosines = (middles * blends.vectors).sum(axis=1) / np.linalg.norm(middles, axis=1)
    np.testing.assert_allclose(cosines, 1, atol=1e-6)


def test_sets_of_one_file_name_are_told_apart() -> None:
    named = names_of([Path("a/test.csv"), Path("b/test.csv.gz"), Path("b/c/test.csv")])
    assert named == ["a/test", "b/test", "c/test"]
    assert names_of([Path("x/sst2.csv.gz"), Path("x/trec6.csv")]) == ["sst2", "trec6"]
    assert names_of([Path("x/mean.csv")]) == ["x/mean"], "the row over all sets is called mean"
    with pytest.raises(DataError, match="named twice"):
        names_of([Path("a.csv"), Path("./a.csv")])


def test_of_a_set_without_a_test_part_half_is_decoded_at_most_and_that_is_said(
    labelled: Path, tiny_encoder: Path
) -> None:
    with pytest.warns(DataWarning, match="small has no test part: 30 of its 60 texts are decoded"):
        of = read_set(labelled, BertEncoder(str(tiny_encoder)), 500, 0, name="small")
    assert len(of.texts) == len(of.train_texts) == 30


@pytest.mark.parametrize(
    ("labels", "split", "said"),
    [
        (["a"] * 6, None, "6 texts of it with words in them, all of them a: judges need two"),
        ([1] * 4 + [2] * 2, ["train", "train", "train", *["test"] * 3], "all of them 1: judges"),
        (["a", "b"] * 3, ["Test"] * 6, "it has a test part, but no train part"),
        (["a", "b"] * 3, ["train"] * 5 + ["test"], "it has 1 text to decode"),
        (["a", "b"], None, "it has 1 text to decode"),
    ],
)
@pytest.mark.filterwarnings("ignore::smotext_lab.datasets.DataWarning")
def test_a_set_that_cannot_be_judged_says_why(
    word_encoder: Any, tmp_path: Path, labels: list[Any], split: list[str] | None, said: str
) -> None:
    texts = ["rain", "snow", "wind", "goal", "match", "team"][: len(labels)]
    path = tmp_path / "set.csv"
    frame = pd.DataFrame({"text": texts, "label": labels})
    (frame if split is None else frame.assign(split=split)).to_csv(path, index=False)
    with pytest.raises(DataError, match=said):
        read_set(path, word_encoder, 500, 0, name="it")


def test_texts_that_stand_in_both_parts_leave_judges_nothing_to_learn_from(
    word_encoder: Any, tmp_path: Path
) -> None:
    path = tmp_path / "set.jsonl"
    frame = pd.DataFrame({"text": ["rain", "goal"] * 2, "label": ["a", "b", "b", "a"]})
    frame.assign(split=["train"] * 2 + ["test"] * 2).to_json(path, orient="records", lines=True)
    nothing = "0 texts of it that judges would learn from: judges need"
    with pytest.warns(DataWarning), pytest.raises(DataError, match=nothing):
        read_set(path, word_encoder, 500, 0, name="it")


@pytest.mark.parametrize(("train", "test"), [("Train", "Test "), ("training", "TESTING")])
def test_parts_are_known_however_they_are_written(
    labelled: Path, word_encoder: Any, tmp_path: Path, train: str, test: str
) -> None:
    frame = pd.read_csv(labelled)
    path = tmp_path / "set.parquet"
    frame.assign(part=[train] * 50 + [test] * 10).to_parquet(path)
    of = read_set(path, word_encoder, 500, 0, name="it", split="part")
    assert (len(of.texts), len(of.train_texts)) == (10, 50)


def test_help_says_what_a_set_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        benchmark.main(["--help"])
    said = capsys.readouterr().out
    for told in ("Parquet", "columns text and label", "--label COLUMN", "half of the set"):
        assert told in said


def test_a_set_with_other_columns_is_measured_once_they_are_named(
    run: Run, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_csv(labelled).rename(columns={"text": "tweet_text", "label": "stars"})
    frame.assign(stars=frame["stars"].str.len()).to_csv(labelled, index=False)
    quick = ["--searches", "greedy", "--forms", "left"]
    with pytest.raises(SystemExit, match="2"):
        run(labelled.parent / "unnamed", *quick)
    said = capsys.readouterr().err
    assert "label= one of 'tweet_text', 'stars'" in said or "text= one of" in said
    assert "Traceback" not in said
    found = run(labelled.parent / "named", *quick, "--text", "tweet_text", "--label", "stars")
    assert found["sets"]["tiny"]["vector"] == 6


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--check-overlap", "missing.csv"], "missing.csv cannot be read"),
        (["--corpus", "missing.csv"], "missing.csv cannot be read"),
        (["--out", "."], "--out . is a folder"),
        (["--n", "1"], "from 2 to"),
        (["--random-state", "-1"], "from 0 to 4294967295"),
        (["--bridge", "tiny=default"], "two bridges have one name"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_decoded(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    said: str,
) -> None:
    monkeypatch.delattr(decoding.BridgeRun, "write")
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path, *more)
    assert said in capsys.readouterr().err


def test_a_missing_package_is_told_before_anything_is_decoded(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    monkeypatch.delattr(decoding.BridgeRun, "write")
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path)
    assert "smotext-lab[evaluation]" in capsys.readouterr().err


def test_the_test_split_is_decoded_where_there_is_one(
    topics: Callable[..., Any], tiny_encoder: Path, tmp_path: Path
) -> None:
    texts, labels = topics(seed=5, money=10, sport=10)
    frame = pd.DataFrame({"text": texts, "label": labels, "split": ["train"] * 12 + ["test"] * 8})
    frame.loc[12, "text"] = frame.loc[0, "text"]  # the same text in both
    path = tmp_path / "split.csv"
    frame.to_csv(path, index=False)
    of = read_set(path, BertEncoder(str(tiny_encoder)), 500, 0, name="it")
    assert set(of.texts) == set(frame["text"][12:])
    assert set(of.train_texts) == set(frame["text"][1:12])


def test_ratings_gaps_repeats_and_other_languages_end_in_figures(
    run: Run, labelled: Path, tmp_path: Path
) -> None:
    texts = [f"今天天气很好{i}" for i in range(10)] + [f"rain {i}" for i in range(10)]
    texts += ["rain 1", "rain 2"]
    ratings = [4.5] * 10 + [2.0] * 10 + [2.0, 4.5]
    frame = pd.DataFrame({"text": texts, "label": ratings})
    frame.loc[3, "text"] = frame.loc[13, "label"] = None
    frame.to_csv(labelled, index=False)
    with pytest.warns(DataWarning):
        found = run(tmp_path, "--searches", "greedy", "--forms", "left")
    assert found["sets"]["tiny"]["vector"] == 6
    vectors = [row for row in found["rows"] if row["of"] == "vector"]
    assert all(row[name] is not None for row in vectors for name in ("cosine", "kept_tfidf"))


def test_seven_words_in_a_row_are_found_whatever_their_case_and_marks(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("He said: ONE two -- three four five six seven, and left.\nall right\n")
    texts = [
        "one two three four five six seven eight",
        "one two three four five six eight seven",
        "All right!",
        "all wrong",
    ]
    nothing = np.array([], dtype=object)
    found = overlap.check_overlap([LabelledSet("s", texts, nothing, (), [], nothing)], [path])
    assert (found["shared"], found["short"], found["short_equal"]) == (1, 2, 1)
    assert [hit["text"] for hit in found["found"]] == [texts[0], texts[2]]
    assert found["corpus"][0]["texts"] == 2


def test_every_text_that_shares_a_run_with_the_corpus_counts(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("What is the capital of the state of Ohio?\nall right\n")
    texts = [f"what is the capital of the state of {name}" for name in ("texas", "maine")]
    texts += ["the capital of the state of Ohio is what", "All right!", "all right"]
    nothing = np.array([], dtype=object)
    found = overlap.check_overlap([LabelledSet("s", texts, nothing, (), [], nothing)], [path])
    assert (found["shared"], found["short"], found["short_equal"]) == (3, 2, 2)
    assert [hit["text"] for hit in found["found"]] == texts


def test_standard_errors_agree_with_the_spread_of_repeated_draws() -> None:
    rng = np.random.default_rng(0)
    means, ratios, jackknifed = [], [], []
    for _ in range(300):
        b = rng.random(100) + 0.5
        a = 0.8 * b + rng.normal(0, 0.2, 100)
        means.append(summary.mean(a))
        ratios.append(ratio(a, b))
        words = [str(w) for w in a]
        jackknifed.append(jackknife(lambda texts: float(np.mean(np.float64(texts))), words))
    for found in (means, ratios, jackknifed):
        spread = np.std([e.value for e in found])
        assert np.mean([e.se for e in found]) == pytest.approx(spread, rel=0.15)
    assert np.mean([e.value for e in ratios]) == pytest.approx(0.8, abs=0.01)


def test_the_mean_over_sets_has_the_error_of_independent_sets() -> None:
    each = [{"cosine": Estimate(0.6, 0.03), "bleu": Estimate(1.0, 1.0)}]
    each += [{"cosine": Estimate(0.8, 0.04)}]
    found = over_sets(each)
    assert list(found) == ["cosine"]
    assert found["cosine"].value == pytest.approx(0.7)
    assert found["cosine"].se == pytest.approx(0.025)


def test_goals_say_what_was_met_and_what_was_not_measured() -> None:
    row = {"bridge": "b", "form": "left", "of": "vector", "cosine_se": 0.01}
    rows = [row | {"search": "greedy", "set": "mean", "cosine": 0.76}]
    rows += [row | {"search": "best-of-8", "set": s, "cosine": c} for s, c in (("x", 0.7),)]
    rows += [row | {"search": "best-of-8", "set": "mean", "cosine": 0.7}]
    nearest = row | {"bridge": goals.RETRIEVAL, "search": "-", "form": "-"}
    rows += [nearest | {"set": s, "cosine": 0.72} for s in ("x", "mean")]
    given = row | {"form": "given", "set": "mean", "cosine": 0.74}
    rows += [given | {"search": "greedy"}, given | {"search": "best-of-8", "of": "blend"}]
    found = {g["what"]: g for g in goals.goals_of(pd.DataFrame(rows), "b", {"unseen_loss": 2.8})}
    assert found["loss a token, unseen corpus sentences"]["met"] is False
    assert found["cosine, greedy"]["met"] is True
    assert found["cosine, greedy, form given"]["met"] is False
    assert "cosine at λ = ½, best of 8" not in found  # measured in the other form
    assert found["cosine at λ = ½, best of 8, form given"]["measured"] == 0.74
    assert found["cosine, best of 8 + corrections"]["met"] is None
    above = found["cosine above the nearest corpus sentence, least of the sets, best of 8"]
    assert above["measured"] == pytest.approx(-0.02)
    assert above["met"] is False


def test_the_curve_finds_a_law_again_and_says_what_more_texts_bring(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    log = tmp_path / "log.jsonl"
    lines = [{"stage": "words", "step": 20, "loss": 60.0}, {"stage": "tokens", "step": 20}]
    for texts in range(10_000, 400_000, 10_000):
        loss = 2.0 + 1.2 * (texts / 10_000) ** -0.4 + rng.normal(0, 0.005)
        lines.append({"stage": "tokens", "texts_seen": texts, "unseen_loss": loss})
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    curve.main([str(log), "--out", str(tmp_path / "curve.svg")])
    fit = json.loads((tmp_path / "curve.json").read_text())["fit"]
    assert abs(fit["floor"] - 2.0) < 3 * fit["floor_se"] < 0.3
    gain = 1.2 * (39**-0.4 - 390**-0.4)
    assert abs(fit["now"] - fit["more"] - gain) < 3 * fit["gain_se"] < 0.1
    assert (tmp_path / "curve.svg").read_text().startswith("<svg")


def test_losses_under_a_falling_rate_are_drawn_and_not_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = []
    for step in range(100, 1001, 50):
        loss = 2.0 + 1.2 * (32 * step / 10_000) ** -0.4 + 0.01 * np.sin(step)
        loss -= 0.1 * (step > 800)
        lines.append(
            {"stage": "tokens", "step": step, "texts_seen": 32 * step, "unseen_loss": loss}
        )
    fits = []
    for name, some in (("whole", lines), ("without", lines[:15])):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in some))
        facts = {"training": {"recipe": {"steps": 1000, "cooldown": 0.2}}}
        (folder / "bridge.json").write_text(json.dumps(facts))
        curve.main([str(folder / "log.jsonl"), "--out", str(folder / "curve.svg")])
        found = json.loads((folder / "curve.json").read_text())
        fits.append(found["fit"])
        assert len(found["points"]) == len(some)
    assert fits[0] == fits[1]
    assert "4 of 19 points are not fitted" in capsys.readouterr().out
    (tmp_path / "whole" / "bridge.json").unlink()
    assert curve.read_log(tmp_path / "whole" / "log.jsonl")["falling"].sum() == 0


def test_too_few_losses_make_no_curve(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at 5 numbers of texts, not 2"):
        curve.fit_curve([1, 2, 2, 1, 2], [3.0, 2.0, 2.1, 3.1, 2.0])
    log = tmp_path / "log.jsonl"
    log.write_text('{"stage": "words", "loss": 60}\n')
    with pytest.raises(DataError, match="no line of stage 'tokens'"):
        curve.read_log(log)


def test_what_cannot_be_measured_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        curve.main([str(tmp_path / "none.jsonl")])
    assert capsys.readouterr().err.startswith("Error: ")
    (tmp_path / "empty.txt").write_text("")
    asked = f"--corpus {tmp_path / 'empty.txt'} --minutes 1 --out {tmp_path / 'bridges'}"
    with pytest.raises(SystemExit, match="2"):
        bridges.main(asked.split())
    assert capsys.readouterr().err.startswith("Error: ")


def test_bridges_to_compare_share_corpus_and_head_and_are_trained_once(
    corpus: Path, tiny_encoder: Path, tiny_llm: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bridges"
    arguments = f"--corpus {corpus} --encoder {tiny_encoder} --llm {tiny_llm} --out {out}".split()
    bridges.main([*arguments, "--minutes", "0.002"])
    done = json.loads((out / "bridges.json").read_text())["bridges"]
    assert list(done) == list(bridges.VARIANTS)
    loras = {name: load_bridge(out / name).lora is not None for name in done}
    assert [name for name, lora in loras.items() if lora] == ["xrag-lora", "lexical-lora"]
    assert done["lexical-untrained"]["steps"] == done["lexical-untrained"]["texts_seen"] == 0
    assert done["xrag"]["steps"] >= 10
    heads = [out / name / "work" / "head.safetensors" for name in done if "lexical" in name]
    assert [head.is_symlink() for head in heads] == [False, True, True]
    assert all((out / name / "work" / "vectors.npy").is_symlink() for name in done)
    before = (out / "bridges.json").read_text()
    bridges.main([*arguments, "--minutes", "0.002"])
    assert (out / "bridges.json").read_text() == before


def test_bridges_that_were_asked_for_otherwise_are_no_part_of_the_table(
    corpus: Path,
    tiny_encoder: Path,
    tiny_llm: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, other = tmp_path / "bridges", tmp_path / "other.txt"
    models = f"--encoder {tiny_encoder} --llm {tiny_llm} --only lexical-untrained".split()
    asked = [*models, "--corpus", str(corpus), "--minutes", "1", "--out", str(out)]
    bridges.main(asked)
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    other.write_text(corpus.read_text().upper())
    for more in (["--minutes", "2"], ["--random-state", "1"], ["--corpus", str(other)]):
        with pytest.raises(SystemExit, match="2"):
            bridges.main([*asked, *more])
        said = f"is of bridges with other {more[0]}: give the same again, or another --out"
        assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == kept


@pytest.mark.parametrize("same", [True, False])
def test_a_head_is_taken_over_only_with_the_corpus_it_learnt_from(
    corpus: Path, tiny_encoder: Path, tiny_llm: Path, tmp_path: Path, same: bool
) -> None:
    models = f"--encoder {tiny_encoder} --llm {tiny_llm} --only lexical-untrained --minutes 1"
    bridges.main(f"--corpus {corpus} --out {tmp_path / 'first'} {models}".split())
    shared = tmp_path / "first" / "shared"
    before = {path.name: path.read_bytes() for path in shared.iterdir()}
    again = tmp_path / "again.txt"
    again.write_text(corpus.read_text() if same else corpus.read_text().upper())
    second = f"--corpus {again} --out {tmp_path / 'second'} --work {shared} {models}"
    bridges.main(second.split())
    head = tmp_path / "second" / "lexical-untrained" / "work" / "head.safetensors"
    assert head.is_symlink() == same
    assert {path.name: path.read_bytes() for path in shared.iterdir()} == before
