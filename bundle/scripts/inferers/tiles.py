"""Fusion of large images in overlapping tiles, for arrays and for tensors. Imports no torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .contract import LARGEST_WHOLE_SIDE

__all__ = ["fuse_in_tiles"]

OVERLAP = 0.25
SIGMA = 0.125  # of the Gaussian weights, tile sides
SMALLEST_WEIGHT = 1e-3

Images = TypeVar("Images")  # numpy.ndarray or torch.Tensor


def fuse_in_tiles(
    images: Images, network: Callable[[Images], Images], tile_size: int = LARGEST_WHOLE_SIDE, overlap: float = OVERLAP
) -> Images:
    """Fuse images whole up to a size, and larger ones in overlapping tiles that Gaussian weights blend.

    The same result as MONAI's ``sliding_window_inference(mode="gaussian")``, to 1e-6, for NumPy arrays too: pictures
    are fused without torch. Whole images are better, because the network's attention looks at all of them.

    Args:
        images: (B, 2, H, W) in [0, 1], array or tensor.
        network: takes (b, 2, h, w) and returns (b, 1, h, w) of the same type.
        tile_size: largest side that is fused whole, pixels. Defaults to 768.
        overlap: of neighboring tiles, fraction of their side. Defaults to 0.25.

    Returns:
        (B, 1, H, W) in [0, 1], of the same type.
    """
    whole: Any = images
    sides = whole.shape[2:]
    if max(sides) <= tile_size:
        return network(images)
    is_array = isinstance(whole, np.ndarray)
    total, weights = np.zeros((len(whole), 1, *sides), np.float32), np.zeros(sides, np.float32)
    window = _gaussian_window([min(tile_size, side) for side in sides])
    if not is_array:
        total, weights, window = (whole.new_tensor(values) for values in (total, weights, window))
    for rows, columns in itertools.product(*(_places(side, tile_size, overlap) for side in sides)):
        weights[rows, columns] += window
        for k in range(len(whole)):  # one image at once, so that memory does not grow with the batch
            fused = network(whole[k : k + 1, :, rows, columns])
            total[k : k + 1, :, rows, columns] += window * fused
    total /= weights
    return total  # type: ignore[return-value]


def _places(side: int, tile: int, overlap: float) -> list[slice]:
    """Tiles along one side, the last one moved back so that it ends with the side."""
    if side <= tile:
        return [slice(0, side)]
    step = max(1, int(tile * (1 - overlap)))
    starts = [*range(0, side - tile, step), side - tile]
    return [slice(start, start + tile) for start in starts]


def _gaussian_window(sides: list[int]) -> np.ndarray:
    """Weights of a tile's pixels, highest in the middle; (h, w) float32."""
    rows, columns = (
        np.exp(-(np.linspace((1 - side) / 2, (side - 1) / 2, side) ** 2) / (2 * (SIGMA * side) ** 2)) for side in sides
    )
    window = np.outer(rows, columns)
    return window.clip(max(window.min(), SMALLEST_WEIGHT)).astype(np.float32)
