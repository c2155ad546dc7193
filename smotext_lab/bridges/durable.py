"""Files that are whole or not there, whenever the machine stops."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch

from smotext_lab.errors import ModelError
from smotext_lab.models.provision import flush_folder

__all__ = ["put", "write_aside", "write_tensors"]


def write_aside(path: Path, text: str) -> None:
    """Write `text` aside and rename, so that `path` is whole or not there."""
    aside = path.with_name(path.name + ".part")
    aside.write_text(text, "utf-8")
    put(aside, path)


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], **metadata: str) -> Path:
    """Write tensors beside `path` and return where; `put` puts them in its place.

    Raises
    ------
    ModelError
        If they cannot be written, as on a full disk; nothing is left of them.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    aside = path.with_suffix(".part")
    try:
        save_file(dict(tensors), aside, metadata=metadata or None)
    except (SafetensorError, OSError) as error:
        aside.unlink(missing_ok=True)
        msg = f"{path} cannot be written: {error}; make room, and run the same command again"
        raise ModelError(msg) from None
    return aside


def put(aside: Path, path: Path) -> None:
    """Rename `aside` to `path`, once it is on the disk: a power cut leaves the one or the other."""
    with aside.open("rb+") as file:
        os.fsync(file.fileno())
    aside.replace(path)
    flush_folder(path.parent)
