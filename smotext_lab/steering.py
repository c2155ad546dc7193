"""What a user wants of a text besides its vector: words that it should or should not have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Steering"]


@dataclass(frozen=True)
class Steering:
    """Words that texts should have, and words that they should not.

    A pinned word is handed to the LLM before all predicted ones, a banned word never; of the
    texts tried, those come first in which fewer wishes are unmet. It is a wish all the same:
    the LLM writes freely, and may leave out a pinned word or find a banned one by itself.

    Attributes
    ----------
    pinned, banned : tuple of str
        Of the bridge's words, in any case.

    Examples
    --------
    >>> steering = Steering(pinned=("refund",), banned=("sorry",))
    >>> from smotext_lab.bridges import split_words
    >>> steering.unmet("Sorry, no refund.", split_words), bool(Steering())
    (1, False)
    """

    pinned: tuple[str, ...] = ()
    banned: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pinned or self.banned)

    def unmet(self, text: str, split: Callable[[str], list[str]]) -> int:
        """Return how many pinned words `text` lacks and how many banned ones it has.

        Parameters
        ----------
        text : str
        split : callable
            Text → its words.
        """
        has = {word.lower() for word in split(text)}
        lacks = sum(word.lower() not in has for word in self.pinned)
        return lacks + sum(word.lower() in has for word in self.banned)
