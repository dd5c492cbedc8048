from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scripts.transforms.registration.settings import SearchSettings
from scripts.transforms.registration.volumes import prepare
from scripts.utils.checks import InputError

from tests.model.transforms.registration.phantom import AFFINE, SHAPE, head, volume

SETTINGS = SearchSettings()


def test_fine_voxels_are_averaged_and_stay_in_place():
    fine = np.diag([0.5, 1.0, 3.0, 1.0])
    fine[:3, 3] = [10, -20, 30]
    values = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(40, 30, 20)), 4).astype(np.float32)
    done = prepare(volume(values, fine), "fixed", 2.0, SETTINGS)
    assert done.values.shape == (10, 15, 20)
    assert np.allclose(np.linalg.norm(done.affine[:3, :3], axis=0), (2, 2, 3))
    assert np.allclose(done.affine @ [0, 0, 0, 1], fine @ [1.5, 0.5, 0, 1])  # the center of the first block
    assert np.allclose(done.affine @ [9, 14, 19, 1], fine @ [37.5, 28.5, 19, 1])


def test_values_are_a_part_of_their_range():
    done = prepare(volume(head("mr")), "fixed", 2.0, SETTINGS)
    assert (done.values.min(), done.values.max(), done.values.dtype) == (0.0, 1.0, np.float32)


@pytest.mark.parametrize("unit", ["HU", None], ids=["the file says HU", "the values say HU"])
def test_the_table_is_removed(unit):
    """A ball of tissue that lies on a plate of 4 mm; voxels of 2 mm."""
    x, y, z = np.mgrid[:50, :50, :50]
    ball = (x - 25) ** 2 + (y - 25) ** 2 + (z - 25) ** 2 < 18**2
    values = np.where(ball, 40.0, -1000.0).astype(np.float32)
    bare = volume(values, np.diag([2.0, 2, 2, 1]))
    values[:, 5:7] = 300
    on_table = volume(values, np.diag([2.0, 2, 2, 1]))
    if unit:
        bare.meta["unit"] = on_table.meta["unit"] = unit
    expected, done = (prepare(image, "moving", 2.0, SETTINGS) for image in (bare, on_table))
    assert np.array_equal(done.foreground, expected.foreground)
    assert (done.values[~done.mask] == 0).all()
    assert not done.mask[:5, 5:7].any()


@pytest.mark.parametrize(
    ("unit", "air", "radius", "both"),
    [
        pytest.param("HU", -1000.0, 6, True, id="a second leg in a CT"),
        pytest.param("", 0.0, 6, True, id="a second leg in an MR"),
        pytest.param("HU", -1000.0, 3, False, id="something small beside a CT"),
        pytest.param("", 0.0, 3, False, id="something small beside an MR"),
    ],
)
def test_parts_of_a_body(unit, air, radius, both):
    """Two legs that do not touch are one body, whichever shows more; what is small is none of it."""
    x, y = np.ogrid[:44, :24]
    values = np.full((44, 24, 20), air, np.float32)
    values[np.hypot(x - 12, y - 12) < 7] = 60
    values[np.hypot(x - 32, y - 12) < radius] = 60
    image = volume(values, np.diag([4.0, 4.0, 4.0, 1.0]))
    image.meta["unit"] = unit
    assert prepare(image, "fixed", 4.0, SETTINGS).foreground[32, 12, 10] == both


def test_the_mask_has_a_margin():
    done = prepare(volume(head("mr")), "fixed", 2.0, SETTINGS)
    wide = prepare(volume(head("mr")), "fixed", 2.0, SearchSettings(margin=9))
    assert np.array_equal(done.mask, ndimage.maximum_filter(done.foreground, 3))  # 5 mm are one voxel of 4 mm
    assert np.array_equal(wide.mask, ndimage.maximum_filter(done.foreground, 5))


def test_centers():
    done = prepare(volume(head("mr")), "fixed", 2.0, SETTINGS)
    middle = (AFFINE @ np.r_[(np.array(SHAPE) - 1) / 2, 1])[:3]
    assert np.allclose(done.center(of_mass=False), middle)
    assert np.abs(done.center(of_mass=True) - middle).max() < 1.0  # the made-up head is symmetric


def test_points_are_read_back():
    done = prepare(volume(head("mr")), "fixed", 2.0, SETTINGS)
    points, values = done.points(done.mask, 500, seed=1)
    assert points.shape == (500, 4)
    assert np.allclose(done.at(points), values, atol=1e-6)
    assert np.array_equal(points, done.points(done.mask, 500, seed=1)[0])
    assert (done.at(points + [1000, 0, 0, 0]) == 0).all()
    inside, _ = done.points(done.foreground, 500, seed=1)
    assert (done.at(inside, foreground=True) == 1).all()


@pytest.mark.parametrize(
    ("moving", "kind", "message"),
    [
        pytest.param(np.full(SHAPE, -1000.0, np.float32), InputError, "the moving image is constant", id="air"),
        pytest.param(np.full(SHAPE, 7.0, np.float32), InputError, "the moving image is constant", id="constant"),
        pytest.param(head("ct").clip(-1000, -400), InputError, "the moving image shows only air", id="no tissue"),
        pytest.param(head("ct")[:, :, :2], InputError, r"at least 4 voxels.*\(48, 56, 2\)", id="two slices"),
        pytest.param(head("ct")[None], ValueError, r"`moving` must have shape \(1, X, Y, Z\)", id="five axes"),
    ],
)
def test_refused(moving, kind, message):
    with pytest.raises(kind, match=message):
        prepare(volume(moving), "moving", 2.0, SETTINGS)
