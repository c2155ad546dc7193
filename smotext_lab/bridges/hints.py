"""What may be asked of a text beside its meaning: how long it is and how it is written.

A sentence encoder tells little of either (the default one does not see capitals at all), so
a bridge can be told: each hint is a learnt vector, added to its last soft token. In training
hints are left out at random, so that the LLM also writes without them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import get_args

import torch

from smotext_lab.forms import CaseStyle, SentenceKind, TextForm

__all__ = ["N_HINTS", "hint_ids"]

_LONGEST = (3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27, 34, 44, 60)
"""Words of the longest text of each length class; the last class has no end."""

_KINDS: tuple[str, ...] = get_args(SentenceKind)
_CASES: tuple[str, ...] = get_args(CaseStyle)
_FIRST_KIND = 2 + len(_LONGEST)
_FIRST_CASE = _FIRST_KIND + len(_KINDS)

N_HINTS = _FIRST_CASE + len(_CASES)
"""Rows of a table of hints; row 0 stands for "not asked" and adds nothing."""


def hint_ids(lengths: Sequence[int | None], forms: Sequence[TextForm | None]) -> torch.Tensor:
    """Return the table rows of a length, a kind and a case for each text.

    Parameters
    ----------
    lengths : sequence of int or None, length n
        In words, as the bridge splits them. None: not asked.
    forms : sequence of TextForm or None, length n

    Returns
    -------
    Tensor of int64, shape (n, 3)
        0 where nothing is asked.

    Examples
    --------
    >>> hint_ids([None, 9], [TextForm.of("Who?"), None]).tolist()
    [[0, 17, 22], [7, 0, 0]]
    """
    rows = [
        (
            0 if length is None else 1 + bisect_left(_LONGEST, length),
            0 if form is None else _FIRST_KIND + _KINDS.index(form.kind),
            0 if form is None else _FIRST_CASE + _CASES.index(form.case),
        )
        for length, form in zip(lengths, forms, strict=True)
    ]
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)
