from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import psutil
import pytest
from scripts import BUNDLE_ROOT
from scripts.transforms.registration import worker
from scripts.transforms.registration.settings import SearchSettings
from scripts.transforms.registration.transform import RegisterToMatch
from scripts.transforms.registration.worker import pack_job, read_job, search_in_process
from scripts.utils.checks import InputError

from tests.model.transforms.registration.phantom import AFFINE, head, job, volume


@pytest.fixture
def no_temp(monkeypatch):
    """A temp folder that is full, read-only or gone: a job never goes there."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")


@pytest.fixture(scope="module")
def todo():
    return job(volume(head("ct")), volume(head("mr")), kind="affine", start="center", seed=4, least_overlap=0.3)


def test_a_job_is_read_as_it_was_packed(todo):
    again = read_job(io.BytesIO(pack_job(todo)))
    for step in ("coarse", "fine"):
        for one, other in zip(getattr(todo, step), getattr(again, step), strict=True):
            for name in ("values", "affine", "foreground", "mask"):
                assert np.array_equal(getattr(one, name), getattr(other, name))
    assert (again.kind, again.start, again.seed, again.least_overlap) == ("affine", "center", 4, 0.3)
    assert again.settings.bins == todo.settings.bins
    assert np.array_equal(again.settings.restarts, todo.settings.restarts)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_job_that_ends_too_early(todo, share):
    packed = pack_job(todo)
    with pytest.raises(EOFError):
        read_job(io.BytesIO(packed[: int(share * len(packed))]))


def test_time_limit(no_temp):
    with pytest.raises(InputError, match="not done after 0.01 s, stopped"):
        RegisterToMatch(time_limit=0.01).estimate(volume(head("ct")), volume(head("mr")))
    assert not psutil.Process().children()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        pytest.param("raise SystemExit('no elastix here')", "ended by itself: no elastix here", id="a message"),
        pytest.param("import os; os._exit(7)", "ended by itself: exit code 7", id="no message"),
        pytest.param("import no_such_package", "No module named 'no_such_package'. Is itk-elastix", id="no package"),
        pytest.param("import sys; sys.stdin.close(); sys.exit(3)", "exit code 3", id="reads no job"),
        pytest.param('print(\'{"error": "no structure"}\')', "could not align the volumes: no structure", id="error"),
    ],
)
def test_a_worker_that_fails_is_one_clear_error(monkeypatch, no_temp, todo, program, message):
    monkeypatch.setattr(worker, "COMMAND", (sys.executable, "-c", program))
    with pytest.raises(InputError, match=message):
        search_in_process(todo, 60.0, time.perf_counter())


def test_elastix_that_fails_from_every_start_is_one_clear_error(no_temp):
    far = np.eye(4)
    far[:3, 3] = 5000
    todo = job(volume(head("ct"), far @ AFFINE), volume(head("mr")), start="geometry")
    with pytest.raises(InputError, match="elastix could not align the volumes: it failed from every start"):
        search_in_process(todo, 60.0, time.perf_counter())


PROGRAM = """
import os, sys
from scripts.transforms.registration import worker
worker.main()
heavy = [name for name in ("torch", "monai") if name in sys.modules]
files = [getattr(module, "__file__", None) for name, module in sys.modules.items() if name != "__main__"]
own = [file for file in files if file and file.startswith(os.environ["PYTHONPATH"])]
print(heavy, len(own) == len(set(own)), file=sys.stderr)
"""


def test_the_worker_loads_neither_torch_nor_monai(todo):
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": BUNDLE_ROOT},
    )
    process.stdin.write(pack_job(todo))
    process.stdin.flush()  # and stays open, as it does while its parent lives
    answers, said = process.stdout.read(), process.stderr.read()
    process.stdin.close()
    process.wait()
    assert said.decode().splitlines()[-1] == "[] True"
    assert answers.count(b"\n") == 1  # one answer


PARENT = """
import sys, time
from scripts.transforms.registration.worker import read_job, search_in_process
with open(sys.argv[1], "rb") as file:
    job = read_job(file)
print("ready", flush=True)
search_in_process(job, 300.0, time.perf_counter())
"""
STARTED = 3.0  # seconds of computing, after which imports are over
AT_ONCE = 5.0  # seconds; the system does it in milliseconds, elsewhere than on Linux elastix may take 10 s


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["while the job is sent", "while elastix computes"])
def test_nothing_outlives_a_parent_that_is_killed(tmp_path, moment):
    """No process, and no file with the head's voxels, wherever the parent is when `kill -9` comes."""
    settings = SearchSettings(elastix_iterations=3000)  # long enough to be killed in the midst
    (tmp_path / "job").write_bytes(pack_job(job(volume(head("ct")), volume(head("mr")), settings=settings)))
    (tmp_path / "temp").mkdir()
    environment = {**os.environ, "PYTHONPATH": BUNDLE_ROOT, "TMPDIR": str(tmp_path / "temp")}
    parent = subprocess.Popen(
        [sys.executable, "-P", "-c", PARENT, str(tmp_path / "job")], env=environment, stdout=subprocess.PIPE
    )
    parent.stdout.readline()
    (child,) = _wait(lambda: psutil.Process(parent.pid).children(), 30)
    if moment == "while elastix computes":
        _wait(lambda: any("elastix" in mapped.path.lower() for mapped in child.memory_maps()), 120)
        _wait(lambda: child.cpu_times().user > STARTED, 120)
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([child], timeout=AT_ONCE if sys.platform == "linux" else 60)
    assert not alive
    assert not list((tmp_path / "temp").iterdir())


def _wait(ready, seconds: float):
    end = time.monotonic() + seconds
    while not (answer := ready()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return answer
