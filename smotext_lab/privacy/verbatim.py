"""What stands in the synthetic texts word for word, and whether that tells of the real ones.

A phrase that is in one training text and in a synthetic one need not come from there: chance makes
such phantoms too. How many, the holdout tells, from which nothing can have come.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from smotext_lab.guards.words import fold, longest_runs
from smotext_lab.privacy.likelihood import words_of
from smotext_lab.privacy.masking import find_personal

__all__ = ["LEAST_RUN", "LONG_RUN", "disclosures", "passages"]

LONG_RUN = 8  # words in a row: as in the guard against copies
LEAST_RUN = 3  # shorter texts are in others by chance
# Chinese, Japanese, Thai, Lao, Burmese, Khmer: a character each, as words are not spaced
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff]"
)

_WORD = re.compile(r"[^\W\d_][\w’'-]+")


def disclosures(
    synthetic: Sequence[str], train: Sequence[str], holdout: Sequence[str]
) -> pd.DataFrame:
    """Count what only one real text has and the synthetic ones have too.

    Parameters
    ----------
    synthetic, train, holdout : sequence of str

    Returns
    -------
    DataFrame
        A row a kind (phrases of 3 and 5 words, names, numbers, e-mail addresses; case makes no
        difference, but that names are told by their capitals): how many stand in training texts
        only and how many of them were `disclosed`; the same for the holdout (`phantoms`, which
        cannot have come from there); how many texts they are of (`disclosed_texts`,
        `phantom_texts`); and `p_value`, the chance of so many more texts with something disclosed
        than with phantoms, if it is all chance (Fisher's exact test of the texts that have
        something of the kind: phrases of one text go together, texts do not).

    References
    ----------
    Telling disclosures from phantoms by a holdout: arXiv 2606.16952.

    Examples
    --------
    >>> found = disclosures(["Ring 55123 now"], ["Ring 55123 now"], ["Ring 66123 now"])
    >>> found.loc["numbers", ["disclosed", "phantoms"]].tolist()
    [1, 0]
    """
    kinds: dict[str, Callable[[str], Iterable[object]]] = {
        "phrases of 3 words": lambda text: _grams(text, 3),
        "phrases of 5 words": lambda text: _grams(text, 5),
        "names": _names,
        "numbers": lambda text: set(re.findall(r"\d{3,}", text)),
        "e-mail addresses": lambda text: set(find_personal([text.casefold()], ["email"])["found"]),
    }
    rows = {kind: _counted(parts, synthetic, train, holdout) for kind, parts in kinds.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def passages(texts: Sequence[str], others: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the longest run of words of each text in one of the others, and whether it is long.

    Eight words in a row are long, and so are all words of a shorter text of at least three. In
    scripts without spaces a character counts as a word.

    Parameters
    ----------
    texts, others : sequence of str

    Returns
    -------
    runs : ndarray of int64, shape (n,)
    long : ndarray of bool, shape (n,)

    Examples
    --------
    >>> runs, long = passages(["Rain fell today.", "Rain fell on us."], ["Now: rain fell today"])
    >>> runs.tolist(), long.tolist()
    ([3, 2], [True, False])
    """
    spaced = [[_UNSPACED.sub(r" \g<0> ", fold(text)) for text in some] for some in (texts, others)]
    runs = longest_runs(*spaced)
    words = np.array([len(text.split()) for text in spaced[0]], np.int64)
    return runs, runs >= words.clip(LEAST_RUN, LONG_RUN)


def _counted(
    parts: Callable[[str], Iterable[object]],
    synthetic: Sequence[str],
    train: Sequence[str],
    holdout: Sequence[str],
) -> dict[str, float]:
    from scipy.stats import fisher_exact

    made = {part for text in synthetic for part in parts(text)}
    inside, outside = (
        Counter(part for text in texts for part in set(parts(text))) for texts in (train, holdout)
    )
    own = {part for part, times in inside.items() if times == 1 and part not in outside}
    others = {part for part, times in outside.items() if times == 1 and part not in inside}
    found, ghosts = own & made, others & made
    table = []
    for texts, alone, out in ((train, own, found), (holdout, others, ghosts)):
        having = [set(parts(text)) for text in texts]
        told = sum(not each.isdisjoint(out) for each in having)
        table.append([told, sum(not each.isdisjoint(alone) for each in having) - told])
    return {
        "in_train_only": len(own),
        "disclosed": len(found),
        "disclosed_texts": table[0][0],
        "in_holdout_only": len(others),
        "phantoms": len(ghosts),
        "phantom_texts": table[1][0],
        "p_value": float(fisher_exact(table, alternative="greater")[1]),
    }


def _names(text: str) -> set[str]:
    """Return words with capitals that begin no sentence, in folded case; those in a row as one."""
    text = unicodedata.normalize("NFC", text)
    names: list[list[str]] = []
    end = 0
    for word in _WORD.finditer(text):
        start = word.start()
        if not word.group()[0].isupper() or text[start - 1 : start] != " ":
            continue
        before = text[start - 2 : start - 1]
        if names and start == end + 1:
            names[-1].append(word.group())
        elif before in (",", ";", ":") or before.islower():
            names.append([word.group()])
        else:
            continue
        end = word.end()
    return {" ".join(name).casefold() for name in names}


def _grams(text: str, n: int) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def _words(text: str) -> list[str]:
    return [word for word in words_of(text) if word[0].isalnum()]
