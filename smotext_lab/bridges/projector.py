"""xRAG's own projector (arXiv 2405.13792, section 3.2): one token a vector."""

from __future__ import annotations

import torch
from torch import nn

from smotext_lab.bridges.base import Bridge, BridgeFacts
from smotext_lab.lora import Lora

__all__ = ["ProjectorBridge"]


class ProjectorBridge(Bridge):
    """xRAG's ``mlp2x_gelu``: ``Linear(d, h) → GELU → Linear(h, h)``, one soft token.

    The tensors have the reference checkpoint's names (``projector.projector.0.weight`` and
    so on), so a checkpoint's projector loads as it is.
    """

    kind = "mlp2x_gelu"

    def __init__(self, facts: BridgeFacts, lora: Lora | None = None) -> None:
        super().__init__(facts, lora)
        self.projector = nn.ModuleDict(
            {
                "projector": nn.Sequential(
                    nn.Linear(facts.dim, facts.hidden),
                    nn.GELU(),
                    nn.Linear(facts.hidden, facts.hidden),
                )
            }
        )

    def soft_tokens(
        self,
        vectors: torch.Tensor,
        embedding: torch.Tensor,  # noqa: ARG002 - the projector needs no words
        dropped: torch.Tensor | None = None,  # noqa: ARG002
        hints: torch.Tensor | None = None,  # noqa: ARG002
        scores: torch.Tensor | None = None,  # noqa: ARG002
    ) -> torch.Tensor:
        """Return one soft token a vector; see `Bridge.soft_tokens`."""
        return self.projector["projector"](vectors)[:, None, :]
