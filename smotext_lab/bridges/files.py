"""Reading bridges: our own, and the projector of an xRAG checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch

from smotext_lab.bridges.base import Bridge, BridgeFacts, sha256
from smotext_lab.bridges.lexical import LexicalBridge, split_words
from smotext_lab.bridges.projector import ProjectorBridge
from smotext_lab.errors import BridgeError
from smotext_lab.lora import Lora
from smotext_lab.models import model_path

__all__ = ["DEFAULT_BRIDGE", "bridge_identity", "load_bridge"]

DEFAULT_BRIDGE = Path(__file__).parent / "default"
"""The folder of the bridge that ships with the package."""


def load_bridge(
    folder: str | Path = "default", *, split: Callable[[str], list[str]] = split_words
) -> Bridge:
    """Load a saved bridge, or the projector of an xRAG checkpoint.

    Parameters
    ----------
    folder : str or Path, default="default"
        ``"default"`` is the bridge that ships with the package; else a folder that
        `Bridge.save` wrote, or an xRAG reference checkpoint (``config.json`` with
        ``projector_type`` and ``retriever_hidden_size``; safetensors or PyTorch's own files).
    split : callable, default=split_words
        For a lexical bridge: text → words.

    Returns
    -------
    Bridge

    Raises
    ------
    BridgeError
        If the folder holds no bridge, or one that is damaged.
    ModelError
        If the checkpoint's weights cannot be read.

    Examples
    --------
    >>> load_bridge("default").facts.kind
    'lexical'
    """
    folder = _folder_of(folder)
    if (folder / "bridge.json").is_file():
        bridge: Bridge = _load_own(folder, split)
    elif (folder / "config.json").is_file():
        bridge = _load_xrag(folder)
    else:
        msg = (
            f"no bridge in {folder}: expected bridge.json (from `smotext-lab train-bridge`) or "
            f"the config.json of an xRAG checkpoint"
        )
        raise BridgeError(msg)
    bridge.folder = folder
    return bridge.eval()


def bridge_identity(folder: str | Path = "default") -> str:
    """Return what a bridge's weights are known by, its kind where an xRAG checkpoint has it.

    Our own are compared with their file and not loaded.

    Raises
    ------
    BridgeError
        As `load_bridge` does.

    Examples
    --------
    >>> bridge_identity("default") == load_bridge("default").facts.sha256
    True
    """
    folder = _folder_of(folder)
    if (folder / "bridge.json").is_file():
        return _checked_facts(folder).sha256
    return load_bridge(folder).facts.kind


def _folder_of(name: str | Path) -> Path:
    return DEFAULT_BRIDGE if str(name) == "default" else Path(name)


def _checked_facts(folder: Path) -> BridgeFacts:
    """Return what ``bridge.json`` says, once the weights beside it are those that it tells of."""
    try:
        facts = BridgeFacts(**json.loads((folder / "bridge.json").read_text("utf-8")))
    except (ValueError, TypeError) as error:
        msg = f"{folder / 'bridge.json'} cannot be read: {error}"
        raise BridgeError(msg) from None
    weights = folder / "bridge.safetensors"
    if not weights.is_file() or sha256(weights) != facts.sha256:
        msg = f"{weights} is missing or not the file that bridge.json describes; copy it again"
        raise BridgeError(msg)
    return facts


def _load_own(folder: Path, split: Callable[[str], list[str]]) -> Bridge:
    facts = _checked_facts(folder)
    tensors = _read_tensors(folder / "bridge.safetensors")
    changes = {k.removeprefix("lora."): v for k, v in tensors.items() if k.startswith("lora.")}
    lora = Lora(changes, facts.lora_scale) if changes else None
    own = {k: v for k, v in tensors.items() if not k.startswith("lora.")}
    bridge: Bridge
    with torch.device("meta"):  # not filled with random numbers first: that took a quarter second
        if facts.kind == LexicalBridge.kind:
            words = _read_words(folder / "words.txt", len(own["head.prior"]))
            starts, ids = own["piece_starts"].tolist(), own["piece_ids"].tolist()
            pieces = [ids[a:b] for a, b in pairwise(starts)]
            bridge = LexicalBridge(facts, words, pieces, lora, split)
        elif facts.kind == ProjectorBridge.kind:
            bridge = ProjectorBridge(facts, lora)
        else:
            msg = (
                f"{folder / 'bridge.json'}: unknown kind {facts.kind!r}; known: lexical, mlp2x_gelu"
            )
            raise BridgeError(msg)
    bridge.load_state_dict(own, assign=True)
    return bridge


def _read_words(path: Path, n_words: int) -> list[str]:
    words = path.read_text("utf-8").splitlines() if path.is_file() else []
    if len(words) != n_words:
        msg = f"{path} has {len(words)} words where the weights have {n_words}; copy it again"
        raise BridgeError(msg)
    return words


def _load_xrag(folder: Path) -> ProjectorBridge:
    """Load ``projector.*`` of a reference checkpoint, sharded or not."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if (
        config.get("projector_type") != ProjectorBridge.kind
        or "retriever_hidden_size" not in config
    ):
        msg = (
            f"{folder / 'config.json'} is not an xRAG checkpoint with projector_type "
            f"'mlp2x_gelu' and a retriever_hidden_size"
        )
        raise BridgeError(msg)
    facts = BridgeFacts(
        kind=ProjectorBridge.kind,
        encoder="",
        llm="",
        dim=config["retriever_hidden_size"],
        hidden=config["hidden_size"],
        n_tokens=1,
    )
    tensors: dict[str, torch.Tensor] = {}
    for shard in sorted(model_path(folder.absolute()).glob("*.safetensors")):
        tensors |= _read_tensors(shard, prefix="projector.")
    bridge = ProjectorBridge(facts)
    missing = set(bridge.state_dict()) - set(tensors)
    if missing:
        msg = f"{folder} has no {sorted(missing)[0]} among its weights: it is no whole checkpoint"
        raise BridgeError(msg)
    bridge.load_state_dict(tensors)
    return bridge


def _read_tensors(path: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            read = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        msg = f"{path} cannot be read as safetensors: {error}"
        raise BridgeError(msg) from None
    return {k: v.float() if v.is_floating_point() else v for k, v in read.items()}
