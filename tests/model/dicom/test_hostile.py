"""Headers that claim far more than their files hold: refused before anything is made for what they claim."""

from __future__ import annotations

import struct
import time
import zlib

import numpy as np
import psutil
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from scripts.dicom import frames
from scripts.dicom.find import list_series
from scripts.dicom.privacy import patient_words
from scripts.dicom.read import read_dicom_volume
from scripts.utils.checks import InputError

from tests.model.dicom.dicom_phantoms import base_header, save, write_enhanced_mr, write_series
from tests.model.dicom.reading import edit, read, refusal

MEGABYTE = 2**20


@pytest.fixture
def bomb(tmp_path):
    """A deflated file of 1.3 MB that is 300 MB of zeros in a private element."""
    (file,) = write_series(tmp_path / "MR", (8, 8, 1)).files
    deflated = pydicom.dcmread(file)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    deflated.save_as(file)
    assert read(file).values.shape == (8, 8, 1)
    with file.open("rb") as opened:
        pydicom.filereader.read_preamble(opened, force=True)
        pydicom.filereader.read_dataset(opened, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
        meta = file.read_bytes()[: opened.tell()]
    pack = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    zeros = bytes(MEGABYTE)
    parts = [pack.compress(b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", 300 * MEGABYTE))]
    parts += [pack.compress(zeros) for _ in range(300)]
    file.write_bytes(meta + b"".join(parts) + pack.flush())
    return file


def test_a_deflated_file_does_not_grow_without_end(bomb):
    before, began = psutil.Process().memory_info().rss, time.process_time()
    for look in (list_series, read_dicom_volume):
        with pytest.raises(InputError, match="expected at most 268435456 bytes, a deflated file that grows to more"):
            look(bomb)
    assert not patient_words(bomb)
    assert psutil.Process().memory_info().rss - before < 100 * MEGABYTE
    assert time.process_time() - began < 10


def nuclear(folder, count, **keywords):
    """NM whose frames are single pixels, so that a small file holds very many of them."""
    header = base_header("NM", PixelSpacing=[1, 1], ImagePositionPatient=[0, 0, 0], NumberOfFrames=count, **keywords)
    header.ImageOrientationPatient, header.SpacingBetweenSlices = [1, 0, 0, 0, 1, 0], 2
    header.ImageType = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit = 7
    save(folder / "nm", header, np.zeros((min(count, 10**6), 1, 1), np.uint8))


def changed(**keywords):
    """A series whose headers are changed after it was written."""

    def make(folder):
        for file in write_series(folder, (8, 8, 3), syntax=RLELossless).files:
            edit(file, **keywords)

    return make


def tilted(millimeters):
    """A series whose slices lie so far beside each other."""

    def make(folder):
        write_series(folder, (64, 64, 3), step=(millimeters, 0, 2))

    return make


FRAME = {  # marker of the frame's size, and how the two sides are written behind it
    JPEG2000Lossless: (b"\xff\x51", lambda n: {6: struct.pack(">II", n, n), 22: struct.pack(">II", n, n)}),
    JPEGLSLossless: (b"\xff\xf7", lambda n: {5: struct.pack(">HH", n, n)}),
}


def frame_that_says(side, syntax):
    """A compressed series whose frames say another size than their headers; one decoder ended the process."""

    def make(folder):
        (file,) = write_series(folder, (40, 36, 1), syntax=syntax).files
        assert read(file).values.shape == (40, 36, 1)
        data = bytearray(file.read_bytes())
        marker, pack = FRAME[syntax]
        start = data.find(marker)
        for at, value in pack(side).items():
            data[start + at : start + at + len(value)] = value
        file.write_bytes(data)

    return make


CASES = [
    pytest.param(lambda folder: nuclear(folder, 10**6), "1 to 16384 frames, its header says 1000000", id="frames"),
    pytest.param(lambda folder: nuclear(folder, 10**8), "1 to 16384 frames", id="frames that are not there"),
    pytest.param(changed(Rows=65535, Columns=65535), "its header says 65535 x 65535", id="all bits of rows"),
    pytest.param(changed(Rows=0), "its header says 8 x 0", id="no rows"),
    pytest.param(changed(PixelSpacing=[1e-9, 1e-9]), "voxels of 0.001 to 10000 mm, got 1e-09", id="pixels of an atom"),
    pytest.param(tilted(1e7), "voxels of 0.001 to 10000 mm, got", id="slices of 10 km"),
    pytest.param(frame_that_says(60000, JPEG2000Lossless), "frame 1 has 60000 x 60000 pixels", id="huge jpeg 2000"),
    pytest.param(frame_that_says(60000, JPEGLSLossless), "frame 1 has 60000 x 60000 pixels", id="huge jpeg-ls"),
    pytest.param(tilted(9e3), "times as many voxels", id="tilted like a stair"),
]


@pytest.mark.parametrize(("make", "message"), CASES)
def test_refused_soon_and_in_little_memory(tmp_path, make, message):
    make(tmp_path)
    before, began = psutil.Process().memory_info().rss, time.process_time()
    assert message in refusal(tmp_path)
    assert psutil.Process().memory_info().rss - before < 200 * MEGABYTE
    assert time.process_time() - began < 10


def test_the_groups_of_frames_are_counted_before_each_gets_a_header(tmp_path, monkeypatch):
    write_enhanced_mr(tmp_path / "enhanced")
    monkeypatch.setattr(frames, "MOST_FRAMES", 9)
    assert "expected at most 9 frames in a file" in refusal(tmp_path)
