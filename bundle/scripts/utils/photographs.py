"""What photographs need beside the network: an order that content decides, and the colors of two sources in one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .color import colorize, luminance

__all__ = ["canonical_order", "laid_over", "mixed_colors", "recolored"]

RADIUS = 4  # pixels; the share of a source in the colors is one over a window of 9x9
FLOOR = 1e-4  # squared difference of luminance, below which both sources have the same share
DARK = 0.01  # luminance below which a color is noise
LEAST_TRUST = 1e-3
ROWS = 512  # rows at once, so that memory does not grow with the image


def canonical_order(images: Sequence[np.ndarray]) -> list[int]:
    """Order images by their content: the brighter mean first, images of the same mean by their bytes.

    A fusion whose sources have no order calls the network with this one, so the result is the same to the last bit
    whichever image comes first.

    Args:
        images: of any one shape and type.

    Returns:
        Their indices.

    Example:
        >>> canonical_order([np.zeros(3), np.ones(3)])
        [1, 0]
    """
    means = [float(np.mean(np.ascontiguousarray(image), dtype=np.float64)) for image in images]

    def key(index: int) -> tuple[float, bytes]:
        same = means.count(means[index]) > 1
        return -means[index], images[index].tobytes() if same else b""

    return sorted(range(len(images)), key=key)


def recolored(fused: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Give a fused luminance the colors of one source: :func:`.color.colorize`, some rows at once.

    Args:
        fused: (1, H, W) in [0, 1].
        rgb: (3, H, W) in [0, 1].

    Returns:
        (3, H, W) float32 in [0, 1], whose luminance is ``fused``.
    """
    result = np.empty(rgb.shape, np.float32)
    for start in range(0, fused.shape[1], ROWS):
        rows = (slice(None), slice(start, start + ROWS))
        result[rows] = colorize(fused[rows], rgb[rows])
    return result


def mixed_colors(fused: np.ndarray, rgb_a: np.ndarray, rgb_b: np.ndarray) -> np.ndarray:
    r"""Give a fused luminance the colors of two sources, each in the share in which its luminance is in the fused one.

    The share of A is :math:`s = (F - Y_B)/(Y_A - Y_B)`, by least squares over a window, within [0, 1], and one half
    where both luminances are the same. It is weighted with how far the color is from the ends of its range, because a
    source that is too bright or too dark there has lost its color. What is mixed is the chroma over the luminance, the
    same in all exposures that keep the color; :math:`F` times the mixture is the chroma of the result, which
    :func:`.color.colorize` keeps inside the color cube.

    The field weights each chroma with its distance from gray instead, so a place that is sharp, or well exposed, in one
    source gets the color of the other.

    Args:
        fused: (1, H, W) in [0, 1].
        rgb_a: (3, H, W) in [0, 1].
        rgb_b: of the same shape.

    Returns:
        (3, H, W) float32 in [0, 1], whose luminance is ``fused``.

    Raises:
        ValueError: When the sizes differ.
    """
    if not fused.shape[1:] == rgb_a.shape[1:] == rgb_b.shape[1:]:
        raise ValueError(f"Expected images of one size, got {fused.shape}, {rgb_a.shape} and {rgb_b.shape}.")
    result = np.empty(rgb_a.shape, np.float32)
    height = fused.shape[1]
    for start in range(0, height, ROWS):
        first, last = max(0, start - RADIUS), min(height, start + ROWS + RADIUS)
        light, a, b = (image[:, first:last] for image in (fused, rgb_a, rgb_b))
        mixed = _mixed(light, a, b)[:, start - first : start - first + ROWS]
        result[:, start : start + ROWS] = mixed
    return result


def _mixed(fused: np.ndarray, rgb_a: np.ndarray, rgb_b: np.ndarray) -> np.ndarray:
    gray_a, gray_b = luminance(rgb_a), luminance(rgb_b)
    share = _share(fused, gray_a, gray_b)
    weight_a, weight_b = share * _trust(rgb_a), (1 - share) * _trust(rgb_b)
    chroma_a, chroma_b = ((rgb - gray) / np.maximum(gray, DARK) for rgb, gray in ((rgb_a, gray_a), (rgb_b, gray_b)))
    mixed = (weight_a * chroma_a + weight_b * chroma_b) / (weight_a + weight_b)
    return colorize(fused, fused + fused * mixed)


def _trust(rgb: np.ndarray) -> np.ndarray:
    """How far each color is from the ends of its range, (1, H, W), never 0."""
    return np.minimum(rgb.min(axis=0), 1 - rgb.max(axis=0))[None].clip(LEAST_TRUST)


def _share(fused: np.ndarray, gray_a: np.ndarray, gray_b: np.ndarray) -> np.ndarray:
    """Share of A in the fused luminance, (1, H, W) float32 in [0, 1]."""
    from scipy.ndimage import uniform_filter

    difference = (gray_a - gray_b).astype(np.float64)  # the filter's running sums lose digits in float32
    size = (1, 2 * RADIUS + 1, 2 * RADIUS + 1)
    common = uniform_filter((fused - gray_b) * difference, size)
    power = uniform_filter(difference**2, size)
    return ((common + FLOOR / 2) / (power + FLOOR)).clip(0, 1).astype(np.float32)


def laid_over(image: np.ndarray, alpha: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Show another image through the transparent places of an image.

    Args:
        image: (C, H, W) in [0, 1].
        alpha: (1, H, W) in [0, 1].
        other: (C, H, W) in [0, 1].
    """
    return alpha * image + (1 - alpha) * other
