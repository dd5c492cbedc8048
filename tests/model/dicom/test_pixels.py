from __future__ import annotations

import io
import re
import sys

import numpy as np
import pydicom
import pytest
from PIL import Image

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


LOSSLESS = (
    pydicom.uid.JPEGLosslessSV1,
    pydicom.uid.JPEGLossless,
    pydicom.uid.JPEGLSLossless,
    pydicom.uid.JPEG2000Lossless,
    pydicom.uid.RLELossless,
    pydicom.uid.DeflatedExplicitVRLittleEndian,
)


def transcode(file, syntax):
    """Write a file again with other pixels: GDCM compresses what pydicom does not."""
    if syntax == pydicom.uid.DeflatedExplicitVRLittleEndian:
        dataset = pydicom.dcmread(file)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(file)
        return
    import gdcm

    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(file))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(file))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.mark.parametrize("syntax", [pytest.param(syntax, id=syntax.keyword) for syntax in LOSSLESS])
@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_lossless_compression(tmp_path, syntax, modality):
    phantom = write_series(tmp_path, modality=modality)
    for file in phantom.files:
        transcode(file, syntax)
        assert pydicom.filereader.read_file_meta_info(file).TransferSyntaxUID == syntax
    np.testing.assert_array_equal(read(tmp_path).values, phantom.stored - (1024.0 if modality == "CT" else 0.0))


@pytest.mark.parametrize(
    "syntax",
    [
        pytest.param(pydicom.uid.JPEGBaseline8Bit, id="JPEGBaseline8Bit"),
        pytest.param(pydicom.uid.JPEGExtended12Bit, id="JPEGExtended12Bit-of-8-bits"),
        pytest.param(pydicom.uid.JPEGLSNearLossless, id="JPEGLSNearLossless"),
        pytest.param(pydicom.uid.JPEG2000, id="JPEG2000"),
    ],
)
def test_lossy_compression_of_8_bits(tmp_path, syntax):
    stored = (made.head((32, 24, 3)) // 4).astype(np.uint8)
    phantom = write_series(tmp_path, (32, 24, 3), stored=stored, BitsAllocated=8, BitsStored=8, HighBit=7)
    for file in phantom.files:
        dataset = pydicom.dcmread(file)
        if syntax == pydicom.uid.JPEGLSNearLossless:
            dataset.compress(syntax, jls_error=2, generate_instance_uid=False)
        else:
            options = {
                "jpeg": {"quality": 95},
                "jpeg2000": {"quality_mode": "dB", "quality_layers": [40], "no_jp2": True},
            }
            kind = "jpeg2000" if syntax == pydicom.uid.JPEG2000 else "jpeg"
            buffer = io.BytesIO()
            Image.fromarray(dataset.pixel_array).save(buffer, kind, **options[kind])
            dataset.PixelData = pydicom.encaps.encapsulate([buffer.getvalue()])
            dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(file)
    off = np.abs(read(tmp_path).values - stored)
    assert 0 < off.max() < 40
    assert off.mean() < 2


def with_syntax(folder, syntax, **keywords):
    file = write_series(folder, (8, 8, 1), SliceThickness=3, **keywords).files[0]
    dataset = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax.is_encapsulated:
        dataset.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
    dataset.save_as(file)


@pytest.mark.parametrize(
    ("syntax", "keywords", "message"),
    [
        pytest.param(pydicom.uid.MPEG2MPML, {}, r"got transfer syntax MPEG2 .* without a decoder. Export", id="film"),
        pytest.param(
            pydicom.uid.JPEGExtended12Bit,
            {"BitsStored": 12, "HighBit": 11},
            r"got 12-bit JPEG Extended .* without a decoder. Install one under the GPL: pip install pylibjpeg-libjpeg",
            id="12-bit JPEG",
        ),
        pytest.param(
            pydicom.uid.RLELossless,
            {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0},
            r"expected pixels of 8, 16 or 32 bits, got 1 \(BitsAllocated\)",
            id="1-bit RLE",
        ),
        pytest.param(
            pydicom.uid.JPEG2000Lossless,
            {},
            "they failed: the file is damaged, or holds a kind of JPEG 2000 .* that they do not know",
            id="what no decoder makes sense of",
        ),
    ],
)
def test_compressed_and_not_readable(tmp_path, monkeypatch, syntax, keywords, message):
    monkeypatch.setitem(sys.modules, "libjpeg", None)
    with_syntax(tmp_path, syntax, **keywords)
    text = refusal(tmp_path)
    assert re.search(message, text), text
    assert "truncated" not in text


def test_uncompressed_pixels_that_end_too_early_are_known_by_the_headers(tmp_path):
    truncated_pixels(tmp_path)
    text = refusal(tmp_path)
    assert "IM0786: expected 960 bytes of pixels, got 86" in text


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


def test_a_truncated_copy_of_an_image_is_passed_over(tmp_path):
    phantom = write_series(tmp_path)
    whole = phantom.files[3].read_bytes()
    for name in ("AAA", "ZZZ"):  # read before and after the whole one
        (tmp_path / name).write_bytes(whole[:-100])
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.values, phantom.stored)
    assert volume.notes == ("truncated copies of images passed over: 2",)
    phantom.files[3].unlink()
    assert "truncated" in refusal(tmp_path)
