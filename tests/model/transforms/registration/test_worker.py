from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from scripts import BUNDLE_ROOT
from scripts.transforms.registration import worker
from scripts.transforms.registration.settings import SearchSettings
from scripts.transforms.registration.transform import RegisterToMatch
from scripts.transforms.registration.worker import read_job, search_in_process, write_job
from scripts.utils.checks import InputError

from tests.model.transforms.registration.phantom import AFFINE, head, job, volume


@pytest.fixture
def jobs(monkeypatch, tmp_path):
    """The folder in which job files are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def todo():
    return job(volume(head("ct")), volume(head("mr")), kind="affine", start="center", seed=4, least_overlap=0.3)


def test_a_job_is_read_as_it_was_written(todo, tmp_path):
    write_job(todo, tmp_path / "job.npz")
    again = read_job(tmp_path / "job.npz")
    for step in ("coarse", "fine"):
        for one, other in zip(getattr(todo, step), getattr(again, step), strict=True):
            for name in ("values", "affine", "foreground", "mask"):
                assert np.array_equal(getattr(one, name), getattr(other, name))
    assert (again.kind, again.start, again.seed, again.least_overlap) == ("affine", "center", 4, 0.3)
    assert again.settings.bins == todo.settings.bins
    assert np.array_equal(again.settings.restarts, todo.settings.restarts)


def test_time_limit(jobs):
    with pytest.raises(InputError, match="not done after 0.01 s, stopped"):
        RegisterToMatch(time_limit=0.01).estimate(volume(head("ct")), volume(head("mr")))
    assert not any(jobs.iterdir())


@pytest.mark.parametrize(
    ("program", "message"),
    [
        pytest.param("raise SystemExit('no elastix here')", "ended by itself: no elastix here", id="a message"),
        pytest.param("import os; os._exit(7)", "ended by itself: exit code 7", id="no message"),
        pytest.param("import no_such_package", "No module named 'no_such_package'. Is itk-elastix", id="no package"),
        pytest.param('print(\'{"error": "no structure"}\')', "could not align the volumes: no structure", id="error"),
    ],
)
def test_a_worker_that_fails_is_one_clear_error(monkeypatch, jobs, todo, program, message):
    monkeypatch.setattr(worker, "COMMAND", (sys.executable, "-c", program))
    with pytest.raises(InputError, match=message):
        search_in_process(todo, 60.0, time.perf_counter())
    assert not any(jobs.iterdir())


def test_elastix_that_fails_from_every_start_is_one_clear_error(jobs):
    far = np.eye(4)
    far[:3, 3] = 5000
    todo = job(volume(head("ct"), far @ AFFINE), volume(head("mr")), start="geometry")
    with pytest.raises(InputError, match="elastix could not align the volumes: it failed from every start"):
        search_in_process(todo, 60.0, time.perf_counter())


def test_a_job_that_cannot_be_written(monkeypatch, tmp_path, todo):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(InputError, match=r"cannot write a temporary file in .*missing: No such file"):
        search_in_process(todo, 60.0, time.perf_counter())


def test_a_full_disk(monkeypatch, jobs, todo):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(InputError, match="No space left on device. Free space there"):
        search_in_process(todo, 60.0, time.perf_counter())
    assert not any(jobs.iterdir())


PROGRAM = """
import os, sys
sys.argv = ["worker", sys.argv[1]]
from scripts.transforms.registration import worker
worker.main()
heavy = [name for name in ("torch", "monai") if name in sys.modules]
files = [getattr(module, "__file__", None) for name, module in sys.modules.items() if name != "__main__"]
own = [file for file in files if file and file.startswith(os.environ["PYTHONPATH"])]
print(heavy, len(own) == len(set(own)), os.path.exists(sys.argv[1]), file=sys.stderr)
"""


def test_the_worker_loads_neither_torch_nor_monai_and_deletes_its_job(todo, tmp_path):
    write_job(todo, tmp_path / "job.npz")
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(tmp_path / "job.npz")],
        stdin=(reading := os.pipe())[0],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": BUNDLE_ROOT},
        check=False,
    )
    for end in reading:
        os.close(end)
    assert done.stderr.splitlines()[-1] == "[] True False"
    assert done.stdout.count("\n") == 1  # one answer


PARENT = """
import sys, time
import numpy as np
from scripts.transforms.registration.settings import SearchSettings
from scripts.transforms.registration.search import SearchJob
from scripts.transforms.registration.worker import read_job, search_in_process
print("ready", flush=True)
search_in_process(read_job(sys.argv[1]), 300.0, time.perf_counter())
"""


@pytest.mark.slow
def test_the_worker_ends_when_its_parent_is_killed(tmp_path):
    """Nothing is left: no process, and no file with the head's voxels."""
    settings = SearchSettings(elastix_iterations=3000)  # long enough to be killed in the midst
    write_job(job(volume(head("ct")), volume(head("mr")), settings=settings), tmp_path / "job.npz")
    (tmp_path / "jobs").mkdir()
    environment = {**os.environ, "PYTHONPATH": BUNDLE_ROOT, "TMPDIR": str(tmp_path / "jobs")}
    parent = subprocess.Popen(
        [sys.executable, "-P", "-c", PARENT, str(tmp_path / "job.npz")], env=environment, stdout=subprocess.PIPE
    )
    parent.stdout.readline()
    children = _wait(lambda: psutil.Process(parent.pid).children(), 30)
    _wait(lambda: not list(Path(tmp_path / "jobs").iterdir()), 60)  # it has read its job
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=120)
    assert len(children) == 1
    assert not alive
    assert not list((tmp_path / "jobs").iterdir())


def _wait(ready, seconds: float):
    end = time.monotonic() + seconds
    while not (answer := ready()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return answer
