"""Where a job lies: a folder on a disk, or one that fsspec reaches."""

from __future__ import annotations

import errno
import os
import random
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from smotext_lab.errors import DataError, ParameterError

__all__ = ["Bucket", "Folder", "Store", "open_store"]

_T = TypeVar("_T")
_TRIES = 14  # two minutes or so in all: a storage that is being restarted takes as long
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 30.0
"""Seconds before a request that failed is made again; doubled each time up to the longest."""


class Store(Protocol):
    """Files by their names below one place; a file is whole or not there.

    Attributes
    ----------
    url : str
    """

    url: str

    def read(self, name: str) -> bytes:
        """Return what a file holds; FileNotFoundError where there is none."""
        ...

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Put a file there, in place of one of that name; `durable` waits for the disk."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether there is such a file."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names of what lies in a folder, sorted; none where there is no folder."""
        ...

    def remove(self, name: str) -> None:
        """Take a file away, if it is there; a folder of that name is left."""
        ...

    def remove_folder(self, name: str) -> None:
        """Take a folder away with all that lies in it, if it is there."""
        ...

    def local(self, name: str) -> Path | None:
        """Return the path of a file on this machine's disk, None where it is not on one."""
        ...


def open_store(url: str | os.PathLike[str]) -> Store:
    """Return the store at a path or an fsspec URL; nothing is made there yet.

    Raises
    ------
    ParameterError
        If no installed package of fsspec's knows the URL's protocol.

    Examples
    --------
    >>> open_store("jobs/first").names("plan")
    []
    """
    text = os.fspath(url)
    scheme, found, rest = text.partition("://")
    if not found:
        return Folder(Path(text).expanduser())
    if scheme in ("file", "local"):
        return Folder(Path(rest))
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(text, skip_instance_cache=True)
    except (ImportError, ValueError) as error:
        msg = f"{text!r} cannot be opened: {error}"
        raise ParameterError(msg) from error
    return Bucket(text.rstrip("/"), system, path)


class Folder:
    """A folder on a disk. Files are written aside and renamed."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.url = str(self.path)

    def read(self, name: str) -> bytes:
        """See `Store`."""
        return (self.path / name).read_bytes()

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """See `Store`."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)

    def exists(self, name: str) -> bool:
        """See `Store`."""
        return (self.path / name).is_file()

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        try:
            with os.scandir(self.path / folder) as entries:
                return sorted(entry.name for entry in entries if not entry.name.startswith("."))
        except FileNotFoundError:
            return []

    def remove(self, name: str) -> None:
        """See `Store`."""
        path = self.path / name
        if not path.is_dir():
            path.unlink(missing_ok=True)

    def remove_folder(self, name: str) -> None:
        """See `Store`."""
        shutil.rmtree(self.path / name, ignore_errors=True)  # another worker may do the same

    def local(self, name: str) -> Path | None:
        """See `Store`."""
        return self.path / name


class Bucket:
    """A place that fsspec reaches; requests that fail are repeated.

    Object storage shows what one request puts there whole or not at all. Elsewhere (HDFS, SFTP,
    …) a writing may be cut short, so files are written aside and moved.
    """

    def __init__(self, url: str, system: Any, path: str) -> None:
        self.url, self._system, self._path = url, system, path.rstrip("/")

    def read(self, name: str) -> bytes:
        """See `Store`."""
        data: bytes = self._patiently(lambda: self._system.cat_file(self._at(name)), "read", name)
        return data

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:  # noqa: ARG002
        """See `Store`."""
        try:
            self._patiently(lambda: self._put(name, data), "write", name)
        except FileNotFoundError as error:
            if not self._holds_objects:
                raise  # another worker has taken the folder away
            msg = f"Could not write {name!r}: there is no bucket for {self.url}. Make it first."
            raise DataError(msg) from error

    def _put(self, name: str, data: bytes) -> None:
        path = self._at(name)
        if self._holds_objects:
            self._system.pipe_file(path, data)
            return
        folder, _, last = path.rpartition("/")
        aside = f"{folder}/.{last}.{secrets.token_hex(6)}.part"
        self._system.makedirs(folder, exist_ok=True)
        try:
            self._system.pipe_file(aside, data)
            self._move(aside, path)
        except BaseException:
            with suppress(Exception):  # what went wrong first is what is to be told
                self._system.rm_file(aside)
            raise

    def _move(self, aside: str, path: str) -> None:
        self._system.mv(aside, path)
        self._system.invalidate_cache()
        if self._system.exists(aside):  # WebHDFS moves onto no file, and does not say so
            self._system.rm_file(path)
            self._system.mv(aside, path)

    @property
    def _holds_objects(self) -> bool:
        protocol = self._system.protocol
        names = {protocol} if isinstance(protocol, str) else set(protocol)
        return not names.isdisjoint({"s3", "s3a", "gs", "gcs", "az", "abfs", "oci", "oss"})

    def exists(self, name: str) -> bool:
        """See `Store`."""
        found: bool = self._patiently(lambda: self._is_there(name), "look for", name)
        return found

    def _is_there(self, name: str) -> bool:
        self._system.invalidate_cache()
        try:
            return bool(self._system.info(self._at(name))["type"] == "file")
        except FileNotFoundError:
            return False

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        return self._patiently(lambda: self._listed(folder), "list", folder)

    def _listed(self, folder: str) -> list[str]:
        self._system.invalidate_cache()  # other workers write there too
        try:
            paths = self._system.ls(self._at(folder), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        last = (str(path).rstrip("/").rpartition("/")[2] for path in paths)
        own = folder.rpartition("/")[2]
        return sorted(name for name in last if name and name[0] != "." and name != own)

    def remove(self, name: str) -> None:
        """See `Store`."""
        self._patiently(lambda: self._remove(name), "remove", name)

    def _remove(self, name: str) -> None:
        if self._is_there(name):
            with suppress(FileNotFoundError):  # another worker may do the same
                self._system.rm_file(self._at(name))

    def remove_folder(self, name: str) -> None:
        """See `Store`."""
        self._patiently(lambda: self._remove_folder(name), "remove", name)

    def _remove_folder(self, name: str) -> None:
        self._system.invalidate_cache()
        with suppress(FileNotFoundError):
            self._system.rm(self._at(name), recursive=True)

    def local(self, name: str) -> Path | None:  # noqa: ARG002
        """See `Store`."""
        return None

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}" if name else self._path

    def _patiently(self, request: Callable[[], _T], verb: str, name: str) -> _T:
        """Make a request, again if it fails, with longer and longer waits between."""
        for attempt in range(1, _TRIES + 1):
            try:
                return request()
            except FileNotFoundError as error:  # an answer, not a failure; fsspec's has no number
                told = os.strerror(errno.ENOENT)
                raise FileNotFoundError(errno.ENOENT, told, f"{self.url}/{name}") from error
            except PermissionError as error:
                msg = f"No permission to {verb} {name!r} in {self.url}: {error}"
                raise DataError(msg) from error
            except Exception as error:
                if attempt == _TRIES:
                    msg = f"Could not {verb} {name!r} in {_TRIES} tries: {error}"
                    raise DataError(msg) from error
                wait = min(_FIRST_WAIT * 2 ** (attempt - 1), _LONGEST_WAIT)
                time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311
        raise AssertionError
