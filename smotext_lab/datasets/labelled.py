"""From a frame of any make to texts with labels: which columns, and which rows are of use."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from smotext_lab.errors import DataError, ParameterError, did_you_mean

__all__ = ["ATTRS", "part_of", "split_by_values", "with_roles", "with_usable_rows"]

ATTRS = "smotext_lab"
"""Key in ``DataFrame.attrs`` under which `with_roles` notes what it renamed and added."""

_USUAL = {
    "text": (
        *("text", "body", "sentence", "content", "review", "document", "message", "tweet"),
        *("comment", "question", "utterance", "headline", "title", "abstract", "article"),
    ),
    "label": (
        *("label", "class", "category", "topic", "target", "intent", "sentiment", "queue"),
        *("labels", "tag"),
    ),
    "split": ("split",),
}
_PARTS = {"train", "test", "dev", "val", "valid", "validation", "eval"}
# what a text may consist of and still say nothing: space, controls, invisible marks
_BLANK = re.compile(
    "[\\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*",
)
_HALF_PAIR = re.compile("[\ud800-\udfff]")


def with_roles(
    frame: pd.DataFrame, name: str, wanted: Mapping[str, Hashable | None]
) -> pd.DataFrame:
    """Return `frame` with its columns renamed to the roles they have.

    Parameters
    ----------
    frame : DataFrame
        Is not changed.
    name : str
        What messages call it.
    wanted : dict
        Role ("text", "label", "split") -> column, or None to go by usual names.

    Raises
    ------
    DataError
        If a column is missing, there twice, or cannot be told by its name.
    ParameterError
        If two roles want the same column.
    """
    if frame.columns.nlevels > 1:
        msg = f"{name} has columns in several levels; flatten them first."
        raise DataError(msg)
    chosen = {role: _column(frame, name, role, wanted[role]) for role in wanted}
    roles = {column: role for role, column in chosen.items() if column is not None}
    if len(roles) < sum(column is not None for column in chosen.values()):
        named = ", ".join(f"{role}={column!r}" for role, column in chosen.items() if column)
        msg = f"The roles need a column each, not {named}."
        raise ParameterError(msg)
    new = _new_names(list(frame.columns), roles)
    result = frame.set_axis(new, axis=1)
    added = [] if "split" in new else ["split"]
    for column in added:
        result[column] = "train"
    renamed = {n: old for n, old in zip(new, frame.columns, strict=True) if n != old}
    result.attrs[ATTRS] = {"renamed": renamed, "added": added, "called": name}
    return result


def _column(frame: pd.DataFrame, name: str, role: str, wanted: Hashable | None) -> Hashable | None:
    columns = list(frame.columns)
    if wanted is None:
        wanted = _guess(columns, name, role)
    elif wanted not in columns:
        hint = did_you_mean(wanted, columns)
        msg = f"{name} has no column {wanted!r}{hint}; its columns: {_listed(columns)}."
        raise DataError(msg)
    same = sum(column == wanted for column in columns)
    if same > 1:
        msg = f"{name} has {same} columns named {wanted!r}; rename all but one."
        raise DataError(msg)
    return wanted


def _guess(columns: Sequence[Hashable], name: str, role: str) -> Hashable | None:
    if role in columns:
        return role
    usual = [c for c in columns if isinstance(c, str) and c.strip().lower() in _USUAL[role]]
    if len(usual) == 1:
        return usual[0]
    if role == "split":
        return None
    which = f"could be {_listed(usual)}" if usual else "has none of the usual names"
    msg = f"The {role} column of {name} {which}; say {role}= one of {_listed(columns)}."
    raise DataError(msg)


def _listed(columns: Sequence[Hashable]) -> str:
    more = len(columns) - 30
    return ", ".join(map(repr, columns[:30])) + (f" and {more} more" if more > 0 else "")


def split_by_values(frame: pd.DataFrame) -> Hashable | None:
    """Return the one column that names parts, training and test among them, whatever it is called.

    One that is passed over lets test texts be learnt from.

    Parameters
    ----------
    frame : DataFrame
        Of `with_roles`, which found no column called split.
    """
    found = []
    for place, column in enumerate(frame.columns):  # a name may be there twice
        values = frame.iloc[:, place]
        if column in ("text", "label", "split"):
            continue
        if _parts_in(values.head(1000)) <= _PARTS:  # most columns are done with
            said = _parts_in(values)
            if {"train", "test"} <= said <= _PARTS:
                found.append(column)
    return frame.attrs[ATTRS]["renamed"].get(found[0], found[0]) if len(found) == 1 else None


def part_of(said: Any) -> str:
    """Return the name of a part as it is compared.

    Examples
    --------
    >>> part_of(" Training"), part_of("dev")
    ('train', 'dev')
    """
    name = str(said).strip().casefold()
    return {"training": "train", "testing": "test"}.get(name, name)


def _parts_in(values: pd.Series) -> set[str]:
    return {part_of(value) for value in values.dropna().astype(str).unique()}


def _new_names(columns: list[Hashable], roles: Mapping[Hashable, str]) -> list[Hashable]:
    """Return the columns by their roles; another column of such a name makes way."""
    taken = {*columns, *roles.values()}
    new: list[Hashable] = []
    for column in columns:
        name = roles.get(column, column)
        if column not in roles and column in roles.values():
            name = f"{column}_given"
            while name in taken:
                name += "_"
        new.append(name)
    return new


def with_usable_rows(
    frame: pd.DataFrame, name: str, *, drop_repeats: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows that have a text and a label, and a note on each kind of trouble.

    Parameters
    ----------
    frame : DataFrame
        With the columns text and label.
    name : str
        What messages call it.
    drop_repeats : bool
        Leave out rows whose text and label stand in an earlier row.

    Returns
    -------
    frame : DataFrame
    notes : list of str

    Raises
    ------
    DataError
        If texts are not strings, labels are of mixed kinds or lists, or no row is left.
    """
    notes: list[str] = []
    frame = _mended(_checked(frame, name), notes)
    frame = _filled(frame, name, notes)
    _check_labels(frame["label"], name)
    if frame["label"].nunique() == 1:
        notes.append(f"all rows have the label {frame['label'].iloc[0]!r}: nothing to tell apart")
    return _judged_repeats(frame, notes, drop=drop_repeats), notes


def _checked(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the frame if its texts are strings or missing."""
    texts = frame["text"]
    if isinstance(texts.dtype, pd.CategoricalDtype):
        texts = texts.astype(object)
        frame = frame.assign(text=texts)
    for row, (value, gone) in enumerate(zip(texts, texts.isna(), strict=True)):
        if not gone and not isinstance(value, str):
            given = frame.attrs[ATTRS]["renamed"].get("text", "text")
            msg = (
                f"{name}: the text column {given!r} holds {type(value).__name__} values, such as"
                f" {str(value)[:40]!r} in row {row}; name a column of strings with text=."
            )
            raise DataError(msg)
    return frame


def _mended(frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Replace halves of surrogate pairs, which no file and no tokenizer can take."""
    if frame["text"].dtype != object:
        return frame
    broken = frame["text"].map(lambda t: isinstance(t, str) and bool(_HALF_PAIR.search(t)))
    if not broken.any():
        return frame
    notes.append(f"{_rows(broken)} with broken characters; these now read U+FFFD")
    return frame.assign(text=frame["text"].map(_whole, na_action="ignore"))


def _whole(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _filled(frame: pd.DataFrame, name: str, notes: list[str]) -> pd.DataFrame:
    """Return the rows with a text and a label."""
    none, blank = frame["text"].isna(), frame["text"].map(_is_blank).astype(bool)
    unlabelled = frame["label"].isna() | frame["label"].map(_is_blank).astype(bool)
    for found, what in (
        (none, "without a text"),
        (blank & ~none, "with an empty text"),
        (unlabelled & ~none & ~blank, "without a label"),
    ):
        if found.any():
            notes.append(f"{_rows(found)} {what} dropped")
    kept = frame[~(none | blank | unlabelled)]
    if kept.empty:
        said = f" ({'; '.join(notes)})" if notes else ""
        msg = f"{name} has no row with a text and a label{said}."
        raise DataError(msg)
    if kept["label"].dtype == object:  # without the gaps, numbers are numbers again
        kept = kept.assign(label=kept["label"].infer_objects())
    return kept


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and _BLANK.fullmatch(value) is not None


def _check_labels(labels: pd.Series, name: str) -> None:
    kinds: dict[str, Any] = {}
    for value in labels:
        kinds.setdefault(_kind(value), value)
    for kind, value in kinds.items():
        if not isinstance(value, Hashable) or isinstance(value, tuple):
            msg = f"{name}: a label must be one value, not the {kind} {str(value)[:40]!r}."
            raise DataError(msg)
    if len(kinds) > 1:
        shown = ", ".join(f"{kind} ({value!r})" for kind, value in kinds.items())
        msg = (
            f"{name}: labels are of several kinds: {shown}; make them all strings, or all numbers."
        )
        raise DataError(msg)


def _kind(value: object) -> str:
    if pd.api.types.is_bool(value):
        return "boolean"
    if pd.api.types.is_number(value):
        return "number"
    return "string" if isinstance(value, str) else type(value).__name__


def _judged_repeats(frame: pd.DataFrame, notes: list[str], *, drop: bool) -> pd.DataFrame:
    repeats = frame.duplicated(["text", "label"])
    once = frame[~repeats]
    several = once["text"][once["text"].duplicated()].nunique()
    if repeats.any():
        done = "dropped" if drop else "kept (duplicates='drop' leaves them out)"
        notes.append(f"{_rows(repeats)} repeating an earlier text and label {done}")
    if several:
        notes.append(f"{several:,} text{'s' if several > 1 else ''} with more than one label")
    return once if drop else frame


def _rows(found: pd.Series) -> str:
    count = int(found.sum())
    return f"{count:,} row{'' if count == 1 else 's'}"
