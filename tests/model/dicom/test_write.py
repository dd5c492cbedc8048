from __future__ import annotations

import re
import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from scripts.data.volume import Volume
from scripts.dicom.read import read_dicom_volume
from scripts.dicom.write import write_dicom_series
from scripts.utils.checks import InputError
from scripts.utils.enums import Modality

from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import write_series

VARIANTS = [
    pytest.param("MR", False, "MR Image Storage", id="mr"),
    pytest.param("CT", False, "CT Image Storage", id="ct"),
    pytest.param("PT", False, "Secondary Capture Image Storage", id="pet"),
    pytest.param("NM", False, "Secondary Capture Image Storage", id="spect"),
    pytest.param("EnhancedMR", False, "MR Image Storage", id="enhanced-mr"),
    pytest.param("MR", True, "Secondary Capture Image Storage", id="color"),
]


def make_reference(folder, modality: str) -> Volume:
    if modality == "NM":
        made.write_nuclear(folder / "a")
    elif modality == "EnhancedMR":
        made.write_enhanced_mr(folder / "a")
    else:
        write_series(folder, modality=modality, axes=made.OBLIQUE, SeriesNumber=7)
    return read_dicom_volume(folder)


def make_fused(shape=made.SHAPE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.fixture
def pair(tmp_path):
    return make_reference(tmp_path / "a", "MR"), make_reference(tmp_path / "b", "PT")


def geometry(files) -> np.ndarray:
    """Voxel to world, RAS+, from the first and the last file by the formula of PS3.3 C.7.6.2.1."""
    first, last = (pydicom.dcmread(file) for file in (files[0], files[-1]))
    row, column = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    ends = [np.array(dataset.ImagePositionPatient, float) for dataset in (first, last)]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * first.PixelSpacing[1], column * first.PixelSpacing[0]
    affine[:3, 2] = (ends[1] - ends[0]) / max(len(files) - 1, 1)
    affine[:3, 3] = ends[0]
    affine[:2] *= -1
    return affine


@pytest.mark.parametrize(("modality", "in_color", "storage"), VARIANTS)
def test_series(tmp_path, modality, in_color, storage):
    reference = make_reference(tmp_path / "source", modality)
    fused = make_fused()
    rgb = np.rint(np.stack([fused, fused**2, 1 - fused]) * 255).astype(np.uint8) if in_color else None
    other = Volume(reference.values, reference.affine, Modality.PET)
    files = write_dicom_series(tmp_path / "out", fused, reference.affine, reference, [reference, other], rgb)
    assert [file.name for file in files] == [f"{k:04d}.dcm" for k in range(1, 11)]
    assert sorted(tmp_path.joinpath("out").iterdir()) == files
    np.testing.assert_allclose(geometry(files), reference.affine, atol=1e-3)

    images, header = [pydicom.dcmread(file) for file in files], reference.headers[0]
    assert {image.SOPClassUID.name for image in images} == {storage}
    assert len({image.SOPInstanceUID for image in images}) == 10
    assert len({image.SeriesInstanceUID for image in images}) == 1
    assert [image.InstanceNumber for image in images] == list(range(1, 11))
    image = images[0]
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientName", "PatientID", "StudyDate", "Modality"):
        assert image[keyword].value == header[keyword].value, keyword
    for keyword in ("SeriesInstanceUID", "SOPInstanceUID"):
        assert image[keyword].value != header[keyword].value, keyword
    assert image.SeriesNumber == (2000 if in_color else 1000) + header.SeriesNumber
    shown = "color" if in_color else "gray"
    assert re.fullmatch(rf"MMIF-AMIN fused (MR|CT|PT|NM)\+PT {shown} - NOT FOR DIAGNOSTIC USE", image.SeriesDescription)
    assert image.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert (image.BurnedInAnnotation, image.Manufacturer) == ("NO", "MMIF-AMIN")
    assert image.ContentDate
    assert not any(element.tag.is_private for element in image)
    if in_color:
        np.testing.assert_array_equal(np.stack([image.pixel_array for image in images]).T, rgb)
    else:
        stored = np.stack([image.pixel_array for image in images]).T / 4095
        np.testing.assert_allclose(stored, fused, atol=0.5 / 4095 + 1e-6)
        assert (image.BitsStored, image.WindowCenter, image.WindowWidth) == (12, 2048, 4096)


@pytest.mark.parametrize("burned", ["YES", "NO", ""])
def test_burned_in_text_is_told_again(tmp_path, burned):
    write_series(tmp_path, modality="MR", per_slice=lambda k: {"BurnedInAnnotation": burned} if k == 3 else {})
    reference = read_dicom_volume(tmp_path)
    assert any("burned" in note for note in reference.notes) == (burned == "YES")
    files = write_dicom_series(tmp_path / "out", make_fused(), reference.affine, reference, [reference])
    assert pydicom.dcmread(files[0]).BurnedInAnnotation == (burned or "NO")


@pytest.mark.parametrize(
    ("told", "written"),
    [
        pytest.param({}, {"Laterality": ""}, id="nothing"),
        pytest.param({"BodyPartExamined": "KNEE"}, {"BodyPartExamined": "KNEE", "Laterality": ""}, id="knee"),
        pytest.param(
            {"BodyPartExamined": "KNEE", "Laterality": "R"},
            {"BodyPartExamined": "KNEE", "Laterality": "R"},
            id="right-knee",
        ),
        pytest.param({"BodyPartExamined": "HEAD"}, {"BodyPartExamined": "HEAD"}, id="head"),
        pytest.param({"BodyPartExamined": "HEAD", "Laterality": ""}, {"BodyPartExamined": "HEAD"}, id="head-empty"),
        pytest.param({"BodyPartExamined": "HEAD", "Laterality": "L"}, {"BodyPartExamined": "HEAD"}, id="head-wrong"),
    ],
)
def test_body_part_and_side(tmp_path, told, written):
    """A side only where the part may have one: PS3.3 C.7.3.1."""
    write_series(tmp_path, modality="MR", **told)
    reference = read_dicom_volume(tmp_path)
    files = write_dicom_series(tmp_path / "out", make_fused(), reference.affine, reference, [reference])
    image = pydicom.dcmread(files[0])
    assert {key: image[key].value for key in ("BodyPartExamined", "Laterality") if key in image} == written
    if shutil.which("dciodvfy"):
        result = subprocess.run(["dciodvfy", files[0]], capture_output=True, text=True)
        assert "Error" not in result.stdout + result.stderr, result.stdout + result.stderr


@pytest.mark.parametrize(("modality", "in_color", "storage"), VARIANTS)
def test_dciodvfy_finds_no_error(tmp_path, modality, in_color, storage):
    if not shutil.which("dciodvfy"):
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    reference = make_reference(tmp_path / "source", modality)
    fused = make_fused()
    rgb = np.rint(np.stack([fused] * 3) * 255).astype(np.uint8) if in_color else None
    files = write_dicom_series(tmp_path / "out", fused, reference.affine, reference, [reference], rgb)
    result = subprocess.run(["dciodvfy", files[3]], capture_output=True, text=True)
    report = result.stdout + result.stderr
    assert "Error" not in report, report


@pytest.mark.filterwarnings("ignore:The DICOM readers are highly experimental")
@pytest.mark.parametrize("modality", ["MR", "CT", "PT"])
def test_own_reader_itk_and_nibabel_read_the_same(tmp_path, modality):
    import itk
    from nibabel.nicom import dicomwrappers

    reference = make_reference(tmp_path / "source", modality)
    fused = make_fused()
    files = write_dicom_series(tmp_path / "out", fused, reference.affine, reference, [reference])

    own = read_dicom_volume(tmp_path / "out")
    np.testing.assert_allclose(own.affine, reference.affine, atol=1e-3)
    np.testing.assert_allclose(own.values / 4095, fused, atol=1 / 4095)

    image = itk.imread([str(file) for file in files], itk.F)
    affine = np.eye(4)
    affine[:3, :3] = itk.array_from_matrix(image.GetDirection()) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1
    np.testing.assert_allclose(affine, reference.affine, atol=1e-3)
    np.testing.assert_allclose(itk.array_from_image(image).T / 4095, fused, atol=1 / 4095)

    for k in (0, 9):
        wrapper = dicomwrappers.wrapper_from_file(files[k])  # its first index is the row, its world LPS+
        corner = wrapper.affine @ [19, 23, 0, 1] * [-1, -1, 1, 1]
        np.testing.assert_allclose(corner, reference.affine @ [23, 19, k, 1], atol=1e-3)
        np.testing.assert_allclose(wrapper.get_data().T / 4095, fused[:, :, k], atol=1 / 4095)


AFFINES = [
    pytest.param(np.diag([2.0, 2, 2, 1]), id="ras"),
    pytest.param(np.diag([-2.0, 2, 2, 1]), id="las-left-handed"),
    pytest.param(np.diag([-2.0, -2, -2, 1]), id="slices-downwards"),
    pytest.param(np.array([[0, 0, 2.0, -5], [1.5, 0, 0, 3], [0, -1, 0, 9], [0, 0, 0, 1]]), id="sagittal"),
]


@pytest.mark.parametrize("affine", AFFINES)
def test_any_voxel_order(tmp_path, pair, affine):
    """The order of slices follows the last axis, and each voxel keeps its place."""
    fused = make_fused((7, 6, 5))
    files = write_dicom_series(tmp_path / "out", fused, affine, pair[0], pair)
    np.testing.assert_allclose(geometry(files), affine, atol=1e-6)
    volume = read_dicom_volume(tmp_path / "out")
    index = np.array([5, 1, 4, 1.0])
    there = np.linalg.inv(volume.affine) @ affine @ index
    np.testing.assert_allclose(there, there.round(), atol=1e-6)
    assert volume.values[tuple(there[:3].round().astype(int))] == pytest.approx(fused[5, 1, 4] * 4095, abs=0.51)


def test_source_images(tmp_path, pair):
    """Of the reference the slice itself, of the other source, which may have been moved, all."""
    files = write_dicom_series(tmp_path / "out", make_fused(), pair[0].affine, pair[0], pair)
    for k in (0, 9):
        items = pydicom.dcmread(files[k]).SourceImageSequence
        named = [item.ReferencedSOPInstanceUID for item in items]
        assert named == [pair[0].headers[k].SOPInstanceUID, *(h.SOPInstanceUID for h in pair[1].headers)]
        assert items[1].ReferencedSOPClassUID.name == "Positron Emission Tomography Image Storage"


def test_source_images_of_another_grid(tmp_path, pair):
    half = pair[0].affine @ np.diag([1, 1, 0.5, 1])
    files = write_dicom_series(tmp_path / "out", make_fused((24, 20, 19)), half, pair[0], pair[:1])
    named = [item.ReferencedSOPInstanceUID for item in pydicom.dcmread(files[5]).SourceImageSequence]
    assert named == [pair[0].headers[k].SOPInstanceUID for k in (2, 3)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"reference": Volume(made.head(), np.eye(4))}, "must hold the headers", id="no-headers"),
        pytest.param({"fused": make_fused((24, 20))}, "shape (X, Y, Z)", id="2d"),
        pytest.param({"rgb": np.zeros((3, 4, 4, 4), np.uint8)}, "in color", id="color-of-another-shape"),
        pytest.param({"rgb": np.zeros((3, *made.SHAPE))}, "must be uint8", id="color-as-float"),
        pytest.param({"fused": np.full(made.SHAPE, np.nan)}, "finite", id="nan"),
        pytest.param(
            {"affine": np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])}, "perp", id="shear"
        ),
        pytest.param({"affine": np.zeros((4, 4))}, "perp", id="singular"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_wrong_arguments(tmp_path, pair, change, message):
    arguments = {"fused": make_fused(), "affine": pair[0].affine, "reference": pair[0], "sources": pair} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        write_dicom_series(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_without_highdicom(tmp_path, pair, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(InputError, match="DICOM needs highdicom, .*pip install pydicom highdicom"):
        write_dicom_series(tmp_path / "out", make_fused(), pair[0].affine, pair[0], pair)
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written(tmp_path, pair):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="out: cannot write there: .*Choose another output"):
        write_dicom_series(tmp_path / "file" / "out", make_fused(), pair[0].affine, pair[0], pair)


def test_a_full_folder_is_left_alone(tmp_path, pair):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("text")
    with pytest.raises(InputError, match="new or empty folder"):
        write_dicom_series(tmp_path / "out", make_fused(), pair[0].affine, pair[0], pair)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("exists", [True, False], ids=["empty-folder", "new-folder"])
def test_nothing_is_left_when_writing_fails_midway(tmp_path, pair, monkeypatch, exists):
    out = tmp_path / "out" / "series"
    if exists:
        out.mkdir(parents=True)
    save, written = pydicom.Dataset.save_as, []

    def full_disk(self, path, **keywords):
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        written.append(path)
        save(self, path, **keywords)

    monkeypatch.setattr(pydicom.Dataset, "save_as", full_disk)
    with pytest.raises(InputError, match="No space left on device. Nothing was left"):
        write_dicom_series(out, make_fused(), pair[0].affine, pair[0], pair)
    assert len(written) == 4
    assert list((tmp_path / "out").rglob("*")) == ([out] if exists else [])

    monkeypatch.undo()
    assert len(write_dicom_series(out, make_fused(), pair[0].affine, pair[0], pair)) == 10
