from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import psutil
import pytest
from scripts.utils import limits
from scripts.utils.checks import InputError
from scripts.utils.limits import (
    MOST_PIXELS,
    MOST_VOXELS,
    check_growth,
    check_pixels,
    check_voxel_size,
    check_voxels,
    memory_error,
)

from tests.conftest import BUNDLE

TAKEN = [
    pytest.param(check_pixels, (5792, 5792), id="a large mammogram"),
    pytest.param(check_pixels, (1, 1), id="one pixel"),
    pytest.param(check_voxels, ((512, 512, 600),), id="a body in CT"),
    pytest.param(check_voxels, ((np.int16(512), np.int16(512), np.int16(600)),), id="small integers do not overflow"),
    pytest.param(check_growth, ((512, 512, 40), (512, 900, 40)), id="a tilted gantry"),
    pytest.param(check_growth, ((4, 4, 4), (4, 400, 4)), id="small in any case"),
    pytest.param(check_voxel_size, ((0.001, 0.5, 3000.0),), id="from a microscope to meters"),
]
REFUSED = [
    pytest.param(check_pixels, (5793, 5793), rf"1 to {MOST_PIXELS} pixels, its header says 5793 x 5793", id="pixels"),
    pytest.param(check_pixels, (65535, 65535), "65535 x 65535", id="all bits of two bytes"),
    pytest.param(check_pixels, (0, 7), "0 x 7", id="no pixel"),
    pytest.param(check_voxels, ((1024, 1024, 513),), rf"1 to {MOST_VOXELS} voxels", id="voxels"),
    pytest.param(check_voxels, ((10, 0, 10),), "its header says 10 x 0 x 10", id="no voxel"),
    pytest.param(check_voxels, ((10, -5, -5),), "its header says 10 x -5 x -5", id="negative"),
    pytest.param(check_growth, ((64, 64, 64), (64, 64, 257)), "times as many voxels", id="sheared"),
    pytest.param(check_growth, ((64, 64, 64), (64, 64, np.inf)), "inf times as many voxels", id="infinite"),
    pytest.param(check_growth, ((64, 64, 64), (64, 64, np.nan)), "nan times as many voxels", id="not a number"),
    pytest.param(check_voxel_size, ((1.0, 1e-9, 1.0),), "got 1 x 1e-09 x 1 mm", id="voxels of an atom"),
    pytest.param(check_voxel_size, ((1.0, np.nan, 1.0),), "got 1 x nan x 1 mm", id="voxels of no size"),
]


@pytest.mark.parametrize(("check", "arguments"), TAKEN)
def test_taken(check, arguments):
    check("a file", *arguments)


@pytest.mark.parametrize(("check", "arguments", "message"), REFUSED)
def test_refused(check, arguments, message):
    with pytest.raises(InputError, match=f"^a file: .*{message}"):
        check("a file", *arguments)


def test_more_than_is_free_is_refused_before_it_is_taken(monkeypatch):
    free = psutil.virtual_memory()._replace(available=10**9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)  # read anew at each call
    check_voxels("a file", (500, 500, 400))
    with pytest.raises(InputError, match=r"500 x 500 x 600 voxels needs about 1\.2 GB of memory, 1\.0 GB are free"):
        check_voxels("a file", (500, 500, 600))
    free = free._replace(available=3 * 10**8)
    check_pixels("a file", 2048, 2048)
    with pytest.raises(
        InputError, match=r"an image of 4000 x 4000 pixels needs about 1\.0 GB of memory, 0\.3 GB are free"
    ):
        check_pixels("a file", 4000, 4000)


@pytest.mark.parametrize("place", ["/", "/jobs/7", "/unseen"])
@pytest.mark.parametrize(
    ("root", "own", "names"),
    [
        pytest.param("memory", "4:cpu,memory:{}\n3:cpuset:/\n", ("limit_in_bytes", "usage_in_bytes", "total_"), id="1"),
        pytest.param("", "0::{}\n", ("max", "current", ""), id="2"),
    ],
)
def test_the_limit_of_a_container_or_job_counts_without_its_cache_of_files(
    monkeypatch, tmp_path, place, root, own, names
):
    monkeypatch.setattr(limits, "GROUPS", tmp_path)
    monkeypatch.setattr(limits, "OWN_GROUPS", tmp_path / "own")
    assert limits.free_memory() > 10**8
    (tmp_path / "own").write_text(own.format(place))
    folder = tmp_path / root / ("" if place == "/unseen" else place.lstrip("/"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("memory.stat").write_text(f"anon 10\n{names[2]}inactive_file 25000000\n")
    folder.joinpath(f"memory.{names[1]}").write_text("60000000\n")
    folder.joinpath(f"memory.{names[0]}").write_text("100000000\n")
    assert limits.free_memory() == 65 * 10**6
    folder.joinpath(f"memory.{names[0]}").write_text("max\n")
    assert limits.free_memory() > 10**8


def test_the_limit_of_the_process_counts():
    """As ``ulimit -v`` sets it; in a process of its own, because such a limit cannot be raised again."""
    resource = pytest.importorskip("resource")
    program = "from scripts.utils.limits import free_memory; import psutil; print(free_memory())"
    most = 3 * 2**30
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(BUNDLE)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert 2 * 2**30 < int(done.stdout) < most


def test_too_little_memory_is_an_error_of_the_input():
    assert "a file: there is not enough memory" in str(memory_error("a file"))
    assert set(limits.__all__) <= set(dir(limits))
