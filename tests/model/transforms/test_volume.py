from __future__ import annotations

import numpy as np
import psutil
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage
from scipy.spatial.transform import Rotation
from scripts.transforms import volume as transforms
from scripts.transforms.volume import (
    ColormapFusedd,
    FusionGridd,
    LoadStudyd,
    NormalizeStudyd,
    ResampleVolume,
    ResampleVolumed,
    study_batch,
)
from scripts.utils.checks import InputError
from scripts.utils.color import luminance

from tests.conftest import BUNDLE

COARSE = np.array([[-1.0, 0, 0, 30], [0, 2, 0, -20], [0, 0, 5, 0], [0, 0, 0, 1]])


def smooth(shape=(30, 26, 22), low=0.0) -> np.ndarray:
    values = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=shape), 3)
    return (low + 1000 * (values - values.min())).astype(np.float32)


def volume(values: np.ndarray, affine: np.ndarray, **meta) -> MetaTensor:
    return MetaTensor(torch.from_numpy(values[None].copy()), affine=torch.from_numpy(affine.copy()), meta=meta)


def oblique() -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [12, -20, 30], degrees=True).as_matrix() * [0.9, 1.1, 1.4]
    affine[:3, 3] = [3, -4, 5]
    return affine


@pytest.mark.parametrize(
    ("grid", "shape", "spacing"),
    [
        pytest.param("reference", (60, 40, 10), (1, 2, 5), id="reference"),
        pytest.param("finest", (60, 80, 25), (1, 1, 2), id="finest"),
        pytest.param("2.5", (24, 32, 20), (2.5, 2.5, 2.5), id="millimetres"),
    ],
)
def test_grids_keep_the_field_of_view(grid, shape, spacing):
    other = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1.0]])  # 1 mm along x and y, 2 along z
    data = {
        "source_a": volume(np.zeros((60, 40, 10), np.float32), COARSE),
        "source_b": volume(np.zeros((9, 9, 9), np.float32), other),
    }
    made = FusionGridd(grid=grid)(data)["grid"]
    affine = made.affine.numpy()
    assert tuple(made.shape[1:]) == shape
    assert np.allclose(np.linalg.norm(affine[:3, :3], axis=0), spacing)
    for corner in ((-0.5, -0.5, -0.5), (59.5, 39.5, 9.5)):
        here = (np.array(corner) + 0.5) / (60, 40, 10) * shape - 0.5
        assert np.allclose(affine @ np.r_[here, 1], COARSE @ np.r_[corner, 1])


def test_a_grid_beyond_memory_is_refused(monkeypatch):
    data = {key: volume(np.zeros((8, 8, 8), np.float32), COARSE) for key in ("source_a", "source_b")}
    monkeypatch.setattr(transforms, "BASE_BYTES", 2.0 * psutil.virtual_memory().total)
    with pytest.raises(InputError, match=r"8x8x8 voxels needs about .* GB .* coarser --grid"):
        FusionGridd()(data)


@pytest.mark.parametrize("grid", ["fine", "0", "-2", "nan"])
def test_bad_grids(grid):
    with pytest.raises(ValueError, match="not a valid value|Unsupported option|from 0.05 to 50 mm"):
        FusionGridd(grid=grid)


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


def test_normalization_by_modality():
    ct = np.linspace(-1000, 1000, 20**3, dtype=np.float32).reshape(20, 20, 20)
    pet = np.linspace(0, 10, 20**3, dtype=np.float32).reshape(20, 20, 20)
    data = {
        "source_a": volume(ct, np.eye(4), modality="CT"),
        "source_b": volume(pet, np.eye(4), modality="PET"),
    }
    done = NormalizeStudyd(ct_window="brain", functional_max=5)(data)
    assert done["image"].shape == (2, 20, 20, 20)
    assert np.allclose(done["image"][0], (ct / 80).clip(0, 1), atol=1e-6)
    assert np.allclose(done["image"][1], (pet / 5).clip(0, 1), atol=1e-6)
    assert (done["source_a_window"], done["source_b_window"]) == ((0, 80), (0, 5))
    assert torch.equal(done["source_a"], data["source_a"])
    assert study_batch([done])["image"].shape == (1, 2, 20, 20, 20)


def test_nothing_in_common_is_refused():
    data = {
        "source_a": volume(smooth(), np.eye(4), modality="MRI"),
        "source_b": volume(np.zeros((30, 26, 22), np.float32), np.eye(4), modality="PET"),
    }
    with pytest.raises(InputError, match="Source B: expected structure, there is hardly any"):
        NormalizeStudyd()(data)


@pytest.mark.parametrize("colormap", ["hot", "inferno", "pet-rainbow"])
def test_colors_have_the_fused_luminance(colormap):
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((1, 2, 12, 10, 8)).astype(np.float32))
    image[..., 0] = 0
    fused = image.amax(1, keepdim=True)
    done = ColormapFusedd("pred", colormap=colormap)({"task": "PET-MRI", "image": image, "pred": fused})
    color = done["pred_color"]
    assert color.shape == (3, 12, 10, 8)
    assert color.dtype == torch.uint8
    gray = luminance(color.numpy() / 255)
    assert np.abs(gray - fused[0].numpy()).max() < 1.5 / 255
    assert (color[..., 0] == 0).all()


def test_no_colors_for_ct():
    data = {"task": "CT-MRI", "image": torch.rand(1, 2, 4, 4, 4), "pred": torch.rand(1, 1, 4, 4, 4)}
    assert "pred_color" not in ColormapFusedd("pred")(data)


def test_loading_the_sample():
    sample = BUNDLE / "sample_data"
    study = {"source_a": str(sample / "t1.nii.gz"), "source_b": str(sample / "ct.nii.gz"), "task": None}
    done = LoadStudyd()(study)
    assert done["task"] == "CT-MRI"
    assert (done["source_b"].meta["modality"], done["source_b"].meta["unit"]) == ("CT", "HU")
    assert done["source_a"].shape == (1, 91, 109, 91)
    assert done["source_b_file"].unit == "HU"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: NormalizeStudyd(ct_window="lung"), "'lung' is not a valid", id="window"),
        pytest.param(lambda: NormalizeStudyd(functional_max=-1), "`functional_max` must be positive", id="maximum"),
        pytest.param(lambda: ColormapFusedd("pred", colormap="jet"), "'jet' is not a valid", id="colormap"),
    ],
)
def test_bad_options(call, message):
    with pytest.raises(ValueError, match=message):
        call()
