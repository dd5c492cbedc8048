"""The figures of `scale` are those that one computes by hand, and the command measures or reads what a study takes."""

from __future__ import annotations

import json
import re

import pytest
from mmif_amin.scripts.data.study import Study
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin import scale
from mmif_amin.cli import main
from mmif_amin.scale import FLEETS, Fleet, Measurement, need, table

ONE = Measurement(seconds=36, memory_gb=2, read_mb=10, written_mb=50, efficiency=0.9, source="test")
FIGURES = {"seconds": 36, "memory_gb": 2, "read_mb": 10, "written_mb": 50, "efficiency": 0.9}


@pytest.mark.parametrize(
    ("fleet", "at_once", "hours", "read"),
    [
        pytest.param(Fleet("one", 1, 1, 8), 1, 1000.0, 10 / 36, id="one core: nobody beside it"),
        pytest.param(Fleet("cores", 1, 4, 8), 4, 1000 / 4 / 0.9, 4 * 10 / 40, id="cores limit"),
        pytest.param(Fleet("memory", 2, 64, 6.5), 6, 1000 / 6 / 0.9, 6 * 10 / 40, id="memory limits"),
    ],
)
def test_need(fleet, at_once, hours, read):
    found = need(100_000, ONE, fleet)
    assert found.at_once == at_once
    assert found.hours == pytest.approx(hours)
    assert found.read_mb_s == pytest.approx(read)
    assert found.written_mb_s == pytest.approx(5 * read)
    assert found.disk_gb == 5000
    assert found.studies_an_hour * found.hours == pytest.approx(100_000)


def test_a_study_that_fits_on_no_machine():
    with pytest.raises(InputError, match="--fleet small: a study needs 2 GB of memory, a machine has 1"):
        table(10, ONE, [Fleet("small", 1, 4, 1)])


@pytest.mark.parametrize("word", ["x", "x=1x2", "x=0x4x8", "a|b=1x4x8", "=1x4x8", "x=1x4x-8", "x=1x4xa"])
def test_bad_fleets(word):
    with pytest.raises(InputError, match=re.escape(f"--fleet {word}: expected NAME=MACHINESxCORESxGB")):
        Fleet.parse(word)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", "expected the figures", id="no JSON"),
        pytest.param('{"seconds": 3}', "got: 'memory_gb'", id="missing"),
        pytest.param(json.dumps({**FIGURES, "seconds": 0}), "a positive figure seconds, got 0", id="zero"),
        pytest.param(json.dumps({**FIGURES, "efficiency": 2}), "efficiency, at most 1, got 2", id="efficiency"),
        pytest.param("[1]", "expected the figures", id="list"),
    ],
)
def test_bad_measurements(tmp_path, text, message):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        Measurement.read(tmp_path / "m.json")
    assert main(["scale", "--measured", str(tmp_path / "m.json")]) == 2


def test_the_command_with_a_file(tmp_path, capsys):
    (tmp_path / "m.json").write_text(json.dumps(FIGURES))
    assert main(["scale", "--studies", "100000", "--measured", str(tmp_path / "m.json")]) == 0
    told = capsys.readouterr().out
    assert "All 100000: 5,000 GB of disk." in told
    assert [line.split("|")[1].strip() for line in told.splitlines()[-3:]] == [fleet.name for fleet in FLEETS]
    assert main(["scale", "--measured", str(tmp_path / "m.json"), "--fleet", "ward=4x16x64"]) == 0
    assert "| ward | 4 | 16, 64 | 64 |" in capsys.readouterr().out
    assert main(["scale", "--studies", "0"]) == 2


@pytest.mark.slow
def test_the_command_measures(capsys):
    """The memory is that of both processes: Python with torch and the network takes 0.6 GB, elastix's 0.2 GB more."""
    assert main(["scale", "--studies", "1000"]) == 0
    told = capsys.readouterr().out
    assert "measured here, now" in told
    assert float(re.search(r"core, ([\d.]+) GB of memory", told).group(1)) >= 0.8


def test_a_study_of_the_user(monkeypatch, capsys):
    measured = []
    monkeypatch.setattr(scale, "measure", lambda study: measured.append(study) or ONE)
    assert main(["scale", "--study", "mri.nii.gz", "pet.nii.gz", "--task", "PET-MRI"]) == 0
    assert main(["scale"]) == 0
    assert measured == [Study("mri.nii.gz", "pet.nii.gz", task="PET-MRI"), None]
    assert main(["scale", "--study", "mri.nii.gz"]) == 2
    assert "--study: expected two volumes, such as an MRI and a PET, got 1" in capsys.readouterr().err
    assert main(["scale", "--task", "PET-MRI"]) == 2
    assert main(["scale", "--study", "a", "b", "--measured", "m.json"]) == 2
