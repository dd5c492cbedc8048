"""A real MLflow server dies in the middle of a training: nothing of what it was told, or is not told, is lost.

``MMIF_AMIN_SERVER_DEATHS=3`` tries it so often; CI leaves it out, because a server takes many seconds to start, and
tests/model/handlers/test_tracking.py tries the same with stores that break.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mmif_amin.cli import main
from tests.acceptance.training.runs import begin, import_everything

DEATHS = int(os.environ.get("MMIF_AMIN_SERVER_DEATHS", "0"))
EPOCHS = 6
STEPS = "select step from metrics where key = 'loss' order by step"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DEATHS, reason="MMIF_AMIN_SERVER_DEATHS is not set: a server takes long to start"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def server(folder: Path, port: int) -> Iterator[subprocess.Popen]:
    """A server on the loopback address, until it is killed at the latest at the end."""
    folder.mkdir(exist_ok=True)
    words = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "files")]
    with (folder / "log.txt").open("a") as log:
        process = subprocess.Popen([sys.executable, "-m", *words], stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 180
        while not answers(port):
            assert time.monotonic() < deadline, (folder / "log.txt").read_text()[-3000:]
            time.sleep(0.2)
        yield process
    finally:
        kill(process)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def kill(process: subprocess.Popen) -> None:
    """Kill the server and its workers as a crash does."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def steps(store: Path) -> list[int]:
    """Epochs whose loss a store has."""
    try:
        with closing(sqlite3.connect(store)) as opened:
            return [step for (step,) in opened.execute(STEPS)]
    except sqlite3.OperationalError:  # not made yet
        return []


def die_after_the_second_epoch(process: subprocess.Popen, store: Path) -> None:
    deadline = time.monotonic() + 180
    while len(steps(store)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    kill(process)


@pytest.mark.parametrize("number", range(DEATHS))
@pytest.mark.parametrize("required", [True, False])
def test_a_server_dies_in_the_middle_of_a_training(tmp_path, harvard_like, required, number):
    import_everything()
    port, place, run = free_port(), tmp_path / "server", tmp_path / "run"
    uri, log = f"http://127.0.0.1:{port}", tmp_path / "run.log"
    words = {"epochs": str(EPOCHS), "tracking-uri": uri, "tracking-required": str(required)}
    with server(place, port) as running:
        training = begin(run, harvard_like, **words)
        die_after_the_second_epoch(running, place / "server.db")
        began = time.monotonic()
        training.join(300)
        ended = time.monotonic() - began
    said = log.read_text()
    assert "Traceback" not in said, said[-3000:]
    there = steps(place / "server.db")
    print(f"the server died after epoch {there[-1]}, the training ended {ended:.0f} s later with {training.exitcode}")
    with server(place, port):
        if required:
            assert training.exitcode == 2, said[-3000:]
            assert f"expected an MLflow store that works, got {uri}" in said
            training = begin(run, harvard_like, **words)
            training.join(300)
            assert training.exitcode == 0, log.read_text()[-3000:]
        else:
            assert training.exitcode == 0, said[-3000:]
            assert "The run is logged to sqlite" in said
            assert main(["upload", str(run), "--tracking-uri", uri]) == 0
            assert main(["upload", str(run), "--tracking-uri", uri]) == 0, "a second upload adds nothing"
    assert (run / "final.pt").is_file()
    assert steps(place / "server.db") == [*range(1, EPOCHS + 1)]
    with closing(sqlite3.connect(place / "server.db")) as store:
        assert store.execute("select status from runs").fetchall() == [("FINISHED",)]
