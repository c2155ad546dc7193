"""Protocols: what must lose loses, what leaks is refused, what was killed goes on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from smotext_lab import BertEncoder, cache
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.evaluation import classifiers, methods, prompting, protocols, statistics
from smotext_lab.evaluation.cells import Cell, Cells
from smotext_lab.evaluation.classifiers import text_classifier
from smotext_lab.evaluation.finetuning import FinetunedBert
from smotext_lab.evaluation.methods import METHODS, Models, method
from smotext_lab.evaluation.noise import noises, noisy
from smotext_lab.evaluation.recalling import RecallingDecoder
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.statistics import difference, retention, win_tie_loss
from smotext_lab.evaluation.study import OTHERS, Arm, Setup, Study
from smotext_lab.evaluation.training import TrainingTexts
from smotext_lab.evaluation.word_edits import aeda, eda
from smotext_lab.reports import evidence

pytestmark = pytest.mark.usefixtures("one_strength")


@pytest.fixture
def split(topics) -> Split:
    texts, labels = topics(weather=25, money=25, sport=25)
    return Split.read(pd.DataFrame({"text": texts, "label": labels}), "topics")


@pytest.fixture
def models(word_decoder) -> Models:
    decoder = word_decoder()
    return Models(decoder.encoder, decoder, k_neighbors=3)


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("SMOTEXT_LAB_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def quick(
    split, models, *, resamples=2, classifiers=("tfidf-logreg",), store=None, seed=0, **other
):
    setup = Setup(split, models, classifiers, resamples, store, seed, progress=False)
    asked = {"ks": [4], "times": [2], "controls": ["duplication", "eda", "random pairs"]}
    return protocols.few_shot(setup, **(asked | other))


def test_one_seed_gives_one_table(split, models):
    first, second = (quick(split, models).frame.drop(columns="seconds") for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert not quick(split, models, seed=1).frame.drop(columns="seconds").equals(first)


@pytest.mark.parametrize("kept", [{"sport"}, set()])
def test_new_texts_of_one_class_or_none_are_worth_a_guess_and_end_no_run(
    split, models, monkeypatch, kept
):
    def made(real, n, models, random_state):
        rows = np.isin(real.labels, list(kept))
        return TrainingTexts(
            [t for t, row in zip(real.texts, rows, strict=True) if row], real.labels[rows]
        )

    monkeypatch.setitem(METHODS, "smotext", made)
    setup = Setup(split, models, ("tfidf-logreg", "embedding-logreg"), 2, None, 0, progress=False)
    found = protocols.synthetic_only(setup, ks=[4], times=[1], methods=["smotext", "eda"])
    rows = found.frame.query("metric == 'accuracy'").set_index(["method", "classifier"])["value"]
    truth = pd.Series(split.test_labels).value_counts(normalize=True)
    said = "sport" if kept else split.classes[0]
    for judge in ("tfidf-logreg", "embedding-logreg"):
        assert rows["smotext", judge].tolist() == pytest.approx([truth[said]] * 2)
        assert rows["eda", judge].min() > truth[said]


def test_a_run_killed_twice_gives_the_table_of_an_unbroken_one(split, models, tmp_path):
    whole = quick(split, models).frame.drop(columns="seconds")
    cache.clear()
    for after in (7, 30):
        models.decoder.decoded, models.decoder.stop_after = 0, after
        with pytest.raises(KeyboardInterrupt):
            quick(split, models, store=tmp_path / "cells")
    models.decoder.stop_after = None
    resumed = quick(split, models, store=tmp_path / "cells")
    pd.testing.assert_frame_equal(resumed.frame.drop(columns="seconds"), whole)
    read_again = quick(split, models, store=tmp_path / "cells").frame
    pd.testing.assert_frame_equal(read_again, resumed.frame)


@pytest.mark.parametrize("after", [5, 9, 14])
def test_vectors_that_depend_on_the_texts_beside_them_change_no_resumed_table(
    split, models, tmp_path, after
):
    class Batched(type(models.encoder)):
        left = -1

        def encode(self, texts, *, progress=False):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
            bits = np.random.default_rng(len(texts)).normal(size=self.dim)
            return super().encode(texts) + np.float32(1e-2) * bits.astype(np.float32)

    def run(left: int, store: Path) -> pd.DataFrame:
        asked = replace(models, encoder=Batched())
        asked.encoder.left = left
        judges = ("embedding-logreg",)
        frame = quick(split, asked, classifiers=judges, times=[1, 2], store=store).frame
        return frame.drop(columns="seconds")

    with pytest.raises(KeyboardInterrupt):
        run(after, tmp_path / "cells")
    resumed = run(-1, tmp_path / "cells")
    cache.clear()
    pd.testing.assert_frame_equal(resumed, run(-1, tmp_path / "whole"), check_exact=True)


def test_a_list_of_texts_is_encoded_once_and_forgotten_before_there_are_too_many(
    word_encoder, monkeypatch
):
    monkeypatch.setattr(classifiers, "_REMEMBERED", 5)
    encoder = classifiers.Remembering(word_encoder)
    first = encoder.encode(["sun", "rain", "sun"])
    assert first.shape == (3, 48)
    assert (first[0] == first[2]).all()
    first[:] = 0  # whoever got them may change them
    assert (encoder.encode(["sun", "rain", "sun"]) != 0).any()
    assert word_encoder.calls == 1
    assert encoder.encode([]).shape == (0, 48)
    encoder.encode(["rain", "sun"])
    encoder.encode(["sun", "rain", "sun"])
    assert word_encoder.calls == 3
    encoder.encode(["goal"])  # one too many: what was asked least lately goes
    encoder.encode(["sun", "rain", "sun"])
    assert word_encoder.calls == 4
    encoder.encode(["rain", "sun"])
    assert word_encoder.calls == 5


def test_a_pool_that_was_half_written_goes_on_where_it_was_killed(split, models, results):
    whole = quick(split, models, resamples=1, controls=[])
    written = models.decoder.decoded
    cache.clear()
    models.decoder.decoded, models.decoder.stop_after = 0, written // 2
    with pytest.raises(KeyboardInterrupt):
        quick(split, models, resamples=1, controls=[])
    (part,) = results.iterdir()
    assert part.stat().st_mode & 0o077 == 0
    kept = part.read_text().splitlines()
    assert len([line for line in kept if line]) == written // 2
    part.write_text("\n".join(kept[:-1]) + "\n" + kept[-1][:40])  # killed while it wrote
    models.decoder.decoded, models.decoder.stop_after = 0, 3
    with pytest.raises(KeyboardInterrupt):
        quick(split, models, resamples=1, controls=[])
    models.decoder.decoded, models.decoder.stop_after = 0, None
    again = quick(split, models, resamples=1, controls=[])
    assert models.decoder.decoded == written - (written // 2 - 1) - 3
    frames = [each.frame.drop(columns="seconds") for each in (again, whole)]
    pd.testing.assert_frame_equal(*frames)
    assert [path.suffix for path in results.iterdir()] == [".parquet"]


def test_rows_are_taken_up_again_where_the_decoder_began(word_decoder, tmp_path):
    vectors = word_decoder().encoder.encode(["sun heat", "loan price", "goal match", "rain"] * 3)
    seeds = np.arange(12, dtype=np.uint64)

    class Together(word_decoder):
        rows_together = 4

    whole = list(Together().decode_rows(vectors, seeds=seeds))
    killed = Together()
    killed.stop_after = 6
    with pytest.raises(KeyboardInterrupt):
        list(RecallingDecoder(killed, tmp_path / "part").decode_rows(vectors, seeds=seeds))
    again = Together()
    found = list(RecallingDecoder(again, tmp_path / "part").decode_rows(vectors, seeds=seeds))
    assert again.decoded == 12 - 4  # from the beginning of the block that was broken off
    assert [(d.row, d.text) for d in found] == [(d.row, d.text) for d in whole]
    more = Together()
    list(RecallingDecoder(more, tmp_path / "part").decode_rows(vectors, seeds=seeds))
    assert more.decoded == 0


def test_texts_are_written_once_and_their_owner_alone_reads_them(split, models, results):
    quick(split, models)
    written = models.decoder.decoded
    quick(split, models, times=[2], classifiers=["embedding-logreg"])
    assert models.decoder.decoded == written > 0
    assert results.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in results.iterdir())
    kept = cache.info()
    assert (kept.entries, kept.size > 0) == (4, True)
    cache.clear()
    assert cache.info().entries == 0


def test_nothing_is_kept_where_keeping_is_switched_off(split, models, monkeypatch, results):
    monkeypatch.setenv("SMOTEXT_LAB_RESULTS", "off")
    quick(split, models)
    assert not results.exists()
    assert cache.info().folder is None


def test_a_damaged_file_is_made_again(results):
    frame = pd.DataFrame({"text": ["a"]})
    key = cache.content_key("x")
    cache.kept(key, lambda: frame)
    (results / f"{key}.parquet").write_bytes(b"no parquet")
    assert cache.kept(key, lambda: frame).equals(frame)


def test_fewer_new_texts_or_points_are_the_first_of_the_most(split, models):
    setup = Setup(split, models, ["embedding-logreg"], 2, progress=False)
    methods = ["smotext", "smote on vectors", "eda"]
    found = protocols.synthetic_only(setup, ks=[4], times=[1, 3], methods=methods)
    made = found.frame[found.frame["metric"] == "n_new"]
    assert made.groupby(["method", "times"])["value"].first().to_dict() == {
        (name, times): 3 * 4 * times for name in methods for times in (1.0, 3.0)
    }


def test_a_store_never_takes_one_question_s_answer_for_another_s(split, models, tmp_path):
    def asked(**other):
        setup = Setup(split, models, ["tfidf-logreg"], 2, tmp_path / "cells", progress=False)
        found = protocols.class_imbalance(setup, **({"methods": ["eda"], "ratios": [8]} | other))
        return found.frame.drop(columns="seconds")

    first = asked()
    with pytest.warns(UserWarning, match="1:8 was asked for"):
        fewer = asked(most=8)
    assert not fewer.equals(first)
    pd.testing.assert_frame_equal(asked(), first)
    store = tmp_path / "few"
    alone = quick(split, models, store=store, times=[1]).frame.drop(columns="seconds")
    both = quick(split, models, store=store, times=[1, 3]).frame.drop(columns="seconds")
    fresh = quick(split, models, times=[1, 3]).frame.drop(columns="seconds")
    pd.testing.assert_frame_equal(both, fresh)
    assert len(alone) < len(both)


def test_texts_are_not_lost_where_they_cannot_be_kept(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SMOTEXT_LAB_RESULTS", str(tmp_path / "file"))
    frame = pd.DataFrame({"text": ["a"]})
    with pytest.warns(UserWarning, match="could not be kept in"):
        assert cache.kept(cache.content_key("x"), lambda: frame).equals(frame)


def test_a_teacher_s_labels_alone_and_on_other_real_texts_are_compared_with(split, models):
    setup = Setup(split, models, ["tfidf-logreg"], 2, progress=False)
    found = protocols.distillation(setup, ks=[3], times=[1, 2], methods=["eda"])
    arms = {str(arm) for arm, _, _ in found.cells}
    assert arms >= {"real", "real, teacher's labels", f"real + 2 × {OTHERS}", "real + 1 × eda"}
    made = found.frame[(found.frame["metric"] == "n_new") & (found.frame["method"] == OTHERS)]
    assert made.groupby("times")["value"].first().to_dict() == {1.0: 9, 2.0: 18}
    with pytest.raises(ParameterError, match="writes none"):
        protocols.distillation(setup, ks=[3], methods=["smote on vectors"])


def test_a_teacher_tells_how_many_texts_are_of_the_class_they_were_made_for(
    split, models, monkeypatch
):
    def mislabelled(real, n, models, random_state):
        made = METHODS["duplication"](real, n, models, random_state)
        wrong = np.roll(split.classes, 1)[np.searchsorted(split.classes, made.labels)]
        half = np.arange(len(wrong)) % 2 == 0
        return TrainingTexts(made.texts, np.where(half, wrong, made.labels))

    monkeypatch.setitem(METHODS, "half of them wrong", mislabelled)
    setup = Setup(split, models, ["tfidf-logreg"], 2, progress=False)
    methods = ["half of them wrong", "duplication"]
    found = protocols.distillation(setup, ks=[4], times=[1], methods=methods)
    told = found.frame[found.frame["metric"] == "label_agreement"].groupby("method")["value"].mean()
    assert told.to_dict() == {"half of them wrong": 0.5, "duplication": 1.0, OTHERS: 1.0}
    right = found.frame.query("metric == 'teacher_accuracy'")
    assert right["value"].between(0.5, 1).all()
    assert set(right["method"]) == {"real"}


def test_a_single_token_is_written_through_where_there_is_a_bridge_for_it(
    split, models, word_decoder
):
    with pytest.raises(ParameterError, match="'single token' needs a bridge with xRAG's one token"):
        quick(split, models, controls=["single token"])
    assert models.decoder.decoded == 0
    single = word_decoder(lambda text, _: f"{text} It was so.")
    found = quick(split, replace(models, single=single), controls=["single token"])
    texts = found.examples.groupby("method")["text"].apply(list)
    assert all(text.endswith("It was so.") for text in texts["single token"])
    assert not any(text.endswith("It was so.") for text in texts["smotext"])


def test_what_is_named_twice_is_measured_once(split, models):
    once = quick(split, models, controls=["eda"]).frame.drop(columns="seconds")
    twice = quick(split, models, ks=[4, 4], times=[2, 2], controls=["eda", "smotext", "eda"])
    pd.testing.assert_frame_equal(twice.frame.drop(columns="seconds"), once)


def test_a_name_that_there_is_not_is_told_before_a_text_is_written(split, models):
    with pytest.raises(ParameterError, match="no method 'edda'"):
        quick(split, models, controls=["edda"])
    assert models.decoder.decoded == 0


def test_fewer_texts_lack_the_share_that_was_refused():
    made = TrainingTexts([f"{label}{n}" for label in "ab" for n in range(6)], np.repeat(["a"], 12))
    made = replace(made, labels=np.array(["a"] * 6 + ["b"] * 6)).without({"b1", "b4"}, "copy: so")
    assert made.refusals() == {"copy": 2}
    half = made.share(0.5)
    assert half.texts == ["a0", "a1", "a2", "b0", "b2"]
    points = TrainingTexts([], made.labels[:0], points=np.eye(4), point_labels=np.array([*"aabb"]))
    assert points.share(0.5).points.tolist() == np.eye(4)[[0, 2]].tolist()


def test_texts_of_the_test_part_teach_nothing(split, models, monkeypatch):
    def cheats(real, n, models, random_state):
        rows = [row for c in n for row in np.flatnonzero(split.test_labels == c)[:4]]
        return TrainingTexts([f"{split.test_texts[r]}!" for r in rows], split.test_labels[rows])

    monkeypatch.setitem(METHODS, "cheats", cheats)
    found = quick(split, models, controls=["cheats"])
    told = found.frame[found.frame["method"] == "cheats"].groupby("metric")["value"].mean()
    assert (told["n_new"], told["refused_test text"]) == (0, 12)
    assert found.gain(Arm("cheats", 2), Arm(), "tfidf-logreg", 4).value == 0


def test_cells_of_a_way_that_is_not_ours_go_by_its_code(split, models, monkeypatch, tmp_path):
    def right(real, n, models, random_state):
        return METHODS["duplication"](real, n, models, random_state)

    def wrong(real, n, models, random_state):
        made = METHODS["duplication"](real, n, models, random_state)
        return TrainingTexts(made.texts, np.roll(made.labels, len(made.labels) // 2))

    gains = []
    for made in (right, wrong):
        monkeypatch.setitem(METHODS, "mine", made)
        found = quick(split, models, controls=["mine"], times=[8], store=tmp_path / "cells")
        gains.append(found.gain(Arm("mine", 8), Arm(), "tfidf-logreg", 4).value)
    assert gains[1] < gains[0] - 0.1


def test_a_classifier_that_takes_no_weights_goes_without_what_needs_them(split, models):
    nearest = make_pipeline(TfidfVectorizer(), KNeighborsClassifier(1))
    setup = Setup(split, models, [nearest, "tfidf-logreg"], 2, progress=False)
    found = protocols.class_imbalance(setup, ratios=[4], methods=["eda"])
    weighted = [name for arm, name, _ in found.cells if arm.method == "class weights"]
    assert weighted == ["tfidf-logreg"]
    with pytest.raises(ParameterError, match="use a classifier whose fit has sample_weight"):
        protocols.distillation(setup, ks=[3], times=[1], methods=["eda"])


def test_wrong_labels_lose(split, models, monkeypatch):
    def shuffled(real, n, models, random_state):
        made = METHODS["duplication"](real, n, models, random_state)
        rng = np.random.default_rng(random_state)
        return TrainingTexts(made.texts, rng.permutation(made.labels))

    monkeypatch.setitem(METHODS, "shuffled", shuffled)
    found = quick(split, models, controls=["shuffled"], times=[8], resamples=6)
    effect = found.gain(Arm("shuffled", 8), Arm(), "tfidf-logreg", 4)
    assert effect.high < 0, effect
    wins, _, losses = found.wins(Arm("shuffled", 8), Arm(), "tfidf-logreg", 4)
    assert losses > wins


def test_the_way_that_the_docs_show_loses(split, models, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "evidence.md").read_text(encoding="utf-8")
    [code] = [part.split("```")[0] for part in page.split("```python\n") if "shuffled" in part]
    monkeypatch.setattr(methods, "METHODS", METHODS | {})
    exec(code, {})
    found = quick(split, models, controls=["shuffled"], times=[8], resamples=6)
    assert found.gain(Arm("shuffled", 8), Arm(), "tfidf-logreg", 4).high < 0


def test_a_way_of_ones_own_is_imported_by_its_name(split, models, monkeypatch, tmp_path):
    code = "def told(real, n, models, random_state):\n    return real\n\nnone = 0\n"
    (tmp_path / "own_ways.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    found = quick(split, models, controls=["own_ways:told"])
    assert "own_ways:told" in set(found.frame["method"])
    for name, said in {
        "own_ways:lacking": "'own_ways:lacking' cannot be imported: module 'own_ways' has no",
        "no_ways:told": "'no_ways:told' cannot be imported: No module named 'no_ways'",
        "own_ways:none": "'own_ways:none' is a int, no function",
    }.items():
        with pytest.raises(ParameterError, match=said):
            method(name)


def test_what_is_kept_goes_by_how_an_encoder_reads(tiny_encoder):
    first, second, third = (
        methods.identity_of(BertEncoder(str(tiny_encoder), **asked))
        for asked in ({}, {"pooling": "cls"}, {})
    )
    assert first == third != second
    assert methods.identity_of(classifiers.Remembering(BertEncoder(str(tiny_encoder)))) == first


def test_test_texts_in_the_training_part_are_refused(topics):
    texts, labels = topics(weather=20, money=20)
    frame = pd.DataFrame({"text": texts, "label": labels, "split": ["train"] * 20 + ["test"] * 20})
    last = frame.tail(1)
    leaked = pd.concat([frame, last.assign(split="train", text=last["text"].str.upper())])
    with pytest.raises(DataError, match="1 of 20 test texts stand in the training part too"):
        Split.read(leaked, "leaky")
    dropped = Split.read(leaked, "leaky", overlap="drop")
    assert (len(dropped.test_texts), dropped.overlap) == (19, 1)
    marked = pd.concat([frame, last.assign(split="train", text="- " + last["text"] + "!")])
    with pytest.raises(DataError, match="1 of 20 test texts stand in the training part too"):
        Split.read(marked, "leaky")
    first = {"train_texts": [*dropped.train_texts, dropped.test_texts[0]]}
    with pytest.raises(DataError, match="1 of 19 test texts stand in the training part too"):
        replace(dropped, **first, train_labels=np.append(dropped.train_labels, "money"))


def test_a_split_is_taken_however_it_is_written_and_said_where_it_is_not(topics):
    texts, labels = topics(weather=20, money=20)
    frame = pd.DataFrame({"text": texts, "label": labels, "split": ["Train", "TEST "] * 20})
    assert Split.read(frame).test_texts == texts[1::2]
    with pytest.warns(UserWarning, match="split says 'a', 'b', and not 'train'.*it is not used"):
        Split.read(frame.assign(split=["a", "b"] * 20))


def test_classes_of_too_few_texts_are_named(topics):
    texts, labels = topics(weather=20, money=20, sport=8)
    rare = [("a film", "film"), ("another film", "film")]
    split = Split.read(
        pd.DataFrame([*zip(texts, labels, strict=True), *rare]).set_axis(["text", "label"], axis=1)
    )
    assert split.too_small == ("film",)
    fewer = split.with_texts(6).only(["weather", "money"])
    assert fewer.too_small == ("film", "sport")
    told = evidence.about(fewer, 10, "models")
    assert "classes left out, of which there are too few texts: film, sport" in told


def test_a_split_draws_disjoint_parts_and_keeps_at_most_the_rows_asked(topics):
    texts, labels = topics(weather=30, money=30)
    split = Split.read(
        pd.DataFrame({"text": [*texts, texts[0]], "label": [*labels, labels[0]]}), test_rows=10
    )
    assert len(split.test_texts) == 10
    assert not set(split.train_texts) & set(split.test_texts)


@pytest.mark.parametrize("protocol", ["synthetic_only", "distillation", "robustness"])
def test_every_protocol_tests_every_arm_on_every_resample(split, models, protocol):
    asked = {"ks": [4], "times": [1], "methods": ["smotext", "eda"]}
    run = getattr(protocols, protocol)
    found = run(Setup(split, models, ["tfidf-logreg"], 2, progress=False), **asked)
    frame = found.frame[found.frame["metric"] == "macro_f1"]
    assert set(frame["method"]) >= {"real", "smotext", "eda"}
    assert frame.groupby(["method", "test"])["resample"].nunique().eq(2).all()
    assert set(frame["test"]) >= ({"clean", "typos 0.4"} if protocol == "robustness" else {"clean"})
    assert frame["value"].between(0, 1).all()


@pytest.mark.parametrize(
    ("protocol", "asked"),
    [
        ("few_shot", {"ks": [3, 4], "controls": ["eda"]}),
        ("synthetic_only", {"ks": [3, 4], "methods": ["eda"]}),
        ("class_imbalance", {"ratios": [4, 8], "methods": ["eda"]}),
        ("distillation", {"ks": [3, 4], "methods": ["eda"]}),
        ("robustness", {"ks": [3, 4], "methods": ["eda"]}),
    ],
)
def test_a_row_of_the_table_tells_whose_figure_it_is(split, models, protocol, asked):
    setup = Setup(split, models, ["tfidf-logreg"], 2, progress=False)
    times = {} if protocol == "class_imbalance" else {"times": [1, 2]}
    found = getattr(protocols, protocol)(setup, **asked, **times)
    arm = ["method", "times", "with_real", "teacher"]
    named = [*arm, "classifier", "k", "resample", "test", "metric"]
    assert not found.frame.duplicated(named).any()
    assert found.frame.groupby(arm, dropna=False).ngroups == len({arm for arm, _, _ in found.cells})


def test_new_texts_alone_keep_most_of_what_real_ones_give(split, models):
    setup = Setup(split, models, resamples=3, progress=False)
    found = protocols.synthetic_only(setup, ks=[6], times=[3], methods=["smotext"])
    kept = found.kept(Arm("smotext", 3, with_real=False), Arm(), "embedding-logreg", 6)
    assert kept.value > 0.8, kept
    assert kept.low > 0.6, kept
    assert set(found.frame["metric"]) >= {"near_real", "shared_run", "n_new"}
    runs = found.frame.pivot_table("value", "resample", "metric")
    assert (runs["longest_shared_run"] >= runs["shared_run"]).all()
    assert (runs["longest_shared_run"] % 1 == 0).all()


def test_rare_classes_are_cut_and_filled_up_again(split, models):
    setup = Setup(split, models, resamples=2, progress=False)
    found = protocols.class_imbalance(setup, ratios=[8], methods=["smotext", "smote on vectors"])
    frame = found.frame
    assert "minority_recall" in set(frame["metric"])
    made = frame[(frame["metric"] == "n_new") & (frame["method"] == "smotext")]["value"]
    assert made.eq(15 - 2).all()  # one of three classes, from 2 to 15
    vectors = frame[frame["method"] == "smote on vectors"]
    assert set(vectors["classifier"]) == {"embedding-logreg"}


def test_classes_that_cannot_be_made_rarer_are_told(topics, models):
    texts, labels = topics(weather=5, money=5)
    small = Split.read(pd.DataFrame({"text": texts, "label": labels}), "few")
    setup = Setup(small, models, ("tfidf-logreg",), 2, progress=False)
    with pytest.raises(DataError, match=r"few: no class can be made rarer .* left 2 texts"):
        protocols.class_imbalance(setup, ratios=[2], most=2)


def test_nothing_to_repeat_is_no_fault(models):
    nothing = METHODS["duplication"](TrainingTexts(["a"], np.array(["x"])), {}, models, 0)
    assert (nothing.texts, len(nothing.labels)) == ([], 0)


def test_a_ratio_of_1_fills_up_the_classes_that_are_rare_as_they_are(split, models):
    left = {label: 12 // 2**i for i, label in enumerate(split.classes.tolist())}  # 12, 6, 3
    rows = np.concatenate([np.flatnonzero(split.train_labels == c)[:n] for c, n in left.items()])
    texts, labels = [split.train_texts[row] for row in rows], split.train_labels[rows]
    skewed = replace(split, train_texts=texts, train_labels=labels)
    setup = Setup(skewed, models, ["tfidf-logreg"], resamples=2, progress=False)
    for most, real, made in ((200, 12 + 6 + 3, 6 + 9), (8, 8 + 4 + 2, 4 + 6)):
        found = protocols.class_imbalance(setup, ratios=[1], most=most, methods=["smotext"])
        frame = found.frame.set_index(["metric", "method"])["value"]
        assert frame["n_train", "real"].eq(real).all()
        assert frame["n_new", "smotext"].eq(made).all()
        assert "minority_recall" in frame.index.get_level_values("metric")
    with pytest.warns(
        UserWarning, match="classes have 1:4, .* largest is to have 4 .* 1:2 is tested"
    ):
        protocols.class_imbalance(setup, ratios=[1], most=4, methods=["duplication"])
    even = Setup(split, models, ["tfidf-logreg"], resamples=2, progress=False)
    with pytest.raises(DataError, match="15 to 15 training texts: ask for ratios of 2 or more"):
        protocols.class_imbalance(even, ratios=[1], methods=["eda"])


def test_a_teacher_that_knows_nothing_teaches_nothing(split, models):
    class Guess:
        def predict_proba(self, texts):
            return np.full((len(texts), 3), 1 / 3)

    study = Study(
        "distillation", Setup(split, models, ["tfidf-logreg"], 2, progress=False), teacher=Guess()
    )
    draw = lambda k, rng: protocols._few(split, k, rng)  # noqa: E731
    found = study.run([Arm("eda", 4, teacher=True)], [5], draw)
    assert found.mean(Arm("eda", 4, teacher=True), "tfidf-logreg", 5, "macro_f1") < 0.6


def test_points_are_learnt_from_without_texts(models):
    model = text_classifier("embedding-logreg", models.encoder, 0)
    texts = ["rain snow wind", "storm rain cloud", "bank rate share", "money bank profit"]
    real = TrainingTexts(texts, np.array(["weather", "weather", "money", "money"]))
    made = method("smote on vectors")(real, {"money": 5}, models, 0)
    assert (len(made.texts), made.points.shape[0]) == (0, 5)
    model.fit(real + made, np.array(["money", "weather"]))
    assert model.predict_proba(["rain wind"]).argmax() == 1
    with pytest.raises(DataError, match="two classes, not of 1"):
        model.fit(made, np.array(["money", "weather"]))


def test_a_finetuned_bert_learns_and_is_the_same_twice(tiny_encoder, topics):
    texts, labels = topics(weather=12, money=12)
    train, classes = TrainingTexts(texts, np.array(labels)), np.array(["money", "weather"])
    found = []
    for _ in range(2):
        model = FinetunedBert(str(tiny_encoder), steps=40, learning_rate=5e-3)
        model.fit(train, classes)
        found.append(model.predict_proba(texts))
    assert np.array_equal(*found)
    assert np.mean(classes[found[0].argmax(axis=1)] == labels) > 0.9


def test_a_finetuned_bert_learns_layers_and_head_and_leaves_the_word_table(tiny_encoder, topics):
    from transformers import BertModel

    texts, labels = topics(weather=4, money=4)
    model = FinetunedBert(str(tiny_encoder), steps=2)
    model.fit(TrainingTexts(texts, np.array(labels)), np.array(["money", "weather"]))
    start = BertModel.from_pretrained(tiny_encoder).state_dict()
    after = model._body.state_dict()
    same = {name for name in start if name in after and (after[name] == start[name]).all()}
    assert "embeddings.word_embeddings.weight" in same
    assert not {name for name in same if name.endswith("dense.weight") and "layer" in name}
    assert all(str(weight.dtype) == "torch.float32" for weight in after.values())


def test_any_estimator_of_texts_serves_as_classifier(split, models):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    bayes = make_pipeline(CountVectorizer(), MultinomialNB())
    found = quick(split, models, classifiers=[bayes], controls=[])
    assert found.frame["classifier"].str.contains("MultinomialNB").all()
    with pytest.raises(ParameterError, match="did you mean 'tfidf-logreg'"):
        text_classifier("tfidf-logred", models.encoder, 0)


def test_an_estimator_left_to_chance_gives_one_table_for_one_seed(split, models):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.pipeline import make_pipeline

    forest = make_pipeline(CountVectorizer(), RandomForestClassifier(5, max_depth=2))
    tables = [
        quick(split, models, classifiers=[forest], controls=[], seed=seed).frame
        for seed in (0, 0, 1)
    ]
    values = [table.drop(columns="seconds") for table in tables]
    pd.testing.assert_frame_equal(values[0], values[1])
    assert not values[0].equals(values[2])


def test_estimators_that_differ_in_what_is_long_have_cells_of_their_own(split, models, tmp_path):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    seen = sorted({word.strip(".") for text in split.train_texts for word in text.split()})
    words = [*(f"never{n}" for n in range(99)), *seen]
    for known, guessed in ((words, False), (words[:50], True)):
        counts = CountVectorizer(vocabulary=known)
        named = {"classifiers": [make_pipeline(counts, MultinomialNB())], "store": tmp_path}
        found = quick(split, models, controls=[], **named).frame
        right = found.loc[found["metric"] == "accuracy", "value"]
        assert (right.max() < 0.5) == guessed


def test_what_real_texts_do_not_clearly_teach_is_kept_in_no_share():
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=100)
    right = np.tile(truth, (4, 1))
    said = np.where(rng.random((4, 100)) < 0.06, truth, rng.integers(2, size=(4, 100)))
    near = difference(truth, said, rng.integers(2, size=(4, 100)), 2)
    assert near.value > 0
    found = retention(truth, right, said, 2)
    assert np.isnan([found.value, found.low, found.high]).all()
    clearly = np.where(rng.random((4, 100)) < 0.5, truth, said)
    assert retention(truth, right, clearly, 2).low > 1


def test_where_nothing_was_measured_the_sentence_says_what_there_is(split, models):
    found = quick(split, models, controls=["smote on vectors"])
    with pytest.raises(DataError, match=r"by tfidf-logreg at k = 4 .* there are: real, real \+ 2"):
        found.gain(Arm("smote on vectors", 2), Arm(), "tfidf-logreg", 4)


def test_paraphrases_that_copy_are_refused_as_blends_are(split, word_decoder):
    """A control that may keep the truest texts would be held against one that may not."""
    decoder = word_decoder(lambda _, rng: split.train_texts[rng.integers(len(split.train_texts))])
    models = Models(decoder.encoder, decoder, k_neighbors=3)
    real = TrainingTexts(split.train_texts, split.train_labels)
    for name in ("smotext", "paraphrase"):
        made = methods.method(name)(real, {"sport": 3}, models, 0)
        assert not made.texts
        assert made.refused["reason"].str.startswith("copy").any()


def test_frames_that_were_put_together_are_split_as_others_are(topics):
    halves = []
    for seed in (0, 1):
        texts, labels = topics(seed=seed, weather=50, sport=50)
        halves.append(pd.DataFrame({"text": texts, "label": labels}))
    split = Split.read(pd.concat(halves))
    whole = len(split.train_texts) + len(split.test_texts)
    assert len(split.test_texts) == pytest.approx(0.4 * whole, abs=1)


def test_differences_come_with_intervals_that_hold_them():
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=200)
    good = np.where(rng.random((8, 200)) < 0.8, truth, rng.integers(3, size=(8, 200)))
    bad = np.where(rng.random((8, 200)) < 0.5, truth, rng.integers(3, size=(8, 200)))
    effect = difference(truth, good, bad, 3)
    assert 0 < effect.low < effect.value < effect.high
    assert effect.clear
    same = difference(truth, good, good, 3)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert win_tie_loss(truth, good, bad, 3) == (8, 0, 0)
    assert 0.3 < retention(truth, bad, good, 3).value < 0.9


@pytest.mark.parametrize("cells", [1, 900, 2**22])
def test_an_interval_is_of_draws_of_resamples_and_of_test_texts(monkeypatch, cells):
    monkeypatch.setattr(statistics, "_CELLS", cells)  # draws counted one by one, or together
    rng = np.random.default_rng(3)
    truth = rng.integers(3, size=40)
    ours, theirs = (np.where(rng.random((4, 40)) < p, truth, 0) for p in (0.8, 0.5))
    left_out = rng.random((4, 40)) < 0.2
    ours[left_out] = theirs[left_out] = -1

    def f1(said: np.ndarray, run: int, rows: np.ndarray) -> float:
        rows = rows[said[run, rows] >= 0]
        return f1_score(truth[rows], said[run, rows], average="macro")

    drawn, gaps = np.random.default_rng(0), []
    for _ in range(50):
        runs, rows = drawn.integers(4, size=4), drawn.integers(40, size=40)
        gaps.append(np.mean([f1(ours, run, rows) - f1(theirs, run, rows) for run in runs]))
    found = difference(truth, ours, theirs, 3, draws=50)
    assert (found.low, found.high) == pytest.approx(np.percentile(gaps, [2.5, 97.5]))


def test_the_interval_of_a_difference_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = rng.integers(2, size=150)
        runs = [np.where(rng.random((10, 150)) < p, truth, 1 - truth) for p in (0.8, 0.7)]
        effect = difference(truth, *runs, 2, draws=100, random_state=seed)
        covered += effect.low <= 0.1 <= effect.high
    assert covered >= 33


def test_words_are_edited_as_the_papers_say():
    rng = np.random.default_rng(0)
    text = "the old bridge over the wide river fell in the storm"
    assert all(len(eda(text, rng).split()) >= 6 for _ in range(50))
    marked = aeda(text, rng)
    words = [word for word in marked.split() if word not in ".;?:!,"]
    assert words == text.split()
    assert 1 <= len(marked.split()) - len(words) <= len(words) // 3


@pytest.mark.parametrize("kind", noises())
def test_noise_grows_with_its_strength_and_hits_no_text_it_should_not(kind):
    texts = ["the big house near the small river was sold to a good friend of mine"] * 20
    assert noisy(texts, kind, 0.0) == texts
    changed = [
        np.mean(
            [
                a != b
                for text, new in zip(texts, noisy(texts, kind, s), strict=True)
                for a, b in zip(text.split(), new.split(), strict=False)
            ]
        )
        for s in (0.05, 0.4)
    ]
    assert 0 < changed[0] < changed[1]
    assert noisy(texts, kind, 0.3, 1) == noisy(texts, kind, 0.3, 1)


def test_cells_are_whole_or_not_there(tmp_path):
    cells = Cells(tmp_path)
    assert cells.get("a") is None
    assert not list(tmp_path.iterdir())


def test_damaged_cells_are_measured_again(split, models, tmp_path):
    whole = quick(split, models, store=tmp_path).frame.drop(columns="seconds")
    first, second, third, *_ = sorted(tmp_path.iterdir())
    first.write_bytes(b"no parquet")
    second.write_bytes(second.read_bytes()[:-100])
    pd.DataFrame({"not": ["a cell"]}).to_parquet(third)
    again = quick(split, models, store=tmp_path).frame.drop(columns="seconds")
    pd.testing.assert_frame_equal(again, whole)
    assert all(Cells(tmp_path).get(path.stem) for path in (first, second, third))


def test_what_other_code_measured_is_measured_again(split, models, monkeypatch, request, tmp_path):
    package, copy = Path(cache.__file__).parent, tmp_path / "package"
    for path in package.rglob("*.py"):
        (copy / path.relative_to(package)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy / path.relative_to(package))
    monkeypatch.setattr(cache, "__file__", str(copy / "cache.py"))
    request.addfinalizer(cache.code_key.cache_clear)

    def cells() -> int:
        cache.code_key.cache_clear()
        quick(split, models, store=tmp_path / "cells")
        return len(list((tmp_path / "cells").iterdir()))

    first, written = cells(), models.decoder.decoded
    assert cells() == first
    (copy / "evaluation" / "scores.py").write_text("# other code\n")
    assert cells() == 2 * first
    assert models.decoder.decoded == written  # the texts are still those of the same road


def test_paraphrases_are_written_again_where_other_code_chooses_them(models, monkeypatch):
    class ParaphraseInterpolator(methods.ParaphraseInterpolator):
        """One of the same name."""

    real = TrainingTexts(["rain snow wind", "storm rain cloud"], np.array(["weather"] * 2))
    written = []
    for _ in range(3):
        method("paraphrase")(real, {"weather": 3}, models, 0)
        written.append(models.decoder.decoded)
        if len(written) == 2:
            monkeypatch.setattr(methods, "ParaphraseInterpolator", ParaphraseInterpolator)
    assert 0 < written[0] == written[1] < written[2]


def test_a_run_goes_on_where_its_cells_cannot_be_kept_or_were_damaged(tmp_path):
    cells = Cells(tmp_path / "cells")
    cells.put("a", Cell([{"metric": "macro_f1", "value": 0.5}]))
    (tmp_path / "cells" / "a.parquet").write_bytes(b"no parquet")
    assert Cells(tmp_path / "cells").get("a") is None
    (tmp_path / "file").write_text("in the way")
    cells = Cells(tmp_path / "file")
    with pytest.warns(UserWarning, match="What is measured cannot be kept in"):
        cells.put("a", Cell([{"metric": "macro_f1", "value": 0.5}]))
    assert cells.get("a").rows[0]["value"] == 0.5


def test_of_long_texts_the_language_model_is_shown_the_beginning(monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(prompting, "_answered", lambda _, asks, *__: asked.extend(asks) or asks)
    texts = ["rain " * 5000, "snow " * 5000]
    prompting.prompted(texts, np.array(["weather", "weather"]), {"weather": 2}, None)
    assert len(asked) == 2
    assert all("rain rain" in ask and "snow snow" in ask and len(ask) < 3000 for ask in asked)


def test_an_unknown_method_is_named_with_the_nearest():
    with pytest.raises(ParameterError, match="did you mean 'duplication'"):
        method("duplicaton")
