"""The sentences a bridge is trained on, encoded once into a memory-mapped file."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from tqdm.auto import tqdm

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
        ``.jsonl``, ``.csv`` and ``.tsv`` files have a column named `text`; in any other file
        each line is a text.
    text : str, default="text"

    Returns
    -------
    list of str
        Without empty ones and repeated ones, in the order of the files.

    Raises
    ------
    DataError
        If a file is missing, is cut or not UTF-8, has no such column or is a table of another
        kind, or no text is left.
    """
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
    if suffix in {".csv", ".tsv"}:
        csv.field_size_limit(_LONGEST)
        rows = csv.DictReader(file, delimiter="," if suffix == ".csv" else "\t")
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
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, state = folder / "vectors.npy", folder / "vectors.json"
    digest = hashlib.sha256("\n".join(texts).encode())
    digest.update(read_by(encoder).encode())
    key, done = digest.hexdigest(), 0
    if path.is_file() and state.is_file():
        known = json.loads(state.read_text("utf-8"))
        done = known["rows"] if known["key"] == key else 0
    if not done:  # before the vectors that it tells of are written over
        state.unlink(missing_ok=True)
    mode = "r+" if done else "w+"
    shape = (len(texts), encoder.dim)
    if done < len(texts):
        vectors = np.lib.format.open_memmap(path, mode=mode, dtype=np.float16, shape=shape)
        bar = tqdm(total=len(texts), initial=done, desc="encode corpus", unit="text")
        for start in range(done, len(texts), _CHUNK):
            part = texts[start : start + _CHUNK]
            vectors[start : start + len(part)] = encoder.encode(part)
            vectors.flush()
            _write_aside(state, json.dumps({"key": key, "rows": start + len(part)}))
            bar.update(len(part))
        bar.close()
    return np.load(path, mmap_mode="r")


def read_by(encoder: Encoder) -> str:
    """Return what stands for an encoder and the way it reads."""
    how = [str(getattr(encoder, name, "")) for name in ("pooling", "long_texts", "max_length")]
    return " ".join([encoder.fingerprint, *how])


def _write_aside(path: Path, text: str) -> None:
    """Write a file that is whole or not there, whenever the run is killed."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, "utf-8")
    part.replace(path)
