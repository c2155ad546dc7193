"""New rows beside a user's own frame: nothing of the user's changes."""

from __future__ import annotations

from itertools import count, islice
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["beside"]


def beside(
    originals: pd.DataFrame, new: pd.DataFrame, given: list[str], source: str
) -> pd.DataFrame:
    """Return the originals and, below them, the new rows.

    Parameters
    ----------
    originals, new : DataFrame
        `new` has the columns `given` and others that `originals` does not have.
    given : list of str
        Columns that both frames have: text and label.
    source : str
        Name of a new column that says ``"original"`` or ``"synthetic"``.

    Returns
    -------
    DataFrame
        Index entries and values of `originals` are equal to what they were; integer and
        boolean columns become nullable where new rows leave gaps in them.
    """
    n, m = len(originals), len(new)
    grown = originals.reset_index(drop=True)
    if m:
        types = {c: _nullable(grown[c].dtype) for c in grown.columns if c not in given}
        grown = grown.astype(types).reindex(range(n + m))
    for column in given:
        both = [originals[column], _like(new[column], originals[column].dtype)]
        grown[column] = pd.concat(both, ignore_index=True)
    grown[source] = ["original"] * n + ["synthetic"] * m
    for column in new.columns.drop(given):
        grown[column] = new[column].reindex(range(-n, m)).set_axis(grown.index)
    return grown.set_axis(_longer(originals.index, m), axis=0)


def _nullable(dtype: Any) -> Any:
    """Return the type that holds what `dtype` holds and missing values too."""
    if not isinstance(dtype, np.dtype) or dtype.kind not in "iub":
        return dtype
    return "boolean" if dtype.kind == "b" else dtype.name.replace("i", "I").replace("u", "U")


def _like(values: pd.Series, dtype: Any) -> pd.Series:
    """Return `values` in `dtype` where all of them can be, else as they are."""
    try:
        same = values.astype(dtype)
    except (TypeError, ValueError):
        return values
    return same if same.isna().equals(values.isna()) else values


def _longer(index: pd.Index, m: int) -> pd.Index:
    """Return `index` with `m` entries more, none of them there before."""
    if isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1:
        return pd.RangeIndex(len(index) + m, name=index.name)
    if index.nlevels == 1 and pd.api.types.is_integer_dtype(index.dtype) and not index.hasnans:
        first = int(index.max()) + 1 if len(index) else 0
        return index.append(pd.Index(range(first, first + m), name=index.name))
    taken = set(index.get_level_values(0))
    free = (name for name in map("synthetic-{}".format, count()) if name not in taken)
    labels = list(islice(free, m))
    if index.nlevels > 1:
        rest = [""] * (index.nlevels - 1)
        tuples = [*index, *((label, *rest) for label in labels)]
        return pd.MultiIndex.from_tuples(tuples, names=index.names)
    return pd.Index([*index, *labels], dtype=object, name=index.name)
