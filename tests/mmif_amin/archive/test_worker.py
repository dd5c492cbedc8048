"""What a worker says of studies that cannot be fused: one line, before the network is asked."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from mmif_amin.archive.journal import Pseudonyms, public_reason
from mmif_amin.archive.rules import SHIPPED_RULES, candidates_in, read_rules
from mmif_amin.archive.worker import Job, _fuse
from tests.mmif_amin.archive.made_up import write_study

SMALL = (16, 16, 3)


def job(folder, incomplete: dict[str, str] | None = None) -> Job:
    source = folder / "source"
    files = {f"1.2.3.{k}": str(file) for k, file in enumerate(sorted(filter(Path.is_file, source.rglob("*"))))}
    work, results = str(folder / "work"), str(folder / "results")
    return Job("1.2.3", files, read_rules(SHIPPED_RULES), work, results, frozenset(), incomplete or {})


BAD_STUDIES = [
    pytest.param({"other": "MR"}, "expected one structural series, 2 fit the rules", id="no fitting pair"),
    pytest.param({"half": True}, "expected one functional series, none fits the rules", id="half a pair"),
    pytest.param({"again": True}, "expected one structural series, 2 fit the rules", id="two pairs"),
    pytest.param({"patients": True}, "they differ in PatientID", id="two patients"),
    pytest.param({"damaged": True}, "pixel", id="damaged"),
]


@pytest.mark.parametrize(("kind", "reason"), BAD_STUDIES)
def test_a_bad_study_is_one_line(tmp_path, kind, reason):
    source = tmp_path / "source"
    study = write_study(source, shape=SMALL, other=kind.get("other", "CT"))
    if "again" in kind:
        write_study(source / "again", shape=SMALL, study=study)
        for file in list(source.glob("again/*/*")):
            file.rename(file.with_name(f"again-{file.name}"))
    if "half" in kind:
        shutil.rmtree(source / "other")
    if "patients" in kind:
        shutil.rmtree(source / "other")
        write_study(tmp_path / "else", 0, SMALL, PatientID="PID-0815")
        shutil.copytree(tmp_path / "else" / "other", source / "other")
    if "damaged" in kind:
        file = next((source / "mr").iterdir())
        file.write_bytes(file.read_bytes()[:-100])
    answer = _fuse(job(tmp_path), {})
    assert (answer.key, answer.lasting) == ("", "damaged" not in kind)
    assert reason in answer.reason
    assert len(answer.reason.splitlines()) == 1
    assert "4711" not in answer.reason
    assert not (tmp_path / "work").exists()


def test_a_series_that_lacks_an_object_is_not_fused(tmp_path):
    """An object of it was refused, such as by a full disk; of a series that is not chosen this does not matter."""
    write_study(tmp_path / "source", shape=SMALL, scout=True)
    series = {found.header.Modality: found.uid for found in candidates_in(tmp_path / "source")}
    answer = _fuse(job(tmp_path, {series["CT"]: "the disk is full"}), {})
    assert "lacks an object that was not taken: the disk is full. Send the study again" in answer.reason
    assert answer.lasting


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(OSError(errno.ENOSPC, "No space left on device", "/x/doe.nii"), "No space left", id="full disk"),
        pytest.param(ValueError("Doe^Jane"), "ValueError", id="any other"),
    ],
)
def test_reasons_name_no_patient(error, reason):
    try:
        raise RuntimeError("applying transform to Doe^Jane") from error
    except RuntimeError as wrapped:
        told = public_reason(wrapped)
    assert "doe" not in told.lower()
    if isinstance(error, OSError):
        assert told.startswith(reason)
    else:
        assert told == "RuntimeError"


@pytest.mark.parametrize("uid", ["1.2.840.113619.2.1", "2.25.329800735698586629295641978511506172918", "1.2.840.1136"])
def test_uids_of_all_forms_are_masked_but_no_host(tmp_path, uid):
    names = Pseudonyms(tmp_path)
    assert names.masked(f"(UID {uid}) at 10.0.30.255:11112, version 0.9.0") == (
        f"(UID {names.of(uid, 'uid')}) at 10.0.30.255:11112, version 0.9.0"
    )
