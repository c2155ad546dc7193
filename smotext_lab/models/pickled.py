"""From PyTorch's own weights files to safetensors, once; no code that is in them is ever run.

``torch.save`` writes pickles, which may name any function to call. They are read by torch's
restricted unpickler (``weights_only=True``), which knows how to make tensors and nothing else, and
refuses the rest before anything is called. What it reads is written as safetensors into our cache,
and only that is loaded.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smotext_lab.errors import ModelError
from smotext_lab.models import provision, weights

if TYPE_CHECKING:
    import torch

__all__ = ["as_safetensors", "place"]

_REVISION = 1
"""Part of a copy's name: raise it when what is written changes."""

_PART = 1 << 30
"""Bytes of tensors that are in memory at once; a larger tensor comes alone."""

_BESIDE = ("*.json", "*.model", "*.jinja", "*.txt", "LICENSE*", "README.md")


def as_safetensors(folder: Path, title: str) -> Path:
    """Return a folder with a model's weights as safetensors: itself, or a copy in our cache.

    Parameters
    ----------
    folder : Path
        A model folder.
    title : str
        What it is called by in the cache.

    Raises
    ------
    ModelError
        When there are no weights, they cannot be read as tensors alone, or the disk has no room.
    """
    copy = place(folder, title)
    if copy is None:
        return folder
    read = weights.files(folder)
    size = sum(path.stat().st_size for path in read)

    def fill(_: Path, ready: Path) -> None:
        told = f"{size / 1e9:.1f} GB in {provision.cache_dir()}"
        provision.say(f"Converting {title} to safetensors (once, {told}) …")
        for path in _beside(folder):
            shutil.copyfile(path, ready / path.name)
        _write(read, ready)

    facts = {"made_from": f"{title} in {folder}"}
    return provision.make(copy.name, fill, size + 10_000_000, facts)


def place(folder: Path, title: str) -> Path | None:
    """Return where the safetensors copy of a model folder is, or is to be; none if it needs none.

    Raises
    ------
    ModelError
        As `weights.files` does.
    """
    if weights.files(folder)[0].suffix == ".safetensors":
        return None
    digest = hashlib.sha256(weights.digest(folder).encode())
    for path in _beside(folder):  # a tokenizer may change though the weights do not
        digest.update(f"{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
    called = re.sub(r"[^\w.-]+", "--", title)
    key = f"{called}-{digest.hexdigest()[:12]}-safetensors.{_REVISION}"
    return provision.cache_dir() / key


def _beside(folder: Path) -> list[Path]:
    """Return the small files that belong to a model besides its weights."""
    found = {path for pattern in _BESIDE for path in folder.glob(pattern) if path.is_file()}
    return sorted(path for path in found if not path.name.endswith(".index.json"))


def _write(read: list[Path], target: Path) -> None:
    """Write the tensors of all files in parts of about a GB, with an index."""
    from safetensors.torch import save_file

    names: dict[str, str] = {}
    total = 0
    for path in read:
        for part in _parts(_tensors(path)):
            file = f"model-{len(set(names.values())) + 1:05}.safetensors"
            # copied: mapped files are read once, and tensors that share memory come apart
            own = {name: tensor.contiguous().clone() for name, tensor in part.items()}
            save_file(own, target / file, metadata={"format": "pt"})
            names |= dict.fromkeys(part, file)
            total += sum(map(_size, own.values()))
    index = {"metadata": {"total_size": total}, "weight_map": names}
    (target / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _parts(tensors: dict[str, torch.Tensor]) -> Iterator[dict[str, torch.Tensor]]:
    part: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if part and sum(map(_size, part.values())) + _size(tensor) > _PART:
            yield part
            part = {}
        part[name] = tensor
    if part:
        yield part


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    """Map a file of PyTorch's into memory; refuse what is more than tensors.

    Raises
    ------
    ModelError
    """
    import torch

    try:
        read: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        why = (
            f"it asks for {asked[1]}, which is no tensor: nothing of it was run"
            if asked
            else "it is damaged, or not in the format of torch 1.6 and later"
        )
        msg = f"{path} cannot be read as weights, {why}. Get the model as safetensors."
        raise ModelError(msg) from error
    if not isinstance(read, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) and value.layout is torch.strided
        for name, value in read.items()
    ):
        msg = f"{path} holds other things than named tensors. Get the model as safetensors."
        raise ModelError(msg)
    return read
