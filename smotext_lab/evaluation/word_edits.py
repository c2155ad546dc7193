"""Texts changed word by word: EDA and AEDA, the augmentations to be better than.

Written here from the papers: of the packages that have EDA, nlpaug (last released in 2022) and
textaugment fetch WordNet through NLTK from the network, and textaugment (gensim, googletrans) and
TextAttack (flair, a grammar checker in Java) bring far more than the four edits.
"""

from __future__ import annotations

import numpy as np

from smotext_lab.evaluation.thesaurus import exchanged, text_synonyms

__all__ = ["aeda", "eda"]

_MARKS = (".", ";", "?", ":", "!", ",")


def eda(text: str, rng: np.random.Generator, strength: float = 0.1) -> str:
    """Return `text` after one of EDA's four edits, drawn at random.

    Synonym replacement, random insertion of a synonym, random swap, each of
    ``max(1, strength · words)`` words, or random deletion of each word with chance `strength`.

    Parameters
    ----------
    text : str
    rng : numpy Generator
    strength : float, default=0.1
        α of the paper, its recommended value.

    Notes
    -----
    Synonyms come from WordNet (Debian's ``wordnet-base``); where it is not installed the first
    two edits find nothing to do, and one of the other two is drawn. The marks around a word that
    is replaced are kept: the paper takes them out of its texts, and a question would lose its mark.

    References
    ----------
    .. [1] Wei and Zou, "EDA: easy data augmentation techniques for boosting performance on text
       classification tasks", EMNLP 2019, section 2.

    Examples
    --------
    >>> eda("rain fell on the old town", np.random.default_rng(0)) != "rain fell on the old town"
    True
    """
    words = text.split()
    if len(words) < 2:
        return text
    times = max(1, round(strength * len(words)))
    replaceable = [row for row, word in enumerate(words) if text_synonyms(word)]
    edit = rng.integers(4) if replaceable else rng.integers(2, 4)
    if edit == 0:
        for row in rng.permutation(replaceable)[:times]:
            words[row] = exchanged(words[row], str(rng.choice(text_synonyms(words[row]))))
    elif edit == 1:
        for row in rng.choice(replaceable, times):
            new = str(rng.choice(text_synonyms(text.split()[row])))
            words.insert(int(rng.integers(len(words) + 1)), new)
    elif edit == 2:
        for _ in range(times):
            a, b = rng.choice(len(words), 2, replace=False)
            words[a], words[b] = words[b], words[a]
    else:
        kept = [word for word in words if rng.random() >= strength]
        words = kept or [str(rng.choice(words))]
    return " ".join(words)


def aeda(text: str, rng: np.random.Generator) -> str:
    """Return `text` with punctuation marks put in at random places.

    Between 1 and a third as many marks as there are words, of ``. ; ? : ! ,``.

    References
    ----------
    .. [1] Karimi, Rossi and Prati, "AEDA: an easier data augmentation technique for text
       classification", Findings of EMNLP 2021, section 3.

    Examples
    --------
    >>> aeda("rain fell on the old town", np.random.default_rng(0)).split()[-1]
    'town'
    """
    words = text.split()
    n_marks = int(rng.integers(1, max(2, len(words) // 3 + 1)))
    places = rng.choice(len(words), min(n_marks, len(words)), replace=False)
    for place in sorted(places, reverse=True):
        words.insert(int(place), str(rng.choice(_MARKS)))
    return " ".join(words)
