"""What a reader sees of a pair: the fused images in gray and in color, the overlays, and the sources themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ...scripts.data.tasks import task_of
from ...scripts.utils.color import apply_colormap, color_fused
from ...scripts.utils.enums import ColorMap, Lightness, Modality
from ...scripts.utils.perceptual import SHAPES
from ..folders import read_fused_source
from ..methods import OURS, Method
from .planting import PlantedPair

__all__ = ["OVERLAYS", "has_colors", "shown_in_color", "shown_in_gray", "to_8_bit"]

OVERLAYS = {"Overlay 30 %": 0.3, "Overlay 50 %": 0.5}  # name to opacity of the colors over the gray source A


def has_colors(task: str) -> bool:
    """Whether source B of the task is shown in colors."""
    return task_of(task).source_b in (Modality.PET, Modality.SPECT)


def to_8_bit(image: np.ndarray) -> np.ndarray:
    """Round [0, 1] to 0..255."""
    return np.rint(image.clip(0, 1) * 255).astype(np.uint8)


def shown_in_gray(pairs: list[PlantedPair], methods: Mapping[str, Method]) -> dict[str, np.ndarray]:
    """Fuse pairs of one size with each method.

    Returns:
        Method to (N, 1, H, W), 8 bit.
    """
    images, items = torch.from_numpy(np.stack([pair.image for pair in pairs])), [pair.item for pair in pairs]
    return {name: to_8_bit(method(images, items).numpy()) for name, method in methods.items()}


def shown_in_color(
    pairs: list[PlantedPair], gray: Mapping[str, np.ndarray], folders: Mapping[str, Path], colormap: ColorMap | str
) -> dict[str, np.ndarray]:
    """Color what was fused, lay the colors of source B over the gray source A, and make the product's own pictures.

    Every fused image is the lightness under the colors of source B. A method whose own images are in color keeps these
    colors. Of this product's network there are also the pictures that it makes with each of its perceptual maps.

    Args:
        pairs: the pairs.
        gray: method to fused images, (N, 1, H, W), 8 bit.
        folders: method to the folder of its images, of the methods that have one.
        colormap: of source B.

    Returns:
        Method, overlay or picture of the product to (N, 3, H, W), 8 bit.
    """
    shown = {}
    for name, fused in gray.items():
        own = [_own_colors(folders[name], pair) for pair in pairs] if name in folders else [None] * len(pairs)
        colored = _colored(pairs, fused, colormap, Lightness.FUSED)
        shown[name] = np.stack([c if mine is None else to_8_bit(mine) for c, mine in zip(colored, own, strict=True)])
    for word in SHAPES if OURS in gray else ():
        shown[f"{OURS}, {word}"] = np.stack(_colored(pairs, gray[OURS], word, Lightness.AUTO))
    colors = [apply_colormap(pair.image[1], colormap) for pair in pairs]
    for name, opacity in OVERLAYS.items():
        layers = zip(pairs, colors, strict=True)
        shown[name] = np.stack([to_8_bit((1 - opacity) * pair.image[:1] + opacity * rgb) for pair, rgb in layers])
    return shown


def _colored(
    pairs: list[PlantedPair], fused: np.ndarray, colormap: ColorMap | str, lightness: Lightness
) -> list[np.ndarray]:
    """The product's picture of each pair, (3, H, W), 8 bit."""
    return [
        color_fused(picture / np.float32(255), pair.image[:1], pair.image[1:], colormap, lightness)
        for picture, pair in zip(fused, pairs, strict=True)
    ]


def _own_colors(folder: Path, pair: PlantedPair) -> np.ndarray | None:
    """A method's image in color, (3, H, W) in [0, 1]; None where it is gray."""
    return read_fused_source(folder, pair.item, pair.image.shape[1:]).rgb
