"""MAUVE: how near the distribution of new texts is to that of real ones."""

from __future__ import annotations

import numpy as np

from smotext_lab.errors import DataError, ModelError

__all__ = ["mauve"]

_LEAST = 20


def mauve(real: np.ndarray, new: np.ndarray, *, random_state: int = 0) -> float:
    """Return MAUVE of two sets of texts, from their vectors.

    Both sets are cut into the same clusters; what is compared is how they are spread over them,
    by the area under the curve of the two Kullback-Leibler divergences from their mixtures. Range
    0 to 1, 1 for the same spread. It depends on the encoder and on how many texts there are:
    compare only figures of as many texts, and beside that of two halves of the real ones. The
    paper's features are those of a large language model; ours, a sentence encoder's, see subject
    more than form. It does not say whether single texts are good, or copies.

    Parameters
    ----------
    real, new : ndarray of float32, shape (n, d) and (m, d)
        At least 20 of each; some hundreds for a figure that is stable.
    random_state : int, default=0
        Of the clustering.

    Raises
    ------
    DataError
        If there are too few texts.
    ModelError
        If mauve-text (extra ``mauve``) is not installed.

    References
    ----------
    .. [1] Pillutla et al., "MAUVE", NeurIPS 2021, arXiv 2102.01454, section 2.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    >>> mauve(rows[:100], rows[100:]) > 0.5 > mauve(rows[:100], rows[100:] + 5)
    True
    """
    if min(len(real), len(new)) < _LEAST:
        msg = f"MAUVE needs {_LEAST} texts of each set, got {len(real)} and {len(new)}."
        raise DataError(msg)
    try:
        from mauve import compute_mauve
    except ImportError as error:
        msg = "MAUVE needs mauve-text: pip install 'smotext-lab[mauve]'."
        raise ModelError(msg) from error
    found = compute_mauve(
        p_features=np.asarray(real, np.float32),
        q_features=np.asarray(new, np.float32),
        seed=random_state,
        device_id=-1,
        verbose=False,
    )
    return float(found.mauve)
