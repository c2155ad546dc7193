"""A folder with a model's weights: from the hub or the user's own.

Safetensors are taken first. Where there are none, the weights may be PyTorch's own files
(``pytorch_model*.bin``), which `pickled` turns into safetensors before a model is loaded.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from smotext_lab.errors import ModelError, did_you_mean
from smotext_lab.models import provision

__all__ = ["Sizes", "digest", "fetched", "files", "from_hub", "hub_sizes", "is_whole", "room_for"]

_HUB_FILES = [
    "*.json",
    "*.safetensors",
    "*.model",
    "*.jinja",
    "vocab.txt",
    "merges.txt",
    "LICENSE*",
    "README.md",
]
_PICKLED = "pytorch_model*.bin"
_HUB_NOT = ["*/*.safetensors", "*/*.bin", "consolidated*", "onnx/*", "openvino/*", "original/*"]
_INDEXES = {
    "*.safetensors": "model.safetensors.index.json",
    _PICKLED: "pytorch_model.bin.index.json",
}


@dataclass(frozen=True)
class Sizes:
    """What a hub model takes, in bytes, by the hub's own list of its files.

    Attributes
    ----------
    fetched : int
        All that is fetched.
    weights : int
        The weights among it, which are as large in memory at their own precision.
    pickled : bool
        Whether they are turned into safetensors, so that a copy of the same size is made.
    """

    fetched: int
    weights: int
    pickled: bool

    @property
    def disk(self) -> int:
        """What is fetched, and the copy."""
        return self.fetched + self.weights * self.pickled


def fetched(where: str) -> Path | None:
    """Return the folder of a hub model in the hub's own cache, if it is whole there."""
    with contextlib.suppress(OSError, ValueError, ModelError):
        folder = _snapshot(where, [*_HUB_FILES, _PICKLED], local=True)
        if files(folder):
            return folder
    return None


def from_hub(where: str, *, refresh: bool = False, known: Iterable[str] = ()) -> Path:
    """Return the folder of a hub model, from the hub's own cache where it is whole there.

    Parameters
    ----------
    where : str
        ``"org/name"`` or ``"org/name@revision"``.
    refresh : bool
        Ask the hub for its newest revision even so.
    known : iterable of str
        Names that need no hub; an error offers the nearest.

    Returns
    -------
    Path
        A snapshot folder, named after its revision.

    Raises
    ------
    ModelError
        When it cannot be fetched, the disk has no room for it, or it has no weights that we read.
    """
    if not refresh and (folder := fetched(where)) is not None:
        return folder
    sizes, told, patterns = hub_sizes(where), "", list(_HUB_FILES)
    if sizes is not None:
        room_for(where, [sizes])
        copy = ", a copy in safetensors with it," if sizes.pickled else ""
        told = (
            f": {sizes.disk / 1e9:.1f} GB on the disk{copy} and {sizes.weights / 1e9:.1f} GB in "
            "memory at its own precision"
        )
        patterns += [_PICKLED] * sizes.pickled
    try:
        provision.say(f"Fetching {where} from the hub{told} …")
        folder = _snapshot(where, patterns)
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        hint = did_you_mean(where.partition("@")[0].rpartition("/")[2], known)
        raise ModelError(
            f"{where!r} is no folder here and could not be fetched from the hub{hint}: {first}"
            " Without a network, give a registry name or the model's folder."
        ) from error
    files(folder)
    return folder


def _snapshot(where: str, patterns: list[str], *, local: bool = False) -> Path:
    import huggingface_hub

    hub_id, _, revision = where.partition("@")
    return Path(
        huggingface_hub.snapshot_download(
            hub_id,
            revision=revision or None,
            allow_patterns=patterns,
            ignore_patterns=_HUB_NOT,
            local_files_only=local,
        )
    )


def hub_sizes(where: str) -> Sizes | None:
    """Return what a hub model takes, or nothing where the hub does not answer."""
    import huggingface_hub
    from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

    hub_id, _, revision = where.partition("@")
    try:
        info = huggingface_hub.HfApi().model_info(
            hub_id, revision=revision or None, files_metadata=True
        )
    except Exception:  # noqa: BLE001 - of its HTTP library, which changes; fetching says what is wrong
        return None
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}

    def total(*patterns: str) -> int:
        kept = filter_repo_objects(sizes, allow_patterns=list(patterns), ignore_patterns=_HUB_NOT)
        return sum(sizes[name] for name in kept)

    safe = any(name.endswith(".safetensors") and "/" not in name for name in sizes)
    weights = total("*.safetensors" if safe else _PICKLED)
    return Sizes(total(*_HUB_FILES) + (0 if safe else weights), weights, not safe and weights > 0)


def room_for(names: str, all_sizes: Iterable[Sizes]) -> None:
    """Refuse models that the disks have no room for, before anything is fetched.

    Raises
    ------
    ModelError
    """
    from huggingface_hub import constants

    all_sizes = list(all_sizes)
    hub, ours = (_existing(Path(p)) for p in (constants.HF_HUB_CACHE, provision.cache_dir()))
    copies = sum(sizes.weights for sizes in all_sizes if sizes.pickled)
    needed = {hub: sum(sizes.fetched for sizes in all_sizes), ours: copies}
    if hub.stat().st_dev == ours.stat().st_dev:
        needed = {hub: needed[hub] + copies}
    for place, size in needed.items():
        free = shutil.disk_usage(place).free
        if size > free:
            setting = "HF_HOME" if place == hub else "SMOTEXT_LAB_CACHE"
            msg = (
                f"{names}: no room for {size / 1e9:.1f} GB: {place} has {free / 1e9:.1f} GB free. "
                f"Make room, or set {setting} to a larger disk."
            )
            raise ModelError(msg)


def _existing(place: Path) -> Path:
    return next(p for p in (place, *place.parents) if p.exists())


def files(folder: Path) -> list[Path]:
    """Return a model folder's weights files: safetensors or, where there are none, PyTorch's.

    Raises
    ------
    ModelError
        When the folder is no model's, lacks a part, or has its weights in other files only.
    """
    if not (folder / "config.json").is_file():
        msg = f"{folder} is no model folder: it has no config.json."
        raise ModelError(msg)
    for pattern, index in _INDEXES.items():
        found = {p.name for p in folder.glob(pattern)}
        if found and (folder / index).is_file():
            parts = json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"]
            needed = set(parts.values())
            if missing := sorted(needed - found):
                msg = f"{folder} lacks {len(missing)} of its weights files, {missing[0]} first."
                raise ModelError(msg)
            found = needed
        if found:
            return sorted(folder / name for name in found)
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
        msg = (
            f"{folder} has its weights as a pickle of a name that we do not know: save the model "
            f"again with save_pretrained (safetensors), or name it pytorch_model.bin."
        )
        raise ModelError(msg)
    msg = f"{folder} has no weights (*.safetensors, {_PICKLED})."
    raise ModelError(msg)


def is_whole(path: Path) -> bool:
    """Say whether a safetensors file is as long as its header says, a PyTorch file has its end."""
    if path.suffix == ".bin":
        return zipfile.is_zipfile(path)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        size = path.stat().st_size
        if length > size:
            return False
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return False
    ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
    return size == 8 + length + max(ends, default=0)


def digest(folder: Path) -> str:
    """Return a hash that tells a model folder's weights from others', without reading all.

    It takes in what ``config.json`` says of the architecture, and the size and 32 samples of
    each weights file.

    Raises
    ------
    ModelError
        As `files` does.
    """
    stamps = ((p, p.stat().st_size, p.stat().st_mtime_ns) for p in files(folder))
    return _digest(folder, tuple(stamps))


@functools.lru_cache(maxsize=64)
def _digest(folder: Path, stamps: tuple[tuple[Path, int, int], ...]) -> str:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for passing in ("_name_or_path", "transformers_version"):  # differ after a mere re-save
        config.pop(passing, None)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for path, size, _ in stamps:
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            for i in range(32):
                file.seek(i * size // 32)
                digest.update(file.read(1 << 16))
    return digest.hexdigest()
