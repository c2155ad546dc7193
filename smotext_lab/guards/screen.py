"""What is shown of decoded texts where nobody asks for a verdict: on paths and in widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smotext_lab.guards import Guards
from smotext_lab.guards.blocked import BlockedWords

if TYPE_CHECKING:
    from smotext_lab.decoded import Decoded
    from smotext_lab.encoders import Encoder

__all__ = ["NOT_SHOWN", "Screen", "parents_at"]

NOT_SHOWN = "[not shown]"
"""What stands for a text that is kept from view."""


@dataclass(frozen=True)
class Screen:
    """Keeps texts from view that bring in a blocked word.

    Parameters
    ----------
    blocked : BlockedWords or None
        None: everything is shown.

    Examples
    --------
    >>> screen = Screen(BlockedWords(["darn"]))
    >>> screen.hides("Darn it.", ["It rains."]), screen.hides("Darn it.", ["Darn!"])
    (True, False)
    """

    blocked: BlockedWords | None

    @classmethod
    def of(cls, guards: Guards | bool) -> Screen:
        """Return the screen of `Guards.blocked_words`: True the default list, False none."""
        if not isinstance(guards, Guards):
            guards = Guards() if guards else Guards.off()
        return cls(guards.blocked())

    def hides(self, text: str, parents: Sequence[str]) -> bool:
        """Return whether a text made from `parents` brings in a blocked word."""
        return self.blocked is not None and self.blocked.brought_in(text, parents) is not None

    def best(self, decoded: Decoded, parents: Sequence[str], encoder: Encoder) -> Decoded:
        """Return the best of the texts that were tried which may be shown.

        Parameters
        ----------
        decoded : Decoded
        parents : sequence of str
            What it was made from.
        encoder : Encoder
            The decoder's, for the vector of another text than the first.

        Returns
        -------
        Decoded
            Its text is `NOT_SHOWN` where none may be shown; the figures are then of the best.
        """
        if not self.hides(decoded.text, parents):
            return decoded
        for text, cosine, likelihood, _ in decoded.trace:
            if text.strip() and not self.hides(text, parents):
                vector = encoder.encode([text])[0]
                return replace(
                    decoded, text=text, cosine=cosine, likelihood=likelihood, vector=vector
                )
        return replace(decoded, text=NOT_SHOWN)

    def draft(self, text: str, parents: Sequence[str]) -> str:
        """Return what may be shown of a text while it is written.

        A last word that may become a blocked one waits for what comes after it.
        """
        if self.hides(text, parents):
            return NOT_SHOWN
        waits = self.blocked is not None and self.blocked.may_begin(text)
        return text.rpartition(" ")[0] if waits else text


def parents_at(start: str, end: str, lam: float) -> list[str]:
    """Return which of two texts the point at `lam` is made from: at an end that one alone.

    Examples
    --------
    >>> parents_at("a", "b", 0.0), parents_at("a", "b", 0.5)
    (['a'], ['a', 'b'])
    """
    return [start] * (lam < 1) + [end] * (lam > 0)
