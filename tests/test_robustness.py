"""What noise costs: the share lost, its interval, and where it is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import paper
from smotext_lab.errors import DataError
from smotext_lab.evaluation.cells import Cell
from smotext_lab.evaluation.results import CLEAN, Arm, Results
from smotext_lab.evaluation.scores import accuracy
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.statistics import drop, drop_difference, drop_win_tie_loss
from smotext_lab.reports import noise

NOISES = ("typos 0.1", "typos 0.4", "case and marks 0.4")


def answers(seed: int, *right: float, runs: int = 8, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return two classes, and answers that are right so often, clean and under each noise.

    Texts that are right under noise are right clean too; the same seed hits the same texts.
    """
    rng = np.random.default_rng(seed)
    truth = rng.integers(2, size=n)
    luck = rng.random((runs, n))
    return truth, np.stack([np.where(luck < share, truth, 1 - truth) for share in right])


def test_the_share_of_accuracy_lost_is_that_of_the_means():
    truth, said = answers(0, 0.8, 0.6, 0.4)
    found = drop(truth, said)
    clean, *noisy = (accuracy(np.tile(truth, (8, 1)), each) for each in said)
    assert found.value == pytest.approx(1 - np.mean(noisy) / clean)
    assert found.low < found.value < found.high
    assert found.resamples == 8
    assert drop(truth, said) == found
    unharmed = drop(truth, said[[0, 0]])
    assert (unharmed.value, unharmed.low, unharmed.high) == (0, 0, 0)


def test_the_interval_is_that_of_drawing_resamples_and_texts_one_by_one():
    truth, said = answers(1, 0.8, 0.6, 0.5, runs=5, n=60)
    found, rng = [], np.random.default_rng(1)
    for _ in range(2000):
        chosen = np.ix_(range(3), rng.integers(5, size=5), rows := rng.integers(60, size=60))
        clean, *noisy = ((each == truth[rows]).mean() for each in said[chosen])
        found.append(1 - np.mean(noisy) / clean)
    effect = drop(truth, said, draws=2000)
    assert [effect.low, effect.high] == pytest.approx(np.percentile(found, [2.5, 97.5]), abs=0.02)


def test_what_is_spared_is_paired():
    truth, theirs = answers(2, 0.8, 0.5)
    _, ours = answers(2, 0.8, 0.52)
    spared = drop_difference(truth, ours, theirs)
    lost = [drop(truth, said) for said in (theirs, ours)]
    assert spared.value == pytest.approx(lost[0].value - lost[1].value)
    assert 0 < spared.low < spared.value < spared.high
    # on the same resamples and texts most of what varies cancels out
    assert lost[0].low < lost[1].high
    assert spared.high - spared.low < (lost[0].high - lost[0].low) / 2
    same = drop_difference(truth, ours, ours)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_resamples_are_won_tied_and_lost():
    truth = np.zeros(10, int)
    clean = np.zeros((4, 10), int)

    def under(*wrong: int) -> np.ndarray:
        noisy = clean.copy()
        for run, number in enumerate(wrong):
            noisy[run, :number] = 1
        return np.stack([clean, noisy])

    assert drop_win_tie_loss(truth, under(1, 2, 3, 5), under(2, 2, 4, 4)) == (2, 1, 1)
    nothing = under(1, 2, 3, 5)
    nothing[:, 0] = 1  # of a resample in which nothing was right, nothing can be lost
    assert drop_win_tie_loss(truth, nothing, under(2, 2, 4, 4)) == (1, 2, 1)


def test_what_cannot_be_lost_is_told():
    truth, said = answers(3, 0.8, 0.5)
    with pytest.raises(DataError, match="no clean test text was classified right"):
        drop(truth, np.stack([1 - np.tile(truth, (8, 1)), said[1]]))
    with pytest.raises(DataError, match=r"\(1 \+ noises, resamples, 200\), not \(1, 8, 200\)"):
        drop(truth, said[:1])
    with pytest.raises(DataError, match="the same shape"):
        drop_difference(truth, said, said[:, :5])


@pytest.fixture
def results(topics: Any) -> Results:
    """Return what noise did: with new texts half as many of the answers are lost."""
    texts, labels = topics(weather=60, money=60)
    split = Split.read(pd.DataFrame({"text": texts, "label": labels}), "topics", test_rows=60)
    truth = np.searchsorted(split.classes, split.test_labels)
    cells: dict[Any, list[Cell]] = {}
    for arm, spared in ((Arm(), 1.0), (Arm("smotext", 1), 0.7), (Arm("smotext", 4), 0.5)):
        for k in (5, 20):
            for resample in range(10):
                luck = np.random.default_rng(resample).permutation(len(truth)) / len(truth)
                said = {
                    test: np.where(luck < 0.1 + lost * spared, 1 - truth, truth)
                    for test, lost in zip((CLEAN, *NOISES), (0, 0.1, 0.4, 0.2), strict=True)
                }
                rows = [
                    {"test": t, "metric": "accuracy", "value": accuracy(truth, s)}
                    for t, s in said.items()
                ]
                cell = Cell(rows, {t: s.tolist() for t, s in said.items()})
                cells.setdefault((arm, "tfidf-logreg", k), []).append(cell)
    return Results("robustness", split, cells, pd.DataFrame())


def test_every_way_is_told_with_what_it_spares(results):
    found = noise.drops(results)
    assert found["trained on"].tolist() == [
        name for name in ("real", "real + 1 × smotext", "real + 4 × smotext") for _ in (5, 20)
    ]
    assert found["k"].tolist() == [5, 20] * 3
    assert found["drop"].is_monotonic_decreasing
    most = found.iloc[-1]
    assert most["gain"] == pytest.approx(found["drop"][0] - most["drop"])
    assert 0 < most["low"] < most["gain"] < most["high"]
    assert (most["win/tie/loss"], most["accuracy"]) == ("10/0/0", pytest.approx(0.9, abs=0.01))


def test_every_noise_is_told_apart_and_drawn(results, monkeypatch):
    found = noise.drops_by_noise(results)
    assert len(found) == 3 * 2 * 4
    assert not found.duplicated(["k", "trained on", "noise", "strength"]).any()
    assert found["noise"].unique().tolist() == ["clean", "typos", "case and marks"]
    assert found[found["noise"] == "clean"]["drop"].isna().all()
    alone = results.drop(Arm(), "tfidf-logreg", 5, ["typos 0.4"])
    row = found.query("k == 5 and noise == 'typos' and strength == 0.4").iloc[0]
    assert [row["drop"], row["low"], row["high"]] == [alone.value, alone.low, alone.high]
    assert alone.value > results.drop(Arm(), "tfidf-logreg", 5).value
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: shown.append(bundle))
    noise.show_drops(found)
    drawn = shown[0]["image/svg+xml"]
    for told in ("typos", "case and marks", "real + 4 × smotext", "tfidf-logreg, k = 20", "0.4"):
        assert told in drawn
    assert "clean" not in drawn


def test_the_claim_has_the_interval_of_the_difference(results):
    claim = paper._spared(results, "tfidf-logreg", 5, 4)
    spared = results.drop_difference(Arm("smotext", 4), Arm(), "tfidf-logreg", 5)
    assert (claim.value, claim.low, claim.high) == (spared.value, spared.low, spared.high)
    assert claim.holds
    other = results.drop(Arm("smotext", 1), "tfidf-logreg", 5).value
    told = f"with new texts, {other:.1%} with real + 1 × smotext, the least of 1 others; clear of 0"
    assert told in claim.told
    right = results.noisy_gain(Arm("smotext", 4), Arm(), "tfidf-logreg", 5)
    assert claim.told.endswith(
        f"accuracy under noise {right.value:+.3f} [{right.low:+.3f}, {right.high:+.3f}]"
    )
    assert 0 < right.low < right.value < right.high
    assert claim.claim == "robustness, k = 5"


def test_who_says_one_class_always_loses_nothing_and_is_not_spared(results):
    ours = (Arm("smotext", 4), "tfidf-logreg", 5)
    constant = [0] * len(results.truth)
    results.cells[ours] = [
        Cell(cell.rows, dict.fromkeys(cell.predicted, constant)) for cell in results.cells[ours]
    ]
    assert results.drop(*ours).value == 0
    claim = paper._spared(results, "tfidf-logreg", 5, 4)
    assert claim.value > 0
    assert not claim.holds
    right = results.noisy_gain(Arm("smotext", 4), Arm(), "tfidf-logreg", 5)
    noisy = [results.predicted(Arm(), "tfidf-logreg", 5, test) for test in NOISES]
    before, now = np.mean(noisy == results.truth), np.mean(results.truth == 0)
    assert right.value == pytest.approx(now - before)
    assert right.high < 0
