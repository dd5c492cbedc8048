"""Volumes on the command line, as a user gives them: NIfTI, DICOM, unaligned, many, bad."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import itk
import nibabel
import numpy as np
import pydicom
import pytest
from scripts.utils.intensity import normalize_intensity

from mmif_amin.cli import main
from mmif_amin.fuser import load
from tests.conftest import BUNDLE, ROOT, SHARED
from tests.model.dicom.dicom_phantoms import write_series

SAMPLE = BUNDLE / "sample_data"
SHAPE = (48, 44, 12)


def call(*words) -> int:
    return main([str(word) for word in words])


def head(seed: int, low: float, high: float) -> np.ndarray:
    x, y, z = (axis / n * 2 - 1 for axis, n in zip(np.mgrid[tuple(map(slice, SHAPE))], SHAPE, strict=True))
    inside = x**2 + y**2 + (0.5 * z) ** 2 < 0.7
    texture = np.random.default_rng(seed).random(SHAPE) * 0.3 + 0.4 + 0.3 * (x * (-1) ** seed > 0.2)
    return (low + np.where(inside, texture, 0) * (high - low)).round()


@pytest.fixture
def patient(tmp_path):
    """One patient's folder: an MR and a PET series on one grid, and files that are no images."""
    folder = tmp_path / "DOE_JANE"
    common = {"shape": SHAPE, "spacing": (1.5, 1.5, 4.0), "origin": (-20.0, 11.0, 6.5)}
    mr = write_series(folder, modality="MR", stored=head(0, 0, 900).astype(np.int16), **common)
    pet = head(1, 0, 4000).astype(np.int16)
    write_series(folder, modality="PT", stored=pet, prefix="pet", SeriesNumber=7, Units="BQML", **common)
    (folder / "notes.txt").write_text("jane")
    return folder, mr


def test_dicom_to_everything(tmp_path, patient, capsys):
    folder, mr = patient
    out = tmp_path / "out"
    assert call("fuse", folder, folder, "-o", out, "--dicom", "--loss-map", "--register", "none") == 0
    printed = capsys.readouterr()
    assert "GB of memory" in printed.err
    report = json.loads((out / "report.json").read_text())
    assert (report["task"], report["colormap"], report["registration"]) == ("PET-MRI", "ember", None)
    assert report["network"] == {"runtime": "torch", "precision": "float32"}
    assert report["sources"]["b"]["unit"] == "Bq/ml"
    assert "no SUV" in report["sources"]["b"]["notes"][0]
    assert report["metrics"]["background"] == 0

    fused = nibabel.load(out / "fused.nii.gz")
    assert np.abs(fused.affine - mr.affine).max() < 1e-3
    values = fused.get_fdata()
    assert 0 <= values.min() < 0.1 < values.max() <= 1
    assert nibabel.load(out / "fused_color.nii.gz").get_data_dtype().names == ("R", "G", "B")
    assert np.allclose(nibabel.load(out / "source_a.nii.gz").get_fdata(), mr.stored)
    assert nibabel.load(out / "loss_b.nii.gz").shape == SHAPE

    names = itk.GDCMSeriesFileNames.New(Directory=str(out / "dicom"))
    files = names.GetFileNames(names.GetSeriesUIDs()[0])
    image = itk.imread(list(files), itk.F)
    assert np.allclose(itk.array_from_vnl_matrix(image.GetDirection().GetVnlMatrix().as_matrix()), np.eye(3))
    assert np.allclose(list(image.GetSpacing()), (1.5, 1.5, 4.0), atol=1e-3)
    assert np.allclose(list(image.GetOrigin()), (-20.0, 11.0, 6.5), atol=1e-3)
    assert np.abs(itk.array_from_image(image).T / 4095 - values).max() < 1 / 4095
    color = pydicom.dcmread(out / "dicom_color" / "0006.dcm")
    colors = np.asanyarray(nibabel.load(out / "fused_color.nii.gz").dataobj)[..., 5]
    assert np.array_equal(color.pixel_array[..., 0].T, colors["R"])
    assert len(color.SourceImageSequence) == 1 + SHAPE[2]  # one slice of A, all of B
    assert (color.SamplesPerPixel, list(color.ImageType)[:2]) == (3, ["DERIVED", "SECONDARY"])
    assert "NOT FOR DIAGNOSTIC" in color.SeriesDescription

    private = "".join(path.read_text() for path in out.glob("*.json")) + printed.out + printed.err
    assert call("view", out, "--html", tmp_path / "view.html") == 0
    page = (tmp_path / "view.html").read_text()
    private += page[page.index("const STUDY") :].partition("<script")[0]
    for word in ("doe^", "jane", "pid-4711"):
        assert word not in private.replace(str(folder), "").lower()


def test_the_config_does_the_same(tmp_path):
    a, b = SAMPLE / "t1.nii.gz", SAMPLE / "pet.nii.gz"
    assert call("fuse", a, b, "-o", tmp_path / "cli", "--task", "PET-MRI") == 0
    command = [sys.executable, "-m", "monai.bundle", "run", "inference", "--config_file"]
    config = BUNDLE / "configs" / "inference_volume.json"
    subprocess.run([*command, str(config), "--output_dir", str(tmp_path / "monai")], check=True, cwd=tmp_path)
    volumes = [nibabel.load(tmp_path / name / "fused.nii.gz").get_fdata() for name in ("cli", "monai")]
    assert np.array_equal(*volumes)
    mri, pet = (nibabel.load(path) for path in (a, b))
    arrays = normalize_intensity(mri.get_fdata(), "MRI"), normalize_intensity(pet.get_fdata(), "PET")
    assert np.abs(volumes[0] - load().fuse_volume(*arrays, mri.affine)).max() < 1e-5


@pytest.mark.parametrize(
    ("flags", "tolerance"),
    [
        pytest.param(("--runtime", "onnx"), 1e-4, id="onnx"),
        pytest.param(("--precision", "bfloat16"), 0.05, id="bfloat16"),
    ],
)
def test_volumes_in_another_runtime(tmp_path, patient, flags, tolerance):
    folder, _ = patient
    for name, words in (("torch", ()), ("other", flags)):
        assert call("fuse", folder, folder, "-o", tmp_path / f"{name}.nii", "--register", "none", *words) == 0
    fused, expected = (nibabel.load(tmp_path / f"{name}.nii").get_fdata() for name in ("other", "torch"))
    assert 0 < np.abs(fused - expected).max() <= tolerance
    assert ((expected == 0) == (fused == 0)).mean() > 0.999


@pytest.mark.slow
def test_an_unaligned_pair_is_registered(tmp_path, capsys):
    """The sample's CT, moved by a known shift and stored on another grid."""
    ct = nibabel.load(SAMPLE / "ct.nii.gz")
    affine = ct.affine.copy()
    affine[:3, 3] += [12, -8, 15]
    nibabel.save(
        nibabel.Nifti1Image(np.asanyarray(ct.dataobj)[:, 3:-2], affine @ shift(0, 3, 0)), tmp_path / "ct.nii.gz"
    )
    assert call("fuse", SAMPLE / "t1.nii.gz", tmp_path / "ct.nii.gz", "-o", tmp_path / "out") == 0
    assert "registered (rigid)" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "report.json").read_text())["registration"]
    assert np.allclose(found["translation_mm"], [12, -8, 15], atol=2)
    assert found["after"] > found["before"]
    transform = itk.transformread(str(tmp_path / "out" / "registration.tfm"))[0]
    assert np.allclose(list(transform.GetTranslation())[2], found["matrix"][2][3], atol=1e-6)
    before, after = (
        nibabel.load(tmp_path / "out" / f"{name}.nii.gz").get_fdata() for name in ("source_b_unregistered", "source_b")
    )
    truth = ct.get_fdata()
    inner = (slice(20, 70), slice(20, 90), slice(20, 70))
    assert np.abs(after - truth)[inner].mean() < 0.3 * np.abs(before - truth)[inner].mean()


def shift(*voxels: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = voxels
    return matrix


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        pytest.param(["--task", "CT-MRI"], "expected one series of modality CT", id="modality that is not there"),
        pytest.param(["--series-a", "99"], "99", id="series that is not there"),
        pytest.param(["--gray"], "--gray: is for pictures", id="gray"),
        pytest.param(["--device", "tpu"], "--device tpu: expected cpu, cuda", id="device"),
        pytest.param(["--series-a", "7", "--series-b", "7"], "found one and the same for A and B", id="one series"),
        pytest.param(["--series-b", "$print()"], "$print()", id="expression"),
        pytest.param(["--weights", "nowhere.pt"], "nowhere.pt: expected a weights file", id="weights"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, patient, capsys, flags, message):
    assert call("fuse", patient[0], patient[0], "-o", tmp_path / "out", *flags) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert len([line for line in error.splitlines() if "error:" in line]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["DOE_JANE"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        pytest.param(["--grid", "coarse"], "expected reference, finest or a size in mm, got coarse", id="grid"),
        pytest.param(["--grid", "-2"], "expected a positive number, got -2", id="grid size"),
        pytest.param(["--register", "elastic"], "'elastic' (choose from", id="registration"),
        pytest.param(["--colormap", "jet"], "'jet' (choose from", id="colormap"),
        pytest.param(["--ct-window", "liver"], "'liver' (choose from", id="window"),
        pytest.param(["--functional-max", "nan"], "expected a positive number", id="maximum"),
    ],
)
def test_bad_options(patient, capsys, flags, message):
    with pytest.raises(SystemExit, match="2"):
        call("fuse", patient[0], patient[0], "-o", "out", *flags)
    assert message in capsys.readouterr().err


def test_sources_are_never_overwritten(tmp_path, patient, capsys):
    copy = tmp_path / "t1.nii.gz"
    copy.write_bytes((SAMPLE / "t1.nii.gz").read_bytes())
    assert call("fuse", copy, SAMPLE / "pet.nii.gz", "--task", "PET-MRI", "-o", copy) == 2
    assert "would overwrite a source" in capsys.readouterr().err
    assert copy.read_bytes() == (SAMPLE / "t1.nii.gz").read_bytes()
    assert call("fuse", patient[0], patient[0], "-o", patient[0] / "out") == 2
    assert "would lie in a source's folder" in capsys.readouterr().err


@pytest.mark.parametrize("flag", [["--register", "none"], ["--dicom"], ["--grid", "2"], ["--series-a", "1"]])
def test_options_of_volumes_mean_nothing_for_pictures(tmp_path, capsys, flag):
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(b"")
    assert call("fuse", tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "c.png", *flag) == 2
    assert f"{flag[0]}: is for volumes" in capsys.readouterr().err


def test_an_output_that_is_not_empty_is_refused_first(tmp_path, patient, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "keep.txt").write_text("mine")
    assert call("fuse", patient[0], patient[0], "-o", tmp_path / "out") == 2
    assert "expected a new or empty folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["keep.txt"]


def test_dicom_needs_dicom(tmp_path, capsys):
    words = ("fuse", SAMPLE / "t1.nii.gz", SAMPLE / "ct.nii.gz", "-o", tmp_path / "out", "--dicom")
    assert call(*words) == 2
    error = capsys.readouterr().err
    assert "expected DICOM as source A" in error
    assert "memory" not in error  # refused before the work begins
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_leaves_nothing(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nibabel, "save", full)
    words = ("fuse", SAMPLE / "t1.nii.gz", SAMPLE / "ct.nii.gz", "-o", tmp_path / "out")
    assert call(*words) == 2
    assert "No space left" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_batch_goes_on_and_resumes(tmp_path, patient, capsys):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.nii.gz").write_bytes(b"")
    (tmp_path / "broken" / "b.nii.gz").write_bytes(b"")
    out = tmp_path / "night"
    table = tmp_path / "studies.csv"
    rows = ["one,DOE_JANE,DOE_JANE,", "bad,broken/a.nii.gz,broken/b.nii.gz,PET-MRI", "two,DOE_JANE,DOE_JANE,"]
    table.write_text("name,source_a,source_b,task\n" + "\n".join(rows) + "\n")
    assert call("batch", table, "-o", out, "--register", "none") == 3
    found = list(csv.DictReader((out / "batch.csv").open()))
    assert [row["status"] for row in found] == ["fused", "failed", "fused"]
    assert "the file is empty" in found[1]["error"]
    assert sorted(path.name for path in out.iterdir()) == ["batch.csv", "one", "two"]
    before = (out / "one" / "fused.nii.gz").stat().st_mtime_ns
    assert call("batch", table, "-o", out, "--register", "none") == 3
    assert [row["status"] for row in csv.DictReader((out / "batch.csv").open())] == [
        "done before",
        "failed",
        "done before",
    ]
    assert (out / "one" / "fused.nii.gz").stat().st_mtime_ns == before


def test_a_folder_named_after_its_patient_is_not_named_in_the_report(tmp_path, patient):
    out = tmp_path / "night"
    studies = patient[0].parent / "studies"
    studies.mkdir()
    patient[0].rename(studies / "DOE_JANE")
    assert call("batch", studies, "-o", out, "--register", "none") == 0
    assert "jane" not in (out / "batch.csv").read_text().lower()
    assert not any("jane" in str(path.relative_to(out)).lower() for path in out.rglob("*"))


def test_a_failing_study_does_not_name_its_patient_either(tmp_path, patient, capsys, monkeypatch):
    studies = tmp_path / "studies"
    studies.mkdir()
    for path in patient[0].glob("pet*"):
        path.unlink()
    patient[0].rename(studies / "DOE_JANE")
    monkeypatch.chdir(tmp_path)
    assert call("batch", "studies", "-o", tmp_path / "night") == 3
    told = capsys.readouterr()
    text = (tmp_path / "night" / "batch.csv").read_text()
    assert "one and the same for A and B" in text
    assert len(text.splitlines()) == 2
    for word in ("doe_", "jane", "4711"):
        assert word not in (text + told.out + told.err).lower()


def test_folders_of_same_named_volumes(tmp_path):
    for folder, name in (("mri", "t1"), ("pet", "pet")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "s.nii.gz").symlink_to(SAMPLE / f"{name}.nii.gz")
    assert call("fuse", tmp_path / "mri", tmp_path / "pet", "-o", tmp_path / "out", "--task", "PET-MRI") == 0
    assert (tmp_path / "out" / "s" / "fused.nii.gz").is_file()


def test_real_pair_with_its_frames(tmp_path):
    """PET and MR of brainweb06: one grid, but different frames of reference and no units."""
    archive = SHARED / "volumes" / "dicom" / "pyapetnet_brainweb06_PT_MR_48slices.tar.xz"
    if not archive.is_file():
        pytest.skip("the DICOM pair is not beside this checkout")
    subprocess.run(["tar", "-xf", str(archive), "-C", str(tmp_path)], check=True)
    source = tmp_path / "brainweb_06_t1_dcm"
    out = tmp_path / "out"
    assert call("fuse", source, tmp_path / "brainweb_06_osem_dcm", "-o", out, "--dicom") == 0
    references = sorted((pydicom.dcmread(path) for path in source.iterdir()), key=lambda d: d.ImagePositionPatient[2])
    written = sorted(
        (pydicom.dcmread(path) for path in (out / "dicom").iterdir()), key=lambda d: d.ImagePositionPatient[2]
    )
    for one, other in zip(written, references, strict=True):
        assert np.allclose(one.ImagePositionPatient, other.ImagePositionPatient, atol=1e-3)
        assert np.allclose(one.PixelSpacing, other.PixelSpacing, atol=1e-3)
        assert one.FrameOfReferenceUID == other.FrameOfReferenceUID
        assert one.SOPInstanceUID != other.SOPInstanceUID


def test_what_headers_decide_is_said_before_torch_is_imported(tmp_path, patient):
    words = ["fuse", str(patient[0]), str(patient[0]), "--series-b", "99", "-o", str(tmp_path / "out")]
    code = f"import sys; from mmif_amin.cli import main; print(main({words}), {{'torch', 'monai'}} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == "2 set()\n", result.stderr
