"""How far a network gets on the way from the pixel-wise maximum to the pixels that its loss likes best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from ..classical.rules import maximum
from ..losses.fixed import FixedFusionLoss
from .refinement import Refinement

__all__ = ["STEPS", "Way", "pixel_optima", "way_closed", "way_to"]

STEPS = 120  # the loss hardly falls beyond


class Way(NamedTuple):
    """The way of one pair.

    Args:
        task: of the pair.
        start: loss of the pixel-wise maximum.
        end: loss of the pixels that the loss likes best.
    """

    task: str
    start: float
    end: float


def pixel_optima(
    network: nn.Module,
    pairs: Iterable[Mapping[str, object]],
    steps: int = STEPS,
    advance: Callable[[], object] = lambda: None,
) -> list[Way]:
    """Find the pixels that the fixed loss likes best, with its own weights for each pair.

    They are what :class:`~scripts.inferers.refinement.Refinement` makes of the network's image.

    Args:
        network: takes (1, 2, H, W) and returns (1, 1, H, W), both in [0, 1].
        pairs: each with ``image``, (2, H, W) in [0, 1], and ``task``.
        steps: of the optimization of the pixels; about .065 s each for 256x256 pixels on one core. Defaults to 120.
        advance: called after each pair. Defaults to nothing.

    Returns:
        The way of each pair.
    """
    loss, refine = FixedFusionLoss(), Refinement(steps)
    ways = []
    network.eval()
    for pair in pairs:
        image = _image(pair, network)
        with torch.no_grad():
            fused = network(image)
        end = loss(refine(fused, image), image).item()
        ways.append(Way(str(pair["task"]), loss(maximum(image), image).item(), end))
        advance()
    return ways


def way_to(network: nn.Module, pairs: Iterable[Mapping[str, object]], ways: Sequence[Way]) -> dict[str, float]:
    r"""Measure, for each task, which part of the way to given pixel optima the network goes.

    .. math:: \frac{\sum (L_{\max} - L_{net})}{\sum (L_{\max} - L_{opt})}

    L is the fixed loss; the sums are over the pairs of a task. No network can do much better than 1 on this loss: the
    part that is missing is the network's, or its training's.

    Args:
        network: takes (1, 2, H, W) and returns (1, 1, H, W), both in [0, 1].
        pairs: each with ``image``, (2, H, W) in [0, 1], and ``task``.
        ways: of these pairs, in this order.

    Returns:
        Task to part of the way: 0 as near as the maximum, 1 at the optimum, below 0 farther than the maximum.
    """
    loss = FixedFusionLoss()
    won: dict[str, list[tuple[float, float]]] = {}
    network.eval()
    for pair, way in zip(pairs, ways, strict=True):
        image = _image(pair, network)
        with torch.no_grad():
            reached = loss(network(image), image).item()
        won.setdefault(way.task, []).append((way.start - reached, way.start - way.end))
    return {task: sum(net for net, _ in both) / sum(best for _, best in both) for task, both in won.items()}


def way_closed(
    network: nn.Module,
    pairs: Sequence[Mapping[str, object]],
    steps: int = STEPS,
    advance: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Measure :func:`way_to` the optima that are found from the network's own images; arguments as there."""
    return way_to(network, pairs, pixel_optima(network, pairs, steps, advance))


def _image(pair: Mapping[str, object], network: nn.Module) -> torch.Tensor:
    """Both sources, (1, 2, H, W), on the network's device."""
    image = torch.as_tensor(pair["image"]).as_subclass(torch.Tensor).float()[None]
    return image.to(next(network.parameters()).device)
