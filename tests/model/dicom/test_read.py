from __future__ import annotations

import subprocess

import numpy as np
import pydicom
import pytest
from scripts.dicom.find import list_series

from tests.conftest import SHARED
from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import edit, read, refusal


@pytest.mark.parametrize(
    ("modality", "code", "note"),
    [
        pytest.param("MRI", "MR", None, id="mr"),
        pytest.param("PET", "PT", "MONOCHROME1: values kept", id="pet"),
    ],
)
def test_made_up_pair(tmp_path, modality, code, note):
    """Two series in one folder, their rows from left to right; the PET is MONOCHROME1 and has no Units."""
    axes = ((-1, 0, 0), (0, -1, 0))
    phantoms = {
        "MR": write_series(tmp_path, axes=axes, per_slice=lambda k: {"RescaleSlope": 2, "RescaleIntercept": 0}),
        "PT": write_series(tmp_path, modality="PT", axes=axes, prefix="PT", PhotometricInterpretation="MONOCHROME1"),
    }
    volume, phantom = read(tmp_path, modality=modality), phantoms[code]
    assert volume.values.shape == made.SHAPE
    assert volume.unit == "arbitrary"
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-9)
    assert volume.values[0, 1:].max() < 0.1 * volume.values.max()  # air stays dark
    assert note is None or volume.notes[0].startswith(note)
    for k, header in enumerate(volume.headers):
        dataset = pydicom.dcmread(phantom.files[k])
        assert header.SOPInstanceUID == dataset.SOPInstanceUID
        expected = dataset.pixel_array * float(dataset.RescaleSlope)
        np.testing.assert_allclose(volume.values[:, :, k].T, expected, rtol=1e-6)


@pytest.fixture(scope="session")
def real_pair(tmp_path_factory):
    archive = SHARED / "volumes" / "dicom" / "pyapetnet_brainweb06_PT_MR_48slices.tar.xz"
    if not archive.is_file():
        pytest.skip("the pyapetnet DICOM pair is not beside this checkout")
    folder = tmp_path_factory.mktemp("pair")
    subprocess.run(["tar", "xf", archive, "-C", folder], check=True)
    return folder


@pytest.mark.parametrize(("modality", "code"), [("MRI", "MR"), ("PET", "PT")])
def test_real_pair(real_pair, modality, code):
    """The PET is MONOCHROME1, has no Units, and slopes of its own."""
    volume = read(real_pair, modality=modality)
    assert volume.values.shape == (256, 256, 48)
    assert volume.unit == "arbitrary"
    np.testing.assert_allclose(volume.affine, [[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 110], [0, 0, 0, 1]])
    assert volume.values[:2].max() < 0.1 * volume.values.max()  # air stays dark
    header = volume.headers[20]
    files = [f for f in list_series(real_pair)[code == "MR"].files if header.SOPInstanceUID in f.name]
    dataset = pydicom.dcmread(files[0])
    np.testing.assert_allclose(volume.values[:, :, 20].T, dataset.pixel_array * float(dataset.RescaleSlope), rtol=1e-6)


def test_a_stranger_s_slice_in_a_series_is_refused(tmp_path):
    phantom = write_series(tmp_path, PatientBirthDate="")
    edit(phantom.files[4], PatientID="9", PatientName="ROE^RICHARD", PatientBirthDate="19500101")
    text = refusal(tmp_path)
    assert "expected the images of one patient, they differ in PatientID and PatientName. Split" in text
    assert "ROE" not in text


@pytest.mark.parametrize(
    "element",
    [
        pytest.param(b"\x08\x00\x18\x00UI", id="SOPInstanceUID"),
        pytest.param(b"\x10\x00\x20\x00LO", id="PatientID"),
        pytest.param(b"\x28\x00\x01\x03CS", id="BurnedInAnnotation"),
    ],
)
def test_a_damaged_element_is_blamed_on_its_file(tmp_path, element):
    file = write_series(tmp_path, (4, 4, 3), BurnedInAnnotation="NO").files[1]
    whole = file.read_bytes()
    assert whole.count(element) == 1
    file.write_bytes(whole.replace(element, element[:4] + b"AI"))
    assert f"{file}: expected whole and valid DICOM" in refusal(tmp_path)
