from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scripts.utils import photographs
from scripts.utils.color import colorize, luminance
from scripts.utils.photographs import canonical_order, laid_over, mixed_colors, recolored
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.data import chelsea, coffee

BT601 = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])  # Cb and Cr of RGB


def scene(name: str) -> np.ndarray:
    image = {"cat": chelsea, "coffee": coffee}[name]()[60:220, 80:280]
    return (image.astype(np.float32) / 255).transpose(2, 0, 1)


def focus_pair(scene: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    blurred = np.stack([gaussian_filter(channel, 3) for channel in scene])
    mask = gaussian_filter((np.arange(scene.shape[2]) < 90).astype(np.float32), 1)
    return mask * scene + (1 - mask) * blurred, (1 - mask) * scene + mask * blurred


def exposure_pair(scene: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A quarter of the light and two and a half times as much, by the curve of sRGB, in 8 bit."""
    light = np.where(scene > 0.04045, ((scene + 0.055) / 1.055) ** 2.4, scene / 12.92)
    dark, bright = (
        np.rint(255 * np.where(x > 0.0031308, 1.055 * x ** (1 / 2.4) - 0.055, 12.92 * x)) / 255
        for x in (light * 0.25, (light * 2.5).clip(0, 1))
    )
    return dark.astype(np.float32), bright.astype(np.float32)


def colors_of_the_field(fused: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Each chroma weighted with its distance from gray, as in the field's evaluations of these tasks."""
    chroma_a, chroma_b = (np.tensordot(BT601, image, 1) for image in (a, b))
    weights = np.abs(chroma_a) + np.abs(chroma_b)
    cb, cr = np.where(
        weights > 0, (np.abs(chroma_a) * chroma_a + np.abs(chroma_b) * chroma_b) / np.maximum(weights, 1e-9), 0
    )
    return np.stack([fused[0] + 1.402 * cr, fused[0] - 0.344136 * cb - 0.714136 * cr, fused[0] + 1.772 * cb]).clip(0, 1)


def color_cast(image: np.ndarray, truth: np.ndarray) -> float:
    """Mean CIEDE2000 of hue and chroma alone: the lightness is that of the truth."""
    found, expected = (rgb2lab(x.transpose(1, 2, 0)) for x in (image, truth))
    found[..., 0] = expected[..., 0]
    return float(deltaE_ciede2000(found, expected).mean())


@pytest.mark.parametrize(
    ("make", "bound"), [pytest.param(focus_pair, 0.3, id="focus"), pytest.param(exposure_pair, 1.2, id="exposure")]
)
@pytest.mark.parametrize("name", ["cat", "coffee"])
def test_no_color_cast(make, bound, name):
    """On the true luminance, the colors are nearly the true ones, and much nearer than by the field's rule."""
    truth = scene(name)
    a, b = make(truth)
    cast = color_cast(mixed_colors(luminance(truth), a, b), truth)
    assert cast < bound
    assert cast < 0.5 * color_cast(colors_of_the_field(luminance(truth), a, b), truth)


def test_the_luminance_is_the_fused_image():
    rng = np.random.default_rng(0)
    fused, a, b = rng.random((1, 30, 40), np.float32), *rng.random((2, 3, 30, 40), np.float32)
    mixed = mixed_colors(fused, a, b)
    assert mixed.dtype == np.float32
    assert np.abs(luminance(mixed) - fused).max() < 1e-5
    assert np.abs(mixed - mixed_colors(fused, b, a)).max() < 1e-4
    black = mixed_colors(np.zeros_like(fused), a, b)
    assert black.max() == 0
    assert np.isfinite(mixed_colors(fused, np.zeros_like(a), np.ones_like(b))).all()


def test_rows_at_once_leave_no_seam(monkeypatch):
    truth = scene("cat")
    a, b = focus_pair(truth)
    whole = mixed_colors(luminance(truth), a, b)
    monkeypatch.setattr(photographs, "ROWS", 17)
    assert np.abs(mixed_colors(luminance(truth), a, b) - whole).max() < 1e-6
    assert np.array_equal(recolored(luminance(truth), a), colorize(luminance(truth), a))


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="one size"):
        mixed_colors(np.zeros((1, 4, 4)), np.zeros((3, 4, 4)), np.zeros((3, 4, 5)))


def test_the_order_is_that_of_the_content():
    rng = np.random.default_rng(0)
    same_mean = rng.random((6, 5))
    images = [same_mean, same_mean[::-1].copy(), same_mean * 0.5, same_mean * 0 + 1]
    sorted_once = [images[k] for k in canonical_order(images)]
    assert sorted_once[0].min() == 1
    for order in itertools.permutations(range(4)):
        mixed = [images[k] for k in order]
        again = [mixed[k] for k in canonical_order(mixed)]
        assert all(np.array_equal(x, y) for x, y in zip(again, sorted_once, strict=True))


def test_a_transparent_place_shows_the_other():
    alpha = np.array([[[0.0, 0.25, 1.0]]])
    assert laid_over(np.full((1, 1, 3), 0.8), alpha, np.full((1, 1, 3), 0.4)).round(6).tolist() == [[[0.4, 0.5, 0.8]]]
