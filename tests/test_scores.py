"""Scores of classifiers: against scikit-learn and imbalanced-learn, or counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from imblearn.metrics import geometric_mean_score
from sklearn.metrics import average_precision_score, f1_score, recall_score

from smotext_lab.evaluation import scores


@pytest.fixture(params=range(4))
def said(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return classes of unlike sizes, probabilities that know a little of them, and the guess."""
    rng = np.random.default_rng(request.param)
    truth = rng.choice(4, 300, p=[0.6, 0.25, 0.1, 0.05])
    chances = rng.dirichlet(np.ones(4), 300) + 0.4 * np.eye(4)[truth]
    chances /= chances.sum(axis=1, keepdims=True)
    return truth, chances, chances.argmax(axis=1)


def test_the_g_mean_is_imbalanced_learn_s(said: tuple[np.ndarray, ...]) -> None:
    truth, _, guess = said
    assert 0 < scores.g_mean(truth, guess, 4) < 1
    assert scores.g_mean(truth, guess, 4) == pytest.approx(geometric_mean_score(truth, guess))
    never = np.where(guess == 3, 0, guess)
    assert scores.g_mean(truth, never, 4) == 0.0


def test_a_class_without_test_texts_takes_no_part_in_the_g_mean() -> None:
    truth, guess = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    assert scores.g_mean(truth, guess, 3) == pytest.approx((0.5 * 1.0) ** 0.5)


def test_pr_auc_is_the_mean_over_the_classes_of_scikit_learn_s(
    said: tuple[np.ndarray, ...],
) -> None:
    truth, chances, _ = said
    expected = average_precision_score(np.eye(4)[truth], chances, average="macro")
    assert scores.pr_auc(truth, chances) == pytest.approx(expected)


def test_pr_auc_of_a_guess_is_the_share_of_a_class() -> None:
    truth = np.repeat([0, 1], [90, 10])
    assert scores.pr_auc(truth, np.full((100, 2), 0.5)) == pytest.approx((0.9 + 0.1) / 2)


def test_f1_and_recall_are_scikit_learn_s(said: tuple[np.ndarray, ...]) -> None:
    truth, _, guess = said
    assert scores.macro_f1(truth, guess, 4) == pytest.approx(
        f1_score(truth, guess, average="macro")
    )
    rare = np.array([2, 3])
    expected = recall_score(truth, guess, labels=rare, average="macro")
    assert scores.minority_recall(truth, guess, 4, rare) == pytest.approx(expected)


def test_the_calibration_error_is_that_counted_bin_by_bin(said: tuple[np.ndarray, ...]) -> None:
    truth, chances, guess = said
    for bins in (5, 10):
        total = 0.0
        for place in range(bins):
            sure = [p.max() for p in chances]
            inside = [i for i, p in enumerate(sure) if place <= p * bins < place + 1]
            if inside:
                right = sum(guess[i] == truth[i] for i in inside) / len(inside)
                total += len(inside) / len(truth) * abs(right - np.mean([sure[i] for i in inside]))
        assert scores.calibration_error(truth, chances, bins) == pytest.approx(total)


def test_who_is_always_sure_and_right_is_calibrated_and_who_is_wrong_is_not() -> None:
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert scores.calibration_error(np.array([0, 0]), sure) == 0.0
    assert scores.calibration_error(np.array([1, 1]), sure) == 1.0
