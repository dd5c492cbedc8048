from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import fourier_shift, gaussian_filter
from skimage.data import camera

from mmif_amin.photographs.shift import find_shift

SCENE = camera()[100:356, 100:420].astype(np.float32) / 255


def moved(image: np.ndarray, down: float, right: float) -> np.ndarray:
    return np.fft.ifft2(fourier_shift(np.fft.fft2(image), (down, right))).real


def night(image: np.ndarray) -> np.ndarray:
    """As another sensor sees it: what was bright is dark, and it is blurred and noisy."""
    return gaussian_filter(1 - image**2, 1) + np.random.default_rng(0).normal(0, 0.02, image.shape)


@pytest.mark.parametrize("change", [pytest.param(lambda x: x, id="same"), pytest.param(night, id="other-sensor")])
@pytest.mark.parametrize("shift", [(3.0, 0.0), (-2.5, 4.25), (0.0, -12.0)])
def test_a_shift_is_found(change, shift):
    """Where B was moved, the opposite brings it back; to a quarter of a pixel."""
    found = find_shift(SCENE, change(moved(SCENE, *shift)))
    assert found.trusted
    assert (found.down, found.right) == pytest.approx([-shift[0], -shift[1]], abs=0.25)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(SCENE, id="same"),
        pytest.param(night(SCENE), id="other-sensor"),
        pytest.param(SCENE * 0.2, id="dark"),
        pytest.param(gaussian_filter(SCENE, 2), id="out-of-focus"),
        pytest.param(moved(SCENE, 0.4, 0.3), id="half-a-pixel"),
        pytest.param(np.random.default_rng(0).random(SCENE.shape), id="noise"),
        pytest.param(np.zeros_like(SCENE), id="black"),
        pytest.param(SCENE[::-1], id="upside-down"),
    ],
)
def test_no_false_alarm(other):
    found = find_shift(SCENE, other)
    assert not found.trusted or found.pixels < 1


def test_half_of_the_image_moved_is_no_shift():
    """Parallax moves a part; no shift of the whole mends it."""
    other = SCENE.copy()
    other[:, 160:] = moved(SCENE, 0, 5)[:, 160:]
    assert not find_shift(SCENE, other).trusted or find_shift(SCENE, other).pixels < 1


def test_small_images_are_not_judged():
    assert not find_shift(SCENE[:63], SCENE[3:66]).trusted


def test_the_words():
    assert str(find_shift(SCENE, moved(SCENE, 3, -4))) == "5.0 pixels (4.0 right, 3.0 up)"
