"""What scores of members and of others prove: AUC, true positives at few false ones, ε at least."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from smotext_lab.errors import DataError

__all__ = [
    "Interval",
    "area",
    "epsilon_at_least",
    "epsilon_could_show",
    "proportion",
    "roc",
    "true_positives_at",
]


class Interval(NamedTuple):
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def proportion(hits: int, n: int, confidence: float = 0.95) -> Interval:
    """Return a share with its exact interval (Clopper & Pearson, Biometrika 26, 1934).

    Examples
    --------
    >>> str(proportion(0, 100))
    '0.000 (0.000 to 0.036)'
    """
    from scipy.stats import beta

    rest = (1 - confidence) / 2
    low = float(beta.ppf(rest, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - rest, hits + 1, n - hits)) if hits < n else 1.0
    return Interval(hits / n, low, high)


def roc(members: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return false and true positive rates at every threshold, from (0, 0) to (1, 1).

    Examples
    --------
    >>> false, true = roc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    >>> false.tolist(), true.tolist()
    ([0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0])
    """
    cuts = np.unique(np.concatenate([members, others]))[::-1]
    return (
        np.r_[0.0, _share_from(others, cuts)],
        np.r_[0.0, _share_from(members, cuts)],
    )


def area(members: np.ndarray, others: np.ndarray, confidence: float = 0.95) -> Interval:
    """Return the chance that a member scores higher than another text, 0.5 being a guess.

    References
    ----------
    The interval: DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988; where the variance
    vanishes (all members above all others), Clopper and Pearson's on the smaller group.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> guess = area(rng.normal(size=500), rng.normal(size=500))
    >>> guess.low < 0.5 < guess.high
    True
    """
    from scipy.stats import norm, rankdata

    m, n = _sizes(members, others)
    ranks = rankdata(np.concatenate([members, others]))
    above = (ranks[:m] - rankdata(members)) / n
    below = 1 - (ranks[m:] - rankdata(others)) / m
    value = float(above.mean())
    spread = math.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n)
    if spread == 0.0:
        sure = proportion(round(value * min(m, n)), min(m, n), confidence)
        return Interval(value, sure.low, sure.high)
    reach = float(norm.ppf((1 + confidence) / 2)) * spread
    return Interval(value, max(0.0, value - reach), min(1.0, value + reach))


def true_positives_at(
    rate: float, members: np.ndarray, others: np.ndarray, confidence: float = 0.95
) -> Interval:
    """Return the share of members found while at most `rate` of the others are taken for some.

    The cut is set by the others that there are, which are not all there might be: the interval
    holds for the share found at the cut that `rate` of all of them lie above. Its low end is found
    at a cut that surely no more do, its high end at one that surely no fewer do.

    Parameters
    ----------
    rate : float
        False positives, such as 0.01.

    Notes
    -----
    Above the k-th largest of n scores lies a share of all that follows Beta(k, n + 1 - k); half of
    what the interval may miss goes to that, half to the exact interval of the share (`proportion`).
    Guessing finds ``(⌊rate · n⌋ + 1) / (n + 1)`` on average.

    Examples
    --------
    >>> true_positives_at(0.01, np.arange(100.0) + 50, np.arange(100.0)).value
    0.51
    """
    from scipy.stats import beta

    m, n = _sizes(members, others)
    allowed = math.floor(rate * n + 1e-9)
    ranked = np.sort(others)[::-1]
    cut = ranked[allowed] if allowed < n else -np.inf
    rest = (1 - confidence) / 4
    fewer = beta.cdf(rate, np.arange(n) + 1, n - np.arange(n))  # chance that the cut is as strict
    strict, loose = np.flatnonzero(fewer >= 1 - rest), np.flatnonzero(fewer <= rest)
    low, high = 0.0, 1.0
    if len(strict):
        low = proportion(int((members > ranked[strict[-1]]).sum()), m, 1 - 2 * rest).low
    if len(loose):
        high = proportion(int((members >= ranked[loose[0]]).sum()), m, 1 - 2 * rest).high
    return Interval(float((members > cut).mean()), low, high)


def epsilon_at_least(
    members: np.ndarray,
    others: np.ndarray,
    *,
    delta: float = 0.0,
    confidence: float = 0.95,
    random_state: int | None = 0,
) -> float:
    """Return an ε that whatever gave these scores exceeds, with that confidence; 0: none shown.

    An (ε, δ)-differentially private release gives no test a true positive rate above
    ``e^ε · (false positive rate) + δ``. The threshold is chosen on one half of the scores and
    tried on the other, so that choosing it proves nothing by itself.

    The confidence is that of independent scores, such as those of separate releases. Where all are
    of one release (the texts of one synthesis, as in `audit`), they share its noise, and the
    confidence is as good as the assumption that they are as good as independent.

    Parameters
    ----------
    members, others : ndarray of shape (m,), (n,)
        Higher for what is taken for a member.
    delta : float, default=0.0
    confidence : float, default=0.95
    random_state : int, optional
        Of the halves.

    References
    ----------
    Jagielski, Ullman & Oprea, "Auditing differentially private machine learning", NeurIPS 2020.

    Examples
    --------
    >>> apart = np.arange(1000.0)
    >>> epsilon_at_least(apart + 2000, apart) > 4
    True
    >>> epsilon_at_least(apart, apart)
    0.0
    """
    _sizes(members, others)
    rng = np.random.default_rng(random_state)
    halves = [np.array_split(rng.permutation(scores), 2) for scores in (members, others)]
    (choose_in, try_in), (choose_out, try_out) = halves
    best, chosen = -math.inf, (1.0, math.inf)
    for sign in (1.0, -1.0):  # members high; or others low: which is a test as good
        inside, outside = (choose_in, choose_out) if sign > 0 else (-choose_out, -choose_in)
        cuts = np.unique(np.quantile(np.r_[inside, outside], np.linspace(0, 1, 201)))
        bounds = _bounds(inside, outside, cuts, delta, confidence)
        if bounds.max() > best:
            best, chosen = bounds.max(), (sign, float(cuts[bounds.argmax()]))
    sign, cut = chosen
    inside, outside = (try_in, try_out) if sign > 0 else (-try_out, -try_in)
    return max(0.0, float(_bounds(inside, outside, np.array([cut]), delta, confidence)[0]))


def epsilon_could_show(
    m: int,
    n: int,
    *,
    betrayed: int | None = None,
    delta: float = 0.0,
    confidence: float = 0.95,
) -> float:
    """Return the most that `epsilon_at_least` gives for so many members and others.

    It is what scores give that separate them perfectly: a stated ε above it cannot be contradicted.
    Where a few members alone are betrayed, it is what scores give that put these above all and
    tell nothing of the rest, if the halves have as many of them each.

    Parameters
    ----------
    m, n : int
        Members and others.
    betrayed : int, optional
        Of the members; default all.
    delta, confidence : float

    Examples
    --------
    >>> round(epsilon_could_show(40, 40), 2), round(epsilon_could_show(1000, 1000), 2)
    (1.6, 4.91)
    >>> round(epsilon_could_show(1000, 1000, betrayed=60), 2)
    1.71
    """
    inside, outside = np.zeros(m // 2), np.zeros(n // 2)  # the halves that are tried
    inside[: (m if betrayed is None else betrayed) // 2] = 1
    tests = ((inside, outside, np.ones(1)), (-outside, -inside, np.zeros(1)))
    return max(0.0, *(float(_bounds(*test, delta, confidence)[0]) for test in tests))


def _bounds(
    inside: np.ndarray, outside: np.ndarray, cuts: np.ndarray, delta: float, confidence: float
) -> np.ndarray:
    """Return what ε is at least by each cut, -inf where by none."""
    from scipy.stats import beta

    m, n = len(inside), len(outside)
    true, false = (
        len(scores) - np.searchsorted(np.sort(scores), cuts) for scores in (inside, outside)
    )
    # each rate is off with half of the chance that is left, on the side that would flatter
    off = (1 - confidence) / 2
    low = np.where(true > 0, beta.ppf(off, np.maximum(true, 1), m - true + 1), 0.0)
    high = np.where(false < n, beta.ppf(1 - off, false + 1, np.maximum(n - false, 1)), 1.0)
    return np.where(low > delta, np.log(np.maximum(low - delta, 1e-300) / high), -np.inf)


def _share_from(scores: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    ordered = np.sort(scores)
    return 1.0 - np.searchsorted(ordered, cuts, side="left") / len(ordered)


def _sizes(members: np.ndarray, others: np.ndarray) -> tuple[int, int]:
    if min(len(members), len(others)) < 2:
        msg = f"An attack needs members and others, got {len(members)} and {len(others)} scores."
        raise DataError(msg)
    return len(members), len(others)
