"""How near new texts are to the real ones that they were made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smotext_lab.encoders import Encoder
from smotext_lab.guards.words import longest_runs

__all__ = ["nearest_cosines", "nearness"]

_BLOCK = 1024
_NEAR = 0.95  # cosine above which a text says nearly the same as a real one


def nearness(new: Sequence[str], real: Sequence[str], encoder: Encoder) -> list[tuple[str, float]]:
    """Return how much the new texts have in common with the real ones.

    ``near_real`` is the share of new texts above 0.95 cosine to a real one, 0 to 1;
    ``shared_run`` the mean length in words of the longest run that both have, 0 to the length of
    the texts, and ``longest_shared_run`` the most that any of them has. High, all say that real
    texts are repeated.

    A text above 0.95 says nearly the same in words that may all be others; one below it may hold
    a name or a number of a real text. Both grow with the number of real texts, and real texts of
    one source share as much by chance: compare with `nearest_real`.

    Parameters
    ----------
    new, real : sequence of str
    encoder : Encoder

    Returns
    -------
    list of (str, float)

    References
    ----------
    .. [1] Lee et al., "Deduplicating training data makes language models better", ACL 2022,
       arXiv 2107.06499: shared runs as the mark of what was copied. The threshold of 0.95 is
       ours, that of `Guards`.

    Examples
    --------
    >>> class One:
    ...     def encode(self, texts, *, progress=False):
    ...         return np.ones((len(texts), 1), np.float32)
    >>> nearness(["a b c", "d"], ["b c d"], One())
    [('near_real', 1.0), ('shared_run', 1.5), ('longest_shared_run', 2.0)]
    """
    cosines = nearest_cosines(encoder.encode(list(new)), encoder.encode(list(real)))
    runs = longest_runs(new, real)
    return [
        ("near_real", float(np.mean(cosines > _NEAR))),
        ("shared_run", float(np.mean(runs))),
        ("longest_shared_run", float(np.max(runs))),
    ]


def nearest_cosines(vectors: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Return the cosine of each new text to the nearest real one.

    ``max_r x·r``. Range -1 to 1, 1 for the same vector. What lies near for an encoder need not
    share a word, nor need what shares many lie near; and it grows with the number of real texts,
    so compare only over as many.

    Parameters
    ----------
    vectors, real : ndarray, shape (n, d) and (m, d)
        Rows of length 1.

    Returns
    -------
    ndarray, shape (n,)

    References
    ----------
    .. [1] Park et al., "Data synthesis based on generative adversarial networks", VLDB 2018,
       arXiv 1806.03384, section 5: distance to the closest record, of tables there.

    Examples
    --------
    >>> nearest_cosines(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [0.8, 0.6]])).tolist()
    [0.8]
    """
    blocks = [
        (vectors[start : start + _BLOCK] @ real.T).max(axis=1)
        for start in range(0, len(vectors), _BLOCK)
    ]
    return np.concatenate(blocks) if blocks else np.empty(0, np.float32)
