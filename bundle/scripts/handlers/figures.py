"""The figures that handlers draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai.utils import optional_import

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["new_figure"]


def new_figure(figsize: tuple[float, float]) -> Figure:
    """Make an empty figure that no window shows; Matplotlib is imported here, when the first one is drawn.

    Args:
        figsize: width and height, inches.

    Raises:
        OptionalImportError: When Matplotlib is not installed.
    """
    figure, _ = optional_import(
        "matplotlib.figure", name="Figure", descriptor="{}: install it with `pip install matplotlib`."
    )
    return figure(figsize=figsize, layout="constrained")
