"""The picture of what a fused image does not hold of its sources."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..scripts.utils.files import write_atomically

__all__ = ["write_loss_figure"]


def write_loss_figure(
    path: str | os.PathLike, images: Sequence[np.ndarray], maps: np.ndarray, lost: Sequence[float]
) -> Path:
    """Draw sources, fused image and both maps with their legend.

    Args:
        path: PNG file.
        images: source A, source B and the fused image, (H, W) each in [0, 1].
        maps: (2, H, W) in [0, 1].
        lost: the lost part of each source's information.

    Returns:
        The file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(17, 4.2), layout="constrained")
    axes = figure.subplots(1, 5)
    titles = ["source A", "source B", "fused", *(f"lost of {s}: {x:.0%}" for s, x in zip("AB", lost, strict=True))]
    for axis, title, picture in zip(axes, titles, [*images, *maps], strict=True):
        drawn = axis.imshow(picture, cmap="inferno" if title.startswith("lost") else "gray", vmin=0, vmax=1)
        axis.set_title(title)
        axis.set_axis_off()
    bar = figure.colorbar(drawn, ax=axes[3:], shrink=0.85, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.set_label("part of the local information\nthat the fused image does not hold")
    return write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))
