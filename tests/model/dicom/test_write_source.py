"""A source on the fusion grid as a series of its own modality: values, units, geometry, and what SUV needs."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess

import highdicom
import numpy as np
import pydicom
import pytest
from scripts.data.volume import Volume
from scripts.dicom.header import DICOM_MODALITIES
from scripts.dicom.read import read_dicom_volume
from scripts.dicom.write_source import write_source_series
from scripts.utils.checks import InputError

from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import read

SUV = {**made.SUV_TAGS, "RadiopharmaceuticalInformationSequence": made.suv_dose(), "FrameReferenceTime": 900000}
FALLING = np.array([[-1.0, 0, 0, 11], [0, -1.5, 0, 14.5], [0, 0, -3, 47], [0, 0, 0, 1]])  # slices against the normal
KINDS = [
    pytest.param("CT", {}, "CT Image Storage", "HU", id="ct"),
    pytest.param("MR", {"EchoTime": 90, "ScanningSequence": "SE"}, "MR Image Storage", "arbitrary", id="mr"),
    pytest.param("PT", SUV, "Positron Emission Tomography Image Storage", "SUVbw", id="pet-suv"),
    pytest.param(
        "PT", {**SUV, "DecayCorrection": "ADMIN"}, "Positron Emission Tomography Image Storage", "SUVbw", id="pet-admin"
    ),
    pytest.param("PT", {"Units": "BQML"}, "Positron Emission Tomography Image Storage", "Bq/ml", id="pet-no-suv"),
    pytest.param(
        "PT",
        {**SUV, "Units": "GML", "SUVType": "BW"},
        "Positron Emission Tomography Image Storage",
        "SUVbw",
        id="pet-in-suv",
    ),
    pytest.param("PT", {"Units": "CNTS"}, "Positron Emission Tomography Image Storage", "counts", id="pet-counts"),
    pytest.param("NM", {}, "Nuclear Medicine Image Storage", "counts", id="spect"),
]


def source(folder, modality: str, **keywords) -> Volume:
    if modality == "NM":
        made.write_nuclear(folder / "b", **keywords)
    else:
        write_series(folder, modality=modality, **keywords)
    return read(folder)


def smooth(volume: Volume, shape=made.SHAPE) -> np.ndarray:
    """Values between the stored ones, over the volume's range."""
    low, high = float(volume.values.min()), float(volume.values.max())
    share = np.random.default_rng(0).random(shape, dtype=np.float32)
    share.flat[:2] = 0, 1
    return (low + share * (high - low)).astype(np.float32)


@pytest.fixture
def reference(tmp_path) -> Volume:
    write_series(tmp_path / "a", axes=made.OBLIQUE, SeriesNumber=7)
    return read(tmp_path / "a")


@pytest.mark.parametrize(("modality", "keywords", "storage", "unit"), KINDS)
@pytest.mark.parametrize("affine", [None, FALLING], ids=["grid-of-a", "falling-slices"])
def test_values_come_back(tmp_path, reference, modality, keywords, storage, unit, affine):
    b = source(tmp_path / "b", modality, **keywords)
    assert b.unit == unit
    values, affine = smooth(b), reference.affine if affine is None else affine
    files = write_source_series(tmp_path / "out", values, affine, reference, b, (0.0, 5.0))
    assert sorted((tmp_path / "out").iterdir()) == files

    again = read(tmp_path / "out")
    assert (again.modality, again.unit) == (b.modality, unit)
    index = np.stack(np.meshgrid(*map(np.arange, made.SHAPE), indexing="ij"), -1).reshape(-1, 3)
    there = (np.c_[index, np.ones(len(index))] @ (np.linalg.inv(again.affine) @ affine).T)[:, :3]
    np.testing.assert_allclose(there, there.round(), atol=1e-3)
    found = again.values[tuple(there.round().astype(int).T)]
    np.testing.assert_allclose(found, values.ravel(), atol=float(np.ptp(values)) / 4096)

    image, a = pydicom.dcmread(files[0]), reference.headers[0]
    assert image.SOPClassUID.name == storage
    assert image.Modality == modality
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientName", "PatientID", "StudyDate"):
        assert image[keyword].value == a[keyword].value, keyword
    assert image.SeriesInstanceUID not in (a.SeriesInstanceUID, b.headers[0].SeriesInstanceUID)
    assert image.SeriesNumber == 3007
    assert image.SeriesDescription == f"MMIF-AMIN {modality} on the fusion grid - NOT FOR DIAGNOSTIC USE"
    assert image.ImageType[0] == "DERIVED"
    named = {item.ReferencedSOPInstanceUID for item in image.SourceImageSequence}
    assert named <= {header.SOPInstanceUID for header in b.headers}
    assert not any(element.tag.is_private for element in image)


@pytest.mark.filterwarnings("ignore:The DICOM readers are highly experimental")
@pytest.mark.parametrize(("modality", "keywords", "storage", "unit"), KINDS)
def test_itk_and_highdicom_read_the_same(tmp_path, reference, modality, keywords, storage, unit):
    import itk

    b = source(tmp_path / "b", modality, **keywords)
    values = smooth(b)
    files = write_source_series(tmp_path / "out", values, reference.affine, reference, b, (0.0, 5.0))
    own = read_dicom_volume(tmp_path / "out")
    scale = float(own.values.max() / _bare(files).max())  # of SUV to what is stored

    image = itk.imread([str(file) for file in files] if len(files) > 1 else str(files[0]), itk.F)
    np.testing.assert_allclose(
        itk.array_from_image(image).T * scale, own.values, atol=float(np.ptp(values)) / 4096, rtol=1e-5
    )
    if modality != "NM":
        volume = highdicom.get_volume_from_series([pydicom.dcmread(file) for file in files])
        np.testing.assert_allclose(
            np.sort(volume.array.ravel()) * scale, np.sort(own.values.ravel()), rtol=1e-4, atol=1
        )
        assert volume.frame_of_reference_uid == reference.headers[0].FrameOfReferenceUID


def _bare(files) -> np.ndarray:
    """Stored values times slope plus intercept, without any SUV, in the order of our reader."""
    stacks = [pydicom.dcmread(file) for file in files]
    parts = [d.pixel_array * float(d.get("RescaleSlope", 1)) + float(d.get("RescaleIntercept", 0)) for d in stacks]
    return (parts[0] if len(parts) == 1 else np.stack(parts)).T


@pytest.mark.parametrize(("modality", "keywords", "storage", "unit"), KINDS)
def test_dciodvfy_finds_no_error(tmp_path, reference, modality, keywords, storage, unit):
    if not shutil.which("dciodvfy"):
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    b = source(tmp_path / "b", modality, **keywords)
    files = write_source_series(tmp_path / "out", smooth(b), reference.affine, reference, b, (0.0, 0.4))  # a faint PET
    result = subprocess.run(["dciodvfy", files[-1]], capture_output=True, text=True)
    report = result.stdout + result.stderr
    assert "Error" not in report, report


@pytest.mark.parametrize(("modality", "keywords", "storage", "unit"), KINDS)
def test_dcm2niix_reads_the_same(tmp_path, reference, modality, keywords, storage, unit):
    """Values and places; it stores PET in the units of the file."""
    import nibabel

    if not shutil.which("dcm2niix"):
        pytest.skip("dcm2niix is not installed")
    b = source(tmp_path / "b", modality, **keywords)
    values = smooth(b)
    files = write_source_series(tmp_path / "out", values, reference.affine, reference, b, (0.0, 5.0))
    subprocess.run(["dcm2niix", "-f", "made", "-o", tmp_path, tmp_path / "out"], check=True, capture_output=True)
    image = nibabel.load(tmp_path / "made.nii")
    own = read_dicom_volume(tmp_path / "out")
    scale = float(own.values.max() / _bare(files).max())
    index = np.stack(np.meshgrid(*map(np.arange, made.SHAPE), indexing="ij"), -1).reshape(-1, 3)
    there = (np.c_[index, np.ones(len(index))] @ (np.linalg.inv(image.affine) @ own.affine).T)[:, :3]
    np.testing.assert_allclose(there, there.round(), atol=1e-2)
    found = image.get_fdata()[tuple(there.round().astype(int).T)] * scale
    np.testing.assert_allclose(found, own.values.ravel(), atol=float(np.ptp(values)) / 4096)


def test_the_same_suv_or_none(tmp_path, reference):
    """Where the headers of the chosen volume alone give another SUV, its values are written as SUV."""
    b = source(tmp_path / "b", "PT", **SUV)
    b = dataclasses.replace(b, factor=b.factor * 1.1)
    write_source_series(tmp_path / "out", b.values, b.affine, reference, b, (0.0, 5.0))
    image = pydicom.dcmread(tmp_path / "out" / "0001.dcm")
    assert (image.Units, image.SUVType) == ("GML", "BW")
    again = read(tmp_path / "out")
    assert again.unit == "SUVbw"
    np.testing.assert_allclose(again.values, b.values, atol=float(np.ptp(b.values)) / 4096)


@pytest.mark.parametrize("modality", DICOM_MODALITIES)
def test_a_source_without_dicom(tmp_path, reference, modality):
    """A NIfTI source has values and no scan; nothing is made up for it."""
    b = Volume(np.zeros(made.SHAPE), np.eye(4), modality)
    files = write_source_series(
        tmp_path / "out", smooth(read(tmp_path / "a")), reference.affine, reference, b, (0.0, 5.0)
    )
    image = pydicom.dcmread(files[0])
    assert "SourceImageSequence" not in image
    assert image.get("Units", "PROPCNTS") == "PROPCNTS"
    assert read(tmp_path / "out").modality is modality
    if shutil.which("dciodvfy"):
        result = subprocess.run(["dciodvfy", files[0]], capture_output=True, text=True)
        assert "Error" not in result.stdout + result.stderr, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"reference": Volume(made.head(), np.eye(4))}, "must hold the headers", id="no-headers"),
        pytest.param({"source": Volume(made.head(), np.eye(4))}, "`source.modality` must be known", id="no-modality"),
        pytest.param({"values": np.full(made.SHAPE, np.nan)}, "finite", id="nan"),
        pytest.param({"affine": np.zeros((4, 4))}, "perp", id="singular"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_wrong_arguments(tmp_path, reference, change, message):
    given = {"values": made.head(), "affine": reference.affine, "reference": reference, "source": reference}
    with pytest.raises(ValueError, match=message):
        write_source_series(tmp_path / "out", **(given | change), window=(0.0, 5.0))
    assert not (tmp_path / "out").exists()


def test_a_full_folder_is_left_alone(tmp_path, reference):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("text")
    with pytest.raises(InputError, match="could not be written"):
        write_source_series(tmp_path / "out", made.head(), reference.affine, reference, reference, (0.0, 5.0))
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.txt"]
