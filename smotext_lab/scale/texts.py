"""The real texts of a job: read in chunks, encoded into shards, and read again by workers."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from smotext_lab.datasets.streams import Stream
from smotext_lab.errors import DataError
from smotext_lab.scale.spec import Shard
from smotext_lab.scale.store import Store
from smotext_lab.scale.tables import read_table, table_bytes

__all__ = ["Reading", "RealTexts", "mapped", "read_in"]


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
        """Read the texts; map the vectors."""
        texts: list[str] = []
        codes = []
        for shard in shards:
            table = read_table(store.read(shard.texts), shard.texts)
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
    codes, long_texts = [], 0
    whole = hashlib.sha256()
    bar = tqdm(desc="read and encode", unit="text", disable=not progress, leave=False)
    with bar:
        for number, chunk in enumerate(stream):
            texts = chunk["text"].tolist()
            own = [known.setdefault(label, len(known)) for label in chunk["label"].tolist()]
            codes.append(np.array(own, np.int32))
            digest = _digest(texts, own)
            whole.update(digest)
            name = f"{number:05}-{_key(encoder, digest)}"
            shard, lengths = _shard(store, name, texts, codes[-1], encoder)
            shards.append(shard)
            long_texts += lengths
            bar.update(len(texts))
    if not shards:
        msg = f"{stream.called} has no row with a text and a label."
        raise DataError(msg)
    classes = stream.typed(list(known))
    kinds = {type(label).__name__ for label in classes}
    if len(kinds) > 1:
        msg = f"{stream.called}: labels are of several kinds: {', '.join(sorted(kinds))}."
        raise DataError(msg)
    whole.update(json.dumps(classes).encode())
    return Reading(shards, classes, np.concatenate(codes), whole.hexdigest(), long_texts)


def _digest(texts: list[str], codes: list[int]) -> bytes:
    total = hashlib.sha256(np.array(codes, np.int32).tobytes())
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "little") + data)
    return total.digest()


def _key(encoder: Any, digest: bytes) -> str:
    """Return what tells shards of other texts or another encoder apart."""
    reader = [getattr(encoder, "fingerprint", repr(encoder)), getattr(encoder, "long_texts", "")]
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
        store.write(names[0], table_bytes(table))
        buffer = io.BytesIO()
        np.save(buffer, vectors)
        data = buffer.getvalue()
        store.write(names[1], data)
        told = {"sha256": hashlib.sha256(data).hexdigest(), "long_texts": lengths}
        store.write(facts, json.dumps(told).encode())  # last: what it tells of is whole
    told = json.loads(store.read(facts))
    return Shard(*names, len(texts), told["sha256"]), told["long_texts"]


def mapped(store: Store, shards: Sequence[Shard]) -> np.ndarray:
    """Return the vectors of all shards, mapped from a file on this machine's disk.

    One shard on a disk is mapped where it lies; otherwise they are put together in a file of
    the cache, once a machine.
    """
    own = store.local(shards[0].vectors) if len(shards) == 1 else None
    if own is not None:
        return np.load(own, mmap_mode="r")
    from smotext_lab.models import cache_dir

    key = hashlib.sha256("".join(shard.sha256 for shard in shards).encode()).hexdigest()[:24]
    path = cache_dir() / "vectors" / f"{key}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = path.with_name(f".{key}.{os.getpid()}.{secrets.token_hex(4)}.npy")
        try:
            _join(store, shards, aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")


def _join(store: Store, shards: Sequence[Shard], path: os.PathLike[str]) -> None:
    whole: Any = None
    start = 0
    for shard in shards:
        data = store.read(shard.vectors)
        if hashlib.sha256(data).hexdigest() != shard.sha256:
            msg = f"{shard.vectors} is not what job.json says: copy it again, or make a new job."
            raise DataError(msg)
        part = np.load(io.BytesIO(data))
        if whole is None:
            shape = (sum(each.rows for each in shards), part.shape[1])
            whole = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        whole[start : start + len(part)] = part
        start += len(part)
    whole.flush()
