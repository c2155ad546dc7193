"""Words that a new text must not bring in by itself, and how they are found, disguised or not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from smotext_lab.errors import ParameterError
from smotext_lab.guards.words import fold

__all__ = ["BlockedWords", "masked"]

_DEFAULT = Path(__file__).with_name("blocked_words.txt")
_SHORTEST_DISGUISED = 4  # letters; among three-letter words too many road and model numbers match
_SIGNS = r"0=o 1=il 3=e 4=a 5=s 7=t 8=b 9=g $=s !=il @=aeiou *=\w #=\w"
_STANDS_FOR: dict[str, str] = dict(pair.split("=") for pair in _SIGNS.split())
_DISGUISED = re.compile(r"[\w*#@$!]+")
_PART = re.compile(r"(.)\1{2,}|.", re.DOTALL)  # three of a letter in a row are in no English word
_SPELT = re.compile(r"(?<!\S)(?:\w ){3,}\w(?!\S)")


class BlockedWords:
    """A list of words and phrases, to find in texts.

    Whole words are found, whatever their case and the punctuation around them. Words of four
    letters or more are also found in disguise, if two letters are left of them: with digits or
    signs in place of letters, with letters drawn out, or spelt one letter at a time.

    Parameters
    ----------
    words : iterable of str
        An entry of several words is a phrase.

    Raises
    ------
    ParameterError
        If an entry is no text, or has neither letter nor digit.

    Examples
    --------
    >>> blocked = BlockedWords(["darn", "son of a gun"])
    >>> [blocked.find(text) for text in ("Darn!", "d@rn it", "d.a.r.n", "darning", "a gun")]
    ['darn', 'd@rn', 'd a r n', None, None]
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._entries = frozenset(map(_folded, words))
        self._sizes = sorted({len(entry.split()) for entry in self._entries})
        single = [entry for entry in self._entries if " " not in entry]
        self._longest = max(map(len, single), default=0)
        self._disguisable = "\n".join(e for e in single if len(e) >= _SHORTEST_DISGUISED)

    @classmethod
    def default(cls) -> BlockedWords:
        """Return the list that comes with the package, ``guards/blocked_words.txt``.

        Examples
        --------
        >>> BlockedWords.default().find("Scunthorpe is home to a shop for cockpit parts.") is None
        True
        """
        return _default()

    @classmethod
    def read(cls, path: str | Path) -> BlockedWords:
        """Read a UTF-8 file of words separated by commas or line ends; # begins a comment line.

        Raises
        ------
        ParameterError
            If there is no such file, it is not UTF-8, or an entry has neither letter nor digit.
        """
        try:
            lines = Path(path).expanduser().read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else "cannot be read"
            msg = (
                f"blocked_words names the file {str(path)!r}, which {why}: give 'default', None, "
                "the path of a text file with one word a line, or a list of words."
            )
            raise ParameterError(msg) from None
        words = ",".join(line for line in lines if not line.startswith("#")).split(",")
        return cls(word for word in words if word.strip())

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, text: str) -> str | None:
        """Return the first listed word that is found in `text`, as it stands there, or None.

        Parameters
        ----------
        text : str

        Returns
        -------
        str or None
            In folded case; of a phrase or a word spelt out, all of it, with single spaces.
        """
        folded = fold(text)
        words = folded.split()
        for size in self._sizes:
            for start in range(len(words) - size + 1):
                phrase = " ".join(words[start : start + size])
                if phrase in self._entries:
                    return phrase
        for spelt in _SPELT.findall(folded):
            if spelt.replace(" ", "") in self._entries:
                return str(spelt)
        plain = unicodedata.normalize("NFKC", text).casefold()
        tokens = (token.strip("*#@!_") for token in _DISGUISED.findall(plain))
        return next((token for token in tokens if self._is_disguised(token)), None)

    def brought_in(self, text: str, parents: Iterable[str]) -> str | None:
        """Return what `find` finds in `text`, or None where one of `parents` has a listed word too.

        Parameters
        ----------
        text : str
        parents : iterable of str
            What the text was made from: who works on abuse gets texts that speak of it.

        Returns
        -------
        str or None

        Examples
        --------
        >>> blocked = BlockedWords(["darn", "heck"])
        >>> blocked.brought_in("What the heck.", ["It rains."])
        'heck'
        >>> blocked.brought_in("What the heck.", ["It rains.", "Darn it."]) is None
        True
        """
        word = self.find(text)
        if word is None or any(self.find(parent) is not None for parent in parents):
            return None
        return word

    def may_begin(self, text: str) -> bool:
        """Return whether the last word of `text`, which may go on, is how an entry begins.

        Examples
        --------
        >>> blocked = BlockedWords(["darn"])
        >>> [blocked.may_begin(text) for text in ("Oh, da", "Oh, da ", "Oh, dab")]
        [True, False, False]
        """
        words = fold(text).split()
        open_ended = bool(words) and not text[-1].isspace()
        return open_ended and any(entry.startswith(words[-1]) for entry in self._entries)

    def _is_disguised(self, token: str) -> bool:
        """Return whether a listed word can be read in a token with signs or drawn-out letters."""
        parts = [(part[0], len(part) > 1) for part in map(re.Match.group, _PART.finditer(token))]
        if len(token) < _SHORTEST_DISGUISED or len(parts) > self._longest:
            return False
        if sum(character.isalpha() for character, _ in parts) < 2:
            return False
        if not any(drawn or character in _STANDS_FOR for character, drawn in parts):
            return False
        pattern = "".join(
            f"[{character}{_STANDS_FOR.get(character, '')}]{'+' * drawn}"
            for character, drawn in parts
        )
        return re.search(f"^{pattern}$", self._disguisable, re.MULTILINE) is not None


def masked(word: str) -> str:
    """Return a word or phrase with asterisks for all but its first character.

    Examples
    --------
    >>> masked("son of a gun"), masked("d a r n")
    ('s** ** * ***', 'd * * *')
    """
    return word[:1] + re.sub(r"\S", "*", word[1:])


@cache
def _default() -> BlockedWords:
    return BlockedWords.read(_DEFAULT)


def _folded(word: object) -> str:
    folded = fold(word) if isinstance(word, str) else ""
    if not folded:
        msg = f"blocked_words holds {word!r}: an entry must be a text with a letter or digit in it."
        raise ParameterError(msg)
    return folded
