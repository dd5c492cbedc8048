"""Luminance and chroma of color-mapped functional images (PET, SPECT), ITU-R BT.601 full range."""

from __future__ import annotations

from functools import cache

import numpy as np

from .enums import ColorMap, Lightness
from .perceptual import SCALE_LIGHTNESS, SHAPES, composition_table, map_colors

__all__ = ["apply_colormap", "color_fused", "colorize", "colormap_table", "is_gray", "luminance", "scale_colors"]

PET_PALETTE = "1.2.840.10008.1.5.2"  # UID in PS3.6, table A-1
WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@cache
def colormap_table(name: ColorMap | str) -> np.ndarray:
    """Colors of a map from its lowest to its highest value, for what shows the value alone.

    Args:
        name: ``"ember"`` and ``"gold"`` with a lightness that rises with the value; ``"hot"`` and ``"inferno"`` are
            matplotlib's; ``"pet-rainbow"`` is DICOM's PET palette, whose luminance does not always rise with the value.

    Returns:
        (256, 3) float32 in [0, 1]; the first is black or nearly so.

    Raises:
        ValueError: When the name is not known.

    Reference: DICOM PS3.6, annex B.1.1 (PET color palette).
    """
    if ColorMap(name) in SHAPES:
        return map_colors(name).astype(np.float32)
    if ColorMap(name) is ColorMap.PET_RAINBOW:
        from pydicom.pixels import apply_color_lut

        return apply_color_lut(np.arange(256, dtype=np.uint8)[None], palette=PET_PALETTE)[0].astype(np.float32) / 255
    from matplotlib import colormaps

    return colormaps[str(name)](np.arange(256))[:, :3].astype(np.float32)


def scale_colors(name: ColorMap | str, lightness: float = SCALE_LIGHTNESS) -> np.ndarray:
    """Colors of the scale that stands beside a fused picture, from its lowest to its highest value.

    Args:
        name: of the color map.
        lightness: CIELAB L* at which the colors of ember and gold are shown. The lightness of a classical map is its
            own. Defaults to 65.

    Returns:
        (256, 3) float32 in [0, 1]; of a classical map the first is black.

    Raises:
        ValueError: When the name is not known, or the lightness is not in 0..100.
    """
    if ColorMap(name) in SHAPES:
        return map_colors(ColorMap(name), lightness).astype(np.float32)
    colors = colormap_table(name).copy()
    colors[0] = 0
    return colors


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
        fused: (1, *spatial) in [0, 1].
        rgb: (3, *spatial) in [0, 1], the functional source.

    Returns:
        (3, *spatial) float32 in [0, 1].

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


def color_fused(
    fused: np.ndarray,
    structural: np.ndarray,
    functional: np.ndarray,
    name: ColorMap | str,
    lightness: Lightness | str = Lightness.AUTO,
) -> np.ndarray:
    """Show anatomy and functional value in one color picture.

    Under ``"ember"`` and ``"gold"`` the lightness shows the anatomy, hue and chroma the value; see
    :func:`~.perceptual.composition_table`. Under a classical map the picture has the map's chroma and the luminance of
    the fused or structural image; see :func:`colorize`.

    Args:
        fused: (1, *spatial) in [0, 1].
        structural: the structural source, of the same shape.
        functional: the functional source, of the same shape.
        name: of the color map.
        lightness: which image the lightness is. Defaults to ``"auto"``: the structural one under ember and gold, the
            fused one under the others.

    Returns:
        (3, *spatial) uint8.

    Raises:
        ValueError: When the shapes differ, or a word is not known.

    Example:
        >>> color_fused(*np.array([[[0.5]], [[0.4]], [[0.0]]]), "ember").ravel().tolist()
        [102, 102, 102]
    """
    if not fused.shape == structural.shape == functional.shape or fused.shape[0] != 1:
        raise ValueError(
            f"Expected three images of one shape (1, ...), got {fused.shape}, {structural.shape}, {functional.shape}."
        )
    perceptual = ColorMap(name) in SHAPES
    if Lightness(lightness) is Lightness.AUTO:
        lightness = Lightness.STRUCTURAL if perceptual else Lightness.FUSED
    base = structural if Lightness(lightness) is Lightness.STRUCTURAL else fused
    if not perceptual:
        return np.rint(colorize(base, apply_colormap(functional[0], name)) * 255).astype(np.uint8)
    gray, value = (np.rint(image[0] * 255).astype(np.uint8) for image in (base, functional))
    return np.moveaxis(composition_table(ColorMap(name), Lightness(lightness))[gray, value], -1, 0)


def is_gray(rgb: np.ndarray) -> bool:
    """Whether the three channels of an RGB image are equal."""
    return bool((rgb[0] == rgb[1]).all() and (rgb[1] == rgb[2]).all())
