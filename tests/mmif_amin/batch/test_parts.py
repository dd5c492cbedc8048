"""Parts of a batch: each study in exactly one, the same on each machine, and one table of all."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from mmif_amin.scripts.data.study import Study
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin.batch.parts import Part, merge_tables
from mmif_amin.batch.table import FAILED, FUSED, Row, read_table, write_table
from mmif_amin.cli import main
from tests.conftest import ROOT
from tests.mmif_amin.batch.test_run import write_pair

STUDIES = [Study("a.nii", "b.nii", f"case-{k}") for k in range(10)]


@pytest.mark.parametrize("total", [1, 3, 4, 10, 12])
def test_each_study_is_in_exactly_one_part(total):
    parts = [Part(number, total).of(STUDIES) for number in range(1, total + 1)]
    assert sorted(study.name for part in parts for study in part) == sorted(study.name for study in STUDIES)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("word", "message"),
    [
        pytest.param("0/4", "--part 0/4: expected a number from 1 to 4", id="zero"),
        pytest.param("5/4", "--part 5/4: expected a number from 1 to 4", id="beyond"),
        pytest.param("1/0", "--part 1/0: expected a number of parts, from 1,", id="of none"),
        pytest.param("a/b", "--part a/b: expected i/N, such as 2/4", id="letters"),
        pytest.param("-1/4", "--part -1/4: expected i/N", id="negative"),
        pytest.param("²/4", "expected i/N", id="no digit"),
        pytest.param("3", "--part 3: expected i/N", id="no slash"),
        pytest.param("", "--part : expected i/N", id="a variable that is not set"),
    ],
)
def test_bad_parts(tmp_path, capsys, word, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Part.parse(word)
    assert main(["batch", str(tmp_path), "-o", str(tmp_path / "out"), f"--part={word}"]) == 2
    assert message in capsys.readouterr().err


def write_parts(folder, total):
    """The tables of all parts of ``STUDIES``; the sixth study has failed."""
    for number in range(1, total + 1):
        part = Part(number, total)
        rows = [
            Row(study.name, FUSED, 1.5, 0.25) if study.name != "case-5" else Row(study.name, FAILED, error="no, file")
            for study in part.of(STUDIES)
        ]
        write_table(folder / part.table_name, rows)


def test_the_tables_of_the_parts_become_one_in_the_order_of_the_studies(tmp_path):
    write_parts(tmp_path, 3)
    failed, table = merge_tables(STUDIES, tmp_path, 3)
    rows = read_table(table)
    assert (failed, table) == (1, tmp_path / "batch.csv")
    assert [row.name for row in rows] == [study.name for study in STUDIES]
    assert rows[0] == Row("case-0", FUSED, 1.5, 0.25)
    assert rows[5].error == "no, file"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda f: (f / "batch_2_of_3.csv").unlink(), "found nothing there. Has that part", id="missing"),
        pytest.param(
            lambda f: write_table(f / "batch_2_of_3.csv", [Row("case-1", FUSED)]),
            "expected 3 studies, found 1. Wait until the part has ended, or start it again with --part 2/3",
            id="not complete",
        ),
        pytest.param(lambda f: (f / "batch_2_of_3.csv").write_text("x,y\n1,2\n"), "expected the columns", id="columns"),
        pytest.param(
            lambda f: (f / "batch_2_of_3.csv").write_text((f / "batch_2_of_3.csv").read_text().replace("1.5", "fast")),
            "expected the table of a batch, got: could not convert",
            id="values",
        ),
        pytest.param(
            lambda f: write_table(f / "batch_2_of_3.csv", [Row(f"case-{k}", FUSED) for k in (7, 4, 1)]),
            "batch_2_of_3.csv: row 1: by the list of this --merge another study belongs here than case-7. All parts",
            id="of a list in another order",
        ),
    ],
)
def test_parts_that_cannot_be_merged(tmp_path, spoil, message):
    write_parts(tmp_path, 3)
    spoil(tmp_path)
    with pytest.raises(InputError, match=re.escape(message)):
        merge_tables(STUDIES, tmp_path, 3)
    assert not (tmp_path / "batch.csv").exists()


def test_no_parts_to_merge(tmp_path):
    with pytest.raises(InputError, match="--merge 0: expected the number of parts"):
        merge_tables(STUDIES, tmp_path, 0)


@pytest.fixture
def studies(tmp_path):
    """A folder of four small pairs."""
    for k in range(4):
        write_pair(tmp_path / "studies" / f"case-{k}", (32, 32, 4))
    return tmp_path / "studies"


def words(studies, *more):
    options = ["--task", "PET-MRI", "--register", "none", *more]
    return ["batch", str(studies), "-o", str(studies.parent / "night"), *options]


def statuses(table):
    return {row.name: row.status for row in read_table(table)}


def test_parts_of_a_folder_and_their_merged_table(studies):
    assert [main(words(studies, "--part", f"{number}/2")) for number in (1, 2)] == [0, 0]
    night = studies.parent / "night"
    assert list(statuses(night / "batch_1_of_2.csv")) == ["case-0", "case-2"]
    assert main(words(studies, "--merge", "2")) == 0
    assert statuses(night / "batch.csv") == {f"case-{k}": "fused" for k in range(4)}


@pytest.mark.slow
def test_two_processes_with_the_same_studies_leave_a_right_table(studies):
    """Whoever is second finds the study done; no table says that it failed."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mmif_amin", *words(studies)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen(command, env=environment, **quiet) for _ in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]
    found = statuses(studies.parent / "night" / "batch.csv")
    assert list(found) == [f"case-{k}" for k in range(4)]
    assert set(found.values()) <= {"fused", "done before"}
    assert not [path for path in (studies.parent / "night").iterdir() if path.name.startswith(".")]
