"""Backward pass through couplings that stores their last output only: memory does not grow with their number."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

__all__ = ["reversible_couplings"]


def reversible_couplings(blocks: nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
    """Apply couplings one after the other; the backward pass rebuilds each input from the output.

    Costs one more forward pass of the couplings' sub-networks. First derivatives only, and the parameters must be the
    same tensors in the backward pass as in the forward pass.

    Args:
        blocks: couplings with the method ``backpropagate``.
        x: input of the first one.

    Raises:
        RuntimeError: In the backward pass, when a second derivative is asked for, or the parameters were replaced or
            changed since the forward pass.

    Reference: Gomez, Ren, Urtasun, Grosse, "The reversible residual network: backpropagation without storing
    activations", NeurIPS 2017, arXiv 1707.04585.
    """
    return _ReversibleCouplings.apply(x, blocks, *blocks.parameters())


class _ReversibleCouplings(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, blocks: nn.ModuleList, *parameters: nn.Parameter) -> torch.Tensor:
        """Apply the blocks; autograd records nothing in here."""
        for block in blocks:
            x = block(x)
        ctx.blocks = blocks
        ctx.before = [(parameter, parameter._version) for parameter in parameters]
        ctx.save_for_backward(x)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Undo block after block, collecting gradients."""
        (y,) = ctx.saved_tensors
        for parameter, (before, version) in zip(ctx.blocks.parameters(), ctx.before, strict=True):
            if parameter is not before or parameter._version != version:
                raise RuntimeError(
                    "Expected the parameters of the forward pass, they were replaced (as `functional_call` does) or "
                    "changed since. Build the network with `reversible=False` for that."
                )
        gradients: list[torch.Tensor | None] = []
        for block in reversed(ctx.blocks):
            y, grad, own = block.backpropagate(y, grad)
            gradients = [*own, *gradients]
        return grad, None, *gradients
