"""How far a network gets on the way from the pixel-wise maximum to the pixels that its loss likes best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn

from ..classical.rules import maximum
from ..losses.fixed import FixedFusionLoss
from .refinement import Refinement

__all__ = ["STEPS", "way_closed"]

STEPS = 120  # the loss hardly falls beyond


def way_closed(
    network: nn.Module,
    pairs: Iterable[Mapping[str, object]],
    steps: int = STEPS,
    advance: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    r"""Measure, for each task, which part of the way to the pixel optimum the network goes.

    .. math:: \frac{\sum (L_{\max} - L_{net})}{\sum (L_{\max} - L_{opt})}

    L is the fixed loss, with its own weights for each pair; the sums are over the pairs of a task; the optimum is what
    :class:`~scripts.inferers.refinement.Refinement` makes of the network's image. No network can do much better than 1
    on this loss: the part that is missing is the network's, or its training's.

    Args:
        network: takes (1, 2, H, W) and returns (1, 1, H, W), both in [0, 1].
        pairs: each with ``image``, (2, H, W) in [0, 1], and ``task``.
        steps: of the optimization of the pixels; about .065 s each for 256x256 pixels on one core. Defaults to 120.
        advance: called after each pair. Defaults to nothing.

    Returns:
        Task to part of the way: 0 as near as the maximum, 1 at the optimum, below 0 farther than the maximum.
    """
    loss, refine = FixedFusionLoss(), Refinement(steps)
    device = next(network.parameters()).device
    won: dict[str, list[tuple[float, float]]] = {}
    network.eval()
    for pair in pairs:
        image = torch.as_tensor(pair["image"]).as_subclass(torch.Tensor).float()[None].to(device)
        with torch.no_grad():
            fused = network(image)
            start, reached = loss(maximum(image), image).item(), loss(fused, image).item()
        best = loss(refine(fused, image), image).item()
        won.setdefault(str(pair["task"]), []).append((start - reached, start - best))
        advance()
    return {task: sum(net for net, _ in both) / sum(best for _, best in both) for task, both in won.items()}
