from __future__ import annotations

import numpy as np
import pytest
from scripts.data.photographs import photograph_of
from scripts.utils.checks import InputError
from skimage.data import coffee
from skimage.transform import ProjectiveTransform, warp

from mmif_amin.photographs.homography import align, find_homography

SCENE = coffee()[40:300, 120:440]
TRUE = np.array([[1.03, 0.04, -6.0], [-0.03, 0.98, 5.0], [4e-5, -3e-5, 1.0]])


@pytest.fixture(scope="module")
def moved() -> np.ndarray:
    """The scene as a camera beside the first one sees it, uint8."""
    return np.rint(warp(SCENE, ProjectiveTransform(TRUE).inverse, order=3, mode="reflect") * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pair(moved):
    return photograph_of(SCENE), photograph_of(moved)


def test_a_known_homography_is_found(pair):
    found = find_homography(pair[0].gray[0], pair[1].gray[0] * 0.6)
    corners = np.array([[0, 0, 1], [319, 0, 1], [0, 259, 1], [319, 259, 1]])
    expected, got = (corners @ matrix.T for matrix in (TRUE, found.matrix))
    assert np.abs(expected[:, :2] / expected[:, 2:] - got[:, :2] / got[:, 2:]).max() < 0.7
    assert found.inliers >= 16
    assert found.residual < 1
    assert 0.85 < found.overlap < 1


def test_the_aligned_photograph_lies_on_the_reference(pair):
    fixed, moving = pair
    aligned = align(moving, find_homography(fixed.gray[0], moving.gray[0]), fixed.gray.shape[1:])
    there = aligned.alpha[0] > 0
    assert 0.85 < there.mean() < 1
    assert np.abs(aligned.rgb - fixed.rgb)[:, there].mean() < 0.25 * np.abs(moving.rgb - fixed.rgb).mean()
    assert aligned.rgb.dtype == np.float32


BAD = [
    pytest.param(np.zeros((200, 200)), "too few features", id="black"),
    pytest.param(np.random.default_rng(0).random((200, 200)), "features", id="noise"),
    pytest.param(np.kron(np.indices((10, 10)).sum(0) % 2, np.ones((20, 20))), "found", id="another-scene"),
]


@pytest.mark.parametrize(("other", "message"), BAD)
def test_what_has_no_homography_is_refused(pair, other, message):
    with pytest.raises(InputError, match=message):
        find_homography(pair[0].gray[0], other.astype(np.float32))


def test_a_mirrored_photograph_is_refused(pair):
    with pytest.raises(InputError, match="--register homography: expected one that aligns"):
        find_homography(pair[0].gray[0], pair[0].gray[0][:, ::-1].copy())
