"""A small language model of the synthetic texts: what it finds likely, they may have come from."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

__all__ = ["WordModel", "words_of"]

_WORD = re.compile(r"\w+|[^\w\s]")
_START = "\n"  # no word


def words_of(text: str) -> list[str]:
    """Return the words and signs of a text, in lower case.

    Examples
    --------
    >>> words_of("Call 5512, now!")
    ['call', '5512', ',', 'now', '!']
    """
    return _WORD.findall(text.lower())


class WordModel:
    """Word n-grams with Witten and Bell's smoothing.

    Parameters
    ----------
    texts : sequence of str
    order : int, default=3
        Words looked at together, at most.

    References
    ----------
    I. Witten & T. Bell, "The zero-frequency problem", IEEE Trans. Information Theory 37, 1991.

    Examples
    --------
    >>> model = WordModel(["the rain fell all day"])
    >>> scores = model.scores(["the rain fell", "day all fell"])
    >>> bool(scores[0] > scores[1])
    True
    """

    def __init__(self, texts: Sequence[str], order: int = 3) -> None:
        self._order = order
        self._after: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for text in texts:
            for context, word in self._steps(words_of(text)):
                for length in range(len(context) + 1):
                    self._after[context[len(context) - length :]][word] += 1
        self._totals = {context: sum(found.values()) for context, found in self._after.items()}
        self._floor = 1.0 / (len(self._after[()]) + 1)

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """Return the mean natural log of the probability a word, shape (n,)."""
        found = []
        for text in texts:
            logs = [math.log(self._chance(c, w)) for c, w in self._steps(words_of(text))]
            found.append(sum(logs) / max(1, len(logs)))
        return np.array(found)

    def _steps(self, words: list[str]) -> list[tuple[tuple[str, ...], str]]:
        padded = [_START] * (self._order - 1) + words
        return [(tuple(padded[i : i + self._order - 1]), word) for i, word in enumerate(words)]

    def _chance(self, context: tuple[str, ...], word: str) -> float:
        chance = self._floor
        for length in range(len(context) + 1):
            found = self._after.get(context[len(context) - length :])
            if not found:
                break
            total, kinds = self._totals[context[len(context) - length :]], len(found)
            chance = (found[word] + kinds * chance) / (total + kinds)
        return chance
