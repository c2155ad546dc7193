"""Texts that were made once are not made again: results kept by what they were made from.

They may be somebody's private texts, so that only their owner may enter the folder; they can be
cleared (`clear`, ``smotext-lab cache clear``), put elsewhere or switched off (the environment
variable ``SMOTEXT_LAB_RESULTS``: a folder, or ``off``).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["CacheInfo", "clear", "code_key", "content_key", "folder", "info", "kept", "unfinished"]

_VARIABLE = "SMOTEXT_LAB_RESULTS"
_OURS = re.compile(r"[0-9a-f]{32}(\.parquet|(-\w+)?\.part)")
_ROAD = ("interpolators", "bridges", "engines", "guards", "models", "sampler")


@dataclass(frozen=True)
class CacheInfo:
    """What is kept.

    Attributes
    ----------
    folder : Path or None
        None where keeping is switched off.
    entries : int
        Whole results.
    size : int
        In bytes, with what there is of results that are not whole.
    """

    folder: Path | None
    entries: int
    size: int


def folder() -> Path | None:
    """Return where results are kept, or None where keeping is switched off.

    Examples
    --------
    >>> import os
    >>> os.environ["SMOTEXT_LAB_RESULTS"] = "off"
    >>> folder() is None
    True
    >>> del os.environ["SMOTEXT_LAB_RESULTS"]
    """
    from smotext_lab.models import cache_dir

    given = os.environ.get(_VARIABLE, "")
    if given.lower() == "off":
        return None
    return Path(given) if given else cache_dir() / "results"


def kept(key: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Return the frame kept under `key`, or make it and keep it.

    Parameters
    ----------
    key : str
        From `content_key`.
    make : callable
        Returns the frame; it is called at most once. What it keeps under `unfinished` on the
        way is removed when the frame is kept.

    Returns
    -------
    DataFrame

    Warns
    -----
    UserWarning
        If it could not be kept.
    """
    home = folder()
    if home is None:
        return make()
    path = home / f"{key}.parquet"
    # a file that was damaged is as good as none
    with contextlib.suppress(OSError, ValueError):
        found = pd.read_parquet(path)
        (home / _unfinished(key)).unlink(missing_ok=True)  # of a run that was killed right after
        return found
    made = make()
    try:
        _write(made, path)
        (home / _unfinished(key)).unlink(missing_ok=True)
    except OSError as error:  # what was written is not lost for it
        msg = (
            f"These texts could not be kept in {home} ({error.strerror or error}): they will be "
            f"written again next time. {_VARIABLE} names another folder, or is 'off'."
        )
        warnings.warn(msg, UserWarning, stacklevel=2)
    return made


def unfinished(key: str) -> Path | None:
    """Return the file for what there is of a result before it is whole; None: keep nothing."""
    home = folder()
    return None if home is None else home / _unfinished(key)


def _unfinished(key: str) -> str:
    return f"{key}.part"  # as what a write leaves behind that was stopped: `clear` removes it


def _write(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # its owner alone reads it
    handle, part = tempfile.mkstemp(".part", f"{path.stem}-", path.parent)
    os.close(handle)
    try:
        frame.to_parquet(part)
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)


def info() -> CacheInfo:
    """Return how much is kept, and where."""
    home = folder()
    files = _files(home)
    whole = sum(path.suffix == ".parquet" for path in files)
    return CacheInfo(home, whole, sum(_size(path) for path in files))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process was done with it
        return 0


def _files(home: Path | None) -> list[Path]:
    """Return our files: the folder may be one that has others."""
    there = [] if home is None else home.glob("*.par*")
    return [path for path in there if _OURS.fullmatch(path.name)]


def clear() -> CacheInfo:
    """Remove all that is kept; return what there was."""
    there = info()
    if there.folder is not None:
        for path in _files(there.folder):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            there.folder.rmdir()
    return there


def content_key(*parts: Any) -> str:
    """Return 32 hexadecimal digits that stand for `parts`, which JSON can write.

    Examples
    --------
    >>> content_key("a", 1) == content_key("a", 1) != content_key("a", 2)
    True
    """
    packed = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(packed.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@functools.cache
def code_key(*rooms: str) -> str:
    """Return what stands for the code that makes texts, the road's modules, and that of `rooms`.

    The lists of words that they read are part of it.

    Examples
    --------
    >>> code_key() == code_key() != code_key("evaluation")
    True
    """
    package = Path(__file__).parent
    read = [package / room for room in (*_ROAD, *rooms)]
    files = [*package.glob("*.py"), *package.glob("guards/*.txt")]
    files += [path for room in read for path in room.rglob("*.py")]
    content = [path.read_text("utf-8") for path in sorted(files)]
    return content_key(content)
