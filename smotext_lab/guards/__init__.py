"""Guards: the thresholds that decide which decoded texts are kept.

A text is refused if it is broken, if it brings in a slur or a sexual word, if it repeats a real
text or an earlier new one, or if the real texts nearest to it say another label. Each refusal has
a reason whose first word is stable: ``degenerate``, ``unsafe``, ``copy``, ``duplicate`` or
``label``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from smotext_lab.errors import ParameterError
from smotext_lab.guards.blocked import BlockedWords
from smotext_lab.guards.judge import Judge, Verdict

__all__ = ["BlockedWords", "Guards", "Judge", "Verdict"]


@dataclass(frozen=True)
class Guards:
    """Thresholds on decoded texts; None (or True for ``allow_…``) switches one off.

    Parameters
    ----------
    max_copy_cosine : float or None, default=0.95
        Reject a text whose vector is nearer than this to that of a real text.
    max_shared_words : int or None, default=8
        Reject a text that has more than this many words in a row in common with a real text.
    max_duplicate_cosine : float or None, default=0.98
        Reject a text whose vector is nearer than this to that of an earlier accepted one.
    max_repeats : int or None, default=3
        Reject a text in which a word or phrase comes more than this many times in a row, or
        in which any repetition in a row fills half of the text and at least six words.
    label_neighbors : int or None, default=20
        How many nearest real texts vote on the label. A vote counts less the further its text
        is behind the nearest one (e-fold for each 0.1 of cosine) and the larger its class is:
        without that, among 20 texts of one class and 400 of the others, 7 in 10 or more real
        texts of the small class would be refused their own label. Reject a text if another
        label has more of the vote. With one class there is nothing to vote on.
    label_classifier : bool, default=True
        Reject a text also if logistic regression on the vectors of all real texts finds another
        label likelier. The nearest real texts are mostly those that the text was made from, and
        vote for their own label even where what tells the classes apart got lost. Of texts that
        were tried for one blend, the decoder prefers those that it is surer of.
    min_label_probability : float, default=0.0
        Reject a text also if its label's share of that vote is below this.
    blocked_words : "default", None, path or iterable of str, default="default"
        Reject a text with one of these words, unless a real text that it was made from has one
        too: who works on abuse gets texts that speak of it. The default list holds English slurs
        and sexual words (``guards/blocked_words.txt``). Whole words are found, whatever their
        case, and some disguises of them (see `BlockedWords`); a language without spaces between
        words needs other means. A path names a UTF-8 file with words separated by commas or line
        ends, which is read when the real texts are learnt.
    allow_equal, allow_empty, allow_cut : bool, default=False
        Accept texts that equal a real or an earlier accepted one but for case, spaces and
        punctuation; texts without a word; texts that the length limit ended in mid-sentence.

    Raises
    ------
    ParameterError
        If a threshold is out of its range, or the blocked words cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> judge = Guards(max_shared_words=4).fit(["Rain is due."], np.eye(3)[:1], ["weather"])
    >>> verdicts = judge.judge(["rain is due", "Snow is due."], np.eye(3)[1:], ["weather"] * 2)
    >>> [verdict.reason for verdict in verdicts]
    ['copy: equal to text 0', None]
    """

    max_copy_cosine: float | None = 0.95
    max_shared_words: int | None = 8
    max_duplicate_cosine: float | None = 0.98
    max_repeats: int | None = 3
    label_neighbors: int | None = 20
    label_classifier: bool = True
    min_label_probability: float = 0.0
    blocked_words: str | os.PathLike[str] | Iterable[str] | None = "default"
    allow_equal: bool = False
    allow_empty: bool = False
    allow_cut: bool = False

    def __post_init__(self) -> None:
        for name in ("max_copy_cosine", "max_duplicate_cosine"):
            _check_number(name, getattr(self, name), -1.0, 1.0)
        _check_number("min_label_probability", self.min_label_probability, 0.0, 1.0, none=False)
        for name in ("max_shared_words", "max_repeats", "label_neighbors"):
            _check_count(name, getattr(self, name))
        for name in ("label_classifier", "allow_equal", "allow_empty", "allow_cut"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                msg = f"{name} must be True or False, got {getattr(self, name)!r}."
                raise ParameterError(msg)
        # one form each, so that guards can be compared, pickled, and an iterator used twice
        object.__setattr__(self, "blocked_words", _plain_words(self.blocked_words))
        self.blocked()  # words that cannot be read are refused now, not after the encoding

    @classmethod
    def off(cls) -> Guards:
        """Return guards that accept every text and still measure it.

        Examples
        --------
        >>> Guards.off().max_copy_cosine is None
        True
        """
        thresholds = {f.name: None for f in fields(cls) if f.name.startswith("max_")}
        return cls(
            **thresholds,  # type: ignore[arg-type]  # all of them accept None
            label_neighbors=None,
            label_classifier=False,
            blocked_words=None,
            allow_equal=True,
            allow_empty=True,
            allow_cut=True,
        )

    def blocked(self) -> BlockedWords | None:
        """Return the words of `blocked_words`, or None where that guard is off.

        Raises
        ------
        ParameterError
            If they cannot be read.

        Examples
        --------
        >>> Guards(blocked_words=["darn"]).blocked().find("Oh, DARN it.")
        'darn'
        """
        words = self.blocked_words
        if words is None:
            return None
        if isinstance(words, tuple):
            return BlockedWords(words)
        return BlockedWords.default() if words == "default" else BlockedWords.read(str(words))

    def described(self) -> dict[str, Any]:
        """Return the guards by name, to be written beside the texts.

        Of blocked words of one's own only the number: they may be names that must not get out.

        Examples
        --------
        >>> Guards(blocked_words=["Ann", "Bob"]).described()["blocked_words"]
        '2 words'
        """
        words, blocked = self.blocked_words, self.blocked()
        told = words if blocked is None or words == "default" else f"{len(blocked)} words"
        return asdict(self) | {"blocked_words": told}

    def fit(
        self,
        texts: Sequence[str],
        vectors: np.ndarray,
        labels: Any,
        *,
        positions: Sequence[int] | None = None,
    ) -> Judge:
        """Learn the real texts.

        Parameters
        ----------
        texts : sequence of str, length n
        vectors : ndarray of shape (n, d)
            Of the encoder that also gives the decoded texts' vectors.
        labels : array-like of shape (n,)
        positions : sequence of int, length n, optional
            What the texts are called in reasons and in `Verdict.nearest_real`; by default
            their place in `texts`.

        Returns
        -------
        Judge

        Raises
        ------
        DataError
            If there are no texts, or the lengths differ.
        """
        return Judge(self, texts, vectors, labels, positions=positions)


def _plain_words(words: Any) -> Any:
    if words is None or isinstance(words, str):
        return words
    if isinstance(words, os.PathLike):
        return os.fspath(words)
    if not isinstance(words, Iterable):
        msg = (
            "blocked_words must be 'default', None, the path of a text file, or a list of words, "
            f"got {words!r}."
        )
        raise ParameterError(msg)
    return tuple(sorted(words) if isinstance(words, set | frozenset) else words)


def _check_number(
    name: str, value: float | None, low: float, high: float, *, none: bool = True
) -> None:
    if value is None and none:
        return
    real = isinstance(value, float | int | np.floating) and not isinstance(value, bool)
    if not (real and value is not None and low <= value <= high):
        msg = f"{name} must be a number from {low:g} to {high:g}{' or None' * none}, got {value!r}."
        raise ParameterError(msg)


def _check_count(name: str, value: int | None) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if value is not None and not (whole and value >= 1):
        msg = f"{name} must be a whole number of at least 1 or None, got {value!r}."
        raise ParameterError(msg)
