"""Where a training run stands, in one safetensors file: no pickles, written whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

__all__ = ["load_checkpoint", "load_optimizer", "optimizer_tensors", "save_checkpoint"]


def save_checkpoint(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Write `tensors` and `facts` aside and rename: a kill leaves the last one whole."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    packed = {name: value.detach().contiguous() for name, value in tensors.items()}
    save_file(packed, aside, metadata={"facts": json.dumps(facts)})
    aside.replace(path)


def load_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return what `save_checkpoint` wrote."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["facts"])


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the optimiser's state as named tensors."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{i}.{key}": value for i, held in state.items() for key, value in held.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Set the optimiser's state from tensors named as in `optimizer_tensors`."""
    full = optimizer.state_dict()
    full["state"] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, i, key = name.split(".")
            full["state"].setdefault(int(i), {})[key] = value
    optimizer.load_state_dict(full)
