"""A night's batch: bad studies are written down and stop nothing, done ones stay, each tells its own memory."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from mmif_amin.scripts.data.study import Study
from mmif_amin.scripts.inferers import runtimes
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin.batch import run
from mmif_amin.batch.run import fuse_studies
from tests.model.data.study_reports import FULL, OF_VERSION_0_4_0


@pytest.fixture
def volume(tmp_path):
    """Two names of NIfTI files that nothing reads: fusing is made up."""
    return str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz")


@pytest.fixture
def made_up(monkeypatch):
    """Fusing writes a report, or raises what stands under the study's name."""
    errors, tasks = {}, {}

    def fuse_study(study, output, options):
        tasks[study.name] = study.task
        if study.name in errors:
            raise errors[study.name]
        output.mkdir(parents=True)
        FULL.write(output / "report.json")

    monkeypatch.setattr(run, "fuse_study", fuse_study)
    return errors, tasks


def rows_of(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_whatever_is_wrong_with_one_study_the_others_are_fused(tmp_path, volume, made_up, monkeypatch):
    errors, tasks = made_up
    errors |= {"bad": InputError("the file is empty"), "bug": KeyError("image"), "full": MemoryError()}
    monkeypatch.setattr(run, "public_name", fails_for("DOE_JANE", run.public_name))
    names = ["one", "bad", "DOE_JANE", "bug", "full", "two"]
    studies = [Study(*volume, name=name) for name in names]
    failed, table = fuse_studies(studies, tmp_path / "night", "PET-MRI", {})
    rows = rows_of(table)
    assert failed == 4
    assert [row["status"] for row in rows] == ["fused", "failed", "failed", "failed", "failed", "fused"]
    assert [re.sub(r"line \d+", "line N", row["error"]) for row in rows if row["error"]] == [
        "the file is empty",
        "PermissionError in test_run.py, line N",
        "KeyError in test_run.py, line N",
        "MemoryError in test_run.py, line N",
    ]
    assert rows[2]["name"].startswith("study-")  # whose patient could not be found out
    assert "JANE" not in table.read_text()
    assert set(tasks.values()) == {"PET-MRI"}
    key = tmp_path / "night" / "batch_key.csv"
    assert key.read_text().splitlines()[1].startswith(f"{rows[2]['name']},DOE_JANE,")
    assert key.stat().st_mode & 0o777 == 0o600


def fails_for(name, function):
    def fail(study, hidden):
        if study.name == name:
            raise PermissionError("no access")
        return function(study, hidden)

    return fail


def test_a_study_keeps_its_own_task(tmp_path, volume, made_up):
    _, tasks = made_up
    fuse_studies([Study(*volume, "one", task="CT-MRI"), Study(*volume, "two")], tmp_path / "night", "PET-MRI", {})
    assert tasks == {"one": "CT-MRI", "two": "PET-MRI"}


def test_done_studies_are_left_alone_and_odd_reports_are_failures(tmp_path, volume, made_up):
    _, tasks = made_up
    night = tmp_path / "night"
    for name, report in (("old", OF_VERSION_0_4_0), ("newer", {"schema_version": 99}), ("new", FULL.to_dict())):
        (night / name).mkdir(parents=True)
        (night / name / "report.json").write_text(json.dumps(report))
    studies = [Study(*volume, name=name) for name in ("old", "newer", "new", "other")]
    failed, table = fuse_studies(studies, night, None, {})
    assert failed == 1
    assert [row["status"] for row in rows_of(table)] == ["done before", "failed", "done before", "fused"]
    assert "expected at most" in rows_of(table)[1]["error"]
    assert list(tasks) == ["other"]


def test_a_table_that_cannot_be_written_for_a_while_stops_nothing(tmp_path, volume, made_up, monkeypatch, capfd):
    answers = iter([InputError("batch.csv: could not be written"), None, None])
    write_table = run.write_table

    def write(path, rows):
        if error := next(answers, None):
            raise error
        write_table(path, rows)

    monkeypatch.setattr(run, "write_table", write)
    failed, table = fuse_studies([Study(*volume, name=name) for name in "ab"], tmp_path / "night", None, {})
    assert failed == 0
    assert "could not be written" in "".join(capfd.readouterr())
    assert [row["name"] for row in rows_of(table)] == ["a", "b"]


def test_an_output_that_cannot_be_written_is_refused_first(tmp_path, volume, made_up):
    _, tasks = made_up
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write there"):
        fuse_studies([Study(*volume)], tmp_path / "file", None, {})
    assert not tasks


def write_pair(folder, shape):
    """A head of noise in two modalities on one grid."""
    folder.mkdir(parents=True)
    x, y, z = (axis / n * 2 - 1 for axis, n in zip(np.mgrid[tuple(map(slice, shape))], shape, strict=True))
    inside = x**2 + y**2 + z**2 < 0.8
    for seed, name in enumerate("ab"):
        values = np.where(inside, np.random.default_rng(seed).random(shape) + 0.5, 0).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"{name}.nii.gz")
    return Study(str(folder / "a.nii.gz"), str(folder / "b.nii.gz"), folder.name)


def test_the_network_is_loaded_once_for_all_studies(tmp_path, monkeypatch):
    loaded, load_network = [], runtimes.load_network

    def counted(*args, **kwargs):
        loaded.append(load_network(*args, **kwargs))
        return loaded[-1]

    monkeypatch.setattr(runtimes, "load_network", counted)
    studies = [write_pair(tmp_path / name, (32, 32, 6)) for name in ("one", "two", "three")]
    options = {"register": "none", "precision": "bfloat16"}
    failed, _ = fuse_studies(studies, tmp_path / "night", "PET-MRI", options)
    assert (failed, len(loaded)) == (0, 1)
    alone = tmp_path / "alone"
    run.fuse_study(replace(studies[2], task="PET-MRI"), alone, options)
    fused, expected = (
        nibabel.load(folder / "fused.nii.gz").get_fdata() for folder in (tmp_path / "night" / "three", alone)
    )
    assert np.array_equal(fused, expected)
    report = json.loads((tmp_path / "night" / "three" / "report.json").read_text())
    assert report["network"] == {"runtime": "torch", "precision": "bfloat16"}


def test_another_process_that_was_faster_is_no_failure(tmp_path, volume, monkeypatch):
    """Review: four processes at once into one folder left a table that said that all had failed."""

    def second(study, output, options):
        output.mkdir(parents=True)
        FULL.write(output / "report.json")  # by the first process
        raise InputError("expected a new or empty folder, there is something")

    monkeypatch.setattr(run, "fuse_study", second)
    failed, table = fuse_studies([Study(*volume, name="one")], tmp_path / "night", None, {})
    assert failed == 0
    assert rows_of(table)[0]["status"] == "done before"


def test_each_study_tells_its_own_memory(tmp_path):
    """The first study leaves the peak of the process; the smaller one tells less, and the first again as much."""
    large, small = write_pair(tmp_path / "large", (160, 160, 96)), write_pair(tmp_path / "small", (64, 64, 12))
    again = Study(large.source_a, large.source_b, "again")
    failed, _ = fuse_studies([large, small, again], tmp_path / "night", "PET-MRI", {"register": "none"})
    assert failed == 0
    memory = {
        name: json.loads((tmp_path / "night" / name / "report.json").read_text())["peak_memory_gb"]
        for name in ("large", "small", "again")
    }
    assert memory["small"] < 0.5 * memory["large"], memory
    assert memory["again"] > 0.6 * memory["large"], memory
