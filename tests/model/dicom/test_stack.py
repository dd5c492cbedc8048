from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import read, refusal


def two_axes(k):
    row, column = made.SAGITTAL if k % 2 else made.AXIAL
    return {"ImageOrientationPatient": [*row, *column]}


def add_localizer(folder, **keywords):
    phantom = write_series(folder)
    uid = phantom.series_uid
    write_series(folder, (24, 20, 1), axes=made.SAGITTAL, prefix="LOC", SeriesInstanceUID=uid, **keywords)


def add_second(folder):
    """The same positions again, with other pixels and the same tags."""
    phantom = write_series(folder)
    write_series(folder, stored=np.roll(phantom.stored, 1, 0), prefix="B", SeriesInstanceUID=phantom.series_uid)


def no_position(folder):
    write_series(folder, without=["ImagePositionPatient"])


def other_matrix(folder):
    phantom = write_series(folder, skip=[9])
    write_series(folder, (24, 22, 10), skip=range(9), SeriesInstanceUID=phantom.series_uid)


def color(folder):
    write_series(folder, PhotometricInterpretation="RGB")


REFUSED = [
    pytest.param(lambda f: write_series(f, per_slice=two_axes), r"got 5 \+ 5 of different", id="two-orientations"),
    pytest.param(add_second, "each of 10 positions, got 20 images; no tag tells them apart", id="same-tags"),
    pytest.param(lambda f: write_series(f, without=["PixelSpacing"]), "expected PixelSpacing", id="no-pixel-spacing"),
    pytest.param(
        lambda f: write_series(f, without=["PixelSpacing"], ImagerPixelSpacing=[1, 1]),
        "expected PixelSpacing",
        id="imager-pixel-spacing",
    ),
    pytest.param(no_position, "ImagePositionPatient", id="no-position"),
    pytest.param(lambda f: write_series(f, PixelSpacing=[0, 0]), "PixelSpacing above 0", id="zero-spacing"),
    pytest.param(
        lambda f: write_series(f, ImageOrientationPatient=[1, 0, 0, 0.5, 1, 0]), "perpendicular", id="skew-axes"
    ),
    pytest.param(other_matrix, "9 of 20x24 pixels of 1.5x1 mm, 1 of 22x24", id="two-sizes"),
    pytest.param(color, "gray images", id="color"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_refused(tmp_path, make, message):
    make(tmp_path)
    text = refusal(tmp_path)
    assert re.search(message, text), text


@pytest.mark.parametrize(
    "keywords",
    [
        pytest.param({}, id="other-orientation"),
        pytest.param({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, id="image-type"),
    ],
)
def test_localizer_in_the_series_is_left_out(tmp_path, keywords):
    add_localizer(tmp_path, **keywords)
    volume = read(tmp_path)
    assert volume.values.shape == made.SHAPE
    assert volume.notes == ("localizer images in the series left out: 1",)
    assert len(volume.headers) == 10


def test_exact_copies_are_left_out(tmp_path):
    phantom = write_series(tmp_path)
    shutil.copy(phantom.files[2], tmp_path / "copy")
    shutil.copy(phantom.files[7], tmp_path / "other copy")
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.values, phantom.stored)
    assert volume.notes == ("exact copies of slices left out: 2",)
