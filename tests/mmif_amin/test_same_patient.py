"""Two patients are refused at every door, unless the user says that they are one person."""

from __future__ import annotations

import json

import monai.bundle
import numpy as np
import pytest
from mmif_amin.scripts.utils.checks import input_error_behind

from mmif_amin import BUNDLE
from mmif_amin.cli import main
from tests.model.dicom.dicom_phantoms import head, write_series
from tests.model.dicom.reading import assert_nameless

SHAPE = (32, 28, 4)
CONFIG = BUNDLE / "configs" / "inference_volume.json"
REFUSAL = "Expected two series of one patient, they differ in PatientID and PatientBirthDate. "


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A batch of one study: the MR of one patient, and a PET of another one on the same grid."""
    folder = tmp_path_factory.mktemp("studies")
    for letter, modality, other in (("a", "MR", {}), ("b", "PT", {"PatientID": "X-2", "PatientBirthDate": "19500505"})):
        stored = head(SHAPE).astype(np.int16)
        write_series(folder / "s1" / letter, modality=modality, stored=stored, **other)
    return folder


def assert_accepted(out) -> None:
    report = json.loads((out / "report.json").read_text())
    assert report["patient_differs_in"] == ["PatientID", "PatientBirthDate"]
    assert report["settings"]["same_patient"] == "True"
    note = "different in the two sources, said to be one person's: PatientID and PatientBirthDate"
    assert note in report["sources"]["b"]["notes"]
    assert_nameless(json.dumps(report))


def test_fuse(studies, tmp_path, capsys):
    words = ["fuse", str(studies / "s1" / "a"), str(studies / "s1" / "b"), "--register", "none", "-o"]
    assert main([*words, str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"mmif-amin: error: {REFUSAL}")
    assert error.rstrip().endswith("say so with --same-patient.")
    assert_nameless(error)
    assert not list(tmp_path.iterdir())
    assert main([*words, str(tmp_path / "out"), "--same-patient"]) == 0
    assert_accepted(tmp_path / "out")


def test_batch(studies, tmp_path):
    words = ["batch", str(studies), "--register", "none", "-o", str(tmp_path)]
    assert main(words) == 3
    table = (tmp_path / "batch.csv").read_text()
    assert f's1,failed,,,,,,"{REFUSAL}' in table
    assert_nameless(table)
    assert main([*words, "--same-patient"]) == 0
    assert_accepted(tmp_path / "s1")


def test_the_config(studies, tmp_path):
    keys = {f"source_{letter}": str(studies / "s1" / letter) for letter in "ab"}
    keys |= {"task": "PET-MRI", "register": "none", "output_dir": str(tmp_path / "out")}
    with pytest.raises(RuntimeError, match="Failed to evaluate") as caught:
        monai.bundle.run("inference", config_file=str(CONFIG), **keys)
    assert str(input_error_behind(caught.value)).startswith(REFUSAL)
    assert not list(tmp_path.iterdir())
    monai.bundle.run("inference", config_file=str(CONFIG), same_patient=True, **keys)
    assert_accepted(tmp_path / "out")
