"""Every door through which an image file comes in asks for its size before it gives memory to what it holds."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import scripts.dicom.header
from pydicom.uid import DeflatedExplicitVRLittleEndian
from scripts.transforms.registration.transform_file import read_transform
from scripts.utils.checks import InputError

from mmif_amin.archive.intake import CANNOT_UNDERSTAND
from mmif_amin.carry.writer import read_drawn
from mmif_amin.color_values import write_values
from mmif_amin.reports.study_volumes import read_volume
from tests.conftest import ROOT
from tests.mmif_amin.archive.conftest import place  # noqa: F401
from tests.model.dicom.dicom_phantoms import write_series

MEGABYTE = 2**20
OWN = {  # who calls the libraries' own readers, which know no limit
    "dcmread": {"bundle/scripts/dicom/header.py"},
    "nibabel.load": {"mmif_amin/dicom_objects/writer.py", "mmif_amin/reports/preview.py"},  # what was just written
}


def deflated_bomb(folder: Path, sop_class: str = "") -> Path:
    """A deflated DICOM file of 10 kB that holds 2 MB of zeros in a private element, which is 1 MB too many here."""
    (file,) = write_series(folder / "MR", (8, 8, 1)).files
    dataset = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    if sop_class:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.add_new(0x00091010, "OB", bytes(2 * MEGABYTE))
    dataset.save_as(file)
    return file


@pytest.fixture
def little(monkeypatch):
    """A limit that a small bomb is beyond."""
    monkeypatch.setattr(scripts.dicom.header, "MOST_INFLATED", MEGABYTE)


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(read_drawn, id="structures"),
        pytest.param(lambda file: read_transform(file, ("1.2", "1.3")), id="registration"),
    ],
)
def test_a_deflated_file_does_not_grow_without_end(tmp_path, little, read):
    with pytest.raises(InputError, match=f"expected at most {MEGABYTE} bytes, a deflated file that grows to more"):
        read(deflated_bomb(tmp_path))


def test_the_node_takes_no_deflated_file_that_grows_without_end(tmp_path, little, place):  # noqa: F811
    here = place()
    file = deflated_bomb(tmp_path)
    arrived = here.intake.incoming / "arrived"
    arrived.write_bytes(file.read_bytes())
    assert here.intake.take(arrived, str(pydicom.dcmread(file).SOPInstanceUID)).status == CANNOT_UNDERSTAND
    assert not here.queue.studies()


def nifti_bomb(file: Path, shape: tuple[int, ...], dtype: np.dtype) -> Path:
    """A compressed NIfTI whose header promises this; of its voxels, all zero, it holds what such a file can."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    pack = zlib.compressobj(9, wbits=31)
    parts = [pack.compress(header.binaryblock + struct.pack("<I", 0))]
    parts += [pack.compress(bytes(MEGABYTE)) for _ in range(16)]
    file.write_bytes(b"".join(parts) + pack.flush() + bytes(MEGABYTE))
    return file


RGB = np.dtype([(channel, "u1") for channel in "RGB"])


@pytest.mark.parametrize("door", ["view", "values"])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        pytest.param((1024, 1024, 1024), "expected a volume of 1 to 536870912 voxels", id="too many voxels"),
        pytest.param(
            (512, 512, 1500), "its header promises 1179648352 bytes, there are at most", id="more than it has"
        ),
        pytest.param((64, 64, 4, 1000), "expected a 3-D volume", id="four dimensions"),
    ],
)
def test_a_volume_claims_no_more_than_is_taken(tmp_path, door, shape, message):
    file = nifti_bomb(tmp_path / "fused_color.nii.gz", shape, RGB)
    with pytest.raises(InputError, match=message):
        read_volume(file) if door == "view" else write_values(file, tmp_path / "values.nii.gz")
    assert not (tmp_path / "values.nii.gz").exists()


@pytest.mark.parametrize("call", OWN)
def test_no_other_code_calls_a_reader_without_limits(call):
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("mmif_amin", "bundle/scripts")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(rf"\b{re.escape(call)}\(", re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.S))
    }
    assert found == OWN[call]
