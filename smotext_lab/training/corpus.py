"""The sentences a bridge is trained on, encoded once into a memory-mapped file."""

from __future__ import annotations

import csv
import errno
import gzip
import hashlib
import itertools
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from tqdm.auto import tqdm

from smotext_lab.bridges.durable import write_aside
from smotext_lab.datasets.readers import separator_of
from smotext_lab.encoders import Encoder
from smotext_lab.errors import DataError

__all__ = ["encode_corpus", "read_by", "read_corpus"]

_CHUNK = 8192
_LONGEST = 2**31 - 1  # characters of a cell of a table
_OTHER_TABLES = {".json", ".parquet", ".xls", ".xlsx", ".feather", ".arrow"}


def read_corpus(paths: Iterable[str | Path], text: str = "text") -> list[str]:
    """Return the texts of JSON Lines, CSV, TSV or plain text files, ``.gz`` or not.

    Parameters
    ----------
    paths : iterable of path
        ``.jsonl``, ``.csv`` (of commas or semicolons), ``.tsv`` and ``.tab`` files have a column
        named `text`; in any other file each line is a text.
    text : str, default="text"

    Returns
    -------
    list of str
        Without empty ones and repeated ones, in the order of the files.

    Raises
    ------
    DataError
        If `paths` is one path, a file is missing, is cut or not UTF-8, has no such column or is a
        table of another kind, or no text is left.
    """
    if isinstance(paths, str | Path):
        msg = f"the corpus is a list of files, also where it is one: give [{str(paths)!r}]"
        raise DataError(msg)
    texts: list[str] = []
    for path in map(Path, paths):
        try:
            with _opened(path) as file:
                texts += [" ".join(_whole(t).split()) for t in _texts_of(path, file, text)]
        except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
            msg = f"corpus file {path} cannot be read as UTF-8 text: {error}"
            raise DataError(msg) from None
    texts = [t for t in dict.fromkeys(texts) if t]  # one held back must not be trained on as well
    if not texts:
        msg = "the corpus holds no text"
        raise DataError(msg)
    return texts


def _opened(path: Path) -> IO[str]:
    # -sig: without the mark that Excel puts before the first character
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _whole(text: str) -> str:
    """Return a text without halves of characters, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode()


def _texts_of(path: Path, file: IO[str], column: str) -> Iterator[str]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = next((s for s in reversed(suffixes) if s != ".gz"), "")
    if suffix in _OTHER_TABLES:
        msg = f"{path}: give a corpus as .jsonl, .csv, .tsv or plain text, not {suffix}"
        raise DataError(msg)
    if suffix in {".csv", ".tsv", ".tab"}:
        csv.field_size_limit(_LONGEST)
        header = file.readline()
        separator = separator_of(header) if suffix == ".csv" else "\t"
        rows = csv.DictReader(itertools.chain([header], file), delimiter=separator)
        if column not in (rows.fieldnames or []):
            msg = (
                f"{path} has no column {column!r}; its columns: {', '.join(rows.fieldnames or [])}"
            )
            raise DataError(msg)
        yield from (row[column] or "" for row in rows)
    elif suffix in {".jsonl", ".ndjson"}:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                said = json.loads(line)[column]
                yield "" if said is None else str(said)
            except (ValueError, KeyError, TypeError):
                msg = f"{path}, line {number}: not a JSON object with a {column!r} field"
                raise DataError(msg) from None
    else:
        yield from file


def encode_corpus(texts: Sequence[str], encoder: Encoder, folder: Path) -> np.ndarray:
    """Return the vectors of `texts`, encoded once and memory-mapped from then on.

    Parameters
    ----------
    texts : sequence of str, length n
    encoder : Encoder
    folder : Path
        Where ``vectors.npy`` (float16) lies; a run that was stopped goes on from its last
        chunk of 8,192 texts.

    Returns
    -------
    ndarray of float16, shape (n, d), read-only

    Raises
    ------
    DataError
        If the encoder has no vector for a text.
    OSError
        If the disk has no room for the vectors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, state = folder / "vectors.npy", folder / "vectors.json"
    digest = hashlib.sha256("\n".join(texts).encode())
    digest.update(read_by(encoder).encode())
    key, shape = digest.hexdigest(), (len(texts), encoder.dim)
    done = _done(path, state, key, shape)
    if not done:  # before the vectors that it tells of are written over
        state.unlink(missing_ok=True)
    if done < len(texts):
        vectors = np.lib.format.open_memmap(
            path, mode="r+" if done else "w+", dtype=np.float16, shape=shape
        )
        _reserve(path)
        bar = tqdm(total=len(texts), initial=done, desc="encode corpus", unit="text")
        for start in range(done, len(texts), _CHUNK):
            part = texts[start : start + _CHUNK]
            vectors[start : start + len(part)] = _encoded(part, encoder)
            vectors.flush()
            write_aside(state, json.dumps({"key": key, "rows": start + len(part)}))
            bar.update(len(part))
        bar.close()
    return np.load(path, mmap_mode="r")


def read_by(encoder: Encoder) -> str:
    """Return what stands for an encoder and the way it reads."""
    how = [str(getattr(encoder, name, "")) for name in ("pooling", "long_texts", "max_length")]
    return " ".join([encoder.fingerprint, *how])


def _done(path: Path, state: Path, key: str, shape: tuple[int, int]) -> int:
    """Return how many rows an earlier run of the same has left; none where a file is not whole."""
    try:
        known = json.loads(state.read_text("utf-8"))
        whole = known["key"] == key and np.load(path, mmap_mode="r").shape == shape
        return int(known["rows"]) if whole else 0
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return 0


def _reserve(path: Path) -> None:
    """Take a file's room on the disk now: a map into what there is no room for ends the process."""
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("rb+") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                return  # a file system that cannot
            path.unlink()
            raise OSError(error.errno, error.strerror, str(path)) from None


def _encoded(texts: Sequence[str], encoder: Encoder) -> np.ndarray:
    vectors = encoder.encode(texts)
    lost = ~np.isfinite(vectors).all(axis=1)
    if lost.any():
        text = texts[int(lost.argmax())]
        msg = (
            f"the encoder has no vector for {text[:60]!r}, and for {lost.sum()} of {len(texts)} "
            f"texts in all: leave them out"
        )
        raise DataError(msg)
    return vectors
