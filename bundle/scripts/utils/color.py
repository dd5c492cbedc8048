"""Luminance and chroma of color-mapped functional images (PET, SPECT), ITU-R BT.601 full range."""

from __future__ import annotations

from functools import cache

import numpy as np

from .enums import ColorMap

__all__ = ["apply_colormap", "colorize", "colormap_table", "is_gray", "luminance"]

PET_PALETTE = "1.2.840.10008.1.5.2"  # UID in PS3.6, table A-1
WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@cache
def colormap_table(name: ColorMap | str) -> np.ndarray:
    """Colors of a map from its lowest to its highest value.

    Args:
        name: ``"hot"`` and ``"inferno"`` are matplotlib's; ``"pet-rainbow"`` is DICOM's PET palette, whose luminance
            does not always rise with the value.

    Returns:
        (256, 3) float32 in [0, 1]; the first is black or nearly so.

    Raises:
        ValueError: When the name is not known.

    Reference: DICOM PS3.6, annex B.1.1 (PET color palette).
    """
    if ColorMap(name) is ColorMap.PET_RAINBOW:
        from pydicom.pixels import apply_color_lut

        return apply_color_lut(np.arange(256, dtype=np.uint8)[None], palette=PET_PALETTE)[0].astype(np.float32) / 255
    from matplotlib import colormaps

    return colormaps[str(name)](np.arange(256))[:, :3].astype(np.float32)


def apply_colormap(values: np.ndarray, name: ColorMap | str) -> np.ndarray:
    """Color a gray image.

    Args:
        values: (*spatial) in [0, 1].
        name: see :func:`colormap_table`.

    Returns:
        (3, *spatial) float32 in [0, 1].
    """
    return np.moveaxis(colormap_table(name)[np.rint(values * 255).astype(np.uint8)], -1, 0)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Luminance of an RGB image, the field's gray version of PET and SPECT.

    Args:
        rgb: (3, H, W) in [0, 1].

    Returns:
        (1, H, W) float32 in [0, 1].

    Raises:
        ValueError: When the first axis is not 3.

    Example:
        >>> round(float(luminance(np.ones((3, 1, 1))).item()), 4)
        1.0
    """
    if rgb.shape[0] != 3:
        raise ValueError(f"`rgb` must have shape (3, H, W), got {rgb.shape}.")
    return np.tensordot(WEIGHTS, rgb.astype(np.float32), axes=1)[None]


def colorize(fused: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Give a fused luminance the colors of the functional image.

    The usual way adds the old chroma to the new luminance and clips, which shifts hue and luminance where the result
    leaves the color cube. Here each pixel's chroma is first scaled by the largest factor in [0, 1] that keeps the
    result inside the cube. So the luminance of the result is exactly the fused image, no hue changes, and a black fused
    pixel stays black.

    Args:
        fused: (1, H, W) in [0, 1].
        rgb: (3, H, W) in [0, 1], the functional source.

    Returns:
        (3, H, W) float32 in [0, 1].

    Raises:
        ValueError: When the sizes differ.

    Reference: ITU-R BT.601-7, "Studio encoding parameters of digital television", 2011.
    """
    if fused.shape[0] != 1 or rgb.shape[0] != 3 or fused.shape[1:] != rgb.shape[1:]:
        raise ValueError(f"Expected shapes (1, H, W) and (3, H, W), got {fused.shape} and {rgb.shape}.")
    chroma = rgb.astype(np.float32) - luminance(rgb)
    fused = fused.astype(np.float32)
    room = np.where(chroma > 0, 1.0 - fused, fused)
    share = np.min(room / np.maximum(np.abs(chroma), 1e-6), axis=0, keepdims=True).clip(0.0, 1.0)
    return (fused + share * chroma).clip(0.0, 1.0)


def is_gray(rgb: np.ndarray) -> bool:
    """Whether the three channels of an RGB image are equal."""
    return bool((rgb[0] == rgb[1]).all() and (rgb[1] == rgb[2]).all())
