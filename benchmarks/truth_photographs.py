"""Pairs of photographs whose right fusion is known: focus by known masks, exposures by known curves, planted targets.

Each ``..._figures`` takes any callable from both sources (B, 2, H, W) in [0, 1] to the fused images (B, 1, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage, stats
from scripts.utils.color import luminance
from skimage import data
from skimage.metrics import structural_similarity

Fuse = Callable[[torch.Tensor], torch.Tensor]

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket", "camera", "coins")
MASKS = ("half plane", "disc", "blobs")
BLURS = (2.0, 4.0)  # sigma, pixels
RING = 16  # width of the ring beside the band, pixels
EXPOSURES = {"1.5 stops": (1.5, 2.2), "2.5 stops": (2.5, 2.2), "linear, 1 stop": (1.0, 1.0)}  # half distance, gamma
WINDOW = 32  # of the local rank correlation, pixels


class Truth(NamedTuple):
    """A pair and what is known of it.

    Args:
        name: of the pair.
        image: both sources, (2, H, W) float32 in [0, 1], multiples of 1/255.
        original: the photograph, (H, W) in [0, 1].
        distance: of focus: pixels to the border of both parts, (H, W). Else zeros.
        blur: of focus: sigma of the blur, pixels. Else 0.
    """

    name: str
    image: np.ndarray
    original: np.ndarray
    distance: np.ndarray
    blur: float = 0.0


def photograph(name: str) -> np.ndarray:
    """A photograph of scikit-image, (3, H, W) or (1, H, W) float32 in [0, 1]."""
    pixels = getattr(data, name)()
    channels = pixels[None] if pixels.ndim == 2 else pixels[..., :3].transpose(2, 0, 1)
    return channels.astype(np.float32) / 255


def gray_photograph(name: str, size: int | None = None) -> np.ndarray:
    """Its luminance in whole gray levels, (H, W) in [0, 1]; the middle ``size`` pixels of each side."""
    channels = photograph(name)
    gray = (luminance(channels) if len(channels) == 3 else channels)[0]
    if size is not None:
        top, left = ((side - min(side, size)) // 2 for side in gray.shape)
        gray = gray[top : top + size, left : left + size]
    return _rounded(gray)


def _rounded(image: np.ndarray) -> np.ndarray:
    return (np.rint(image.clip(0, 1) * 255) / 255).astype(np.float32)


def focus_mask(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Where source A is in focus, (H, W) bool: an oblique half plane, a disc, or blobs of smoothed noise."""
    y, x = np.indices(shape, dtype=float)
    height, width = shape
    if kind == "half plane":
        return x + 0.35 * y > 0.5 * width + 0.175 * height
    if kind == "disc":
        return np.hypot(y - height / 2, x - width / 2) < 0.3 * min(shape)
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=shape), min(shape) / 14)
    return noise > np.median(noise)


def focus_pair(sharp: np.ndarray, mask: np.ndarray, blur: float) -> np.ndarray:
    """Both focus settings of a photograph (..., H, W): each is blurred where the other is sharp; (2, ..., H, W)."""
    blurred = ndimage.gaussian_filter(sharp, (0,) * (sharp.ndim - 2) + (blur, blur), mode="nearest")
    return np.stack([_rounded(np.where(mask, sharp, blurred)), _rounded(np.where(mask, blurred, sharp))])


def focus_truths(names: tuple[str, ...] = PHOTOGRAPHS, size: int | None = None) -> Iterator[Truth]:
    """Focus pairs of all photographs, masks and blurs."""
    for name in names:
        sharp = gray_photograph(name, size)
        for kind in MASKS:
            mask = focus_mask(kind, sharp.shape)
            distance = np.where(mask, ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask))
            for blur in BLURS:
                yield Truth(f"{name}, {kind}, {blur:g}", focus_pair(sharp, mask, blur), sharp, distance, blur)


def psnr(fused: np.ndarray, original: np.ndarray) -> float:
    """Peak signal-to-noise ratio, dB; 99 of equal images."""
    error = float(np.mean((fused - original) ** 2))
    return min(99.0, 10 * np.log10(1 / error)) if error else 99.0


def focus_figures(fuse: Fuse, truth: Truth) -> dict[str, float]:
    """Compare the fused image with the sharp photograph.

    The band is what lies within two sigma of the blur from the border of both parts: there the kernel itself mixes
    them. The ring is the 16 pixels beyond it on both sides; a halo is a deviation there.

    Returns:
        ``PSNR`` in dB; ``halo mean``, the mean deviation in the ring, and ``halo max``, the largest one there after a
        3 x 3 median, both without sign in gray levels; ``band``, the mean deviation in the band, in gray levels.
    """
    fused = _fused(fuse, truth)
    deviation = (fused - truth.original) * 255
    band = truth.distance <= 2 * truth.blur
    ring = ~band & (truth.distance <= 2 * truth.blur + RING)
    return {
        "PSNR": psnr(fused, truth.original),
        "halo mean": float(np.abs(deviation[ring]).mean()),
        "halo max": float(np.abs(ndimage.median_filter(deviation, 3)[ring]).max()),
        "band": float(np.abs(deviation[band]).mean()),
    }


def _fused(fuse: Fuse, truth: Truth) -> np.ndarray:
    """The fused image in whole gray levels, (H, W)."""
    with torch.no_grad():
        return _rounded(fuse(torch.from_numpy(truth.image)[None])[0, 0].float().numpy())


def exposure(original: np.ndarray, stops: float, gamma: float) -> np.ndarray:
    """What a camera with this gamma shows with so many stops more or less: clipped at white and at 2 % of white."""
    shown = (original.astype(float) ** gamma * 2.0**stops).clip(0, 1) ** (1 / gamma)
    return _rounded((shown - 0.02) / 0.98)


def exposure_truths(names: tuple[str, ...] = PHOTOGRAPHS, size: int | None = None) -> Iterator[Truth]:
    """Two exposures of all photographs by all response curves, the darker one first."""
    for name in names:
        original = gray_photograph(name, size)
        for curve, (stops, gamma) in EXPOSURES.items():
            image = np.stack([exposure(original, sign * stops, gamma) for sign in (-1, 1)])
            yield Truth(f"{name}, {curve}", image, original, np.zeros_like(original))


def exposure_figures(fuse: Fuse, truth: Truth) -> dict[str, float]:
    """Compare the fused image of two exposures with the photograph.

    Returns:
        ``rank``: Spearman's rank correlation with the photograph where neither exposure is clipped, 1 where the fused
        image is a growing function of it; ``rank local``: its median over windows of 32 x 32 pixels;
        ``structure bright`` and ``structure dark``: local correlation (windows of 7 x 7; 0 where the fused image is
        flat) with the photograph where the longer exposure is white and where the shorter one is black, of places with
        structure; NaN where there is none; ``SSIM``: of the whole with the photograph.
    """
    fused = _fused(fuse, truth)
    open_in_both = ((truth.image > 0) & (truth.image < 1)).all(axis=0)
    structure = _structure(fused, truth.original)
    textured = _deviation(truth.original) > 2 / 255

    def mean_of(clipped: np.ndarray) -> float:
        where = ndimage.minimum_filter(clipped, 7) & textured
        return float(structure[where].mean()) if where.sum() >= 100 else np.nan

    return {
        "rank": _rank(fused[open_in_both], truth.original[open_in_both]),
        "rank local": float(np.nanmedian([_rank(*pair) for pair in _windows(fused, truth.original, open_in_both)])),
        "structure bright": mean_of(truth.image[1] >= 1),
        "structure dark": mean_of(truth.image[0] <= 0),
        "SSIM": float(structural_similarity(fused, truth.original, data_range=1.0)),
    }


def _rank(x: np.ndarray, y: np.ndarray) -> float:
    return float(stats.spearmanr(x, y).statistic) if x.size > 1 and np.ptp(x) and np.ptp(y) else np.nan


def _windows(fused: np.ndarray, original: np.ndarray, where: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for top in range(0, fused.shape[0] - WINDOW + 1, WINDOW):
        for left in range(0, fused.shape[1] - WINDOW + 1, WINDOW):
            part = (slice(top, top + WINDOW), slice(left, left + WINDOW))
            if where[part].mean() > 0.5:
                yield fused[part][where[part]], original[part][where[part]]
    yield np.zeros(0), np.zeros(0)


def _deviation(image: np.ndarray) -> np.ndarray:
    wide = image.astype(float)
    return np.sqrt((ndimage.uniform_filter(wide**2, 7) - ndimage.uniform_filter(wide, 7) ** 2).clip(0))


def _structure(fused: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Local correlation at each pixel; half a gray level of deviation is taken for none."""
    x, y = fused.astype(float), original.astype(float)
    together = ndimage.uniform_filter(x * y, 7) - ndimage.uniform_filter(x, 7) * ndimage.uniform_filter(y, 7)
    return together / np.maximum(_deviation(x) * _deviation(y), (0.5 / 255) ** 2)


def infrared_pairs(names: tuple[str, ...] = PHOTOGRAPHS, size: int | None = 256) -> Iterator[Truth]:
    """Photographs beside made-up infrared: half their negative, half another photograph, blurred; infrared first."""
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        visible, elsewhere = (gray_photograph(each, size) for each in (name, other))
        infrared = _rounded(0.1 + 0.8 * ndimage.gaussian_filter((1 - visible + elsewhere) / 2, 1.5))
        yield Truth(name, np.stack([infrared, visible]), visible, np.zeros_like(visible))
