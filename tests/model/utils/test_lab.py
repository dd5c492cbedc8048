from __future__ import annotations

import numpy as np
import pytest
from scripts.utils.lab import srgb_to_lab


def test_it_is_that_of_scikit_image():
    from skimage.color import rgb2lab

    rgb = np.random.default_rng(0).random((50, 40, 3))
    assert np.allclose(srgb_to_lab(rgb), rgb2lab(rgb), atol=1e-3)


def test_white_and_black_are_the_ends_of_lightness():
    assert srgb_to_lab(np.array([[1.0, 1, 1], [0, 0, 0]])) == pytest.approx(
        np.array([[100, 0, 0], [0, 0, 0]]), abs=0.01
    )


def test_grays_have_no_color():
    grays = np.linspace(0, 1, 256)[:, None].repeat(3, axis=1)
    lab = srgb_to_lab(grays)
    assert np.abs(lab[:, 1:]).max() < 0.02
    assert np.all(np.diff(lab[:, 0]) > 0)


def test_another_number_of_channels_is_refused():
    with pytest.raises(ValueError, match=r"must have shape \(..., 3\), got \(3, 4\)"):
        srgb_to_lab(np.zeros((3, 4)))
