"""A folder with a model's weights: from the hub or the user's own; safetensors only."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from smotext_lab.errors import ModelError, did_you_mean
from smotext_lab.models import provision

__all__ = ["digest", "files", "from_hub", "is_whole"]

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
_HUB_NOT = ["*/*.safetensors", "consolidated*", "onnx/*", "openvino/*", "original/*"]


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
        When it cannot be fetched, or has no safetensors weights.
    """
    import httpx
    import huggingface_hub

    hub_id, _, revision = where.partition("@")
    fetch = functools.partial(
        huggingface_hub.snapshot_download,
        hub_id,
        revision=revision or None,
        allow_patterns=_HUB_FILES,
        ignore_patterns=_HUB_NOT,
    )
    if not refresh:
        with contextlib.suppress(OSError, ValueError, ModelError):
            folder = Path(fetch(local_files_only=True))
            if files(folder):
                return folder
    try:
        provision.say(f"Fetching {where} from the hub{_told_size(hub_id, revision)} …")
        folder = Path(fetch())
    except (OSError, ValueError, httpx.HTTPError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        hint = did_you_mean(hub_id.rpartition("/")[2], known)
        raise ModelError(
            f"{where!r} is no folder here and could not be fetched from the hub{hint}: {first}"
            " Without a network, give a registry name or the model's folder."
        ) from error
    files(folder)
    return folder


def _told_size(hub_id: str, revision: str) -> str:
    """Return what a model takes on the disk and in memory, if the hub says so.

    Raises
    ------
    ModelError
        If the disk has no room for it.
    """
    import httpx
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

    try:
        info = huggingface_hub.HfApi().model_info(
            hub_id, revision=revision or None, files_metadata=True
        )
    except (OSError, ValueError, httpx.HTTPError):
        return ""  # fetching will say what is wrong
    wanted = filter_repo_objects(
        info.siblings or [],
        allow_patterns=_HUB_FILES,
        ignore_patterns=_HUB_NOT,
        key=lambda file: file.rfilename,
    )
    size = sum(file.size or 0 for file in wanted)
    place = Path(constants.HF_HUB_CACHE)
    place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place).free
    if size > free:
        msg = (
            f"{hub_id} takes {size / 1e9:.1f} GB and {place} has {free / 1e9:.1f} GB free: make "
            "room, or set HF_HOME to a larger disk."
        )
        raise ModelError(msg)
    return f": {size / 1e9:.1f} GB on the disk, and about as much in memory at its own precision"


def files(folder: Path) -> list[Path]:
    """Return a model folder's safetensors files.

    Raises
    ------
    ModelError
        When the folder is no model's, lacks a part, or has its weights as a pickle only.
    """
    if not (folder / "config.json").is_file():
        msg = f"{folder} is no model folder: it has no config.json."
        raise ModelError(msg)
    found = {p.name for p in folder.glob("*.safetensors")}
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        needed = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if missing := sorted(needed - found):
            msg = f"{folder} lacks {len(missing)} of its weights files, {missing[0]} first."
            raise ModelError(msg)
        found = needed
    if found:
        return sorted(folder / name for name in found)
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        msg = (
            f"{folder} has its weights as a pickle only, which can run code when it is read:"
            " save the model again with save_pretrained (safetensors) where you trust it."
        )
        raise ModelError(msg)
    msg = f"{folder} has no weights (*.safetensors)."
    raise ModelError(msg)


def is_whole(path: Path) -> bool:
    """Say whether a safetensors file is as long as its header says."""
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
