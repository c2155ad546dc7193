"""What noise costs: exact accounting of Gaussian mechanisms, from ε to noise and back.

All that the mechanisms of this package release is Gaussian, and Gaussian mechanisms compose
exactly: k of them are as telling as one with ``μ = sqrt(μ₁² + … + μₖ²)``, where μ is the
sensitivity over the standard deviation of the noise (Dong, Roth & Su, arXiv 1905.02383,
corollary 3.3). So no bound is loosened on the way.
"""

from __future__ import annotations

import math

from smotext_lab.errors import ParameterError

__all__ = ["composed", "delta_of", "epsilon_of", "mu_of"]

_LEAST, _MOST = 1e-6, 1e4  # of μ: less is no release worth the name, more is no privacy


def delta_of(epsilon: float, mu: float) -> float:
    """Return the smallest δ with which a Gaussian mechanism is (ε, δ)-differentially private.

    Parameters
    ----------
    epsilon : float
        0 or more.
    mu : float
        Sensitivity over the standard deviation of the noise.

    References
    ----------
    Balle & Wang, "Improving the Gaussian mechanism for differential privacy", ICML 2018,
    theorem 8.

    Examples
    --------
    >>> round(delta_of(1.0, 1.0), 6)
    0.126937
    """
    from scipy.special import log_ndtr

    if mu <= 0:
        return 0.0
    first = float(log_ndtr(mu / 2 - epsilon / mu))
    second = epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))
    return math.exp(first) * -math.expm1(min(0.0, second - first))


def mu_of(epsilon: float, delta: float) -> float:
    """Return the largest μ that is (ε, δ)-differentially private.

    Parameters
    ----------
    epsilon : float
        Above 0.
    delta : float
        Between 0 and 1.

    Raises
    ------
    ParameterError
        If ε or δ cannot be used, or no noise that can be drawn is enough for them.

    Examples
    --------
    >>> mu = mu_of(4.0, 1e-5)
    >>> delta_of(4.0, mu) <= 1e-5
    True
    """
    check(epsilon, delta)
    low, high = _LEAST, _MOST
    if delta_of(epsilon, low) > delta:
        msg = (
            f"ε = {epsilon:g} with δ = {delta:g} needs noise of more than {1 / _LEAST:,.0f} times "
            "what one text can change: ask for a larger epsilon or delta."
        )
        raise ParameterError(msg)
    while high / low - 1 > 1e-14:
        middle = math.sqrt(low * high)
        if not low < middle < high:
            break
        if delta_of(epsilon, middle) <= delta:
            low = middle
        else:
            high = middle
    return low * (1 - 1e-12)  # sums of such parts must not pass ε by a rounding error


def epsilon_of(mu: float, delta: float) -> float:
    """Return the smallest ε with which a Gaussian mechanism is (ε, δ)-differentially private.

    Parameters
    ----------
    mu : float
        Sensitivity over the standard deviation of the noise; infinite without noise.
    delta : float

    Examples
    --------
    >>> round(epsilon_of(mu_of(4.0, 1e-5), 1e-5), 6)
    4.0
    >>> epsilon_of(float("inf"), 1e-5)
    inf
    """
    if not math.isfinite(mu):
        return math.inf
    if delta_of(0.0, mu) <= delta:
        return 0.0
    low, high = 0.0, 1.0
    while delta_of(high, mu) > delta:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if delta_of(middle, mu) > delta else (low, middle)
    return high


def composed(*mus: float) -> float:
    """Return the μ of several Gaussian releases of the same texts taken together.

    Examples
    --------
    >>> composed(3.0, 4.0)
    5.0
    """
    return math.hypot(*mus)


def check(epsilon: float, delta: float) -> None:
    """Refuse an ε or a δ that says nothing."""
    if not (isinstance(epsilon, int | float) and 0 < epsilon < math.inf):
        msg = f"epsilon must be a number above 0, such as 1 or 4, got {epsilon!r}."
        raise ParameterError(msg)
    if not (isinstance(delta, int | float) and 0 < delta < 1):
        msg = (
            f"delta must lie between 0 and 1, got {delta!r}: well below 1 / (number of texts), "
            "for 1,000 texts about 1e-4 (1 / (n ln n))."
        )
        raise ParameterError(msg)
