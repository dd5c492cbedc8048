from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import SPACING, write_series
from tests.model.dicom.reading import edit, read, refusal

REFUSED = [
    pytest.param(lambda f: write_series(f, skip=[4]), r"mostly 3.00 mm.*6.00 mm from .*29.0\] to .*35.0\]", id="gap"),
    pytest.param(lambda f: write_series(f, skip=[4]), "Copy the missing slices", id="gap-advice"),
    pytest.param(lambda f: write_series(f, skip=[3, 4, 5, 6, 7]), "Copy the missing slices", id="wide-gap"),
    pytest.param(
        lambda f: write_series(f, per_slice=lambda k: {"ImagePositionPatient": [5 * (k == 3), 0, 3 * k]}),
        r"the one at \[5.0, 0.0, 9.0\] lies 5.00 mm beside the line of the others",
        id="one-beside",
    ),
    pytest.param(lambda f: write_series(f, (9, 9, 1), without=["SliceThickness"]), "one without", id="no-thickness"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_refused(tmp_path, make, message):
    make(tmp_path)
    text = refusal(tmp_path)
    assert re.search(message, text), text


@pytest.mark.parametrize(
    "axes",
    [
        pytest.param(made.AXIAL, id="axial"),
        pytest.param(made.SAGITTAL, id="sagittal"),
        pytest.param(made.OBLIQUE, id="oblique"),
        pytest.param(((-1, 0, 0), (0, 1, 0)), id="feet-first"),
    ],
)
@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_values_and_geometry(tmp_path, axes, modality):
    phantom = write_series(tmp_path, axes=axes, modality=modality)
    volume = read(tmp_path)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    np.testing.assert_array_equal(volume.values, phantom.stored - (1024.0 if modality == "CT" else 0.0))
    np.testing.assert_allclose(volume.spacing, SPACING)
    assert volume.unit == ("HU" if modality == "CT" else "arbitrary")
    assert [header.InstanceNumber for header in volume.headers] == list(range(1, 11))
    assert not any("PixelData" in header for header in volume.headers)
    assert volume.notes == ()


FOUR_THEN_SEVEN = np.cumsum([0, 4, 4, 4, 4, 7, 7, 7, 7, 7])
EIGHT_ABOVE = np.cumsum([0, 4, 4, 4, 4, 8, 8, 8, 8, 8])  # twice as thick, and none is missing
DRIFT = np.array([3 * k * (1 + k / 100) for k in range(10)])


@pytest.mark.parametrize(
    ("heights", "spacing", "gaps"),
    [
        pytest.param(FOUR_THEN_SEVEN, 51 / 13, "4.00 to 7.00", id="4 mm below and 7 mm above"),
        pytest.param(EIGHT_ABOVE, 4.0, "4.00 to 8.00", id="4 mm below and 8 mm above"),
        pytest.param(DRIFT, 29.43 / 10, "3.03 to 3.51", id="drift"),
    ],
)
@pytest.mark.parametrize("tilt", [0.0, 0.2], ids=["upright", "tilted"])
def test_uneven_slices_are_interpolated(tmp_path, heights, spacing, gaps, tilt):
    """The values are 10 times the world's z and the world's y, so that interpolation keeps them exactly."""
    shape = (24, 30, 10)
    _, y, k = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    z = heights[k]
    stored = np.round(100 + 10 * z + 10 * (1.5 * y + tilt * z)).astype(np.uint16)
    write_series(
        tmp_path, shape, "CT", stored, per_slice=lambda k: {"ImagePositionPatient": [0, tilt * heights[k], heights[k]]}
    )
    volume = read(tmp_path)
    assert f"uneven slices ({gaps} mm apart) interpolated to one each {spacing:.2f} mm" in volume.notes
    np.testing.assert_allclose(volume.spacing[2], spacing, atol=1e-6)
    assert len(volume.headers) == 1
    index = np.argwhere(np.ones(volume.values.shape, bool))
    world = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    inside = (-world[:, 1] > tilt * heights[-1] + 3) & (-world[:, 1] < 40)
    expected = 100 + 10 * world[:, 2] - 10 * world[:, 1] - 1024
    np.testing.assert_allclose(volume.values.reshape(-1)[inside], expected[inside], atol=1.1)
    assert inside.sum() > 500


def test_slices_written_against_the_normal_are_sorted_along_it(tmp_path):
    phantom = write_series(tmp_path, step=(0, 0, -3.0))
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.values, phantom.stored[:, :, ::-1])
    flip = np.diag([1.0, 1, -1, 1])
    flip[2, 3] = 9
    np.testing.assert_allclose(volume.affine, phantom.affine @ flip, atol=1e-9)


def test_itk_agrees(tmp_path):
    import itk

    write_series(tmp_path, axes=made.OBLIQUE, modality="CT")
    volume = read(tmp_path)
    names = itk.GDCMSeriesFileNames.New(Directory=str(tmp_path)).GetInputFileNames()
    image = itk.imread([str(name) for name in names], itk.F)
    affine = np.eye(4)
    affine[:3, :3] = itk.array_from_matrix(image.GetDirection()) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1
    np.testing.assert_allclose(volume.affine, affine, atol=1e-3)
    np.testing.assert_allclose(volume.values, itk.array_from_image(image).T, atol=1e-3)


@pytest.mark.parametrize("jitter", [pytest.param(0.0004, id="rounding"), pytest.param(0.03, id="one-percent-of-3mm")])
def test_tiny_jitter_is_accepted(tmp_path, jitter):
    def moved(k):
        return {"ImagePositionPatient": [-11, -14.5, 20 + 3 * k + jitter * (-1) ** k]}

    write_series(tmp_path, per_slice=moved)
    assert read(tmp_path).spacing[2] == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("degrees", [pytest.param(15, id="15-degrees"), pytest.param(-20, id="minus-20-degrees")])
def test_gantry_tilt_is_straightened(tmp_path, degrees):
    lateral = 3 * np.tan(np.radians(degrees))
    shape = (24, 30, 10)
    x, y, z = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    stored = (100 + 2 * x + 1.5 * y * 10 + lateral * z * 10).round().astype(np.uint16)  # 10 times the world's y
    phantom = write_series(tmp_path, shape, "CT", stored, step=(0, lateral, 3), PixelPaddingValue=9)
    volume = read(tmp_path)
    assert f"gantry tilt of {abs(degrees)}.0 degrees" in volume.notes[0]
    assert len(volume.headers) == 1
    assert volume.values.shape == (24, 30 + int(np.ceil(9 * abs(lateral) / 1.5)), 10)
    np.testing.assert_allclose(volume.spacing, SPACING)
    assert volume.values.min() == int(stored.min()) - 1024

    index = np.stack([x, y, z, np.ones_like(x)], -1)[3:-3, 3:-3].reshape(-1, 4)
    world = index @ phantom.affine.T
    nearest = (world @ np.linalg.inv(volume.affine).T)[:, :3]
    expected = stored[tuple(index[:, :3].T)] - 1024.0
    np.testing.assert_allclose(map_coordinates(volume.values, nearest.T, order=1), expected, atol=1.1)


def test_tilt_below_tolerance_keeps_the_exact_positions(tmp_path):
    phantom = write_series(tmp_path, step=(0, 0.02, 3))
    volume = read(tmp_path)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-9)
    assert volume.notes == ()


@pytest.mark.parametrize("keyword", ["SliceThickness", "SpacingBetweenSlices"])
def test_a_single_slice_needs_a_thickness(tmp_path, keyword):
    write_series(tmp_path, (24, 20, 1), **{keyword: 4})
    edit(tmp_path / "IM0000", **{keyword: 4})
    volume = read(tmp_path)
    assert volume.values.shape == (24, 20, 1)
    assert volume.spacing[2] == 4
    assert "single slice, 4 mm" in volume.notes[0]
    assert read(tmp_path / "IM0000").values.shape == (24, 20, 1)
