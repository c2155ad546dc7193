"""Test texts as people really type them: with typos, missing words, other words and capitals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from smotext_lab.errors import ParameterError, did_you_mean
from smotext_lab.evaluation.thesaurus import exchanged, text_synonyms, wordnet

__all__ = ["STRENGTHS", "Noise", "noises", "noisy"]

Noise = Literal["typos", "dropped words", "synonyms", "case and marks"]

STRENGTHS: tuple[float, float, float] = (0.1, 0.2, 0.4)
"""Chance that a word is hit: light, middling, heavy."""

_MARKS = ".,;:!?"
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    key: "".join(row[max(0, place - 1) : place] + row[place + 1 : place + 2])
    for row in _ROWS
    for place, key in enumerate(row)
}


def noises() -> tuple[Noise, ...]:
    """Return the kinds of noise that can be made here: synonyms need WordNet's files."""
    known: tuple[Noise, ...] = get_args(Noise)
    return tuple(kind for kind in known if kind != "synonyms" or wordnet())


def noisy(texts: Sequence[str], kind: Noise, strength: float, random_state: int = 0) -> list[str]:
    """Return the texts with noise of one kind.

    Parameters
    ----------
    texts : sequence of str
    kind : {"typos", "dropped words", "synonyms", "case and marks"}
        A *typo* swaps two letters, leaves one out, doubles one, or hits the key beside it.
        A *synonym* stands in place of a word that WordNet knows and that is no function word.
        *Case and marks* writes a word in capitals or small letters, or drops or adds a mark.
    strength : float
        Chance that each word is hit, between 0 and 1.
    random_state : int, default=0
        Each text has a stream of its own, so that its noise does not depend on the others.

    Raises
    ------
    ParameterError
        If there is no such noise.

    References
    ----------
    .. [1] Belinkov and Bisk, "Synthetic and natural noise both break neural machine
       translation", ICLR 2018, section 3.

    Examples
    --------
    >>> noisy(["rain fell"], "typos", 0.0)
    ['rain fell']
    >>> noisy(["rain fell"], "dropped words", 1.0) != ["rain fell"]
    True
    """
    edits: dict[str, Callable[[str, np.random.Generator], str]] = {
        "typos": _mistyped,
        "dropped words": lambda _word, _rng: "",
        "synonyms": _another,
        "case and marks": _restyled,
    }
    if kind not in edits:
        msg = f"no noise {kind!r}{did_you_mean(kind, edits)}: use one of {', '.join(edits)}"
        raise ParameterError(msg)
    made = []
    for row, text in enumerate(texts):
        rng = np.random.default_rng([random_state, row])
        words = text.split()
        hit = rng.random(len(words)) < strength
        new = [edits[kind](w, rng) if h else w for w, h in zip(words, hit, strict=True)]
        # a text that lost every word keeps one
        made.append(" ".join(filter(None, new)) or str(rng.choice(words or [text])))
    return made


def _mistyped(word: str, rng: np.random.Generator) -> str:
    if len(word) < 2:
        return word
    place = int(rng.integers(len(word) - 1))
    before, a, b, after = word[:place], word[place], word[place + 1], word[place + 2 :]
    beside = _NEIGHBOURS.get(a.lower(), a)
    return str(
        rng.choice(
            [
                before + b + a + after,
                before + b + after,
                before + a + a + b + after,
                before + str(rng.choice(list(beside))) + b + after,
            ]
        )
    )


def _another(word: str, rng: np.random.Generator) -> str:
    near = text_synonyms(word)
    return exchanged(word, str(rng.choice(near))) if near else word


def _restyled(word: str, rng: np.random.Generator) -> str:
    bare = word.rstrip(_MARKS)
    return str(rng.choice([word.upper(), word.lower(), bare + str(rng.choice(list(_MARKS))), bare]))
