"""What viewers fuse themselves, carried structures and the scale bar, on the command line."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pydicom
import pytest
from mmif_amin.scripts.dicom.read import read_dicom_volume
from PIL import Image

from mmif_amin.cli import main
from tests.mmif_amin.carry.drawn_files import ball, write_contours
from tests.mmif_amin.dicom_objects.made_up import assert_valid
from tests.model.dicom import dicom_phantoms as made

SHAPE = (48, 44, 12)
COMMON = {
    "shape": SHAPE,
    "spacing": (1.5, 1.5, 4.0),
    "origin": (-20.0, 11.0, 6.5),
    "BodyPartExamined": "HEAD",
    "Laterality": "",
}
SERIES = ("dicom", "dicom_color", "dicom_source_b")
SUV = {**made.SUV_TAGS, "RadiopharmaceuticalInformationSequence": made.suv_dose(), "FrameReferenceTime": 900000}
NAMES = (made.PATIENT_NAME, "DOE", "JANE", made.PATIENT_ID, "19700101")


def call(*words) -> int:
    return main([str(word) for word in words])


def head(seed: int, high: int) -> np.ndarray:
    x, y, z = (axis / n * 2 - 1 for axis, n in zip(np.mgrid[tuple(map(slice, SHAPE))], SHAPE, strict=True))
    inside = x**2 + y**2 + (0.5 * z) ** 2 < 0.7
    texture = np.random.default_rng(seed).random(SHAPE) * 0.3 + 0.4 + 0.3 * (x * (-1) ** seed > 0.2)
    return (np.where(inside, texture, 0) * high).round().astype(np.int16)


@pytest.fixture
def patient(tmp_path):
    """Folder of an MR and a PET series with SUV on one grid, and a structure set drawn on the PET."""
    folder = tmp_path / "in"
    made.write_series(folder, modality="MR", stored=head(0, 900), **COMMON)
    made.write_series(folder, modality="PT", stored=head(1, 4000), prefix="pet", SeriesNumber=7, **COMMON, **SUV)
    pet = read_dicom_volume(folder, "PET")
    drawn = write_contours(tmp_path / "drawn.dcm", pet, {"GTV DOE": ball(pet, (24, 22, 6), 9.0)})
    return folder, drawn


def test_all_of_it_at_once(tmp_path, patient):
    folder, drawn = patient
    out = tmp_path / "out"
    words = ("--dicom", "--loss-map", "--scale-bar", "--carry", drawn, "--register", "none")
    assert call("fuse", folder, folder, "-o", out, *words) == 0
    objects = sorted(path.name for path in (out / "dicom_objects").iterdir())
    assert objects == ["blending.dcm", "carried_01.dcm", "loss_a.dcm", "loss_b.dcm"]
    for path in [*(out / "dicom_objects").iterdir(), *(out / f"{kind}/0001.dcm" for kind in SERIES)]:
        assert_valid(path)

    again = read_dicom_volume(out / "dicom_source_b")
    fused_with = nibabel.load(out / "source_b.nii.gz")
    assert again.unit == "SUVbw"
    np.testing.assert_allclose(again.affine, fused_with.affine, atol=1e-3)
    values = fused_with.get_fdata()
    np.testing.assert_allclose(again.values, values, atol=np.ptp(values) / 4096)

    series = {}
    for file in out.rglob("*.dcm"):
        dataset = pydicom.dcmread(file, stop_before_pixels=True)
        series.setdefault(dataset.SeriesInstanceUID, set()).add((dataset.SeriesNumber, dataset.StudyInstanceUID))
    assert sorted(number for ((number, _),) in series.values()) == [1001, 2001, 3001, 5001, 6001, 6002, 7001]

    (row,) = json.loads((out / "carried" / "carried.json").read_text())["structures"]
    assert (row["source"], row["volume"], row["name"]) == ("B", "01.nii.gz", "(names the patient)")
    assert Image.open(out / "preview.png").width > 3 * 44
    for path in out.rglob("*"):
        if path.is_file() and path.suffix != ".dcm":
            assert not [name for name in NAMES if name in f"{path.name} {path.read_bytes()}"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"frame": "1.2.3"}, "expected the frame of reference of source A or B", id="frame"),
        pytest.param({"frame": "", "series": "1.2.3"}, "no series of the two sources", id="series"),
        pytest.param({"PatientID": "X-9"}, "differ in PatientID. Choose another file", id="another patient"),
        pytest.param({"ROIContourSequence": []}, "expected closed contours, found none", id="empty"),
    ],
)
def test_what_cannot_be_carried_is_refused_first(tmp_path, patient, capsys, monkeypatch, change, message):
    """Before torch is needed; nothing is written."""
    folder, _ = patient
    pet = read_dicom_volume(folder, "PET")
    drawn = write_contours(tmp_path / "other.dcm", pet, {"GTV": ball(pet, (24, 22, 6), 9.0)}, **change)
    monkeypatch.setattr("mmif_amin.commands.fuse.study_overrides", lambda _: pytest.fail("the network was loaded"))
    before = sorted(tmp_path.rglob("*"))
    assert call("fuse", folder, folder, "-o", tmp_path / "out", "--carry", drawn) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_carry_needs_a_folder(tmp_path, patient, capsys):
    folder, drawn = patient
    assert call("fuse", folder, folder, "-o", tmp_path / "fused.nii.gz", "--carry", drawn, "--register", "none") == 2
    assert "expected a folder as output" in capsys.readouterr().err
    assert not (tmp_path / "fused.nii.gz").exists()


@pytest.fixture
def pictures(tmp_path):
    gray = head(0, 255)[:, :, 6].T.astype(np.uint8)
    color = np.stack([gray, gray // 2, gray // 8], axis=-1)
    for name, pixels in (("mri", gray), ("pet", color), ("ct", gray[::-1])):
        Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_a_color_picture_gets_its_scale_beside_it(pictures):
    plain, with_bar = pictures / "plain.png", pictures / "bar.png"
    words = ("fuse", pictures / "mri.png", pictures / "pet.png", "--task", "PET-MRI")
    assert call(*words, "-o", plain) == 0
    assert call(*words, "-o", with_bar, "--scale-bar") == 0
    one, other = (np.asarray(Image.open(path)) for path in (plain, with_bar))
    assert np.array_equal(other[: one.shape[0], : one.shape[1]], one)
    assert other.shape == (120, one.shape[1] + 96, 3)


@pytest.mark.parametrize(
    ("b", "words"), [pytest.param("ct", (), id="gray-picture"), pytest.param("pet", ("--gray",), id="--gray")]
)
def test_no_scale_without_colors(pictures, capsys, b, words):
    files = (pictures / "mri.png", pictures / f"{b}.png")
    assert call("fuse", *files, "-o", pictures / "out.png", "--scale-bar", *words) == 2
    assert "expected colors for a scale bar" in capsys.readouterr().err
    assert not (pictures / "out.png").exists()
