"""A matrix product with fixed weights, and what is done to its result in the same call."""

from __future__ import annotations

import platform
from typing import Any

import torch
from torch.nn import functional

__all__ = ["Product"]

_ONEDNN: Any = torch.ops.mkldnn
_X86 = platform.machine().lower() in {"x86_64", "amd64"}


class Product:
    """``x @ weight.T + bias`` for many `x`.

    On x86 the weights are laid out once the way oneDNN reads them (left to itself it does
    so again at each call), and what follows the product happens while its result is still
    in cache. Elsewhere these are separate operations.

    Parameters
    ----------
    weight : Tensor, shape (out, in)
    bias : Tensor, shape (out,), optional

    Examples
    --------
    >>> product = Product(torch.eye(2))
    >>> product(torch.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    >>> product.plus(torch.tensor([[1.0, 2.0]]), torch.ones(1, 2)).tolist()
    [[2.0, 3.0]]
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self.packed = _packs(weight)
        if self.packed:
            weight = _ONEDNN._reorder_linear_weight(weight.detach().contiguous(), _ROWS)
        self.weight = weight
        self.bias = bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the product."""
        if self.packed:
            return _ONEDNN._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return functional.linear(x, self.weight, self.bias)

    def swish(self, x: torch.Tensor) -> torch.Tensor:
        """Return the product `p` as ``p · sigmoid(p)``."""
        if self.packed:
            return _ONEDNN._linear_pointwise(x, self.weight, self.bias, "swish", [], "")
        return functional.silu(functional.linear(x, self.weight, self.bias))

    def times(self, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """Return the product multiplied, element by element, by `factor`."""
        if self.packed:
            return _ONEDNN._linear_pointwise.binary(x, factor, self.weight, self.bias, "mul")
        return functional.linear(x, self.weight, self.bias) * factor

    def plus(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Return the product added, element by element, to `other`."""
        if self.packed:
            return _ONEDNN._linear_pointwise.binary(x, other, self.weight, self.bias, "add")
        return functional.linear(x, self.weight, self.bias) + other


_ROWS = 64
"""Rows that a packed layout is chosen for; it serves any number."""


def _packs(weight: torch.Tensor) -> bool:
    """Return whether oneDNN multiplies by packed weights of this kind here."""
    if weight.device.type != "cpu" or not _X86 or not torch.backends.mkldnn.is_available():
        return False
    if not hasattr(_ONEDNN, "_reorder_linear_weight"):
        return False
    if weight.dtype == torch.bfloat16:
        return bool(_ONEDNN._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32
