"""Texts as words: folding, repetition loops, and runs of words that two texts share."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

__all__ = ["SharedRuns", "ends_sentence", "find_loop", "fold", "longest_runs"]

_LONGEST_PHRASE = 64  # words; loops of language models are shorter
_LOOPING_CHARACTERS = re.compile(r"(.{1,8}?)\1{11,}")  # "hahaha…" and scripts without spaces
# Latin, then Chinese and Japanese (full and half width), Arabic, Urdu, Hindi, Armenian, Ethiopic
_SENTENCE_ENDS = ".!?…\u3002\uff01\uff1f\uff61\u061f\u06d4\u0964\u0965\u0589\u1362"
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, from the golden ratio: Knuth's choice


class _Unmarked(dict[int, str]):
    """Translation table: punctuation, symbols, spaces and controls become a space."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kept = unicodedata.category(character)[0] in "LMN"
        self[code] = character if kept else " "
        return self[code]


_UNMARKED = _Unmarked()


def fold(text: str) -> str:
    """Return `text` without the differences that case, spaces and punctuation make.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        Words in folded case, one space between them; empty where there are no words.

    Examples
    --------
    >>> fold("  Rain, rain -- GO away! ")
    'rain rain go away'
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(plain.translate(_UNMARKED).split())


def ends_sentence(text: str) -> bool:
    """Return whether `text` ends as a sentence does, closing quotes and brackets aside.

    Parameters
    ----------
    text : str

    Returns
    -------
    bool

    Examples
    --------
    >>> ends_sentence('He said "no."'), ends_sentence("He said")
    (True, False)
    """
    for character in reversed(text):
        closes = unicodedata.category(character) in ("Pe", "Pf", "Zs", "Cc") or character in "\"'"
        if not closes:
            return character in _SENTENCE_ENDS
    return False


def find_loop(folded: str, max_repeats: int) -> str | None:
    """Return the phrase that a text goes on repeating, or None.

    A loop is a phrase that comes more than `max_repeats` times in a row, or any repetition
    in a row that fills half of the text and at least six words. Where words are not spaced,
    a loop is up to eight characters that come at least twelve times in a row.

    Parameters
    ----------
    folded : str
        What `fold` returned.
    max_repeats : int
        At least 1.

    Returns
    -------
    str or None

    Examples
    --------
    >>> find_loop("the cat the cat the cat the cat sat", 3)
    'the cat'
    >>> find_loop("it is very very good", 3) is None
    True
    """
    words = folded.split()
    number: dict[str, int] = {}
    ids = np.array([number.setdefault(word, len(number)) for word in words], dtype=np.int64)
    longest = min(len(words) // 2, _LONGEST_PHRASE)
    # whatever is repeated had come before: most texts have too little of that for a loop
    before = len(words) - len(number)
    if before < 6 or 2 * before < len(words):
        longest = min(longest, before // max_repeats)
    for period in range(1, longest + 1):
        start, repeated = _longest_run(ids[period:] == ids[:-period])
        fills = repeated >= 6 and 2 * repeated >= len(words)
        if fills or repeated // period + 1 > max_repeats:
            return " ".join(words[start : start + period])
    found = _LOOPING_CHARACTERS.search(folded)
    return found.group(1).strip() if found else None


def longest_runs(texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Return how many words in a row each text has in common with one of the others.

    Parameters
    ----------
    texts, others : sequence of str
        Case, marks and spaces make no difference (`fold`).

    Returns
    -------
    ndarray of int64, shape (n,)

    Examples
    --------
    >>> longest_runs(["The rain fell all day."], ["Then the rain fell on us."]).tolist()
    [3]
    """
    if not texts:
        return np.zeros(0, dtype=np.int64)
    parts = [fold(text).split() for text in (*others, *texts)]
    ranks = _ranks(parts)
    starts = np.cumsum([0, *(len(words) + 1 for words in parts)])[:-1]
    places = np.arange(len(ranks[0]))
    of_others = places < starts[len(others)]
    order = np.argsort(ranks[-1])
    # the runs that go on longest alike stand nearest in the order: one before, one after
    best = np.zeros(len(order), dtype=np.int64)
    for turned in (order, order[::-1]):
        at = np.maximum.accumulate(np.where(of_others[turned], places, -1))
        there = at >= 0
        mine, theirs = turned[there], turned[at[there]]
        best[mine] = np.maximum(best[mine], _alike(ranks, mine, theirs))
    return np.maximum.reduceat(best, starts[len(others) :])


def _ranks(parts: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Return the order of the runs of 1, 2, 4, … words that begin at each word and at each end.

    Equal runs have equal ranks, and each end is like no other (prefix doubling: Manber and Myers,
    "Suffix arrays", SIAM Journal on Computing 22, 1993).
    """
    number: dict[str, int] = {}
    ids: list[int] = []
    for end, words in enumerate(parts):
        ids += [number.setdefault(word, len(number)) for word in words]
        ids.append(-1 - end)
    ranks = [np.unique(np.array(ids), return_inverse=True)[1]]
    longest, step = max(map(len, parts)), 1
    while step <= longest:
        last = ranks[-1].astype(np.int64)
        after = np.concatenate([last[step:] + 1, np.zeros(min(step, len(last)), np.int64)])
        ranks.append(np.unique(last * (len(last) + 1) + after, return_inverse=True)[1])
        step *= 2
    return ranks


def _alike(ranks: list[np.ndarray], one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return how many words the runs at two places have in common from there on."""
    common = np.zeros(len(one), dtype=np.int64)
    for level in range(len(ranks) - 1, -1, -1):
        both = np.maximum(one, other) + common < len(ranks[0])
        same = np.zeros(len(one), dtype=bool)
        same[both] = (
            ranks[level][one[both] + common[both]] == ranks[level][other[both] + common[both]]
        )
        common[same] += 2**level
    return common


def _longest_run(hits: np.ndarray) -> tuple[int, int]:
    """Return where the longest run of True begins and how long it is."""
    stops = np.concatenate([[-1], np.flatnonzero(~hits), [len(hits)]])
    lengths = np.diff(stops) - 1
    longest = int(lengths.argmax())
    return int(stops[longest]) + 1, int(lengths[longest])


class SharedRuns:
    """Which runs of `length` words the given texts hold, to find them in others.

    Parameters
    ----------
    texts : sequence of str
        Folded texts (`fold`).
    length : int
        Words in a run, at least 1.

    Examples
    --------
    >>> runs = SharedRuns(["the cat sat on the mat", "dogs bark"], length=3)
    >>> runs.find("a dog sat on the lawn"), runs.find("the cat ran") is None
    (0, True)
    >>> runs.owners("where the cat sat on it")
    [0]
    """

    def __init__(self, texts: Sequence[str], length: int) -> None:
        self.length = length
        self._number: dict[str, int] = {}
        ids, owners = [], []
        for owner, text in enumerate(texts):
            words = text.split()
            if len(words) >= length:
                ids += [self._number.setdefault(word, len(self._number)) for word in words]
                ids.append(-1)  # no run goes on from one text to the next
                owners += [owner] * (len(words) + 1)
        hashes, whole = self._hash(np.array(ids, dtype=np.int64))
        order = np.argsort(hashes[whole], kind="stable")  # of equal runs the first text's first
        self._hashes = hashes[whole][order]
        self._owners = np.array(owners, dtype=np.int64)[np.flatnonzero(whole)[order]]

    def _hash(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return one 64-bit hash per run of words, and which runs hold known words only."""
        n = len(ids) - self.length + 1
        if n < 1:
            return np.empty(0, dtype=np.uint64), np.empty(0, dtype=bool)
        mixed = _mix(ids.astype(np.uint64))
        hashes, whole = np.zeros(n, dtype=np.uint64), np.ones(n, dtype=bool)
        for place in range(self.length):
            hashes = hashes * _MULTIPLIER + mixed[place : place + n]
            whole &= ids[place : place + n] >= 0
        return hashes, whole

    def find(self, folded: str) -> int | None:
        """Return the number of a text that holds a run of words of `folded`, or None.

        Parameters
        ----------
        folded : str

        Returns
        -------
        int or None
            The first such text, for the first such run.
        """
        at, _ = self._hits(folded)
        return int(self._owners[at[0]]) if len(at) else None

    def owners(self, folded: str) -> list[int]:
        """Return the numbers of all texts that hold a run of words of `folded`, in order."""
        at, hashes = self._hits(folded)
        ends = np.searchsorted(self._hashes, hashes, side="right")
        spans = [self._owners[start:end] for start, end in zip(at, ends, strict=True)]
        return sorted({int(owner) for span in spans for owner in span})

    def _hits(self, folded: str) -> tuple[np.ndarray, np.ndarray]:
        """Return where the runs of `folded` that are known begin among all, and their hashes."""
        ids = np.array([self._number.get(word, -1) for word in folded.split()], dtype=np.int64)
        hashes, whole = self._hash(ids)
        hashes = hashes[whole]
        if not len(self._hashes):
            return np.empty(0, dtype=np.int64), hashes[:0]
        at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        known = self._hashes[at] == hashes
        return at[known], hashes[known]


def _mix(values: np.ndarray) -> np.ndarray:
    """Spread small numbers over 64 bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = (values + np.uint64(1)) * _MULTIPLIER
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
