"""LoRA for training: the forward pass uses nearly the weights that decoding will use.

The sum ``W + scale · B A`` is made once a step and rounded to the LLM's type, as
`smotext_lab.lora.Lora` does for decoding (there A and B, saved in float16, are multiplied in
float32; here in the LLM's type); gradients reach A and B only. peft adds the low-rank product to
the layer's output instead. Both train at the same speed here (``benchmarks/README.md``).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from smotext_lab.errors import ParameterError
from smotext_lab.lora import Lora

__all__ = ["TrainableLora"]


class _LowRankProduct(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - torch passes them by position
        ctx: Any,
        x: torch.Tensor,
        merged: torch.Tensor,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, merged, down, up)
        ctx.scale = scale
        return x @ merged.T

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, merged, down, up = ctx.saved_tensors
        grad = grads[0]
        flat_x, flat_grad = x.reshape(-1, x.shape[-1]), grad.reshape(-1, grad.shape[-1])
        low = down.to(x.dtype), up.to(x.dtype)
        grad_down = (flat_grad @ low[1]).T @ flat_x * ctx.scale
        grad_up = flat_grad.T @ (flat_x @ low[0].T) * ctx.scale
        return grad @ merged, None, grad_down.to(down.dtype), grad_up.to(up.dtype), None


class _LowRankLinear(nn.Module):
    def __init__(self, base: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.base = base
        self.scale = scale
        self.down = nn.Parameter(torch.empty(rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)
        self.merged = base.weight.detach()

    @torch.no_grad()
    def merge(self) -> None:
        weight = self.base.weight
        product = self.up.to(weight.dtype) @ self.down.to(weight.dtype)
        self.merged = torch.add(weight, product, alpha=self.scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = _LowRankProduct.apply(x, self.merged, self.down, self.up, self.scale)
        return y if self.base.bias is None else y + self.base.bias


class TrainableLora:
    """Trainable low-rank updates on every linear layer of an LLM's blocks.

    Parameters
    ----------
    llm : nn.Module
        Changed in place: its linear layers, the output head excepted, are wrapped.
    rank : int
    scale : float
    last_layers : int, optional
        Only the last so many blocks (default: all).
    start : Lora, optional
        Values to begin from.

    Raises
    ------
    ParameterError
        If the LLM has no such layers (GPT-2 writes its own as ``Conv1D``).
    """

    def __init__(
        self,
        llm: nn.Module,
        rank: int,
        scale: float,
        *,
        last_layers: int | None = None,
        start: Lora | None = None,
    ) -> None:
        self.scale = scale
        self.layers: dict[str, _LowRankLinear] = {}
        for name, layer in list(llm.named_modules()):
            if not isinstance(layer, nn.Linear) or not _in_blocks(llm, name, last_layers):
                continue
            wrapped = _LowRankLinear(layer, rank, scale)
            parent, _, child = name.rpartition(".")
            setattr(llm.get_submodule(parent), child, wrapped)
            self.layers[name] = wrapped
        if not self.layers:
            msg = (
                f"{type(llm).__name__} has no linear layers in its blocks that a LoRA could "
                f"change; train without one (rank=0, --rank 0)"
            )
            raise ParameterError(msg)
        if start is not None:
            self.load(start.tensors)

    def parameters(self) -> list[nn.Parameter]:
        """Return what is trained."""
        return [p for layer in self.layers.values() for p in (layer.down, layer.up)]

    def merge(self) -> None:
        """Make the sums that the next forward pass uses."""
        for layer in self.layers.values():
            layer.merge()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the values under the names that `Lora` reads."""
        named = (
            (n, k, v) for n, la in self.layers.items() for k, v in (("A", la.down), ("B", la.up))
        )
        return {f"{name}.{kind}": value.detach() for name, kind, value in named}

    @torch.no_grad()
    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Set the values from tensors named as in `Lora`."""
        for name, layer in self.layers.items():
            layer.down.copy_(tensors[f"{name}.A"])
            layer.up.copy_(tensors[f"{name}.B"])


def _in_blocks(llm: nn.Module, name: str, last_layers: int | None) -> bool:
    """Tell whether `name` lies in one of the last blocks ("….layers.7.…")."""
    parts = name.split(".")
    numbers = [int(part) for part in parts if part.isdigit()]
    if not numbers:
        return False
    if last_layers is None:
        return True
    return numbers[0] >= int(llm.config.num_hidden_layers) - last_layers  # type: ignore[union-attr,arg-type]
