from __future__ import annotations

import re

import numpy as np
import pydicom
import pytest

from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import read, refusal


def truncated_pixels(folder):
    phantom = write_series(folder)
    file = phantom.files[4]
    file.write_bytes(file.read_bytes()[:-100])


def infinite(folder):
    write_series(folder, RescaleSlope="1e38", RescaleIntercept=0)


REFUSED = [
    pytest.param(truncated_pixels, "IM0786: .*truncated", id="truncated-pixels"),
    pytest.param(infinite, "expected finite values", id="infinite"),
    pytest.param(
        lambda f: write_series(f, stored=np.full(made.SHAPE, 9, np.uint16), PixelPaddingValue=9),
        "every pixel has the PixelPaddingValue",
        id="only-padding",
    ),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_refused(tmp_path, make, message):
    make(tmp_path)
    text = refusal(tmp_path)
    assert re.search(message, text), text


def test_run_length_encoding(tmp_path):
    phantom = write_series(tmp_path, syntax=pydicom.uid.RLELossless)
    np.testing.assert_array_equal(read(tmp_path).values, phantom.stored)


@pytest.mark.parametrize(
    "syntax",
    [
        pytest.param(pydicom.uid.MPEG2MPML, id="no-decoder-exists"),
        pytest.param(pydicom.uid.DeflatedExplicitVRLittleEndian, id="deflated"),
        pytest.param(pydicom.uid.JPEG2000Lossless, id="not-installed"),
    ],
)
def test_compressed_without_a_decoder(tmp_path, monkeypatch, syntax):
    file = write_series(tmp_path, (8, 8, 1)).files[0]
    dataset = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax.is_encapsulated:
        dataset.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
    dataset.save_as(file)
    decoder = pydicom.pixels.get_decoder(pydicom.uid.JPEG2000Lossless)
    monkeypatch.setattr(type(decoder), "is_available", property(lambda self: False))
    text = refusal(tmp_path)
    assert f"{syntax.name} ({syntax})" in text
    assert "pip install mmif-amin[decoders]" in text


def test_signed_pixels_and_padding_become_air(tmp_path):
    stored = made.head().astype(np.int16) - 500
    stored[:2] = -2000
    write_series(tmp_path, modality="CT", stored=stored, PixelPaddingValue=-2000)
    values = read(tmp_path).values
    np.testing.assert_array_equal(values[2:], stored[2:] - 1024)
    assert (values[:2] == stored[2:].min() - 1024).all()


def test_padding_range(tmp_path):
    phantom = write_series(tmp_path, PixelPaddingValue=0, PixelPaddingRangeLimit=20)
    values = read(tmp_path).values
    assert values.min() == phantom.stored[phantom.stored > 20].min()


@pytest.mark.parametrize(
    ("modality", "inverted"),
    [pytest.param("MR", True, id="mr"), pytest.param("PT", False, id="pet"), pytest.param("CT", False, id="ct")],
)
def test_monochrome1(tmp_path, modality, inverted):
    phantom = write_series(
        tmp_path, modality=modality, PhotometricInterpretation="MONOCHROME1", Units="CNTS", per_slice=no_slope
    )
    volume = read(tmp_path)
    expected = 1000.0 - phantom.stored if inverted else phantom.stored
    assert phantom.stored.max() <= 1000
    offset = volume.values - expected
    assert np.ptp(offset) == 0
    assert any(note.startswith("MONOCHROME1") for note in volume.notes)


def no_slope(k):
    return {"RescaleSlope": 1, "RescaleIntercept": 0}


def test_modality_lut(tmp_path):
    table = made.item_of(LUTDescriptor=[1001, 0, 16], ModalityLUTType="US", LUTData=[3 * v for v in range(1001)])
    table[0]["LUTData"].VR = "US"
    phantom = write_series(tmp_path, ModalityLUTSequence=table)
    np.testing.assert_array_equal(read(tmp_path).values, 3.0 * phantom.stored)
