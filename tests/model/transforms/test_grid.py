from __future__ import annotations

import numpy as np
import psutil
import pytest
import torch
from scipy import ndimage
from scripts.transforms import grid as grids
from scripts.transforms.grid import ChooseGrid, ChooseGridd, ResampleVolume, ResampleVolumed
from scripts.utils.checks import InputError

from tests.model.transforms.made_up import COARSE, oblique, smooth, volume


@pytest.mark.parametrize(
    ("grid", "shape", "spacing"),
    [
        pytest.param("reference", (60, 40, 10), (1, 2, 5), id="reference"),
        pytest.param("finest", (60, 80, 25), (1, 1, 2), id="finest"),
        pytest.param("2.5", (24, 32, 20), (2.5, 2.5, 2.5), id="millimeters"),
    ],
)
def test_grids_keep_the_field_of_view(grid, shape, spacing):
    other = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1.0]])  # 1 mm along x and y, 2 along z
    data = {
        "source_a": volume(np.zeros((60, 40, 10), np.float32), COARSE),
        "source_b": volume(np.zeros((9, 9, 9), np.float32), other),
    }
    made = ChooseGridd(grid=grid)(data)["grid"]
    alone = ChooseGrid(grid)(data["source_a"], data["source_b"])
    assert torch.equal(made.affine, alone.affine)
    assert made.shape == alone.shape
    affine = made.affine.numpy()
    assert tuple(made.shape[1:]) == shape
    assert np.allclose(np.linalg.norm(affine[:3, :3], axis=0), spacing)
    for corner in ((-0.5, -0.5, -0.5), (59.5, 39.5, 9.5)):
        here = (np.array(corner) + 0.5) / (60, 40, 10) * shape - 0.5
        assert np.allclose(affine @ np.r_[here, 1], COARSE @ np.r_[corner, 1])


def test_a_grid_beyond_memory_is_refused(monkeypatch):
    data = {key: volume(np.zeros((8, 8, 8), np.float32), COARSE) for key in ("source_a", "source_b")}
    monkeypatch.setattr(grids, "BASE_BYTES", 2.0 * psutil.virtual_memory().total)
    with pytest.raises(InputError, match=r"8x8x8 voxels needs about .* GB .* coarser --grid"):
        ChooseGridd()(data)


@pytest.mark.parametrize("grid", ["fine", "0", "-2", "nan"])
def test_bad_grids(grid):
    with pytest.raises(ValueError, match="not a valid value|Unsupported option|from 0.05 to 50 mm"):
        ChooseGridd(grid=grid)


@pytest.mark.parametrize("shape", [(40, 50, 37), (40, 50, 17), (40, 50, 1), (1, 50, 33)])
def test_resampling_against_scipy(shape):
    """The same points of the world, read by another library; outside the smallest value, not 0."""
    image = volume(smooth(low=-1000), oblique())
    target = np.diag([0.9, 0.8, 0.9, 1.0])  # not coarser, so nothing is smoothed
    center = (oblique() @ np.r_[(np.array(image.shape[1:]) - 1) / 2, 1])[:3]
    target[:3, 3] = center - target[:3, :3] @ ((np.array(shape) - 1) / 2)
    result = ResampleVolume()(image, volume(np.zeros(shape, np.float32), target))
    index = np.linalg.inv(oblique()) @ target
    expected = ndimage.affine_transform(
        image[0].numpy(), index[:3, :3], index[:3, 3], shape, order=1, mode="constant", cval=float(image.min())
    )
    inside = ndimage.affine_transform(np.ones(image.shape[1:]), index[:3, :3], index[:3, 3], shape, order=1) > 0.999
    assert inside.any()
    assert np.abs(result[0].numpy() - expected)[inside].max() < 0.005
    assert float(result.min()) >= float(image.min()) - 1e-3
    assert np.allclose(result.affine, target)


def test_outside_is_the_smallest_value():
    image = volume(smooth(low=-1000), np.eye(4))
    away = np.eye(4)
    away[:3, 3] = 100
    assert np.allclose(ResampleVolume()(image, volume(np.zeros((5, 5, 5), np.float32), away)), float(image.min()))


def test_coarser_grids_average():
    """A fine checker pattern turns gray instead of aliasing."""
    fine = np.indices((40, 40, 40)).sum(axis=0) % 2 * 100.0
    result = ResampleVolume()(
        volume(fine.astype(np.float32), np.eye(4)), volume(np.zeros((10, 10, 10), np.float32), np.diag([4.0, 4, 4, 1]))
    )
    assert np.abs(result[0, 2:-2, 2:-2, 2:-2].numpy() - 50).max() < 2


def test_one_grid_is_not_touched():
    image = volume(smooth(), oblique())
    assert torch.equal(ResampleVolume()(image, image).as_tensor(), image.as_tensor())


def test_resampling_inverts():
    image = volume(smooth(), oblique(), unit="HU")
    data = {"b": image, "grid": volume(np.zeros((60, 60, 60), np.float32), np.diag([0.7, 0.7, 0.8, 1]) + 0)}
    data["grid"].affine[:3, 3] -= 12
    resample = ResampleVolumed("b", "grid")
    there = resample(data)
    assert there["b"].meta["unit"] == "HU"
    back = resample.inverse(there)["b"]
    assert back.shape == image.shape
    assert np.allclose(back.affine, image.affine)
    inner = (slice(None), *(slice(8, -8),) * 3)
    assert (back[inner] - image[inner]).abs().mean() < 0.02 * (image[inner].max() - image[inner].min())


def test_missing_keys():
    data = {"a": volume(smooth(), oblique()), "grid": volume(np.zeros((5, 5, 5), np.float32), np.eye(4))}
    assert ResampleVolumed(("a", "b"), "grid", allow_missing_keys=True)(data)["a"].shape == (1, 5, 5, 5)
    assert ChooseGridd(("a", "b"), allow_missing_keys=True)(data)["grid"].shape == data["a"].shape
    with pytest.raises(KeyError, match="b"):
        ResampleVolumed(("a", "b"), "grid")(data)
    with pytest.raises(KeyError, match="b"):
        ChooseGridd(("a", "b"))(data)
