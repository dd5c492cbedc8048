"""Very many studies in one process, many processes at one output, and volumes up to what memory allows and beyond.

CI tries some of each; ``LOAD=1 pytest tests/acceptance/load -rP`` tries 2,000 pictures, 50 volumes and 8 processes.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from scripts.utils.files import UNFINISHED

from tests.acceptance.faults import scenarios
from tests.conftest import ROOT, make_pair, write_gray

FULL = bool(os.environ.get("LOAD"))
PICTURES, MAPPED, VOLUMES, REGISTERED = (2000, 400, 50, 5) if FULL else (60, 0, 0, 0)
WARM = {"picture": 400, "volume": 10} if FULL else {"picture": 20, "volume": 0}  # from then on nothing may grow
MOST_SPAN = 0.03 if FULL else 0.1  # of the resident memory after that, from least to most
AT_ONCE = 8 if FULL else 3
LIMIT = 2 * 2**30  # bytes of address space, as `ulimit -v` sets it
COMMAND = [sys.executable, "-m", "mmif_amin", "fuse"]


def span(values: list[int]) -> float:
    """From the least to the most, as a share of the middle."""
    return (max(values) - min(values)) / float(np.median(values))


@pytest.mark.slow
def test_nothing_is_left_of_what_was_fused_before(tmp_path):
    words = ["--pictures", PICTURES, "--mapped", MAPPED, "--volumes", VOLUMES, "--registered", REGISTERED]
    command = [sys.executable, "-m", "tests.acceptance.load.steady", tmp_path, *words]
    subprocess.run([str(word) for word in command], check=True, cwd=ROOT, capture_output=True, env=environment())
    with (tmp_path / "held.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for kind in {row["kind"] for row in rows}:
        column = {key: [int(row[key]) for row in rows if row["kind"] == kind] for key in rows[0] if key != "kind"}
        warm = {key: values[column["number"].index(WARM[kind]) :] for key, values in column.items()}
        low, high = (limit(warm["resident"]) / 1e6 for limit in (min, max))
        print(f"{kind}: {len(warm['number'])} samples, {low:.0f} to {high:.0f} MB, {span(warm['resident']):.2%}")
        for key in ("files", "threads", "children"):
            assert len(set(warm[key])) == 1, (kind, key, warm[key])
        assert not any(column["temporary"]), kind
        assert span(warm["resident"]) < MOST_SPAN, (kind, warm["resident"])
    assert not list(tmp_path.rglob(f"{UNFINISHED}*"))


def environment() -> dict[str, str]:
    """One thread, and this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def start(*words: object) -> subprocess.Popen:
    """Start ``mmif-amin fuse``."""
    command = [*COMMAND, *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_many_processes_write_one_picture(tmp_path):
    """Each of another pair, so that a mixture of two would show."""
    images = [make_pair((128, 128), k)[0].numpy() for k in range(AT_ONCE)]
    pairs = [[write_gray(tmp_path / f"{k}{i}.png", pair[i]) for i in (0, 1)] for k, pair in enumerate(images)]
    output = tmp_path / "out" / "fused.png"
    running = [start(*pair, "-o", output) for pair in pairs]
    while any(process.poll() is None for process in running):
        if output.exists():
            assert Image.open(output).convert("L").size == (128, 128)  # whole at any time
        time.sleep(0.002)
    assert [(process.returncode, process.stderr.read()) for process in running] == [(0, "")] * AT_ONCE
    alone = tmp_path / "alone.png"
    contents = []
    for pair in pairs if FULL else pairs[:0]:
        assert start(*pair, "-o", alone).wait() == 0
        contents.append(alone.read_bytes())
    assert not FULL or output.read_bytes() in contents
    assert os.listdir(output.parent) == ["fused.png"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes of this test are forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("make", [scenarios.study, scenarios.volume])
def test_many_processes_write_one_study(tmp_path, monkeypatch, make):
    """One is there, whole; a folder is that of the first, and the others are refused in one line."""
    inputs, output = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    output.mkdir()
    scenario = make(inputs, output, monkeypatch)
    scenario.new()
    expected = scenarios.contents(output)
    subprocess.run(["rm", "-r", *map(str, output.iterdir())], check=True)
    reading, writing = os.pipe()
    children = [in_child(scenario.new, reading) for _ in range(AT_ONCE)]
    os.write(writing, b"x" * AT_ONCE)  # now all begin
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes == ([0] + [2] * (AT_ONCE - 1) if scenario.together else [0] * AT_ONCE)
    assert scenarios.contents(output) == expected
    assert not scenarios.hidden(output)


def in_child(work: Callable[[], object], gate: int) -> int:
    """Do work in a fork, which waits at a gate; it ends with 0, 2 for an InputError, 1 for anything else."""
    from scripts.utils.checks import input_error_behind

    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.read(gate, 1)
            work()
            code = 0
        except Exception as error:
            code = 2 if input_error_behind(error) else 1
        finally:
            os._exit(code)
    return child


def blank(path: Path, slices: int) -> Path:
    """A volume of 256 x 256 voxels a slice in which a corner is dark; a file of some kB."""
    values = np.full((256, 256, slices), 9, np.uint8)
    values[:20] = 0
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    return path


def fuse_within_limit(tmp_path: Path, slices: int) -> tuple[int, str]:
    """Exit code and messages of a fusion of volumes in a process that may take 2 GiB."""
    resource = pytest.importorskip("resource", reason="this system has no limits of memory")
    files = [blank(tmp_path / f"{letter}{slices}.nii.gz", slices) for letter in "ab"]
    words = [str(word) for word in (*COMMAND, *files, "--task", "PET-MRI", "--register", "none")]
    done = subprocess.run(
        [*words, "-o", str(tmp_path / f"out{slices}")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT)),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.slow
def test_a_volume_beyond_memory_is_refused_before_the_work_and_the_largest_below_is_fused(tmp_path):
    code, said = fuse_within_limit(tmp_path, 400)
    assert code == 2, said
    told = re.search(r"voxels needs about ([\d.]+) GB of memory, ([\d.]+) GB are free", said)
    assert told, said
    assert float(told[1]) > float(told[2])
    assert not (tmp_path / "out400").exists()
    if FULL:
        slices = int((float(told[2]) - 0.05 - 1.0) * 1e9 / 28 / 256**2)  # see BYTES_PER_VOXEL in transforms/grid.py
        code, said = fuse_within_limit(tmp_path, slices)
        print(f"{slices} slices of 256 x 256 within {LIMIT / 2**30:g} GiB; refused: {told[0]}")
        assert code == 0, said
