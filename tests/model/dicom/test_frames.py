from __future__ import annotations

import re

import numpy as np
import pydicom
import pytest
from scripts.dicom.find import list_series
from scripts.utils.enums import Modality

from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import SPACING, write_series
from tests.model.dicom.reading import read, refusal


def four_frames(folder):
    for file in write_series(folder, (4, 4, 1)).files:
        dataset = pydicom.dcmread(file)
        dataset.NumberOfFrames = 4
        made.save(file, dataset, np.zeros((4, 4, 4), np.uint16))


REFUSED = [
    pytest.param(four_frames, "a position for each of 4 frames", id="frames-without-positions"),
    pytest.param(lambda f: made.write_nuclear(f / "a", kind="TOMO"), "NM image of type TOMO", id="nm-projections"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_refused(tmp_path, make, message):
    make(tmp_path)
    text = refusal(tmp_path)
    assert re.search(message, text), text


def test_enhanced_mr_with_shuffled_frames(tmp_path):
    phantom = made.write_enhanced_mr(tmp_path / "a", order=[3, 9, 0, 1, 7, 2, 8, 5, 6, 4])
    volume = read(tmp_path / "a")
    np.testing.assert_array_equal(volume.values, 2.0 * phantom.stored - 5)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    assert len(volume.headers) == 1
    assert list_series(tmp_path)[0].spacing == SPACING[:2]


def test_enhanced_mr_of_several_time_points(tmp_path):
    phantom = made.write_enhanced_mr(tmp_path / "a", order=[*range(10), *range(1, 10), 0])
    dataset = pydicom.dcmread(phantom.files[0])
    frames = dataset.PerFrameFunctionalGroupsSequence
    for k, frame in enumerate(frames):
        frame.FrameContentSequence = made.item_of(TemporalPositionIndex=k // 10 + 1)
    frames[19].PlanePositionSequence, frames[10].PlanePositionSequence = (
        frames[10].PlanePositionSequence,
        frames[19].PlanePositionSequence,
    )
    dataset.save_as(phantom.files[0])
    assert "expected one volume, it holds 2" in refusal(tmp_path)
    assert read(tmp_path, volume="time=2").values.shape == made.SHAPE


def test_a_private_copy_of_the_classic_header_is_no_functional_group(tmp_path):
    """Philips writes one into each frame, half a voxel off and with a rescaling of its own."""
    phantom = made.write_enhanced_mr(tmp_path / "a")
    dataset = pydicom.dcmread(phantom.files[0])
    for frame in (*dataset.PerFrameFunctionalGroupsSequence, dataset.SharedFunctionalGroupsSequence[0]):
        classic = made.item_of(
            ImagePositionPatient=[1, 2, 3],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[9, 9],
            RescaleSlope=7,
            RescaleIntercept=1,
            SOPInstanceUID="1.2.3",
        )
        frame.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", classic)
    dataset.save_as(phantom.files[0])
    assert (0x2005, 0x100F) in dataset.PerFrameFunctionalGroupsSequence[0]
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.values, 2.0 * phantom.stored - 5)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)


@pytest.mark.parametrize(
    ("spacing", "notes"),
    [
        pytest.param(3.0, (), id="along-the-normal"),
        pytest.param(-3.0, (), id="against-the-normal"),
        pytest.param(None, ("slice spacing taken from SliceThickness",), id="from-thickness"),
    ],
)
def test_nuclear_medicine(tmp_path, spacing, notes):
    phantom = made.write_nuclear(tmp_path / "a", spacing)
    volume = read(tmp_path, modality="SPECT")
    np.testing.assert_array_equal(volume.values, phantom.stored)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-9)
    assert (volume.unit, volume.modality, volume.notes, len(volume.headers)) == ("counts", Modality.SPECT, notes, 1)
