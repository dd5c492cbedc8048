"""One study: names that look like config expressions are names, outputs never touch sources, what is told of it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from mmif_amin.scripts.data.study import Study
from mmif_amin.scripts.data.study_report import StudyReport
from mmif_amin.scripts.utils.checks import InputError, input_error_behind

from mmif_amin import BUNDLE, studies
from mmif_amin.studies import fuse_study
from tests.model.data.study_reports import BARE, FULL

SHAPE = (24, 20, 4)
ODD_NAMES = [
    "#1",
    "a#b",
    "$x",
    "$print(1)",
    '$__import__("os").mkdir("ran")',
    "@task",
    "@",
    "@::dataset",
    "%task",
    "100%",
    "{x}",
    "-o",
    "two  blanks ",
    "Größe Łódź 患者",
    "'quoted' \"twice\"",
    "a,b;c",
    "~",
]
if sys.platform == "win32":  # which has no such names
    ODD_NAMES = [name for name in ODD_NAMES if not set(name) & set('":') and name == name.rstrip()]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder: whatever runs by mistake leaves its traces there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_pair(folder: Path) -> Study:
    folder.mkdir(parents=True)
    x, y, _ = (axis / n * 2 - 1 for axis, n in zip(np.mgrid[tuple(map(slice, SHAPE))], SHAPE, strict=True))
    for seed, name in enumerate("ab"):
        values = np.where(x**2 + y**2 < 0.8, np.random.default_rng(seed).random(SHAPE) + 0.5, 0).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder.absolute() / f"{name}.nii.gz")
    return Study(str(folder / "a.nii.gz"), str(folder / "b.nii.gz"), folder.name, task="PET-MRI")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_a_name_whatever_it_looks_like(here, name):
    """Of a source, of its folder and of the output, as relative paths, so that the odd name comes first."""
    study = write_pair(Path(name))
    odd = Path(name) / f"{name}.nii.gz"
    Path(study.source_a).rename(odd)
    out = f"{name}.out"
    lines = fuse_study(replace(study, source_a=str(odd)), out, {"register": "none"})
    assert lines[-1] == f"look at it: mmif-amin view {out}"
    report = StudyReport.read(here / out / "report.json")
    assert (report.task, report.grid.shape) == ("PET-MRI", SHAPE)
    assert sorted(path.name for path in here.iterdir()) == sorted([name, out])  # and no "ran"


@pytest.mark.parametrize("name", [f"{name}.pt" for name in ODD_NAMES if not name[0].isalnum()])
def test_the_name_of_weights_is_a_name(here, name):
    """Weights of any name are used; a file of such a name that holds no weights is refused because of what it holds."""
    study = write_pair(here / "in")
    options = {"register": "none", "runtime": "torch"}
    (here / name).write_bytes((BUNDLE / "models" / "model.pt").read_bytes())
    fuse_study(study, here / "out.nii", {**options, "ckpt_path": name})
    expected = nibabel.load(here / "out.nii").get_fdata()
    assert expected.max() > 0
    (here / name).write_bytes(b"no weights")
    with pytest.raises(Exception, match=r"config item|instantiate") as caught:
        fuse_study(study, here / "other.nii", {**options, "ckpt_path": name})
    assert f"{name}: expected weights of the network" in str(input_error_behind(caught.value))
    assert sorted(path.name for path in here.iterdir()) == sorted(["in", "out.nii", name])


EXPRESSIONS = ['$__import__("os").mkdir("ran")', "@device", "%bundle_root"]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_a_task_is_no_expression(here, text):
    with pytest.raises(InputError, match=re.escape(text)):
        fuse_study(replace(write_pair(here / "in"), task=text), here / "out", {"register": "none"})
    assert [path.name for path in here.iterdir()] == ["in"]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_a_series_is_no_expression(here, text):
    """For NIfTI it is refused as it is."""
    with pytest.raises(InputError, match=re.escape(f"expected DICOM for --series-a {text}, got NIfTI")):
        fuse_study(replace(write_pair(here / "in"), series_a=text, series_b=text), here / "out", {"register": "none"})
    assert [path.name for path in here.iterdir()] == ["in"]


def test_an_unknown_option_is_refused(here):
    with pytest.raises(InputError, match="--colourmap: no such key in inference_volume.json. Did you mean --colormap"):
        fuse_study(write_pair(here / "in"), here / "out", {"colourmap": "hot"})


KEPT = [
    pytest.param("in/a.nii.gz", "would overwrite a source", id="source"),
    pytest.param("in/../in/b.nii.gz", "would overwrite a source", id="in a roundabout way"),
]


@pytest.mark.parametrize(("output", "message"), KEPT)
def test_a_source_is_never_overwritten(here, output, message):
    study = write_pair(here / "in")
    before = Path(study.source_a).read_bytes()
    with pytest.raises(InputError, match=message):
        fuse_study(study, here / output, {})
    assert Path(study.source_a).read_bytes() == before


def test_an_output_in_a_source_folder_is_refused(here):
    (here / "dicom").mkdir()
    with pytest.raises(InputError, match="would lie in a source's folder"):
        fuse_study(Study(str(here / "dicom"), str(here / "dicom")), here / "dicom" / "out", {})


def test_dicom_needs_dicom(here):
    with pytest.raises(InputError, match="expected DICOM as source A, got NIfTI"):
        fuse_study(Study("a.nii", "b.nii"), here / "out", {"dicom": True})


SUMMARIES = [
    pytest.param(
        FULL,
        [
            f"source A: {FULL.sources.a.notes[0]}",
            "registered (rigid): turned 0.0 degrees, shifted 13.7 mm; normalized mutual information 1.0500 to 1.2100",
            "deformed by 2.5 mm on average, 6.0 mm at most; local change of volume 0.70 to 1.40",
            "refined with 20 steps: loss 0.7500 to 0.6250, 12.5 s",
            "PET-MRI, 16 s, 0.2 GB: {out}",
            "look at it: mmif-amin view {out}",
        ],
        id="registered",
    ),
    pytest.param(
        BARE,
        ["PET-MRI, 16 s, 0.2 GB: {out}", "look at it: mmif-amin view {out}"],
        id="nothing to say",
    ),
]


@pytest.mark.parametrize(("report", "lines"), SUMMARIES)
def test_what_is_told(here, monkeypatch, report, lines):
    def run_config(files, run_id, overrides):
        os.makedirs(overrides["output_dir"])
        report.write(Path(overrides["output_dir"]) / "report.json")

    monkeypatch.setattr(studies, "run_config", run_config)
    out = here / "out"
    assert fuse_study(write_pair(here / "in"), out, {}) == [line.format(out=out) for line in lines]
