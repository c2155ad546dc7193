"""How near new texts are to the real ones that they were made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smotext_lab.encoders import Encoder

__all__ = ["longest_shared_run", "nearest_cosines", "nearness"]

_BLOCK = 1024
_NEAR = 0.95  # cosine above which a text says nearly the same as a real one


def nearness(new: Sequence[str], real: Sequence[str], encoder: Encoder) -> list[tuple[str, float]]:
    """Return how much the new texts have in common with the real ones.

    ``near_real`` is the share of new texts above 0.95 cosine to a real one, ``shared_run`` the
    mean length in words of the longest run that both have.

    Examples
    --------
    >>> class One:
    ...     def encode(self, texts, *, progress=False):
    ...         return np.ones((len(texts), 1), np.float32)
    >>> nearness(["a b c"], ["b c d"], One())
    [('near_real', 1.0), ('shared_run', 2.0)]
    """
    cosines = nearest_cosines(encoder.encode(list(new)), encoder.encode(list(real)))
    runs = longest_shared_run(new, real)
    return [("near_real", float(np.mean(cosines > _NEAR))), ("shared_run", float(np.mean(runs)))]


def nearest_cosines(vectors: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Return the cosine of each unit row to its nearest unit row of `real`; float32 (n,)."""
    blocks = [
        (vectors[start : start + _BLOCK] @ real.T).max(axis=1)
        for start in range(0, len(vectors), _BLOCK)
    ]
    return np.concatenate(blocks) if blocks else np.empty(0, np.float32)


def longest_shared_run(new: Sequence[str], real: Sequence[str]) -> np.ndarray:
    """Return the number of words of the longest run of each text that any real text has.

    Words are compared in small letters and without marks at their ends.

    Parameters
    ----------
    new, real : sequence of str

    Returns
    -------
    ndarray of int64, shape (n,)

    Examples
    --------
    >>> longest_shared_run(["The rain fell.", "A goal"], ["rain fell on us"]).tolist()
    [2, 0]
    """
    kept = [_words(text) for text in real]
    runs: dict[int, set[tuple[str, ...]]] = {}

    def known(length: int) -> set[tuple[str, ...]]:
        if length not in runs:
            runs[length] = {
                tuple(words[at : at + length])
                for words in kept
                for at in range(len(words) - length + 1)
            }
        return runs[length]

    found = []
    for text in new:
        words, best = _words(text), 0
        for at in range(len(words)):
            while at + best < len(words) and tuple(words[at : at + best + 1]) in known(best + 1):
                best += 1
        found.append(best)
    return np.array(found, dtype=np.int64)


def _words(text: str) -> list[str]:
    return [word for word in (w.strip(".,;:!?\"'()").lower() for w in text.split()) if word]
