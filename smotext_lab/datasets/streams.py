"""Labelled texts in chunks, from files that need not fit into memory."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd

from smotext_lab.datasets import DataWarning, load_dataset
from smotext_lab.datasets.labelled import with_roles, with_usable_rows
from smotext_lab.datasets.readers import SUFFIXES, encoding_of, exact, records_of, separator_of
from smotext_lab.errors import DataError

__all__ = ["Stream"]

_COUNTED = re.compile(r"([\d,]+) rows? (.*)")
_TOGETHER = ("repeating an earlier", "texts with more than one", "all rows have the label")


class Stream:
    """Labelled texts of a source, chunk by chunk, as `load_dataset` gives them all at once.

    Parameters
    ----------
    source : str, path or DataFrame
        As for `load_dataset`. A Parquet, CSV, TSV or JSON Lines file (gzip too, but for
        Parquet) is read in chunks; anything else is loaded as a whole.
    text, label : str, optional
        Names of the columns.
    split : str, optional
        The split whose rows are wanted, ``"all"`` for all; needed where there are several.
    file_format, encoding
        As for `load_dataset`.
    rows : int
        In a chunk.

    Attributes
    ----------
    names : tuple of str
        The columns' names where they came from; known once the first chunk was read.

    Examples
    --------
    >>> frame = pd.DataFrame({"text": ["a b", "c d", "e"], "label": ["x", "y", "x"]})
    >>> [len(chunk) for chunk in Stream(frame, rows=2)]
    [2, 1]
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | pd.DataFrame,
        *,
        text: str | None = None,
        label: str | None = None,
        split: str | None = None,
        file_format: str | None = None,
        encoding: str = "utf-8",
        rows: int = 65_536,
    ) -> None:
        self.source, self.rows = source, rows
        self._columns = {"text": text, "label": label, "split": None}
        self._split, self._format, self._encoding = split, file_format, encoding
        self.names = ("text", "label")
        self._is_text = False

    @property
    def called(self) -> str:
        """What messages call the source."""
        if isinstance(self.source, pd.DataFrame):
            return "the frame"
        name = os.fspath(self.source)
        return "standard input" if name == "-" else Path(name).name

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield frames with the columns text and label, and an index from 0 in each."""
        seen: Counter[str] = Counter()
        notes: Counter[str] = Counter()
        several = False
        for number, (frame, own) in enumerate(self._usable()):
            several = number > 0
            chosen = self._of_split(frame, seen)
            for note in own:
                found = _COUNTED.fullmatch(note)
                if found:
                    notes[found[2]] += int(found[1].replace(",", ""))
                elif not any(part in note for part in _TOGETHER):
                    notes[note] += 0
            if len(chosen):
                yield chosen[["text", "label"]].reset_index(drop=True)
        self._check_splits(seen)
        for note, count in notes.items():
            if several and any(part in note for part in _TOGETHER):
                continue  # of one chunk only: says nothing about the whole
            told = f"{count:,} row{'' if count == 1 else 's'} {note}" if count else note
            warnings.warn(f"{self.called}: {told}", DataWarning, stacklevel=2)

    def typed(self, labels: list[Any]) -> list[Any]:
        """Return the labels met in a text file as numbers, where each of them reads as one."""
        return exact(pd.Series(labels, dtype=object)).tolist() if self._is_text else labels

    def _usable(self) -> Iterator[tuple[pd.DataFrame, list[str]]]:
        chunks = self._chunks()
        if chunks is None:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", DataWarning)
                frame = load_dataset(
                    self.source,
                    text=self._columns["text"],
                    label=self._columns["label"],
                    file_format=self._format,
                    encoding=self._encoding,
                )
            self._note_names(frame)
            notes = [str(w.message).partition(": ")[2] for w in caught]
            for start in range(0, len(frame), self.rows):
                yield frame.iloc[start : start + self.rows], notes if start == 0 else []
            return
        for chunk in chunks:
            try:
                frame = with_roles(chunk, self.called, self._columns)
                self._note_names(frame)
                yield with_usable_rows(frame, self.called, drop_repeats=False)
            except DataError as error:
                if "has no row with" not in str(error):  # a chunk of gaps is no error yet
                    raise

    def _note_names(self, frame: pd.DataFrame) -> None:
        from smotext_lab.datasets import given_names

        self.names = given_names(frame)

    def _of_split(self, frame: pd.DataFrame, seen: Counter[str]) -> pd.DataFrame:
        splits = frame["split"].astype(str)
        seen.update(splits.tolist())
        if self._split in (None, "all"):
            if self._split is None and len(seen) > 1:
                self._check_splits(seen)
            return frame
        return frame[splits == self._split]

    def _check_splits(self, seen: Counter[str]) -> None:
        from smotext_lab.words import one_split

        if self._split != "all":
            every = pd.DataFrame({"split": pd.Series(list(seen), dtype=object)})
            every = every.loc[every.index.repeat(list(seen.values()))] if len(seen) > 1 else every
            one_split(every, self._split, self.called)

    def _chunks(self) -> Iterator[pd.DataFrame] | None:
        """Return the chunks of a file, or None for what is loaded as a whole."""
        if isinstance(self.source, pd.DataFrame) or os.fspath(self.source) == "-":
            return None
        path = Path(self.source).expanduser()
        if not path.is_file():
            return None
        suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
        form = self._format or SUFFIXES.get(suffix)
        if form == "parquet":
            return None if path.suffix == ".gz" else _parquet(path, self.rows)
        if form not in ("csv", "tsv", "jsonl"):
            return None
        self._is_text = form != "jsonl"
        stream = _opened(path, self._encoding)
        if form == "jsonl":
            first = stream.read(1)
            while first.isspace() or first == "\ufeff":
                first = stream.read(1)
            stream.seek(0)
            return None if first == "[" else _lines(stream, self.called, self.rows)
        return _delimited(stream, "\t" if form == "tsv" else None, self.called, self.rows)


def _opened(path: Path, encoding: str) -> IO[str]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    raw: Any = gzip.open(path) if zipped else path.open("rb")  # noqa: SIM115 - the reader closes it
    return io.TextIOWrapper(raw, encoding_of(raw.peek(4)[:4], encoding), newline="")


def _parquet(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(rows):
                yield batch.to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        msg = f"{path.name} cannot be read as Parquet: {error}"
        raise DataError(msg) from error


def _lines(stream: IO[str], name: str, rows: int) -> Iterator[pd.DataFrame]:
    with stream:
        numbered = enumerate(_split_lines(stream, name), start=1)
        while chunk := list(itertools.islice(numbered, rows)):
            yield records_of(chunk, name)


def _split_lines(stream: IO[str], name: str) -> Iterator[str]:
    """Yield lines; one in an encoding that is not the file's is an error with its number."""
    number = 0
    while True:
        number += 1
        try:
            line = stream.readline()
        except UnicodeError as error:
            msg = f"{name}, near line {number}: {error}. Say which encoding it has, encoding=…"
            raise DataError(msg) from error
        if not line:
            return
        yield line


def _delimited(
    stream: IO[str], separator: str | None, name: str, rows: int
) -> Iterator[pd.DataFrame]:
    with stream:
        try:
            separator = separator or separator_of(stream.readline())
            stream.seek(0)
            reader = pd.read_csv(
                stream,
                sep=separator,
                dtype=str,
                keep_default_na=False,
                index_col=False,
                chunksize=rows,
            )
            while (chunk := _next_of(reader)) is not None:
                yield chunk
        except UnicodeError as error:
            msg = f"{name}: {error}. Say which encoding it has, for example encoding='latin-1'."
            raise DataError(msg) from error
        except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
            reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
            msg = f"{name} is not well-formed, separated by {separator!r}: {reason}."
            raise DataError(msg) from error


def _next_of(reader: Iterator[pd.DataFrame]) -> pd.DataFrame | None:
    with warnings.catch_warnings():
        # pandas only warns when it drops cells of rows that are longer than the header
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return next(reader, None)
