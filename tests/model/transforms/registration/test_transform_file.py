from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from scripts.transforms.registration.itk_files import itk_transform_text
from scripts.transforms.registration.transform_file import read_transform
from scripts.utils.checks import InputError

from tests.model.transforms.registration.test_itk_files import FLIP, rigid

FRAMES = ("1.2.3", "1.2.4")


def spatial_registration(path, items: dict, frame: str = "1.2.3", sop_class: str = "1.2.840.10008.5.1.4.1.1.66.1"):
    """A made-up object: frame of reference to its matrix (4, 4), LPS."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = sop_class, "1.2.5"
    data.FrameOfReferenceUID, data.RegistrationSequence = frame, []
    for uid, matrix in items.items():
        item, step, one = Dataset(), Dataset(), Dataset()
        one.FrameOfReferenceTransformationMatrix = [round(float(x), 8) for x in np.ravel(matrix)]
        one.FrameOfReferenceTransformationMatrixType = "RIGID"
        step.MatrixSequence, item.FrameOfReferenceUID = [one], uid
        item.MatrixRegistrationSequence = [step]
        data.RegistrationSequence.append(item)
    data.save_as(path, enforce_file_format=True)
    return path


def lps(matrix: np.ndarray) -> np.ndarray:
    flip = np.diag([*FLIP, 1])
    return flip @ matrix @ flip


def test_an_itk_file(tmp_path):
    (tmp_path / "t.tfm").write_text(itk_transform_text(rigid()))
    assert np.allclose(read_transform(tmp_path / "t.tfm", (None, None)), rigid(), atol=1e-9)


@pytest.mark.parametrize("common", [pytest.param("1.2.3", id="A's frame"), pytest.param("1.2.9", id="a third frame")])
def test_a_dicom_registration(tmp_path, common):
    """Each item maps its frame to the common one: B's point comes to A's."""
    to_common = np.eye(4) if common == "1.2.3" else rigid() @ rigid()
    items = {"1.2.3": lps(to_common), "1.2.4": lps(to_common @ np.linalg.inv(rigid()))}
    path = spatial_registration(tmp_path / "reg.dcm", items, common)
    assert np.allclose(read_transform(path, FRAMES), rigid(), atol=1e-5)


def scaled(*sizes: float) -> str:
    return itk_transform_text(np.diag([*sizes, 1.0]))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        pytest.param("t.tfm", "hello", "ITK cannot read it: Tags must be delimited", id="no transform"),
        pytest.param("t.h5", "hello", "ITK cannot read it: H5Fopen failed", id="no HDF5"),
        pytest.param("t.mat", "hello", "expected one rigid or affine transform", id="no MATLAB"),
        pytest.param("t.mat", "1 0 0 5 \n0 1 0 0\n0 0 1 0\n0 0 0 1\n", "bare matrix as text, such as FSL's", id="FSL"),
        pytest.param("t.tfm", "", "expected one rigid or affine transform", id="empty"),
        pytest.param("t.xfm", scaled(1, 1, 1), "expected a transform file ending in .tfm", id="suffix"),
        pytest.param("t.tfm", scaled(1, 1, -1), "it mirrors it", id="mirror"),
        pytest.param("t.tfm", scaled(1, 1, 0), "it flattens it", id="flat"),
        pytest.param("t.tfm", scaled(1, 1, float("nan")), "expected", id="not a number"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_transform(tmp_path / name, (None, None))
    assert "\n" not in str(error.value)


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="expected a transform file, found nothing there"):
        read_transform(tmp_path / "none.tfm", (None, None))
    with pytest.raises(InputError, match="found a folder there"):
        read_transform(tmp_path, (None, None))


@pytest.mark.parametrize(
    ("frames", "items", "sop_class", "message"),
    [
        pytest.param((None, None), {}, None, "which NIfTI does not have", id="NIfTI"),
        pytest.param(("1.2.3", "1.2.3"), {}, None, "both volumes lie in one frame", id="one frame"),
        pytest.param(("1.2.3", "1.2.8"), {"1.2.4": np.eye(4)}, None, "that of source B is not in it", id="other"),
        pytest.param(FRAMES, {"1.2.4": np.eye(4) * 0}, None, "that can be inverted", id="zeros"),
        pytest.param(FRAMES, {}, "1.2.840.10008.5.1.4.1.1.66.3", "got Deformable Spatial Registration", id="class"),
    ],
)
def test_bad_registrations(tmp_path, frames, items, sop_class, message):
    path = spatial_registration(tmp_path / "r.dcm", items, sop_class=sop_class or "1.2.840.10008.5.1.4.1.1.66.1")
    with pytest.raises(InputError, match=message):
        read_transform(path, frames)
