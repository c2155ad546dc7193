"""Synonyms from WordNet's own files, where they are installed."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from smotext_lab.forms import FUNCTION_WORDS

__all__ = ["WORDNET", "exchanged", "synonyms", "text_synonyms", "wordnet"]

WORDNET = Path("/usr/share/wordnet")
"""Where Debian's and Ubuntu's ``wordnet-base`` puts them."""

_PARTS = ("noun", "verb", "adj", "adv")
_MARKS = ".,;:!?\"'()[]“”‘’"
_RELEASE = re.compile(r"\bWordNet (?:Release )?(\d+(?:\.\d+)*)")


def wordnet() -> str | None:
    """Return which WordNet synonyms come from, or None where its files are not all there.

    Returns
    -------
    str or None
        Such as "WordNet 3.0", from the licence that its files begin with.

    Examples
    --------
    >>> (wordnet() or "WordNet: none").startswith("WordNet")
    True
    """
    files = [WORDNET / f"{kind}.{part}" for kind in ("data", "index") for part in _PARTS]
    if not all(file.is_file() for file in files):
        return None
    with files[0].open(encoding="latin-1") as lines:
        licence = "".join(itertools.takewhile(_of_the_licence, lines))
    release = _RELEASE.search(licence)
    return f"WordNet {release[1]}" if release else "WordNet of an unknown release"


def synonyms(word: str) -> tuple[str, ...]:
    """Return the words that share a meaning with `word`, the commonest meanings first.

    Parameters
    ----------
    word : str
        As it stands in a dictionary: inflected forms have no entry.

    Returns
    -------
    tuple of str
        Those of its nouns, then verbs, adjectives and adverbs, without `word` itself; empty
        where WordNet is not installed or does not know the word.

    References
    ----------
    .. [1] wndb(5WN), the format of WordNet 3.0's database files.

    Examples
    --------
    >>> isinstance(synonyms("quick"), tuple)
    True
    """
    return _thesaurus(WORDNET).get(word.lower(), ())


def text_synonyms(word: str) -> tuple[str, ...]:
    """Return the synonyms of a word as it stands in a text, whatever marks are around it.

    Function words have none: what a dictionary has under "in" and "a" is the inch and the
    ångström.

    Examples
    --------
    >>> text_synonyms("(in)")
    ()
    """
    bare = word.strip(_MARKS).lower()
    return () if bare in FUNCTION_WORDS else synonyms(bare)


def exchanged(word: str, synonym: str) -> str:
    """Return `word`, as it stands in a text, with a synonym in its place: marks and case kept.

    Examples
    --------
    >>> exchanged("River,", "stream"), exchanged('"RIVER"', "stream")
    ('Stream,', '"STREAM"')
    """
    bare = word.strip(_MARKS)
    if len(bare) > 1 and bare.isupper():
        synonym = synonym.upper()
    elif bare[:1].isupper():
        synonym = synonym[:1].upper() + synonym[1:]
    return word.replace(bare, synonym, 1)


@functools.lru_cache(maxsize=1)
def _thesaurus(folder: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    if wordnet() is None:
        return {}
    for part in _PARTS:
        meanings = dict(_meanings(folder / f"data.{part}"))
        for line in (folder / f"index.{part}").read_text("latin-1").splitlines():
            if _of_the_licence(line):
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
        if _of_the_licence(line):
            continue
        fields = line.split()
        n_words = int(fields[3], 16)
        words = (word.partition("(")[0] for word in fields[4 : 4 + 2 * n_words : 2])
        yield fields[0], [word for word in words if "_" not in word]


def _of_the_licence(line: str) -> bool:
    return line.startswith(" ")
