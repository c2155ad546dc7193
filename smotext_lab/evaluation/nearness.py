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

    ``near_real`` is the share of new texts above 0.95 cosine to a real one. ``shared_run`` is how
    many words in a row a new text has in common with a real one, in the mean over the new texts;
    ``longest_shared_run`` the most that any of them has.

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
    """Return the cosine of each unit row to its nearest unit row of `real`; float32 (n,)."""
    blocks = [
        (vectors[start : start + _BLOCK] @ real.T).max(axis=1)
        for start in range(0, len(vectors), _BLOCK)
    ]
    return np.concatenate(blocks) if blocks else np.empty(0, np.float32)
