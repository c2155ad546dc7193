"""Synonyms from WordNet's own files, where they are installed."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

__all__ = ["WORDNET", "synonyms", "wordnet_there"]

WORDNET = Path("/usr/share/wordnet")
"""Where Debian's and Ubuntu's ``wordnet-base`` puts them."""

_PARTS = ("noun", "verb", "adj", "adv")


def wordnet_there() -> bool:
    """Say whether WordNet's files can be read."""
    return all((WORDNET / f"data.{part}").is_file() for part in _PARTS)


def synonyms(word: str) -> tuple[str, ...]:
    """Return the words that share a meaning with `word`, the commonest meanings first.

    Parameters
    ----------
    word : str
        As it stands in a dictionary: inflected forms have no entry.

    Returns
    -------
    tuple of str
        Without `word` itself; empty where WordNet is not installed or does not know the word.

    References
    ----------
    .. [1] wndb(5WN), the format of WordNet 3.0's database files.

    Examples
    --------
    >>> isinstance(synonyms("quick"), tuple)
    True
    """
    return _thesaurus().get(word.lower(), ())


@functools.cache
def _thesaurus() -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    if not wordnet_there():
        return {}
    for part in _PARTS:
        meanings = dict(_meanings(WORDNET / f"data.{part}"))
        for line in (WORDNET / f"index.{part}").read_text("latin-1").splitlines():
            if line.startswith(" "):  # the licence
                continue
            fields = line.split()
            word, n_meanings = fields[0], int(fields[2])
            near = found.setdefault(word, {})
            for offset in fields[-n_meanings:]:
                near |= dict.fromkeys(meanings[offset])
    return {
        word: tuple(other for other in near if other.lower() != word)
        for word, near in found.items()
        if "_" not in word
    }


def _meanings(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each meaning's offset and its words of one word."""
    for line in path.read_text("latin-1").splitlines():
        if line.startswith(" "):
            continue
        fields = line.split()
        n_words = int(fields[3], 16)
        words = (word.partition("(")[0] for word in fields[4 : 4 + 2 * n_words : 2])
        yield fields[0], [word for word in words if "_" not in word]
