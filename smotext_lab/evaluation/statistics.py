"""How sure a difference is: paired over resamples and test texts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from smotext_lab.errors import DataError
from smotext_lab.evaluation.scores import macro_f1, prior_macro_f1

__all__ = [
    "Effect",
    "difference",
    "drop",
    "drop_difference",
    "drop_win_tie_loss",
    "noisy_difference",
    "retention",
    "win_tie_loss",
]

_TIE = 0.005  # of macro-F1, or of the share lost: nearer results are called the same
_UNCLEAR = 0.025  # of the draws: where in more of them nothing is there to keep, nothing is told
_CELLS = 2**22  # of draws by test texts that are counted together


@dataclass(frozen=True)
class Effect:
    """A figure with its interval.

    Attributes
    ----------
    value, low, high : float
        The mean over resamples and the ends of its 95% interval.
    resamples : int
    """

    value: float
    low: float
    high: float
    resamples: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @property
    def clear(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def difference(
    truth: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    n_classes: int,
    *,
    draws: int = 1000,
    random_state: int = 0,
) -> Effect:
    """Return the mean paired difference of macro-F1, ours less theirs.

    Parameters
    ----------
    truth : ndarray of int, shape (n_test,)
    ours, theirs : ndarray of int, shape (resamples, n_test)
        Predictions of two ways on the same resamples and the same test texts; -1 where a
        resample did not test a text, which then counts in the others alone.
    n_classes : int
    draws : int, default=1000
        Bootstrap draws. Each draws resamples and, apart from that, test texts with replacement,
        the same for both, so that what makes a resample or a test text hard cancels out.
    random_state : int, default=0

    Returns
    -------
    Effect
        Percentile interval. With few resamples it is too narrow: of 3 there are 10 different
        draws.

    Raises
    ------
    DataError
        If the shapes differ, or what was tested does.

    References
    ----------
    .. [1] Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapters 8 and 13.
    .. [2] Bouthillier et al., "Accounting for variance in machine learning benchmarks",
       MLSys 2021: resample all that varies.

    Examples
    --------
    >>> truth = np.array([0, 1, 0, 1])
    >>> right, wrong = np.tile(truth, (3, 1)), np.tile(1 - truth, (3, 1))
    >>> print(difference(truth, right, wrong, 2))
    1.000 [1.000, 1.000]
    """
    _check(truth, ours, theirs)
    bootstrap = _Bootstrap(draws, random_state, np.subtract)
    return _effect(bootstrap.found(truth, ours, theirs, n_classes), len(ours))


def retention(
    truth: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    n_classes: int,
    *,
    draws: int = 1000,
    random_state: int = 0,
) -> Effect:
    """Return the share of macro-F1 above guessing that is kept, ours of theirs.

    ``(F1_ours - g) / (F1_theirs - g)`` with ``g = 1 / n_classes``, what guessing by the class
    shares gives; means over the resamples are taken before dividing. Where theirs is not clearly
    above guessing (by a one-sided 97.5% bootstrap) a share of it says nothing: all is nan then. See
    `difference` for the parameters.

    Examples
    --------
    >>> truth = np.array([0, 1, 0, 1])
    >>> right = np.tile(truth, (3, 1))
    >>> print(retention(truth, right, right, 2))
    1.000 [1.000, 1.000]
    """
    _check(truth, ours, theirs)
    guess = prior_macro_f1(truth[ours[0] >= 0])  # every resample has as many classes

    def kept(a: float, b: float) -> float:
        # nan, where a draw tested nothing, stays nan
        return math.inf if b <= guess else (a - guess) / (b - guess)

    found = _Bootstrap(draws, random_state, kept).found(truth, ours, theirs, n_classes)
    if np.isinf(found[0]) or np.isinf(found[1:]).mean() > _UNCLEAR:
        return Effect(math.nan, math.nan, math.nan, len(ours))
    return _effect(np.where(np.isinf(found), math.nan, found), len(ours))


def drop(
    truth: np.ndarray, said: np.ndarray, *, draws: int = 1000, random_state: int = 0
) -> Effect:
    """Return the share of accuracy that is lost under noise.

    ``1 - noisy / clean``, both accuracies means over the resamples, `noisy` over the noises as
    well. Below 0 where noise happens to help.

    Parameters
    ----------
    truth : ndarray of int, shape (n_test,)
    said : ndarray of int, shape (1 + noises, resamples, n_test)
        Predictions for the clean test texts, then for the same texts under each noise; -1 where a
        resample did not test a text, which then counts neither as kept nor as lost.
    draws, random_state
        See `difference`. A draw takes the same resamples and test texts clean and under every
        noise; the noises are those there are, not drawn.

    Returns
    -------
    Effect

    Raises
    ------
    DataError
        If the shapes do not fit, or no clean text was classified right: nothing can be lost.

    References
    ----------
    .. [1] Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions
       and perturbations", ICLR 2019: their relative error, too, sets what noise costs against
       the error without it.

    Examples
    --------
    >>> truth = np.array([0, 1, 0, 1])
    >>> clean, noisy = np.tile(truth, (3, 1)), np.tile([0, 1, 1, 0], (3, 1))
    >>> drop(truth, np.stack([clean, noisy])).value
    0.5
    """
    return _effect(_drops(truth, said, draws, random_state), said.shape[1])


def drop_difference(
    truth: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    *,
    draws: int = 1000,
    random_state: int = 0,
) -> Effect:
    """Return how much smaller the share of accuracy is that ours loses: theirs less ours.

    Paired: every draw takes the same resamples and test texts for both. See `drop`.

    Examples
    --------
    >>> truth = np.array([0, 1, 0, 1])
    >>> clean, noisy = np.tile(truth, (3, 1)), np.tile([0, 1, 1, 0], (3, 1))
    >>> drop_difference(truth, np.stack([clean, clean]), np.stack([clean, noisy])).value
    0.5
    """
    _check_pair(ours, theirs)
    lost = [_drops(truth, said, draws, random_state) for said in (theirs, ours)]
    return _effect(lost[0] - lost[1], ours.shape[1])


def noisy_difference(
    truth: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    *,
    draws: int = 1000,
    random_state: int = 0,
) -> Effect:
    """Return how much more accurate ours is under noise: paired, the mean over the noises.

    A classifier that says one class always loses nothing to noise: `drop_difference` alone would
    praise it. See `drop` for the parameters.

    Examples
    --------
    >>> truth = np.array([0, 1, 0, 1])
    >>> clean, noisy = np.tile(truth, (3, 1)), np.tile([0, 1, 1, 0], (3, 1))
    >>> noisy_difference(truth, np.stack([clean, clean]), np.stack([clean, noisy])).value
    0.5
    """
    _check_pair(ours, theirs)
    told = []
    for said in (ours, theirs):
        _, right = _clean_and_noisy(truth, said)
        hits, n = _drawn_sums((right, (said[0] >= 0).astype(float)), draws, random_state)
        told.append(np.divide(hits, n, out=np.full(draws + 1, np.nan), where=n > 0))
    return _effect(told[0] - told[1], ours.shape[1])


def _check_pair(ours: np.ndarray, theirs: np.ndarray) -> None:
    if ours.shape != theirs.shape:
        msg = f"paired predictions must have the same shape, not {ours.shape} and {theirs.shape}"
        raise DataError(msg)


def _drops(truth: np.ndarray, said: np.ndarray, draws: int, random_state: int) -> np.ndarray:
    """Return the drop as it is, then of each draw; NaN where nothing drawn was right clean."""
    before, after = _drawn_sums(_clean_and_noisy(truth, said), draws, random_state)
    if not before[0]:
        msg = "no clean test text was classified right, so there is no accuracy to lose to noise"
        raise DataError(msg)
    return 1 - np.divide(after, before, out=np.full(len(before), np.nan), where=before > 0)


def _drawn_sums(
    values: Sequence[np.ndarray], draws: int, random_state: int
) -> tuple[np.ndarray, ...]:
    """Return sums over resamples and test texts: of all, then of each draw."""
    rng = np.random.default_rng(random_state)
    # how often each resample and each test text comes in each draw, first of all once each
    runs, rows = (
        np.concatenate([np.ones((1, n)), _counts(rng, n, draws)]) for n in values[0].shape
    )
    return tuple(((runs @ each) * rows).sum(axis=1) for each in values)


def _counts(rng: np.random.Generator, n: int, draws: int) -> np.ndarray:
    """Return how often each of `n` comes when `n` are drawn with replacement; float (draws, n)."""
    drawn = rng.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n).astype(float)


def _clean_and_noisy(truth: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which clean texts were right, and how often under noise; float (resamples, n_test)."""
    if said.ndim != 3 or said.shape[2:] != truth.shape or len(said) < 2 or not said.size:
        msg = (
            f"predictions clean and under noise must have the shape (1 + noises, resamples, "
            f"{len(truth)}), not {said.shape}"
        )
        raise DataError(msg)
    right = said == truth
    return right[0].astype(float), right[1:].mean(axis=0)


def _effect(found: np.ndarray, resamples: int) -> Effect:
    """Return the first of `found` with the interval of the others."""
    low, high = np.nanpercentile(found[1:], [2.5, 97.5])
    return Effect(float(found[0]), float(low), float(high), resamples)


@dataclass(frozen=True)
class _Bootstrap:
    draws: int
    random_state: int
    compare: Callable[[float, float], float]

    def found(
        self, truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray, n_classes: int
    ) -> np.ndarray:
        """Return the comparison of all, then that of each draw."""
        draws, found = self._draws(*ours.shape), list[float]()
        while some := list(itertools.islice(draws, max(1, _CELLS // len(truth)))):
            runs, rows = map(np.stack, zip(*some, strict=True))
            means = [_mean_f1(truth, said, runs, rows, n_classes) for said in (ours, theirs)]
            found += itertools.starmap(self.compare, zip(*means, strict=True))
        return np.array(found)

    def _draws(self, runs: int, rows: int) -> Iterator[list[np.ndarray]]:
        """Yield how often each resample and each test text comes, first of all once each."""
        rng = np.random.default_rng(self.random_state)
        yield [np.ones(runs, int), np.ones(rows, int)]
        for _ in range(self.draws):
            yield [np.bincount(rng.integers(n, size=n), minlength=n) for n in (runs, rows)]


def _mean_f1(
    truth: np.ndarray, said: np.ndarray, runs: np.ndarray, rows: np.ndarray, n_classes: int
) -> list[float]:
    """Return the mean macro-F1 of each draw; nan where a resample of it tested nothing drawn.

    Parameters
    ----------
    runs, rows : ndarray of int, shapes (draws, resamples) and (draws, n_test)
        How often each resample and each test text comes in each draw.
    """
    codes, weights = np.arange(n_classes), rows.astype(float)
    f1 = np.empty(runs.shape)
    for run, own in enumerate(said):
        named, wanted = own[:, None] == codes, (truth[:, None] == codes) & (own >= 0)[:, None]
        counts = weights @ np.hstack([named & wanted, named, wanted]).astype(float)
        hits, claims, texts = np.split(counts, 3, axis=1)
        there = claims + texts  # a class that is in neither does not count
        scores = np.divide(2 * hits, there, out=np.zeros_like(hits), where=there > 0)
        with np.errstate(invalid="ignore"):
            f1[:, run] = scores.sum(axis=1) / (there > 0).sum(axis=1)
    means: list[float] = (np.where(runs, f1 * runs, 0).sum(axis=1) / runs.shape[1]).tolist()
    return means


def _check(truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> None:
    if ours.shape != theirs.shape or ours.shape[1:] != truth.shape or not len(ours):
        msg = (
            f"paired predictions must have the same shape (resamples, {len(truth)}), not "
            f"{ours.shape} and {theirs.shape}"
        )
        raise DataError(msg)
    if not np.array_equal(ours < 0, theirs < 0):
        msg = "paired predictions must be of the same test texts: some are -1 on one side only"
        raise DataError(msg)


def _tested_f1(truth: np.ndarray, said: np.ndarray, n_classes: int) -> float:
    """Return macro-F1 over the texts that were tested; of none, which a draw may give, nan."""
    there = said >= 0
    return macro_f1(truth[there], said[there], n_classes) if there.any() else float("nan")


def win_tie_loss(
    truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray, n_classes: int
) -> tuple[int, int, int]:
    """Return in how many resamples ours is better, as good (within 0.005), and worse.

    Examples
    --------
    >>> truth = np.array([0, 1])
    >>> win_tie_loss(truth, np.array([[0, 1], [0, 1]]), np.array([[0, 1], [1, 0]]), 2)
    (1, 1, 0)
    """
    gaps = np.array(
        [
            _tested_f1(truth, a, n_classes) - _tested_f1(truth, b, n_classes)
            for a, b in zip(ours, theirs, strict=True)
        ]
    )
    return _counted(gaps)


def drop_win_tie_loss(
    truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray
) -> tuple[int, int, int]:
    """Return in how many resamples ours loses less under noise, as much (within 0.005), more.

    A resample without a right clean text on either side is a tie. See `drop` for the shapes.

    Examples
    --------
    >>> truth = np.array([0, 1, 0, 1])
    >>> clean, noisy = np.tile(truth, (3, 1)), np.tile([0, 1, 1, 0], (3, 1))
    >>> drop_win_tie_loss(truth, np.stack([clean, clean]), np.stack([clean, noisy]))
    (3, 0, 0)
    """
    parts = [_clean_and_noisy(truth, said) for said in (ours, theirs)]
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = [noisy.mean(axis=1) / clean.mean(axis=1) for clean, noisy in parts]
        return _counted(kept[0] - kept[1])


def _counted(gaps: np.ndarray) -> tuple[int, int, int]:
    """Return how many are above the width of a tie, within it, below."""
    won, lost = int(np.sum(gaps > _TIE)), int(np.sum(gaps < -_TIE))
    return won, len(gaps) - won - lost, lost
