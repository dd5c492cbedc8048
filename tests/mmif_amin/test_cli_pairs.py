"""Any pair of modalities, regions, and transform files on the command line."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pydicom
import pytest
from scripts.transforms.registration.itk_files import itk_transform_text
from scripts.utils.enums import BodyRegion

from mmif_amin.cli import main
from tests.conftest import BUNDLE
from tests.model.dicom.dicom_phantoms import write_series

SAMPLE = BUNDLE / "sample_data"
SHAPE = (48, 44, 12)
COMMON = {"shape": SHAPE, "spacing": (1.5, 1.5, 4.0), "origin": (-20.0, 11.0, 6.5)}


def body(seed: int, low: float, high: float) -> np.ndarray:
    x, y, z = (axis / n * 2 - 1 for axis, n in zip(np.indices(SHAPE), SHAPE, strict=True))
    inside = x**2 + y**2 + (0.5 * z) ** 2 < 0.7
    texture = np.random.default_rng(seed).random(SHAPE) * 0.3 + 0.4 + 0.3 * (x * (-1) ** seed > 0.2)
    return (low + np.where(inside, texture, 0) * (high - low)).round().astype(np.int16)


def call(*words) -> int:
    return main([str(word) for word in words])


SERIES = {
    "T1": {"modality": "MR", "stored": body(0, 0, 900), "SeriesDescription": "t1_mprage", "SeriesNumber": 1},
    "FLAIR": {"modality": "MR", "stored": body(1, 0, 700), "SeriesDescription": "t2_flair", "SeriesNumber": 2},
    "T2": {"modality": "MR", "stored": body(2, 0, 700), "SeriesDescription": "T2 TSE", "SeriesNumber": 3},
    "ADC": {"modality": "MR", "stored": body(3, 0, 2500), "SeriesDescription": "ep2d_diff_ADC", "SeriesNumber": 4},
    "CT": {"modality": "CT", "stored": body(4, 0, 1400), "SeriesNumber": 5, "BodyPartExamined": "CHEST"},
    "PT": {"modality": "PT", "stored": body(5, 0, 4000), "SeriesNumber": 6, "Units": "BQML"},
    "NM": {"modality": "NM", "stored": body(6, 0, 4000), "SeriesNumber": 7},
}


def study(folder, *names: str):
    for name in names:
        write_series(folder, prefix=name.lower(), **COMMON, **SERIES[name])
    return folder


@pytest.mark.parametrize(
    ("names", "task", "structure", "color", "window"),
    [
        pytest.param(("PT", "CT"), "PET-CT", "CT", True, [-160, 240], id="PET-CT"),
        pytest.param(("T1", "FLAIR"), "MRI-MRI", "T1", False, None, id="T1 + FLAIR"),
        pytest.param(("ADC", "T2"), "MRI-MRI", "T2", False, None, id="T2 + ADC"),
        pytest.param(("PT", "T1"), "PET-MRI", "T1", True, None, id="PET-MRI"),
        pytest.param(("T1", "CT"), "CT-MRI", "T1", False, None, id="CT-MRI"),
    ],
)
def test_a_clear_pair_needs_no_task(tmp_path, names, task, structure, color, window):
    """Channel 0 is the structure; the rest follows from the pair and the region."""
    folder, out = study(tmp_path / "in", *names), tmp_path / "out"
    assert call("fuse", folder, folder, "-o", out, "--register", "none") == 0
    report = json.loads((out / "report.json").read_text())
    assert report["task"] == task
    assert (report["colormap"] is not None) == color
    assert report["sources"]["a"]["window"] == window or window is None
    kept = nibabel.load(out / "source_a.nii.gz").get_fdata()
    stored = SERIES[structure]["stored"].astype(float)
    assert np.corrcoef(np.sort(kept.ravel()), np.sort(stored.ravel()))[0, 1] > 0.999
    assert report["alignment"]["reason"] == "--register none"
    assert report["alignment"]["value"] > 1


def test_an_unclear_pair_is_listed(tmp_path, capsys):
    folder = study(tmp_path / "in", "PT", "CT", "T1")
    assert call("fuse", folder, folder, "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "--task PET-MRI" in error
    assert error.count("images of 48x44") == 3
    assert call("fuse", folder, folder, "-o", tmp_path / "out", "--task", "PET-CT", "--register", "none") == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["task"] == "PET-CT"


@pytest.mark.parametrize("task", ["SPECT-CT", "SPECT-MRI", "MRI-MRI", "PET-CT"])
def test_each_pair_of_nifti(tmp_path, task):
    b, a = task.split("-")
    for name, modality, seed in (("a", a, 0), ("b", b, 1)):
        values = body(seed, -1000, 400) if modality == "CT" else body(seed, 0, 900)
        nibabel.save(
            nibabel.Nifti1Image(values.astype(np.float32), np.diag([1.5, 1.5, 4, 1])), tmp_path / f"{name}.nii"
        )
    out = tmp_path / "out"
    assert call("fuse", tmp_path / "a.nii", tmp_path / "b.nii", "-o", out, "--task", task) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["alignment"]["reason"] == "same grid"
    assert (report["colormap"] is not None) == (b in ("PET", "SPECT"))
    assert report["metrics"]["VIF"] > 0


def test_a_transform_file(tmp_path, capsys):
    ct = nibabel.load(SAMPLE / "ct.nii.gz")
    moved = np.eye(4)
    moved[:3, 3] = [12, -8, 15]
    nibabel.save(nibabel.Nifti1Image(np.asanyarray(ct.dataobj), moved @ ct.affine), tmp_path / "ct.nii.gz")
    (tmp_path / "t.tfm").write_text(itk_transform_text(moved))
    out = tmp_path / "out"
    assert call("fuse", SAMPLE / "t1.nii.gz", tmp_path / "ct.nii.gz", "-o", out, "--transform", tmp_path / "t.tfm") == 0
    assert "transform file" in capsys.readouterr().out
    after = nibabel.load(out / "source_b.nii.gz").get_fdata()
    assert np.abs(after - ct.get_fdata()).max() < 1
    report = json.loads((out / "report.json").read_text())
    assert (report["registration"]["kind"], report["registration"]["spread_mm"]) == ("transform file", None)
    assert report["registration"]["translation_mm"] == pytest.approx([12, -8, 15], abs=1e-4)


def test_a_registration_accepted_beyond_its_limits_marks_every_output(tmp_path, capsys, monkeypatch):
    """A good registration and a limit that none can keep; each output says what was let through."""
    limits = {BodyRegion.HEAD: {"overlap": 2.0}}
    monkeypatch.setattr("mmif_amin.scripts.transforms.registration.transform.REGION_LIMITS", limits)
    folder, out = tmp_path / "in", tmp_path / "out"
    write_series(folder, **COMMON, **SERIES["T1"], BodyPartExamined="HEAD")
    other = {**COMMON, "origin": (-22.0, 13.0, 6.5)}
    write_series(tmp_path / "other", modality="CT", stored=body(0, 0, 1400), **other)
    words = ("fuse", folder, tmp_path / "other", "-o", out, "--dicom", "--register", "rigid", "--start", "geometry")
    assert call(*words) == 2
    error = capsys.readouterr().err
    assert "of the smaller body overlap (limit 200%)" in error
    assert "--accept-registration" in error
    assert not out.exists()
    assert call(*words, "--accept-registration") == 0
    mark = "registration accepted beyond the limits"
    assert mark in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert report["registration"]["beyond_limits"]
    assert report["alignment"]["warning"].startswith(mark)
    assert any(note.startswith(mark) for note in report["sources"]["b"]["notes"])
    for name in ("dicom", "dicom_source_b"):
        header = pydicom.dcmread(sorted((out / name).iterdir())[0])
        assert mark in header.DerivationDescription.lower()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        pytest.param(["--transform", "none.tfm"], "expected a transform file, found nothing there", id="not there"),
        pytest.param(["--transform", "{here}/t.xyz"], "ending in .tfm", id="suffix"),
        pytest.param(["--transform", "{here}/t.tfm"], "ITK cannot read it", id="damaged"),
        pytest.param(["--transform", "{here}/t.tfm", "--register", "rigid"], "got --register rigid", id="both"),
        pytest.param(["--register", "deformable", "--carry", "{here}/t.dcm"], "--carry: contours follow", id="carry"),
    ],
)
def test_bad_transforms_are_one_line_and_leave_nothing(tmp_path, capsys, flags, message):
    for name in ("t.tfm", "t.xyz"):
        (tmp_path / name).write_text("hello")
    flags = [flag.format(here=tmp_path) for flag in flags]
    pair = (SAMPLE / "t1.nii.gz", SAMPLE / "ct.nii.gz")
    assert call("fuse", *pair, "-o", tmp_path / "out", *flags) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()
