from __future__ import annotations

import re
from pathlib import Path

import pytest
from mmif_amin.scripts.data.study import Study
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin.batch.find import find_studies
from tests.model.dicom.dicom_phantoms import write_series


def test_folder_of_studies(tmp_path):
    for name in ("one/a.nii.gz", "one/b.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    write_series(tmp_path / "patient", modality="MR")
    write_series(tmp_path / "patient", modality="CT", prefix="ct")
    write_series(tmp_path / "two" / "source_a", modality="MR")
    write_series(tmp_path / "two" / "source_b", modality="CT")
    (tmp_path / "notes.txt").write_text("")
    found = {study.name: study for study in find_studies(tmp_path)}
    assert sorted(found) == ["one", "patient", "two"]
    assert found["one"].source_b.endswith("b.nii")
    assert found["two"].source_a.endswith("source_a")
    assert found["patient"].source_a == found["patient"].source_b == str(tmp_path / "patient")


def test_volumes_of_a_table(tmp_path):
    (tmp_path / "studies.csv").write_text('source_a,source_b,volume_a,volume_b\nt1,dwi,1,"b=1000,mean"\n')
    (study,) = find_studies(tmp_path / "studies.csv")
    assert (study.volume_a, study.volume_b) == ("1", "b=1000,mean")


def test_table(tmp_path):
    table = tmp_path / "studies.csv"
    table.write_text("\ufeffsource_a, source_b,name,task\n x/a.nii.gz ,y/b.nii.gz,first,PET-MRI\n,,,\nx/c,x/c,,\n")
    first, second = find_studies(table)
    assert first == Study(str(tmp_path / "x/a.nii.gz"), str(tmp_path / "y/b.nii.gz"), "first", "PET-MRI")
    assert (len(second.name), second.name[:5], second.task) == (13, "pair-", None)


def test_the_name_of_a_row_without_one_goes_by_what_it_fuses(tmp_path):
    """Not by its place: with a row more above it, its result is still its own."""
    table = tmp_path / "studies.csv"
    table.write_text("source_a,source_b,task\na.nii,b.nii,\nc.nii,d.nii,\n")
    before = {study.source_a: study.name for study in find_studies(table)}
    table.write_text("source_a,source_b,task\nnew.nii,b.nii,\nc.nii,d.nii,\na.nii,b.nii,\na.nii,b.nii,PET-MRI\n")
    new, *rest, other_task = find_studies(table)
    assert {study.source_a: study.name for study in rest} == before
    assert len({*before.values(), new.name, other_task.name}) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("source_a,other\n1,2\n", "missing: source_b", id="missing column"),
        pytest.param("source_a,source_b,weight\n1,2,3\n", "unknown: weight", id="unknown column"),
        pytest.param("source_a,source_b\n1,\n", "row 1: expected source_a and source_b", id="empty cell"),
        pytest.param("source_a,source_b\n", "expected at least one study", id="no rows"),
        pytest.param("source_a,source_b,name\n1,2,x\n3,4,x\n", "'x' is there 2 times", id="name twice"),
        pytest.param("source_a,source_b\n1,2\n1,2\n", "is there 2 times", id="row twice"),
        pytest.param("source_a,source_b,name\n1,2,../x\n", "expected a plain name", id="name with a path"),
        pytest.param("source_a;source_b\n1;2\n", "separated by commas; missing: source_a", id="semicolons"),
        pytest.param("source_a,source_b,name\n1,2,..\n", "expected a plain name", id="name of the parent"),
        pytest.param("source_a,source_b,name\n1,2,x.nii.gz\n", "expected a plain name", id="name of a file"),
        pytest.param("source_a,source_b\n1,2,3\n", "row 1: expected 2 columns", id="too many cells"),
        pytest.param("source_a,source_b,name\n1,2,x\0y\n", "expected a table of text", id="a zero byte"),
        pytest.param(
            f"source_a,source_b\n1,{'x' * 200_000}\n", "field larger than field limit", id="a cell without end"
        ),
    ],
)
def test_bad_tables(tmp_path, text, message):
    (tmp_path / "studies.csv").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        find_studies(tmp_path / "studies.csv")


def test_a_table_in_another_encoding(tmp_path):
    (tmp_path / "studies.csv").write_bytes("source_a,source_b\nä,b\n".encode("latin-1"))
    with pytest.raises(InputError, match="expected a table in UTF-8"):
        find_studies(tmp_path / "studies.csv")


def test_nothing_to_do(tmp_path):
    with pytest.raises(InputError, match="expected a folder of studies or a .csv table"):
        find_studies(tmp_path / "missing")
    with pytest.raises(InputError, match="expected at least one study"):
        find_studies(tmp_path)


def test_a_locked_folder_is_a_study_that_will_fail(tmp_path, monkeypatch):
    """Nothing can be looked for in it; the others are still fused."""
    for name in ("locked", "other"):
        (tmp_path / name).mkdir()
    exists = Path.exists

    def locked(path, **options):
        if path.parent.name == "locked":
            raise PermissionError(13, "Permission denied")
        return exists(path, **options)

    monkeypatch.setattr(Path, "exists", locked)
    assert [study.name for study in find_studies(tmp_path)] == ["locked", "other"]
