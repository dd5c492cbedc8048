from __future__ import annotations

import numpy as np
import pydicom
import pytest
from nibabel.nicom.dicomwrappers import wrapper_from_file
from scripts.dicom.find import list_series

from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.reading import read, refusal


@pytest.mark.parametrize("against", [False, True], ids=["along-the-normal", "against-the-normal"])
def test_a_mosaic_becomes_the_volume_that_nibabel_makes_of_it(tmp_path, against):
    phantom = made.write_mosaic(tmp_path / "a", against)
    volume = read(tmp_path)
    flipped = volume.values[:, :, ::-1] if against else volume.values
    np.testing.assert_array_equal(flipped, phantom.stored)
    world = volume.affine @ [3, 4, 9 - 2 if against else 2, 1]
    np.testing.assert_allclose(world, phantom.affine @ [3, 4, 2, 1], atol=1e-6)
    theirs = wrapper_from_file(tmp_path / "a")
    assert theirs.image_shape == made.SHAPE[1::-1] + made.SHAPE[2:]
    np.testing.assert_array_equal(theirs.get_data().transpose(1, 0, 2), phantom.stored)
    np.testing.assert_allclose(np.diag([-1, -1, 1, 1]) @ theirs.affine @ [4, 3, 2, 1], world, atol=1e-4)
    assert len(volume.headers) == 1


def test_a_mosaic_by_its_private_count(tmp_path):
    phantom = made.write_mosaic(tmp_path / "a", with_csa=False)
    dataset = pydicom.dcmread(tmp_path / "a")
    dataset.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", made.SHAPE[2])
    dataset.save_as(tmp_path / "a")
    np.testing.assert_array_equal(read(tmp_path).values, phantom.stored)
    np.testing.assert_allclose(read(tmp_path).affine, phantom.affine, atol=1e-6)


@pytest.mark.parametrize("unknown", [False, True], ids=["explicit", "as-unknown"])
def test_a_mosaic_of_numaris_x(tmp_path, unknown):
    """It has no CSA header; count and direction of the slices are private elements of their own."""
    phantom = made.write_mosaic(tmp_path / "a", against=True, with_csa=False, xa=True, unknown=unknown)
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.values[:, :, ::-1], phantom.stored)
    np.testing.assert_allclose(volume.affine @ [3, 4, 7, 1], phantom.affine @ [3, 4, 2, 1], atol=1e-6)
    assert volume.notes[0].startswith("mosaic of Numaris X, its position read as that of older mosaics")


def test_a_grid_of_uih(tmp_path):
    phantom = made.write_grid(tmp_path / "a")
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.values, phantom.stored)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    assert list_series(tmp_path)[0].images == 1


def test_mosaics_of_several_time_points(tmp_path):
    for k in range(3):
        made.write_mosaic(
            tmp_path / str(k), SeriesInstanceUID="1.2.3", InstanceNumber=k + 1, AcquisitionTime=f"11000{k}"
        )
    assert "it holds 3. Choose with --volume-a or --volume-b: a number from 1 to 3, time=..., or mean." in refusal(
        tmp_path
    )
    volume = read(tmp_path, volume="time=2")
    assert volume.values.shape == made.SHAPE
    assert volume.notes == ("volume 2 of 3: time=2",)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda path: made.write_mosaic(path, with_csa=False), id="no count"),
        pytest.param(
            lambda path: made.write_mosaic(path, ImageType=["ORIGINAL", "PRIMARY", "VFRAME"], with_csa=False), id="uih"
        ),
    ],
)
def test_a_mosaic_that_does_not_say_how_many_slices(tmp_path, write):
    write(tmp_path / "a")
    assert "expected a mosaic that says how many slices it holds" in refusal(tmp_path)


def test_a_mosaic_without_spacing(tmp_path):
    made.write_mosaic(tmp_path / "a", SpacingBetweenSlices=None)
    assert "expected a mosaic with SpacingBetweenSlices" in refusal(tmp_path)
