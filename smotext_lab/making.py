"""New texts from labelled rows, told in the user's own columns: for the shell and the magic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smotext_lab import words
from smotext_lab.errors import DataError, ParameterError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from smotext_lab.sampler import SMOTExT
    from smotext_lab.synthesis import Synthesis

__all__ = ["classes_named", "new_texts", "numbers"]


def numbers(
    sampler: SMOTExT,
    rows: pd.DataFrame,
    n: int | Mapping[Any, int] | None = None,
    *,
    only: Sequence[Any] = (),
) -> dict[Any, int]:
    """Return how many new texts each class gets; loads no model.

    Parameters
    ----------
    sampler : SMOTExT
    rows : DataFrame
        With the columns text and label.
    n : int or mapping, optional
        The total, or numbers by label or by a label's printed form; by default what the
        sampler's strategy asks for.
    only : sequence, optional
        Labels; the other classes get no new texts.

    Raises
    ------
    ParameterError
        If a number or a class cannot be used, or numbers are given by label beside `only`.
    """
    from smotext_lab.sampler.counts import per_class

    labels = rows["label"]
    if isinstance(n, Mapping) and only:
        msg = "only has no effect beside numbers of each class: give one of the two."
        raise ParameterError(msg)
    if n is None:
        asked = sampler.fit(rows["text"], labels).sampling_strategy_
        return {label: count for label, count in asked.items() if not only or label in only}
    among = labels[labels.isin(only)] if only else labels
    return per_class(words.in_labels(n, labels), among.to_numpy())


def new_texts(
    sampler: SMOTExT,
    rows: pd.DataFrame,
    n: Mapping[Any, int],
    *,
    masked_names: Sequence[str] | None = None,
) -> Synthesis:
    """Make new texts from the rows of `load_dataset`.

    Parameters
    ----------
    sampler : SMOTExT
    rows : DataFrame
        With the columns text and label.
    n : mapping
        New texts by label, as `numbers` returns them.
    masked_names : sequence of str, optional
        Mask personal data before encoding (see `smotext_lab.privacy.mask`), these names too; an
        empty list masks what has a form. What is found in the texts that come out is counted in
        ``info["personal_data_found"]``.

    Returns
    -------
    Synthesis
        With the rows, and the names of their columns, as they were before `load_dataset`.

    Raises
    ------
    DataError, ParameterError
        As `SMOTExT.generate`.
    """
    from smotext_lab.datasets import as_given, given_names, source_of
    from smotext_lab.synthesis import Synthesis

    texts: Any = rows["text"]
    if masked_names is not None:
        from smotext_lab.privacy import mask

        texts = mask(rows["text"].tolist(), names=masked_names)
    made = sampler.generate(texts, rows["label"], n)
    if masked_names is not None:
        made.info |= _personal(made, masked_names)
    names = dict(zip(("text_column", "label_column"), given_names(rows), strict=True))
    info = made.info and {"source": source_of(rows), **made.info}
    return Synthesis(made.frame, originals=as_given(rows), info=info, **names)


def _personal(made: Synthesis, names: Sequence[str]) -> dict[str, Any]:
    from smotext_lab.privacy import find_personal

    found = find_personal(made.accepted["text"].tolist(), names=names)["kind"].value_counts()
    return {"masked": True, "personal_data_found": {str(k): int(v) for k, v in found.items()}}


def classes_named(named: Sequence[str], labels: pd.Series) -> list[Any]:
    """Return the labels that are meant by words as typed.

    A word may be one label, or several with commas or spaces between them.

    Raises
    ------
    DataError
        If a label is not among `labels`.

    Examples
    --------
    >>> import pandas as pd
    >>> classes_named(["billing fraud", "2"], pd.Series(["billing", "fraud", "2", "spam"]))
    ['billing', 'fraud', '2']
    """
    known = {str(label): label for label in labels.unique().tolist()}
    found: list[str] = []
    for word in named:
        readings = [[word], [part.strip() for part in word.split(",")], word.split()]
        fitting = next((names for names in readings if names and set(names) <= set(known)), None)
        if fitting is None:
            parts = readings[1] if "," in word else [word]
            wrong = next(part for part in parts if part not in known)
            listed = ", ".join(list(known)[:20])
            msg = f"There is no class {wrong!r}{did_you_mean(wrong, known)}; there are: {listed}."
            raise DataError(msg)
        found += fitting
    return [known[name] for name in dict.fromkeys(found)]
