"""Public names and reasons: nothing that is written or printed says who the patient is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mmif_amin.scripts.data.study import Study
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin.batch.names import hashed_name, keep_key, public_name, public_reason
from tests.model.dicom.dicom_phantoms import write_series


@pytest.fixture
def patient(tmp_path):
    """A DICOM folder of Jane Doe, PID-4711."""
    folder = tmp_path / "images"
    write_series(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "public"),
    [
        pytest.param("case-1", True, id="neutral"),
        pytest.param("DOE_JANE", False, id="name"),
        pytest.param("2024-doejane-mr", False, id="name within"),
        pytest.param("scan of pid-4711", False, id="id"),
    ],
)
def test_a_study_named_after_its_patient_gets_another_name(patient, name, public):
    study = Study(str(patient), str(patient), name)
    assert public_name(study) == (name if public else hashed_name(study))
    assert "jane" not in public_name(study).lower()


def test_nifti_does_not_say_who_it_is():
    assert public_name(Study("a.nii.gz", "b.nii", "DOE_JANE")) == "DOE_JANE"


def test_hashed_names_differ_and_stay():
    names = [hashed_name(Study("a", "b", name)) for name in ("one", "two", "one")]
    assert names[0] == names[2] != names[1]


def wrapped(cause: Exception) -> Exception:
    """An error as MONAI wraps what a transform raises."""
    try:
        try:
            raise cause
        except Exception as error:
            raise RuntimeError("applying transform <LoadStudyd>") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_reason_names_neither_path_nor_study(tmp_path, monkeypatch, relative, slash):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "studies" / "DOE_JANE"
    path = os.path.relpath(folder) if relative else str(folder)
    study = Study(path + slash, "b.nii", "DOE_JANE")
    for spelling in (path, str(Path(path)), os.path.abspath(path)):
        reason = public_reason(wrapped(InputError(f"{spelling}: expected\n  one series, DOE_JANE")), study, "study-1")
        assert reason == "A: expected; one series, study-1"


def test_the_reason_of_a_program_error_is_its_first_cause():
    reason = public_reason(wrapped(KeyError("image")), Study("a.nii", "b.nii", "x"), "x")
    assert reason == "KeyError: 'image'"


def test_the_key_says_which_study_a_pseudonym_stands_for(tmp_path):
    table, key = tmp_path / "batch.csv", tmp_path / "batch_key.csv"
    jane, neutral = Study("doe/a", "doe/b", "DOE, JANE"), Study("x/a", "x/b", "case-1")
    keep_key(table, [(neutral, "case-1")])
    assert not key.exists()
    keep_key(table, [(jane, "study-1"), (neutral, "case-1")])
    keep_key(table, [(Study("roe/a", "roe/b", "ROE"), "study-2")])  # a later run keeps what is there
    assert key.read_text().splitlines() == [
        "name,study,source_a,source_b",
        'study-1,"DOE, JANE",doe/a,doe/b',
        "study-2,ROE,roe/a,roe/b",
    ]
    assert key.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"name,other\n1,2\n", id="another table"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="not text"),
        pytest.param(b"name,study,source_a,source_b\n1,2\n", id="cut row"),
    ],
)
def test_a_key_that_is_none_is_not_overwritten(tmp_path, content):
    (tmp_path / "batch_key.csv").write_bytes(content)
    with pytest.raises(InputError, match="batch_key.csv: expected"):
        keep_key(tmp_path / "batch.csv", [(Study("a", "b", "DOE"), "study-1")])
    assert (tmp_path / "batch_key.csv").read_bytes() == content
