"""The sentences a bridge is trained on, encoded once into a memory-mapped file."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from tqdm.auto import tqdm

from smotext_lab.encoders import Encoder
from smotext_lab.errors import DataError

__all__ = ["encode_corpus", "read_corpus"]

_CHUNK = 8192


def read_corpus(paths: Iterable[str | Path], text: str = "text") -> list[str]:
    """Return the texts of JSON Lines, CSV or plain text files, ``.gz`` or not.

    Parameters
    ----------
    paths : iterable of path
        ``.jsonl`` and ``.csv`` files have a column named `text`; in any other file each
        line is a text.
    text : str, default="text"

    Returns
    -------
    list of str
        Without empty ones and repeated ones, in the order of the files.

    Raises
    ------
    DataError
        If a file is missing, is not UTF-8 or has no such column, or no text is left.
    """
    texts: list[str] = []
    for path in map(Path, paths):
        try:
            with _opened(path) as file:
                texts += [" ".join(t.split()) for t in _texts_of(path, file, text)]
        except (OSError, UnicodeDecodeError) as error:
            msg = f"corpus file {path} cannot be read as UTF-8 text: {error}"
            raise DataError(msg) from None
    texts = [t for t in dict.fromkeys(texts) if t]  # one held back must not be trained on as well
    if not texts:
        msg = "the corpus holds no text"
        raise DataError(msg)
    return texts


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8", newline="")


def _texts_of(path: Path, file: IO[str], column: str) -> Iterator[str]:
    suffix = next((s for s in reversed(path.suffixes) if s != ".gz"), "")
    if suffix == ".csv":
        import csv

        rows = csv.DictReader(file)
        if column not in (rows.fieldnames or []):
            msg = (
                f"{path} has no column {column!r}; its columns: {', '.join(rows.fieldnames or [])}"
            )
            raise DataError(msg)
        yield from (row[column] or "" for row in rows)
    elif suffix in {".jsonl", ".ndjson"}:
        for number, line in enumerate(file, 1):
            try:
                yield str(json.loads(line)[column])
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
    digest.update(encoder.fingerprint.encode())
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


def _write_aside(path: Path, text: str) -> None:
    """Write a file that is whole or not there, whenever the run is killed."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, "utf-8")
    part.replace(path)
