"""Fusion of large images in overlapping tiles, for arrays and for tensors. Imports no torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from .contract import LARGEST_WHOLE_SIDE

__all__ = ["blending_window", "fuse_in_tiles"]

OVERLAP = 0.25
SIGMA = 0.125  # of the Gaussian weights, tile sides
SMALLEST_WEIGHT = 1e-5

Images = TypeVar("Images")  # numpy.ndarray or torch.Tensor


def fuse_in_tiles(
    images: Images,
    network: Callable[[Images], Images],
    tile_size: int = LARGEST_WHOLE_SIDE,
    overlap: float = OVERLAP,
    progress: bool = False,
) -> Images:
    """Fuse images whole up to a size, and larger ones in overlapping tiles that Gaussian weights blend.

    The same result as MONAI's ``sliding_window_inference`` with the weights of :func:`blending_window`, to 1e-6, for
    NumPy arrays too: pictures are fused without torch. Whole images are better, because the network's attention looks
    at all of them.

    Args:
        images: (B, 2, H, W) in [0, 1], array or tensor.
        network: takes (b, 2, h, w) and returns (b, 1, h, w) of the same type.
        tile_size: largest side that is fused whole, pixels. Defaults to 768.
        overlap: of neighboring tiles, fraction of their side. Defaults to 0.25.
        progress: show a bar with the time left where it takes longer than a moment. Defaults to False.

    Returns:
        (B, 1, H, W) in [0, 1], of the same type.
    """
    whole: Any = images
    sides = whole.shape[2:]
    if max(sides) <= tile_size:
        return network(images)
    is_array = isinstance(whole, np.ndarray)
    total, weights = np.zeros((len(whole), 1, *sides), np.float32), np.zeros(sides, np.float32)
    window = blending_window([min(tile_size, side) for side in sides])
    if not is_array:
        total, weights, window = (whole.new_tensor(values) for values in (total, weights, window))
    places = list(itertools.product(*(_places(side, tile_size, overlap) for side in sides)))
    for rows, columns in _with_bar(places) if progress else places:
        weights[rows, columns] += window
        for k in range(len(whole)):  # one image at once, so that memory does not grow with the batch
            fused = network(whole[k : k + 1, :, rows, columns])
            total[k : k + 1, :, rows, columns] += window * fused
    total /= weights
    return total  # type: ignore[return-value]


def _with_bar(places: list) -> Iterable:
    from tqdm import tqdm

    return tqdm(places, desc="fusing", unit="tile", delay=2, leave=False)


def _places(side: int, tile: int, overlap: float) -> list[slice]:
    """Tiles along one side, the last one moved back so that it ends with the side."""
    if side <= tile:
        return [slice(0, side)]
    step = max(1, int(tile * (1 - overlap)))
    starts = [*range(0, side - tile, step), side - tile]
    return [slice(start, start + tile) for start in starts]


def blending_window(sides: Sequence[int]) -> np.ndarray:
    """Weights of a tile's pixels: a Gaussian along each side, lowered so that it ends at nearly nothing.

    A weight that is cut off from below, as MONAI's ``mode="gaussian"``, leaves a step where a tile begins: near the
    corners all tiles that overlap there have the least weight, and so the same.

    Args:
        sides: of the tile, pixels.

    Returns:
        (h, w) float32, highest in the middle, above 0.
    """
    profiles = []
    for side in sides:
        offsets = np.linspace((1 - side) / 2, (side - 1) / 2, side)
        profile = np.exp(-(offsets**2) / (2 * (SIGMA * side) ** 2))
        profiles.append(profile - profile.min() + SMALLEST_WEIGHT)
    return np.outer(*profiles).astype(np.float32)
