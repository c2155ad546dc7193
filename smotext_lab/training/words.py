"""Which words a lexical head may predict, and which of them each text holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Lexicon", "RaggedIds", "build_lexicon", "word_ids"]


@dataclass(frozen=True)
class Lexicon:
    """The words of a lexical bridge, most frequent first.

    Attributes
    ----------
    words : tuple of str
        As written most often in the corpus ("America", not "america").
    prior : ndarray of float32, shape (n_words,)
        Natural log of the share of texts that hold the word.
    """

    words: tuple[str, ...]
    prior: np.ndarray

    @property
    def index(self) -> dict[str, int]:
        """Lower-cased word → its row."""
        return {word.lower(): row for row, word in enumerate(self.words)}


@dataclass(frozen=True)
class RaggedIds:
    """Word ids of many texts, one after the other.

    Attributes
    ----------
    ids : ndarray of int32, shape (total,)
    offsets : ndarray of int64, shape (n_texts + 1,)
    """

    ids: np.ndarray
    offsets: np.ndarray

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``(position in rows, word id)`` of every word of the texts `rows`."""
        starts, lengths = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        ends = np.cumsum(lengths)
        flat = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
        return np.repeat(np.arange(len(rows)), lengths), self.ids[flat]


def build_lexicon(
    texts: Iterable[str], split: Callable[[str], list[str]], n_words: int = 25_000
) -> Lexicon:
    """Return the `n_words` words that most texts hold.

    Parameters
    ----------
    texts : iterable of str
    split : callable
        Text → its words, as written.
    n_words : int, default=25_000

    Returns
    -------
    Lexicon
    """
    holders: Counter[str] = Counter()
    spellings: dict[str, Counter[str]] = {}
    total = 0
    for text in texts:
        total += 1
        words = split(text)
        holders.update({word.lower() for word in words})
        for word in words:
            spellings.setdefault(word.lower(), Counter())[word] += 1
    kept = [word for word, _ in sorted(holders.items(), key=lambda kv: (-kv[1], kv[0]))[:n_words]]
    surface = tuple(min(spellings[w].items(), key=lambda kv: (-kv[1], kv[0]))[0] for w in kept)
    share = np.array([holders[word] / total for word in kept])
    return Lexicon(surface, np.log(share).astype(np.float32))


def word_ids(
    texts: Sequence[str], lexicon: Lexicon, split: Callable[[str], list[str]]
) -> RaggedIds:
    """Return the distinct lexicon words of every text."""
    index = lexicon.index
    rows = [sorted({index[w] for w in map(str.lower, split(t)) if w in index}) for t in texts]
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return RaggedIds(np.fromiter((i for row in rows for i in row), np.int32, offsets[-1]), offsets)
