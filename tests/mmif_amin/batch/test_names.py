"""Public names and reasons: nothing that is written or printed says who the patient is."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

import pytest
from mmif_amin.scripts.data.study import Study, find_study
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
        pytest.param("1970-01-01", False, id="birth date"),
        pytest.param("born 01.01.1970", False, id="birth date, day first"),
        pytest.param("mr_700101", False, id="birth date, short year"),
        pytest.param("acc-0815", False, id="accession number"),
        pytest.param("2024-01-02 mr", True, id="another date"),
        pytest.param("batch.csv", False, id="the table's own name"),
        pytest.param("=cmd()", False, id="a formula"),
        pytest.param(".hidden", False, id="hidden"),
        pytest.param("case\u200f1", False, id="right-to-left mark"),
        pytest.param("case\0001", False, id="null"),
        pytest.param("x" * 300, False, id="too long for a disk"),
    ],
)
def test_a_study_named_after_its_patient_gets_another_name(patient, name, public):
    study = Study(str(patient), str(patient), name)
    assert public_name(study) == (name if public else hashed_name(study))
    assert "jane" not in public_name(study).lower()


@pytest.mark.parametrize(
    ("patient_name", "name", "public"),
    [
        pytest.param("Müller^Zoë", "Mueller_t1", False, id="u and e for an umlaut"),
        pytest.param("Müller^Zoë", "muller t1", False, id="no umlaut"),
        pytest.param("MUELLER^ZOE", "Müller", False, id="an umlaut in the folder alone"),
        pytest.param("Łukasz^Ængström", "lukasz-2", False, id="a stroke"),
        pytest.param("Yamada^Taro=山田^太郎", "山田様", False, id="ideographs"),
        pytest.param("Hong^Gildong=洪^吉洞=홍^길동", "홍 1", False, id="one letter of Hangul"),
        pytest.param("LI^NA", "li_2", False, id="two letters"),
        pytest.param("LI^NA", "liver_final", True, id="two letters in another word"),
        pytest.param("Müller^Zoë", "mull_1", True, id="a part of the name"),
    ],
)
def test_a_name_is_found_however_it_is_spelled(tmp_path, patient_name, name, public):
    write_series(tmp_path, (4, 4, 2), PatientName=patient_name, PatientID="07-99", SpecificCharacterSet="ISO_IR 192")
    study = Study(str(tmp_path), str(tmp_path), name)
    assert public_name(study) == (name if public else hashed_name(study))


@pytest.mark.parametrize(
    ("name", "public"),
    [("DOE_JANE", True), ("case 4711-12", True), ("19700101_a", False), ("31.12.1970", False), ("x2024-02-03", False)],
)
def test_nifti_does_not_say_who_it_is_so_no_date_is_taken(name, public):
    study = Study("a.nii.gz", "b.nii", name)
    assert public_name(study) == (name if public else hashed_name(study))


def test_a_batch_that_de_identifies_gives_no_study_its_own_name(patient):
    study = Study(str(patient), str(patient), "case-1")
    assert public_name(study, hidden=True) == hashed_name(study)


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


def test_of_a_program_error_only_kind_and_place_are_told():
    """What a package says may quote the header: pydicom says which value it cannot read."""
    reason = public_reason(wrapped(ValueError("could not convert 'DOE^JANE'")), Study("a.nii", "b.nii", "x"), "x")
    assert re.fullmatch(r"ValueError in test_names\.py, line \d+", reason)


def test_of_an_error_of_the_system_its_own_words_are_told():
    error = OSError(errno.ENOSPC, "No space left on device", "/data/DOE_JANE/a.nii")
    assert public_reason(wrapped(error), Study("a.nii", "b.nii", "x"), "x") == "OSError: No space left on device"


def test_a_reason_tells_the_number_of_a_file_in_place_of_its_name(patient):
    for name in ("AAA.dcm", "DOE^JANE 1970.dcm", "DOE^JANE.dcm"):
        shutil.copy(next(patient.iterdir()), patient / name)
    error = InputError(f"{patient / 'DOE^JANE.dcm'}: expected whole DICOM, as {patient / 'DOE^JANE 1970.dcm'} is.")
    study = Study(str(patient), str(patient), "case-1")
    assert public_reason(error, study, "case-1") == "A, file 3: expected whole DICOM, as A, file 2 is."
    gone = InputError(f"{patient / 'sub' / 'DOE.dcm'}: expected a file.")
    assert public_reason(gone, study, "case-1") == "A: expected a file."


def test_paths_that_begin_alike_stay_apart(tmp_path):
    a, b = tmp_path / "s1", tmp_path / "s1b"
    reason = public_reason(InputError(f"{b}: expected a PET, {a} has none"), Study(str(a), str(b), "x"), "x")
    assert reason == "B: expected a PET, A has none"


def test_a_short_name_is_replaced_only_where_it_stands_alone():
    error = InputError("expected a PET, b has a bad one, which is held back.")
    reason = public_reason(error, Study("x.nii", "y.nii", "b"), "study-1")
    assert reason == "expected a PET, study-1 has a bad one, which is held back."


def test_a_reason_quotes_no_header(tmp_path):
    """Review: two MR series whose SeriesDescription names a third person; batch.csv had it, with UIDs and the date."""
    for number, name in ((1, "DR MILLER for Mrs Roe"), (2, "T1")):
        write_series(tmp_path, prefix=f"s{number}-", SeriesNumber=number, SeriesDescription=name)
    study = Study(str(tmp_path), str(tmp_path), "case-1", task="CT-MRI", series_a="9")
    with pytest.raises(InputError, match="DR MILLER") as caught:
        find_study(study)
    reason = public_reason(caught.value, study, "case-1")
    assert not re.search(r"miller|roe|2024|\d\.\d+\.\d+\.\d|T1", reason, re.IGNORECASE)
    assert "1: MR, 10 images of 24x20" in reason


@pytest.mark.parametrize("kind", ["unknown VR", "unreadable file", "folder that is none"])
def test_a_reason_is_found_whatever_the_files_are(tmp_path, kind):
    folder = damaged_study(tmp_path / "DOE_JANE", kind)
    study = Study(str(folder), str(folder), "DOE_JANE")
    assert public_name(study) == hashed_name(study)
    assert public_reason(InputError(f"{folder}: expected DICOM"), study, "study-1") == "A: expected DICOM"


def damaged_study(folder: Path, kind: str) -> Path:
    """A DICOM folder of which nobody can say whose it is."""
    file = write_series(folder, (4, 4, 1), SliceThickness=3).files[0]
    if kind == "unknown VR":
        raw = file.read_bytes()
        place = raw.index(b"\x10\x00\x10\x00PN")
        file.write_bytes(raw[: place + 4] + b"PO" + raw[place + 6 :])
    elif kind == "unreadable file":
        file.unlink()
        file.symlink_to("/proc/self/mem")  # opens, and cannot be read
    else:
        file.unlink()
        (folder / "0.dcm").write_bytes(bytes(128) + b"DICM" + bytes(5))
    return folder


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
