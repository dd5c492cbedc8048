"""A planted patient: all commands on volumes are run, and all that they write and print is searched.

Nothing but DICOM output says who it is, and that only where the standard wants it; with --deidentify nothing does.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from mmif_amin.scripts.dicom.read import read_dicom_volume

from mmif_amin.archive.journal import Pseudonyms
from mmif_amin.archive.rules import SHIPPED_RULES, read_rules
from mmif_amin.archive.worker import Job, _fuse
from mmif_amin.cli import main
from tests.mmif_amin.carry.drawn_files import ball, write_contours
from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.planted import (
    MARK,
    UID_ROOT,
    plant_in_files,
    planted_elements,
    secrets_below,
    secrets_in,
)

SHAPE = (32, 28, 6)
PATIENT = f"{MARK}00100010"  # what is planted as PatientName, and so the name of folders
# Elements of patient, study and trial that an object of the study has (PS3.3 C.7.1.1, C.7.2.1, C.7.1.3, C.7.2.3).
WANTED = {
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "FrameOfReferenceUID",
}
OF_PET = {"SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime"}  # with which a viewer computes the SUV
OF_REFERENCES = ("ReferencedSOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def write_pair(folder: Path, **keywords) -> Path:
    """An MR and a PET of the planted patient in ``mr`` and ``pt``; keywords go into the PET's headers."""
    for number, (name, modality) in enumerate((("mr", "MR"), ("pt", "PT")), start=1):
        phantom = write_series(folder / name, SHAPE, modality=modality, SeriesNumber=number)
        plant_in_files(phantom.files, number, **(keywords if modality == "PT" else {}))
    return folder


def call(capfd, *words) -> tuple[int, str]:
    """Run a command; its exit code and all that it printed."""
    capfd.readouterr()
    code = main([str(word) for word in words])
    return code, "\n".join(capfd.readouterr())


def assert_wanted(out: Path) -> None:
    """DICOM output says who the patient is where it must, and nowhere else."""
    files = sorted(out.rglob("*.dcm"))
    assert files
    for file in files:
        dataset = pydicom.dcmread(file)
        allowed = WANTED | (OF_PET if dataset.Modality == "PT" else set())
        for path in planted_elements(dataset):
            last = path.rpartition("/")[2]
            known = path in allowed or last in OF_REFERENCES or last.startswith(("ClinicalTrial", "IssuerOfClinical"))
            assert known, f"{file.relative_to(out)}: {path}"
        assert dataset.PatientName == f"{PATIENT}^"


def test_fuse_list_and_view(tmp_path, temporary, capfd):
    """Free text stands where DICOM has terms, in Units and SeriesDescription too; a contour names a third person."""
    folder = write_pair(tmp_path / "in", Units=f"{MARK}UNITS")
    mr = read_dicom_volume(folder / "mr")
    drawn = write_contours(tmp_path / "drawn.dcm", mr, {f"{PATIENT} GTV": ball(mr, (16, 14, 3), 8)})
    out = tmp_path / "out"
    words = ("fuse", folder / "mr", folder / "pt", "--register", "none", "--dicom", "--loss-map", "--scale-bar")
    code, printed = call(capfd, *words, "--carry", drawn, "--same-patient", "-o", out)
    assert code == 0, printed
    assert not secrets_in(printed)
    assert "Units is (no term of the standard)" in printed
    assert not secrets_below(out)
    assert_wanted(out)

    code, printed = call(capfd, "view", out, "--html", tmp_path / "view.html")
    assert code == 0
    assert not secrets_in(printed)
    assert not secrets_in((tmp_path / "view.html").read_bytes())

    code, printed = call(capfd, "list", folder)
    assert code == 0
    for secret in (PATIENT, f"{MARK}00100020", f"{MARK}PRIVATE", f"{MARK}00080090", UID_ROOT):
        assert secret not in printed  # the description of a series and its date are what `list` is for
    assert not list(temporary.iterdir())


def test_batch_with_all_that_can_be_wrong(tmp_path, temporary, capfd):
    """A night: two good studies, one of them half locked, and four that fail, each for its own row."""
    studies, out = tmp_path / "in", tmp_path / "out"
    write_pair(studies / f"{PATIENT}_good")
    locked = write_pair(studies / "b_locked_file") / "mr"
    (locked / "0.dcm").symlink_to("/proc/self/mem")  # the first by name; it opens, and cannot be read
    for file in (write_pair(studies / "c_19010131") / "mr").iterdir():
        file.write_bytes(file.read_bytes().replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00PO"))
    several = write_pair(studies / "d_several")
    plant_in_files(write_series(several / "more", SHAPE, SeriesNumber=3).files, 3)
    cut = sorted((write_pair(studies / "e_cut") / "pt").iterdir())[2]
    cut.rename(cut.with_name(f"{PATIENT}.dcm")).write_bytes(cut.with_name(f"{PATIENT}.dcm").read_bytes()[:-500])
    nifti = studies / "f_01.02.1901"
    nifti.mkdir()
    for letter in "ab":
        nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.float32), np.eye(4)), nifti / f"{letter}.nii.gz")

    words = ("batch", studies, "-o", out, "--register", "none", "--dicom", "--deidentify")
    code, printed = call(capfd, *words)
    assert code == 3
    assert not secrets_in(printed)
    rows = list(csv.DictReader(io.StringIO((out / "batch.csv").read_text())))
    by_study = {line["study"]: line["name"] for line in csv.DictReader((out / "batch_key.csv").open())}
    states = {study: next(row for row in rows if row["name"] == name) for study, name in by_study.items()}
    assert len(states) == len(rows) == 6  # none has its own name
    assert {study for study, row in states.items() if row["status"] == "fused"} == {
        f"{PATIENT}_good",
        "b_locked_file",
    }
    assert "MR, 6 images of 32x28" in states["d_several"]["error"]
    assert "file" in states["e_cut"]["error"]
    (out / "batch_key.csv").unlink()  # only its owner can read it
    assert not secrets_below(out)
    for file in out.rglob("*.dcm"):
        assert not planted_elements(pydicom.dcmread(file)), file
    assert not list(temporary.iterdir())


def test_burned_in_text_is_told_kept_and_not_de_identified(tmp_path, capfd):
    folder = write_pair(tmp_path / "in", BurnedInAnnotation="YES")
    words = ("fuse", folder / "mr", folder / "pt", "--register", "none", "--dicom", "-o", tmp_path / "out")
    code, printed = call(capfd, *words, "--deidentify")
    assert code == 2
    assert "expected images without burned-in text, source B has some" in printed
    code, printed = call(capfd, *words)
    assert code == 0
    assert "mmif-amin: warning: source B: text is burned into the images" in printed
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert any("burned" in note for note in report["sources"]["b"]["notes"])
    told = {
        series: pydicom.dcmread(next((tmp_path / "out" / series).iterdir())).BurnedInAnnotation
        for series in ("dicom", "dicom_color", "dicom_source_b")
    }
    assert told == dict.fromkeys(told, "YES")


def test_nothing_to_de_identify_is_refused(tmp_path, capfd):
    folder = write_pair(tmp_path / "in")
    code, printed = call(capfd, "fuse", folder / "mr", folder / "pt", "--deidentify", "-o", tmp_path / "out")
    assert code == 2
    assert "Add --dicom" in printed


@pytest.mark.parametrize("wrong", ["two MR", "unknown VR", "cut"])
def test_the_worker_of_listen_tells_nothing(tmp_path, wrong):
    """One bad study is one line without a secret; the worker lives on."""
    folder = write_pair(tmp_path / "in")
    first = sorted((folder / "mr").iterdir())[0]
    if wrong == "two MR":
        plant_in_files(write_series(folder / "more", SHAPE, SeriesNumber=3).files, 3)
    elif wrong == "unknown VR":
        first.write_bytes(first.read_bytes().replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00PO"))
    else:
        first.write_bytes(first.read_bytes()[:-500])
    files = {f"1.2.3.{k}": str(file) for k, file in enumerate(sorted(filter(Path.is_file, folder.rglob("*"))))}
    for sop, file in files.items():  # as the intake names them
        files[sop] = str(Path(file).rename(Path(file).with_name(f"{sop}.dcm")))
    work, results = str(tmp_path / "work"), str(tmp_path / "results")
    answer = _fuse(Job("1.2.3", files, read_rules(SHIPPED_RULES), work, results, frozenset(), {}), {})
    assert answer.key == ""
    assert answer.reason
    assert not secrets_in(Pseudonyms(tmp_path).masked(answer.reason))
    assert not Path(work).exists()
