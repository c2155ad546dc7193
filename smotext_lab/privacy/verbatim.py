"""What stands in the synthetic texts word for word, and whether that tells of the real ones.

A phrase that is in one training text and in a synthetic one need not come from there: chance makes
such phantoms too. How many, the holdout tells, from which nothing can have come.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from smotext_lab.privacy.likelihood import words_of
from smotext_lab.privacy.masking import find_personal

__all__ = ["disclosures"]

_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z][\w’'-]+(?: [A-Z][\w’'-]+)*")


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
        A row a kind (phrases of 3 and 5 words, names, numbers, e-mail addresses): how many stand
        in training texts only and how many of them were `disclosed`; the same for the holdout
        (`phantoms`, which cannot have come from there); how many texts they are of
        (`disclosed_texts`, `phantom_texts`); and `p_value`, the chance of so many more texts with
        something disclosed than with phantoms, if it is all chance (Fisher's exact test of the
        texts that have something of the kind: phrases of one text go together, texts do not).

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
        "names": lambda text: set(_NAME.findall(text)),
        "numbers": lambda text: set(re.findall(r"\d{3,}", text)),
        "e-mail addresses": lambda text: set(find_personal([text], ["email"])["found"]),
    }
    rows = {kind: _counted(parts, synthetic, train, holdout) for kind, parts in kinds.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


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


def _grams(text: str, n: int) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def _words(text: str) -> list[str]:
    return [word for word in words_of(text) if word[0].isalnum()]
