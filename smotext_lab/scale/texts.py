"""The real texts of a job: read in chunks, encoded into shards, and read again by workers."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from smotext_lab.datasets.streams import Stream
from smotext_lab.errors import DataError
from smotext_lab.identity import data_sha256, described, digest_of
from smotext_lab.models.placement import precision
from smotext_lab.scale.spec import Shard
from smotext_lab.scale.store import Store
from smotext_lab.scale.tables import COPY_AGAIN, read_table, table_bytes

__all__ = [
    "Reading",
    "RealTexts",
    "mapped",
    "read_in",
    "read_texts",
    "read_vectors",
]

_NOT_HOW = {"model", "dtype", "device", "batch_tokens"}
"""Parameters of encoders that are told by others here, or change no more than last bits."""


@dataclass(frozen=True)
class Reading:
    """What `read_in` found and wrote.

    Attributes
    ----------
    shards : list of Shard
    classes : list
        Labels; `codes` are places in it.
    codes : ndarray of int32, shape (n,)
    sha256 : str
        Of all texts and labels.
    long_texts : int or None
    """

    shards: list[Shard]
    classes: list[Any]
    codes: np.ndarray
    sha256: str
    long_texts: int | None


@dataclass(frozen=True, eq=False)
class RealTexts:
    """The real texts as workers need them.

    Attributes
    ----------
    texts : list of str, length n
    labels : ndarray of shape (n,)
    vectors : ndarray of float32, shape (n, d)
        Memory-mapped.
    """

    texts: list[str]
    labels: np.ndarray
    vectors: np.ndarray

    @classmethod
    def load(cls, store: Store, shards: Sequence[Shard], classes: list[Any]) -> RealTexts:
        """Read the texts; map the vectors.

        Raises
        ------
        DataError
            If one of the files is not that of which ``job.json`` tells.
        """
        texts: list[str] = []
        codes = []
        for shard in shards:
            table = read_texts(store, shard)
            texts += table["text"].to_pylist()
            codes.append(table["code"].to_numpy())
        labels = np.array(classes)[np.concatenate(codes)]
        return cls(texts, labels, mapped(store, shards))


def read_in(store: Store, stream: Stream, encoder: Any, *, progress: bool) -> Reading:
    """Read a stream of labelled texts, encode them, and write both in shards.

    A shard that an earlier try has written of the same texts, by the same encoder, is used
    as it is.
    """
    from tqdm.auto import tqdm

    shards: list[Shard] = []
    known: dict[Any, int] = {}
    codes, digests, long_texts = [], [], 0
    bar = tqdm(desc="read and encode", unit="text", disable=not progress, leave=False)
    with bar:
        for number, chunk in enumerate(stream):
            texts = chunk["text"].tolist()
            own = [known.setdefault(label, len(known)) for label in chunk["label"].tolist()]
            _check_labels(stream.called, known)
            codes.append(np.array(own, np.int32))
            digests.append(digest_of(texts, own))
            name = f"{number:05}-{_key(encoder, digests[-1])}"
            shard, lengths = _shard(store, name, texts, codes[-1], encoder)
            shards.append(shard)
            long_texts += lengths
            bar.update(len(texts))
    if not shards:
        msg = f"{stream.called} has no row with a text and a label."
        raise DataError(msg)
    classes = stream.typed(list(known))
    whole = data_sha256(digests, classes)
    return Reading(shards, classes, np.concatenate(codes), whole, long_texts)


def _check_labels(called: str, labels: Iterable[Any]) -> None:
    """Raise `DataError` where labels are of several kinds, or of one that JSON cannot hold."""
    kinds = {type(label): label for label in labels}
    if len(kinds) > 1:
        names = sorted(kind.__name__ for kind in kinds)
        msg = f"{called}: labels are of several kinds: {', '.join(names)}."
        raise DataError(msg)
    for kind, label in kinds.items():
        if not issubclass(kind, str | int | float):
            msg = (
                f"{called}: the label {label!r} is of the kind {kind.__name__}, and a job keeps "
                "texts and numbers only: make one of those of the labels."
            )
            raise DataError(msg)


def _key(encoder: Any, digest: bytes) -> str:
    """Return what tells shards of other texts, or of an encoder that reads otherwise, apart."""
    told = described(encoder).get("parameters", {})
    how = {name: value for name, value in told.items() if name not in _NOT_HOW}
    reader = [getattr(encoder, "fingerprint", repr(encoder)), getattr(encoder, "long_texts", "")]
    if told:
        reader += [how, precision(encoder.dtype, encoder.device)]
    return hashlib.sha256(digest + json.dumps(reader).encode()).hexdigest()[:16]


def _shard(
    store: Store, name: str, texts: list[str], codes: np.ndarray, encoder: Any
) -> tuple[Shard, int]:
    """Write one shard and return it, with how many of its texts are long."""
    names = f"texts/{name}.parquet", f"vectors/{name}.npy"
    facts = f"vectors/{name}.json"
    if not store.exists(facts):
        vectors = np.ascontiguousarray(encoder.encode(texts), np.float32)
        lengths = getattr(getattr(encoder, "lengths_", None), "n_long", 0)
        table = pa.table({"text": pa.array(texts, pa.string()), "code": pa.array(codes)})
        buffer = io.BytesIO()
        np.save(buffer, vectors)
        files = table_bytes(table), buffer.getvalue()
        for file, data in zip(names, files, strict=True):
            store.write(file, data)
        of_texts, of_vectors = (hashlib.sha256(data).hexdigest() for data in files)
        told = {"sha256": of_vectors, "texts_sha256": of_texts, "long_texts": lengths}
        store.write(facts, json.dumps(told).encode())  # last: what it tells of is whole
    told = json.loads(store.read(facts))
    shard = Shard(*names, len(texts), told["sha256"], told.get("texts_sha256"))
    return shard, told["long_texts"]


def read_texts(store: Store, shard: Shard) -> pa.Table:
    """Return a shard's texts and the codes of their labels.

    Raises
    ------
    DataError
        If the file is another than when the job was made.
    """
    data = store.read(shard.texts)
    if shard.texts_sha256 is not None:
        _check(shard.texts, hashlib.sha256(data).hexdigest(), shard.texts_sha256)
    return read_table(data, shard.texts)


def read_vectors(store: Store, shard: Shard) -> np.ndarray:
    """Return a shard's vectors, as `read_texts` its texts."""
    data = store.read(shard.vectors)
    _check(shard.vectors, hashlib.sha256(data).hexdigest(), shard.sha256)
    vectors: np.ndarray = np.load(io.BytesIO(data))
    return vectors


def _check(name: str, found: str, told: str) -> None:
    if found != told:
        msg = f"{name} is not what job.json says: {COPY_AGAIN}."
        raise DataError(msg)


def mapped(store: Store, shards: Sequence[Shard]) -> np.ndarray:
    """Return the vectors of all shards, mapped from a file on this machine's disk.

    One shard on a disk is mapped where it lies; otherwise they are put together in a file of
    the cache, once a machine, and again where that file is not what they are.

    Raises
    ------
    DataError
        If a shard is not that of which ``job.json`` tells.
    OSError
        If there is no room for the file.
    """
    own = store.local(shards[0].vectors) if len(shards) == 1 else None
    if own is not None:
        with own.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        _check(shards[0].vectors, found, shards[0].sha256)
        return np.load(own, mmap_mode="r")
    from smotext_lab.models import cache_dir

    key = hashlib.sha256("".join(shard.sha256 for shard in shards).encode()).hexdigest()[:24]
    path = cache_dir() / "vectors" / f"{key}.npy"
    if not _holds(path, shards):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = path.with_name(f".{key}.{os.getpid()}.{secrets.token_hex(4)}.npy")
        try:
            _join(store, shards, aside)
            aside.replace(path)
        except OSError as error:
            if error.filename is not None:
                raise
            # an error of writing does not say where, and it is not where the job lies
            raise OSError(error.errno, error.strerror, str(path.parent)) from error
        finally:
            aside.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")


def _holds(path: Path, shards: Sequence[Shard]) -> bool:
    """Return whether a file that was put together holds the vectors of all shards."""
    try:
        found = np.load(path, mmap_mode="r")
    except (FileNotFoundError, EOFError, ValueError):  # none, empty, cut short
        return False
    ends = np.cumsum([shard.rows for shard in shards]).tolist()
    whole = len(found) == ends[-1] and path.stat().st_size == found.offset + found.nbytes
    return whole and all(
        _saved_sha256(found[end - shard.rows : end]) == shard.sha256
        for end, shard in zip(ends, shards, strict=True)
    )


def _saved_sha256(rows: np.ndarray) -> str:
    """Return the hash of the file that `np.save` makes of `rows`, without making it."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(rows))
    digest = hashlib.sha256(header.getvalue())
    digest.update(rows.data.cast("B"))
    return digest.hexdigest()


def _join(store: Store, shards: Sequence[Shard], path: Path) -> None:
    """Write the vectors of all shards into one file.

    Not through a map of it: on a full disk, writing into one ends the process without a word.
    """
    with path.open("xb") as file:
        for number, shard in enumerate(shards):
            part = read_vectors(store, shard)
            if number == 0:
                shape = (sum(each.rows for each in shards), part.shape[1])
                told = {"descr": part.dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, told)
            file.write(part.data)
        file.flush()
        os.fsync(file.fileno())
