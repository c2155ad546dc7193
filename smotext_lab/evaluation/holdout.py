"""Whether new texts lie nearer to the real texts they were made from than to others like them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smotext_lab.errors import DataError
from smotext_lab.evaluation.nearness import nearest_cosines

__all__ = ["NearestReal", "nearest_real"]


@dataclass(frozen=True, eq=False)
class NearestReal:
    """How far each new text is from the nearest real one of either part.

    Attributes
    ----------
    train, holdout : ndarray of float64, shape (n,)
        ``1 - cos`` to the nearest; between 0 and 2.
    """

    train: np.ndarray
    holdout: np.ndarray

    @property
    def nearer_to_train(self) -> float:
        """Share of new texts nearer to a training text than to any held out; ties count half."""
        nearer = np.sign(self.holdout - self.train)
        return float(np.mean((nearer + 1) / 2)) if len(nearer) else float("nan")


def nearest_real(
    vectors: np.ndarray, train: np.ndarray, holdout: np.ndarray, *, random_state: int = 0
) -> NearestReal:
    """Return how far each new text is from the nearest training and the nearest held-out text.

    ``d(x, R) = 1 - max_{r in R} cos(x, r)`` for both parts R, the larger of which is thinned to
    the size of the other: among more texts a nearer one is found by chance. Distances range from
    0 to 2. `NearestReal.nearer_to_train` ranges from 0 to 1; about 0.5 where new texts are no
    nearer to what they were made from than to other texts of the same source, well above where
    they repeat it.

    It does not say that no text is a copy: a few among many hardly move the share, so look at
    the smallest distances of both parts too. Train and holdout must be of one distribution,
    split at random. What the encoder finds alike need not share a word, and no privacy follows
    from it: for that there is `smotext_lab.privacy.audit`.

    Parameters
    ----------
    vectors, train, holdout : ndarray, shape (n, d), (m, d) and (h, d)
        Of any length; nothing may have been made from the held-out texts.
    random_state : int, default=0
        Of the thinning.

    Returns
    -------
    NearestReal

    Raises
    ------
    DataError
        If train or holdout is empty.

    References
    ----------
    .. [1] Platzer and Reutterer, "Holdout-based empirical assessment of mixed-type synthetic
       data", Frontiers in Big Data 4, 2021, arXiv 2104.00635: the share, with another distance.
    .. [2] Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in
       generative models", AISTATS 2020, arXiv 2004.05675.

    Examples
    --------
    >>> train, holdout = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    >>> near = nearest_real(np.array([[2.0, 0.0], [1.0, 1.0]]), train, holdout)
    >>> near.train.round(2).tolist(), near.holdout.round(2).tolist(), near.nearer_to_train
    ([0.0, 0.29], [1.0, 0.29], 0.75)
    """
    if not len(train) or not len(holdout):
        msg = (
            "new texts are compared with training and held-out texts: give some of each, "
            f"not {len(train)} and {len(holdout)}"
        )
        raise DataError(msg)
    rng = np.random.default_rng(random_state)
    size = min(len(train), len(holdout))
    new = _unit(vectors)
    parts = (part[rng.permutation(len(part))[:size]] for part in (train, holdout))
    return NearestReal(*(1 - nearest_cosines(new, _unit(part)) for part in parts))


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = rows / np.where(lengths > 0, lengths, 1.0)
    return unit
