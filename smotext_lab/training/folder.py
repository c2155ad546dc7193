"""The folder that a bridge is trained into: nobody else's files, and one run at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smotext_lab.errors import ParameterError

__all__ = ["begun", "check_folder", "locked"]

_OURS = ("run.json", "checkpoint.safetensors", "vectors.npy")


def begun(work: Path) -> bool:
    """Tell whether a run has left something in `work` that another would go on from."""
    return any((work / name).exists() for name in _OURS)


def check_folder(folder: Path) -> None:
    """Raise `ParameterError` if a bridge in `folder` would be written over somebody's files."""
    if folder.exists() and not folder.is_dir():
        msg = f"{folder} is a file: give a folder for the bridge"
        raise ParameterError(msg)
    if (folder / "bridge.json").is_file() or begun(folder / "work"):
        return
    others = sorted(path.name for path in folder.glob("[!.]*") if path.is_file())
    if others:
        msg = (
            f"{folder} holds files that are no bridge's ({', '.join(others[:3])}), and a README.md "
            f"or a log there would be written over: give a folder of its own"
        )
        raise ParameterError(msg)


@contextmanager
def locked(work: Path) -> Iterator[None]:
    """Hold `work` for one run: two would write over each other's checkpoints.

    Raises
    ------
    ParameterError
        If another run holds it.
    """
    from filelock import FileLock, Timeout

    work.mkdir(parents=True, exist_ok=True)
    lock = FileLock(work / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        msg = f"another run trains into {work.parent}: wait for it, or give another folder"
        raise ParameterError(msg) from None
    try:
        yield
    finally:
        lock.release()
