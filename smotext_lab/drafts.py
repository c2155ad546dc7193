"""Texts that are one word away from another: a word left out, put in the place of one, or added."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

__all__ = ["Draft"]

_GAPS = 16  # places that are tried for a new word; of more, every second, third, …
_WORDS, _ADDED, _PLACES = 5, 4, 6  # of the best, for the second look


@dataclass(frozen=True)
class Draft:
    """A text cut into its words, and the words that may come into it.

    All pairs of a place and a word would be hundreds of texts. So `first` asks what each word is
    worth, and `second` puts the best ones where they may stand.

    Parameters
    ----------
    text : str
    spans : tuple of (int, int)
        Where its words begin and end.
    words : tuple of str
        Those that may come in.

    Examples
    --------
    >>> from smotext_lab.bridges import split_words
    >>> draft = Draft.of("It rains.", ["often"], split_words)
    >>> draft.first()
    ['Rains.', 'It.', 'It rains often.']
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str, words: Iterable[str], split: Callable[[str], list[str]]) -> Draft:
        """Return a draft of `text`; its words are what `split` says, marks left where they are."""
        spans: list[tuple[int, int]] = []
        at = 0
        for word in filter(_has_letters, split(text)):
            start = text.find(word, at)
            if start >= 0:  # else a splitter that changes what it finds
                at = start + len(word)
                spans.append((start, at))
        new = {word.lower(): word for word in words if _has_letters(word)}
        for start, stop in spans:
            new.pop(text[start:stop].lower(), None)
        return cls(text, tuple(spans), tuple(new.values()))

    def first(self) -> list[str]:
        """Return the text without each of its words, then with each new word after its last."""
        last = len(self.spans) - 1
        return self._shortened() + [self._with_after(last, word) for word in self.words]

    def second(self, worth: np.ndarray, turn: int = 0) -> list[str]:
        """Return the text with the best of the new words in place of those least missed, and added.

        Parameters
        ----------
        worth : ndarray, shape (m,)
            What each text of `first` is worth.
        turn : int, default=0
            Which of the places are tried for an added word, where the text has many.
        """
        shortened = len(self._shortened())
        words = [self.words[i] for i in _best(worth[shortened:], _WORDS)]
        places = [self.spans[i] for i in _best(worth[:shortened], _PLACES)]
        apart = max(1, math.ceil(len(self.spans) / _GAPS))
        gaps = range(turn % apart - 1, len(self.spans) - 1, apart)
        replaced = [self._with(*span, word) for span in places for word in words]
        return replaced + [self._with_after(gap, word) for word in words[:_ADDED] for gap in gaps]

    def _shortened(self) -> list[str]:
        if len(self.spans) < 2:
            return []
        # the blank before a word goes with it, so that none is left before a mark
        blank = [int(self.text[:start].endswith(" ")) for start, _ in self.spans]
        spans = zip(self.spans, blank, strict=True)
        return [self._with(start - before, stop, "") for (start, stop), before in spans]

    def _with_after(self, place: int, word: str) -> str:
        """Return the text with `word` after its word number `place` (-1: before all)."""
        blank = " " if " " in self.text or len(self.spans) < 2 else ""  # scripts without spaces
        if place < 0:
            start = self.spans[0][0] if self.spans else 0
            return self._with(start, start, word + blank)
        stop = self.spans[place][1]
        return self._with(stop, stop, blank + word)

    def _with(self, start: int, stop: int, new: str) -> str:
        text = " ".join((self.text[:start] + new + self.text[stop:]).split())
        return text[:1].upper() + text[1:] if self.text[:1].isupper() else text


def _best(worth: np.ndarray, most: int) -> list[int]:
    best: list[int] = np.argsort(-worth, kind="stable")[:most].tolist()
    return best


def _has_letters(word: str) -> bool:
    return any(character.isalnum() for character in word)
