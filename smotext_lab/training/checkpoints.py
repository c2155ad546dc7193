"""Where a training run stands, in one safetensors file: no pickles, written whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch

from smotext_lab.bridges.durable import put, write_tensors
from smotext_lab.errors import ModelError

__all__ = [
    "checkpoint_facts",
    "load_checkpoint",
    "load_optimizer",
    "optimizer_tensors",
    "save_checkpoint",
]


def save_checkpoint(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Write `tensors` and `facts` aside and rename: a kill leaves the last one whole.

    Raises
    ------
    ModelError
        If the disk is full; the last one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = {name: value.detach().contiguous() for name, value in tensors.items()}
    put(write_tensors(path, packed, facts=json.dumps(facts)), path)


def load_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return what `save_checkpoint` wrote.

    Raises
    ------
    ModelError
        If the file is not whole.
    """
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["facts"])


def checkpoint_facts(path: Path) -> dict[str, Any]:
    """Return the facts alone; raises as `load_checkpoint` does."""
    with _opened(path) as file:
        return cast("dict[str, Any]", json.loads(file.metadata()["facts"]))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"{path} cannot be read: {error}; remove {path.with_name('checkpoint.safetensors')} "
            f"and run the same command again: the last stage begins anew"
        )
        raise ModelError(msg) from None


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
