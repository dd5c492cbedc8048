"""Two or more photographs into one: the order of the sources, their colors, their alpha."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..scripts.data.source import Source
from ..scripts.data.tasks import FusionTask
from ..scripts.utils.checks import InputError
from ..scripts.utils.color import luminance
from ..scripts.utils.photographs import canonical_order, laid_over, mixed_colors, recolored

__all__ = ["check_count", "fuse_photographs"]

Fuse = Callable[[np.ndarray, np.ndarray], np.ndarray]


def check_count(count: int, task: FusionTask) -> None:
    """Check how many images a task fuses into one.

    Raises:
        InputError: When they are fewer than two, or more than two of a task whose sources have an order.
    """
    if count < 2 or (count > 2 and task.ordered):
        expected = f"two images, {task.source_a} and {task.source_b}" if task.ordered else "two or more images"
        raise InputError(f"{task.name}: expected {expected}, got {count}.")


def fuse_photographs(fuse: Fuse, photographs: Sequence[Source], task: FusionTask, color: bool = True) -> Source:
    """Fuse photographs of one size.

    Sources without an order are sorted by their content first (see ``canonical_order``), so the result does not depend
    on how they come, to the last bit. More than two are fused in pairs, then the results in pairs, until one is left:
    in this balanced tree each image goes through as few fusions as possible.

    A transparent place of one source shows the other source; the fused image is as opaque as the more opaque source.

    Args:
        fuse: the network; takes two gray images (1, H, W) and returns one, all in [0, 1].
        photographs: the sources, in the order of the task where it has one.
        task: a photographic task.
        color: keep colors. Defaults to True.

    Returns:
        The fused photograph, of the depth of the deepest source.

    Raises:
        InputError: When there are too few or too many.
        ValueError: When they differ in size.
    """
    check_count(len(photographs), task)
    left = list(photographs) if color else [replace(photograph, rgb=None) for photograph in photographs]
    if not task.ordered:
        left = [left[index] for index in canonical_order([_content(photograph) for photograph in left])]
    while len(left) > 1:
        pairs = [left[k : k + 2] for k in range(0, len(left), 2)]
        left = [pair[0] if len(pair) == 1 else _fuse_two(fuse, pair[0], pair[1], task) for pair in pairs]
    return left[0]


def _content(photograph: Source) -> np.ndarray:
    return photograph.gray if photograph.rgb is None else photograph.rgb


def _fuse_two(fuse: Fuse, a: Source, b: Source, task: FusionTask) -> Source:
    if a.gray.shape != b.gray.shape:
        raise ValueError(
            f"All images must have the same size, got {a.gray.shape[1:]} and {b.gray.shape[1:]}. Register them first."
        )
    alpha = None if a.alpha is None or b.alpha is None else np.maximum(a.alpha, b.alpha)
    shown_a, shown_b = _filled(a, b), _filled(b, a)
    fused = fuse(shown_a.gray, shown_b.gray)
    rgb = _colored(fused, shown_a, shown_b, task)
    return Source(fused, rgb, alpha=alpha, bits=max(a.bits, b.bits))


def _filled(photograph: Source, other: Source) -> Source:
    """A photograph whose transparent places show the other one."""
    alpha = photograph.alpha
    if alpha is None:
        return photograph
    if photograph.rgb is None:
        return Source(laid_over(photograph.gray, alpha, other.gray))
    rgb = laid_over(photograph.rgb, alpha, other.gray if other.rgb is None else other.rgb)
    return Source(luminance(rgb), rgb)


def _colored(fused: np.ndarray, a: Source, b: Source, task: FusionTask) -> np.ndarray | None:
    """The fused image in color, (3, H, W); None where the sources have none."""
    if task.ordered:
        return None if b.rgb is None else recolored(fused, b.rgb)
    if a.rgb is None and b.rgb is None:
        return None
    rgb_a, rgb_b = (np.broadcast_to(x.gray, (3, *x.gray.shape[1:])) if x.rgb is None else x.rgb for x in (a, b))
    return mixed_colors(fused, rgb_a, rgb_b)
