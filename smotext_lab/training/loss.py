"""The loss of an LLM's output head, a few rows at a time.

Logits of all tokens of a step, their softmax and both gradients, written out and read back by
operations of their own, cost a fifth of a training step and 0.9 GB (``benchmarks/README.md``). Here
a few rows' logits become loss and gradient while they are still in the cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["summed_loss"]

_ROWS = 64


def summed_loss(
    states: torch.Tensor,
    head: nn.Linear,
    targets: torch.Tensor,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the cross-entropy of ``head(states)`` with `targets`, summed over the rows.

    Parameters
    ----------
    states : Tensor, shape (n, hidden)
        Gradients reach these alone: the head is frozen.
    head : nn.Linear
    targets : Tensor of int64, shape (n,)
    weights : Tensor of float32, shape (n,), optional
        What each row's loss counts; below 0, the row's target is made less likely.

    Returns
    -------
    Tensor of float32, shape ()
        In nats; softmax and sum are of float32 whatever the head's dtype.

    Examples
    --------
    >>> head = nn.Linear(2, 3, bias=False)
    >>> _ = nn.init.zeros_(head.weight)
    >>> round(float(summed_loss(torch.ones(4, 2), head, torch.zeros(4, dtype=torch.int64)) / 4), 4)
    1.0986
    """
    return _SummedLoss.apply(states, head.weight.detach(), head.bias, targets, weights)


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - torch passes them by position
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        weights: torch.Tensor | None,
    ) -> torch.Tensor:
        learning = ctx.needs_input_grad[0]
        grad = torch.empty_like(states) if learning else states
        total = torch.zeros((), dtype=torch.float32, device=states.device)
        for start in range(0, len(states), _ROWS):
            rows = slice(start, start + _ROWS)
            wanted = targets[rows, None]
            logits = nn.functional.linear(states[rows], weight, bias).float()
            most, reached = logits.amax(1, keepdim=True), logits.gather(1, wanted)
            shares = logits.sub_(most).exp_()
            whole = shares.sum(1, keepdim=True)
            counts = 1.0 if weights is None else weights[rows, None]
            total += ((whole.log() + most - reached) * counts).sum()
            if learning:
                shares.div_(whole).scatter_add_(1, wanted, torch.full_like(reached, -1.0))
                grad[rows] = (shares * counts).to(weight.dtype) @ weight
        ctx.save_for_backward(grad)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return grad * grads[0].to(grad.dtype), None, None, None, None
