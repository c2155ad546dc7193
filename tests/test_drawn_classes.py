"""Classes drawn for each resample, and rare classes as rare as they are said to be."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.evaluation import protocols
from smotext_lab.evaluation.methods import Models
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.statistics import difference, retention, win_tie_loss
from smotext_lab.evaluation.study import Arm, Setup

REAL, OURS = Arm(), Arm("smotext", 2, with_real=False)


@pytest.fixture
def split(topics) -> Split:
    texts, labels = topics(weather=25, money=25, sport=25)
    return Split.read(pd.DataFrame({"text": texts, "label": labels}), "topics")


@pytest.fixture
def setup(split, word_decoder, tmp_path, monkeypatch) -> Setup:
    monkeypatch.setenv("SMOTEXT_LAB_RESULTS", str(tmp_path / "results"))
    models = Models(word_decoder().encoder, word_decoder(), k_neighbors=3)
    return Setup(
        split,
        models,
        ["tfidf-logreg"],
        resamples=6,
        store=tmp_path / "cells",
        progress=False,
        classes_per_resample=2,
    )


def alone(setup):
    return protocols.synthetic_only(setup, ks=[2], times=[2], methods=["smotext"])


def with_sizes(split, *sizes):
    rows = [
        np.flatnonzero(split.train_labels == c)[:n]
        for c, n in zip(split.classes, sizes, strict=True)
    ]
    kept = np.concatenate(rows)
    texts = [split.train_texts[row] for row in kept]
    return replace(split, train_texts=texts, train_labels=split.train_labels[kept])


def test_each_resample_tests_the_classes_it_drew_and_says_no_other(setup):
    found = alone(setup)
    said = found.predicted(REAL, "tfidf-logreg", 2)
    drawn = [np.unique(found.truth[run >= 0]) for run in said]
    assert {len(codes) for codes in drawn} == {2}
    assert len({tuple(codes) for codes in drawn}) > 1
    for run, codes in zip(said, drawn, strict=True):
        assert np.array_equal(run >= 0, np.isin(found.truth, codes))
        assert np.isin(run[run >= 0], codes).all()
    assert np.array_equal(found.predicted(OURS, "tfidf-logreg", 2) >= 0, said >= 0)
    made = found.frame.query("metric in ['n_train', 'n_new']").groupby("metric")["value"]
    assert made.unique().map(list).to_dict() == {"n_train": [2 * 2], "n_new": [2 * 2 * 2]}


def test_figures_are_means_over_what_each_resample_tested(setup):
    found = alone(setup)
    ours, theirs = (found.predicted(arm, "tfidf-logreg", 2) for arm in (OURS, REAL))

    def by_hand(said):
        return [f1_score(found.truth[r >= 0], r[r >= 0], average="macro") for r in said]

    a, b = np.array(by_hand(ours)), np.array(by_hand(theirs))
    told = [found.mean(arm, "tfidf-logreg", 2, "macro_f1") for arm in (OURS, REAL)]
    assert told == pytest.approx([a.mean(), b.mean()])
    gain = found.gain(OURS, REAL, "tfidf-logreg", 2)
    kept = found.kept(OURS, REAL, "tfidf-logreg", 2)
    assert gain.value == pytest.approx(np.mean(a - b))
    assert kept.value == pytest.approx((a.mean() - 1 / 2) / (b.mean() - 1 / 2))
    for effect in (gain, kept):
        assert effect.low < effect.value < effect.high
    wins = [int(np.sum(gaps)) for gaps in (a - b > 0.005, abs(a - b) <= 0.005, b - a > 0.005)]
    assert found.wins(OURS, REAL, "tfidf-logreg", 2) == tuple(wins)
    again = alone(setup)  # from the store
    assert np.array_equal(again.predicted(OURS, "tfidf-logreg", 2), ours)


def test_drawing_all_classes_is_drawing_none(setup):
    tables = [
        alone(replace(setup, store=None, classes_per_resample=n)).frame.drop(columns="seconds")
        for n in (None, 3)
    ]
    pd.testing.assert_frame_equal(*tables)
    with pytest.raises(ParameterError, match="must be 2 or more, or None, not 1"):
        replace(setup, classes_per_resample=1)


def test_a_teacher_of_all_classes_teaches_those_that_were_drawn(setup):
    found = protocols.distillation(setup, ks=[3], times=[1], methods=["eda"])
    arm = Arm("eda", 1, teacher=True)
    assert found.mean(arm, "tfidf-logreg", 3, "macro_f1") > 0.7
    said = found.predicted(arm, "tfidf-logreg", 3)
    assert {len(np.unique(found.truth[run >= 0])) for run in said} == {2}


def test_every_resample_of_an_own_imbalance_has_a_rare_class(setup, split):
    setup = replace(setup, split=with_sizes(split, 12, 10, 3))  # the first two are even
    found = protocols.class_imbalance(setup, ratios=[1], methods=["eda"])
    made = found.frame.query("metric == 'n_new'")["value"]
    assert set(made) == {12 - 3, 10 - 3}
    assert found.frame.query("metric == 'minority_recall'")["resample"].nunique() == 6


def test_a_class_is_cut_to_the_ratio_of_the_others(split):
    for seed in range(6):  # now the largest is the one that is cut, now another
        rng = np.random.default_rng(seed)
        counts, rare = protocols._cut(with_sizes(split, 12, 8, 8), 4, 200, rng)
        others = max(n for label, n in counts.items() if label not in rare)
        assert others / counts[rare[0]] == 4


def test_a_class_that_allows_the_ratio_is_left_whole(split):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        counts, _ = protocols._cut(with_sizes(split, 14, 4, 4), 7, 200, rng)
        assert max(counts.values()) / min(counts.values()) == 7


def test_a_ratio_that_the_classes_are_too_small_for_is_told(setup, split):
    def asked(ratio, split=split, **other):
        one = replace(setup, split=split, resamples=1)
        protocols.class_imbalance(replace(one, **other), ratios=[ratio], methods=["eda"])

    with pytest.warns(UserWarning, match="topics: 1:50 was asked .* ratio is 1:8: .* 100 training"):
        asked(50)
    uneven = with_sizes(split, 15, 12, 8)
    with pytest.warns(UserWarning, match="the ratio is 1:8: "):
        asked(50, uneven, classes_per_resample=None)
    with pytest.warns(UserWarning, match="the ratio is 1:6 to 1:8: "):
        asked(50, uneven)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        asked(7)


def test_paired_predictions_are_of_the_same_texts():
    truth = np.array([0, 1, 0, 1])
    right, part = np.tile(truth, (2, 1)), np.array([[0, 1, -1, -1], [-1, -1, 0, 1]])
    assert difference(truth, part, part, 2).value == 0
    assert retention(truth, part, part, 2).value == 1
    assert win_tie_loss(truth, part, part, 2) == (0, 2, 0)
    for compared in (difference, retention):
        with pytest.raises(DataError, match="-1 on one side only"):
            compared(truth, right, part, 2)
