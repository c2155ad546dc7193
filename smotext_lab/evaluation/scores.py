"""Scores of a classifier on real test texts, most of them for classes of unlike sizes."""

from __future__ import annotations

import numpy as np

__all__ = [
    "accuracy",
    "balanced_recalls",
    "calibration_error",
    "g_mean",
    "macro_f1",
    "minority_recall",
    "pr_auc",
    "prior_macro_f1",
]


def macro_f1(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> float:
    """Return the mean over classes of F1, ``2 TP / (2 TP + FP + FN)``.

    Parameters
    ----------
    truth, predicted : ndarray of int, shape (n,)
        Codes of classes; classes that are in neither do not count.
    n_classes : int

    Returns
    -------
    float
        Between 0 and 1. It says nothing of how sure the classifier was.

    References
    ----------
    .. [1] Opitz and Burst, "Macro F1 and macro F1", arXiv 1911.03347: the mean of F1s.

    Examples
    --------
    >>> round(macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), 2), 3)
    0.667
    """
    hits = np.bincount(truth[truth == predicted], minlength=n_classes)
    wanted = np.bincount(truth, minlength=n_classes)
    said = np.bincount(predicted, minlength=n_classes)
    there = wanted + said > 0
    return float((2 * hits[there] / (wanted + said)[there]).mean())


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of right predictions, 0 to 1.

    Where classes are rare it hardly tells of them: who never says them loses little.

    Examples
    --------
    >>> accuracy(np.array([0, 1]), np.array([0, 0]))
    0.5
    """
    return float(np.mean(truth == predicted))


def balanced_recalls(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the recall of each class, NaN where it has no test text; shape (n_classes,).

    Examples
    --------
    >>> balanced_recalls(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [0.5, 1.0]
    """
    hits = np.bincount(truth[truth == predicted], minlength=n_classes)
    wanted = np.bincount(truth, minlength=n_classes)
    with np.errstate(invalid="ignore"):
        return hits / wanted


def g_mean(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> float:
    """Return the geometric mean of the classes' recalls, 0 to 1.

    ``(Π_c R_c)^(1/C)``: 0 as soon as one class is never found, however well the others are. What
    is said too often is not counted against it.

    References
    ----------
    .. [1] Kubat and Matwin, "Addressing the curse of imbalanced training sets", ICML 1997: of two
       classes; of more the same mean is taken here.

    Examples
    --------
    >>> round(g_mean(np.array([0, 0, 1]), np.array([0, 1, 1]), 2), 3)
    0.707
    """
    recalls = balanced_recalls(truth, predicted, n_classes)
    recalls = recalls[~np.isnan(recalls)]
    return float(np.prod(recalls) ** (1 / len(recalls)))


def minority_recall(
    truth: np.ndarray, predicted: np.ndarray, n_classes: int, minority: np.ndarray
) -> float:
    """Return the mean recall of the classes that had few training texts, 0 to 1.

    It does not say how often they are said where they are not: macro-F1 does.

    Examples
    --------
    >>> minority_recall(np.array([0, 0, 1]), np.array([0, 1, 1]), 2, np.array([0]))
    0.5
    """
    return float(np.nanmean(balanced_recalls(truth, predicted, n_classes)[minority]))


def pr_auc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean over classes of average precision, one class against the rest.

    ``Σ_i (R_i - R_{i-1}) P_i`` over the thresholds, 0 to 1; a guess gives the share of the class.
    It judges the order of the probabilities, not how right they are: `calibration_error` does.

    References
    ----------
    .. [1] Saito and Rehmsmeier, "The precision-recall plot is more informative than the ROC plot
       when evaluating binary classifiers on imbalanced datasets", PLOS ONE 2015; the formula is
       that of scikit-learn's ``average_precision_score``.

    Examples
    --------
    >>> pr_auc(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    1.0
    """
    from sklearn.metrics import average_precision_score

    there = np.unique(truth)
    return float(np.mean([average_precision_score(truth == c, probabilities[:, c]) for c in there]))


def calibration_error(truth: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> float:
    """Return the expected calibration error of the predicted class.

    Test texts are put into `bins` of equal width by the probability of the class said;
    ``Σ_b n_b / n |accuracy_b - mean probability_b|``. Between 0 and 1, 0 is best; it does not
    see that a classifier that always says the class shares is calibrated and useless.

    References
    ----------
    .. [1] Guo et al., "On calibration of modern neural networks", ICML 2017, section 2.

    Examples
    --------
    >>> round(calibration_error(np.array([0, 1]), np.array([[0.8, 0.2], [0.8, 0.2]])), 3)
    0.3
    """
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    places = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [
        abs(right[places == b].mean() - sure[places == b].mean()) * np.mean(places == b)
        for b in np.unique(places)
    ]
    return float(sum(gaps))


def prior_macro_f1(truth: np.ndarray) -> float:
    """Return the macro-F1 to be expected of guessing by the class shares of the test texts.

    Who guesses class c with probability ``p_c`` has an expected F1 of about ``p_c`` on it, so
    the mean over the classes is ``1 / n_classes``.

    Examples
    --------
    >>> prior_macro_f1(np.array([0, 0, 0, 1]))
    0.5
    """
    return 1.0 / len(np.unique(truth))
