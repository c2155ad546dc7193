"""How unlike each other many texts are: a set that repeats itself teaches little.

Compare sets of as many texts of about the same length: all of these depend on both.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np

from smotext_lab.bridges import split_words
from smotext_lab.errors import DataError
from smotext_lab.evaluation.bleu import bleu_of_sentences

__all__ = ["compression_ratio", "distinct_1", "self_bleu"]


def distinct_1(texts: Sequence[str], *, split: Callable[[str], list[str]] = split_words) -> float:
    """Return the share of different words among all words, in lower case.

    Range 0 to 1; NaN where there are no words. See `distinct_2` for what it does not say.

    Parameters
    ----------
    texts : sequence of str
    split : callable, default=split_words
        Text → its words.

    References
    ----------
    .. [1] Li et al., "A diversity-promoting objective function for neural conversation
       models", arXiv 1510.03055, section 5.

    Examples
    --------
    >>> distinct_1(["it rained", "it snowed"])
    0.75
    """
    words = [word.lower() for text in texts for word in split(text)]
    return len(set(words)) / len(words) if words else float("nan")


def self_bleu(texts: Sequence[str], *, most: int = 200, random_state: int = 0) -> float:
    """Return the mean BLEU of each text against all the others as its references.

    By sacreBLEU with effective order, range 0 to 100; high where texts repeat each other's
    phrases. It does not tell a set of one good text and its paraphrases from a dull one.

    Parameters
    ----------
    texts : sequence of str
        At least two.
    most : int, default=200
        Of more texts so many are drawn: the cost grows with the square.
    random_state : int, default=0

    Raises
    ------
    DataError
        If there are fewer than two texts.
    ModelError
        If sacrebleu is not installed.

    References
    ----------
    .. [1] Zhu et al., "Texygen: a benchmarking platform for text generation models",
       arXiv 1802.01886, section 3.

    Examples
    --------
    >>> round(self_bleu(["it rained all day", "it rained all day"]))
    100
    """
    if len(texts) < 2:
        msg = f"self-BLEU compares texts with each other: 2 are needed, {len(texts)} given"
        raise DataError(msg)
    bleu = bleu_of_sentences()
    rows = np.random.default_rng(random_state).permutation(len(texts))[:most]
    drawn = [texts[row] for row in rows]
    found = [
        bleu.sentence_score(text, drawn[:place] + drawn[place + 1 :]).score
        for place, text in enumerate(drawn)
    ]
    return float(np.mean(found))


def compression_ratio(texts: Sequence[str]) -> float:
    """Return the bytes of all texts, over the bytes of them compressed together (zlib, level 9).

    Range above 0 without end: 1 or a little less for noise, higher the more is said again. It sees
    repeated form as well as repeated words, and cannot tell a set of few subjects from one of few
    phrases.

    Parameters
    ----------
    texts : sequence of str

    Raises
    ------
    DataError
        If there is nothing to compress.

    References
    ----------
    .. [1] Shaib et al., "Standardizing the measurement of text diversity", arXiv 2403.00553.

    Examples
    --------
    >>> compression_ratio(["it rained all day"] * 50) > 10
    True
    """
    packed = "\n".join(texts).encode("utf-8", "surrogatepass")
    if not packed:
        msg = "there is no text to compress"
        raise DataError(msg)
    return len(packed) / len(zlib.compress(packed, 9))
