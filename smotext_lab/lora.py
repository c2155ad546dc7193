"""Low-rank changes of an LLM's weights that belong to a bridge (LoRA, arXiv 2106.09685)."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn

from smotext_lab.errors import BridgeError

__all__ = ["Lora"]


class Lora:
    """Low-rank updates ``W + scale · B A`` of named linear layers.

    The sums are made once and kept beside the originals, so switching is an exchange of
    pointers: while decoding the LLM reads as the bridge taught it, and the same loaded LLM
    serves prompts and perplexity unchanged before and after. To what a layer of quantized weights
    (4 or 8 bits) gives, which cannot be summed so, the change is added as it is computed.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        ``"<module>.A"``, shape (rank, in), and ``"<module>.B"``, shape (out, rank).
    scale : float

    Examples
    --------
    >>> llm = nn.Sequential(nn.Linear(3, 2, bias=False))
    >>> lora = Lora({"0.A": torch.ones(1, 3), "0.B": torch.ones(2, 1)}, scale=1.0)
    >>> before = llm[0].weight.clone()
    >>> with lora.applied(llm):
    ...     print(bool((llm[0].weight == before + 1).all()))
    True
    >>> bool((llm[0].weight == before).all())
    True
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor], scale: float) -> None:
        self.tensors = dict(tensors)
        self.scale = scale
        self._merged: tuple[weakref.ref[nn.Module], dict[str, torch.Tensor]] | None = None

    @property
    def modules(self) -> list[str]:
        """Names of the changed layers."""
        return sorted({name.rpartition(".")[0] for name in self.tensors})

    @property
    def rank(self) -> int:
        """The largest of any layer."""
        return max(v.shape[0] for name, v in self.tensors.items() if name.endswith(".A"))

    @property
    def last_layers(self) -> int | None:
        """How many of the last blocks are changed; None: all, from the first one on."""
        names = ([int(part) for part in name.split(".") if part.isdigit()] for name in self.modules)
        blocks = {numbers[0] for numbers in names if numbers}
        first = min(blocks, default=0)
        return max(blocks) - first + 1 if first else None

    @contextmanager
    def applied(self, llm: nn.Module) -> Iterator[None]:
        """Exchange the weights of `llm` for the merged ones inside the ``with`` block.

        Raises
        ------
        BridgeError
            If `llm` has no layer of that name, or one of another shape.
        """
        layers = {name: self._layer(llm, name) for name in self.modules}
        quantized = [n for n, layer in layers.items() if not layer.weight.is_floating_point()]
        merged = self._merge(llm, {n: la for n, la in layers.items() if n not in quantized})
        originals = {name: layers[name].weight.data for name in merged}
        hooks = [layers[name].register_forward_hook(self._adding(name)) for name in quantized]
        try:
            for name, weight in merged.items():
                layers[name].weight.data = weight
            yield
        finally:
            for name, weight in originals.items():
                layers[name].weight.data = weight
            for hook in hooks:
                hook.remove()

    def _layer(self, llm: nn.Module, name: str) -> nn.Linear:
        down, up = self.tensors[f"{name}.A"], self.tensors[f"{name}.B"]
        try:
            layer = cast("nn.Linear", llm.get_submodule(name))
        except AttributeError:
            msg = f"the bridge changes layer {name!r}, which this LLM does not have"
            raise BridgeError(msg) from None
        shape = (layer.out_features, layer.in_features)  # quantized weights lie in another one
        if shape != (up.shape[0], down.shape[1]):
            msg = (
                f"the bridge changes layer {name!r} of shape {(up.shape[0], down.shape[1])}; "
                f"this LLM's has shape {shape}"
            )
            raise BridgeError(msg)
        return layer

    def _merge(self, llm: nn.Module, layers: dict[str, nn.Linear]) -> dict[str, torch.Tensor]:
        if self._merged is None or self._merged[0]() is not llm:
            merged = {name: self._sum(layer.weight, name) for name, layer in layers.items()}
            self._merged = (weakref.ref(llm), merged)
        return self._merged[1]

    @torch.no_grad()
    def _sum(self, weight: torch.Tensor, name: str) -> torch.Tensor:
        down, up = self.tensors[f"{name}.A"], self.tensors[f"{name}.B"]
        change = up.float() @ down.float() * self.scale
        return (weight.float() + change.to(weight.device)).to(weight.dtype)

    def _adding(self, name: str) -> Any:
        """Return a hook that adds the change to a layer's result."""
        down, up = self.tensors[f"{name}.A"], self.tensors[f"{name}.B"]

        def add(_: nn.Module, given: tuple[torch.Tensor, ...], found: torch.Tensor) -> torch.Tensor:
            x = given[0]
            return found + (x @ down.to(x).T) @ up.to(x).T * self.scale

        return add
