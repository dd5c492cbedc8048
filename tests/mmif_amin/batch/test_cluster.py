"""Dask: real workers fuse the same as one process, and a worker that is killed costs no study its row."""

# ruff: noqa: E402
from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from mmif_amin.scripts.utils.checks import InputError

distributed = pytest.importorskip("distributed", reason="needs dask[distributed], see the extra [cluster]")

from distributed.comm import CommClosedError

from mmif_amin.batch import cluster
from mmif_amin.batch.cluster import DaskEngine
from mmif_amin.batch.find import find_studies
from mmif_amin.batch.run import fuse_studies
from mmif_amin.batch.table import read_table
from mmif_amin.cli import main
from mmif_amin.exit_codes import SOME_FAILED
from tests.mmif_amin.batch.test_run import write_pair

OPTIONS = {"register": "none"}
WORDS = ["--task", "PET-MRI", "--register", "none", "--engine", "dask"]


@pytest.fixture(scope="module")
def scheduler():
    """Address of a scheduler with two workers of this machine, which all tests share."""
    with cluster.local_cluster(2) as running:
        yield running.scheduler_address


def without_seconds(table):
    return [replace(row, seconds=None) for row in read_table(table)]


@pytest.mark.slow
def test_results_report_and_errors_are_those_of_one_process(tmp_path):
    """The command with workers of its own."""
    for k in range(3):
        write_pair(tmp_path / "studies" / f"case-{k}", (32, 32, 6))
    (tmp_path / "studies" / "bad").mkdir()
    for letter in "ab":
        (tmp_path / "studies" / "bad" / f"{letter}.nii.gz").write_bytes(b"")
    failed, table = fuse_studies(find_studies(tmp_path / "studies"), tmp_path / "one", "PET-MRI", OPTIONS)
    command = ["batch", str(tmp_path / "studies"), "-o", str(tmp_path / "many"), *WORDS, "--workers", "2"]
    assert (failed, main(command)) == (1, SOME_FAILED)
    assert without_seconds(table) == without_seconds(tmp_path / "many" / "batch.csv")  # the order of the table too
    for k in range(3):
        one, many = (nibabel.load(tmp_path / which / f"case-{k}" / "fused.nii.gz") for which in ("one", "many"))
        assert np.abs(one.get_fdata() - many.get_fdata()).max() < 1e-6


@pytest.mark.slow
def test_a_worker_leaves_ctrl_c_to_the_main_process(scheduler):
    """A terminal sends it to all processes; workers that ended by themselves would say so in long tracebacks."""
    with distributed.Client(scheduler) as client:
        before = client.run(os.getpid)
        client.run(lambda: os.kill(os.getpid(), signal.SIGINT))
        time.sleep(0.5)
        assert client.run(os.getpid) == before


class Killer(threading.Thread):
    """Kills, with SIGKILL, the worker that has one of the studies, each time that a new one has it.

    Args:
        times: how often, for positions of studies.
    """

    def __init__(self, times: dict[int, int]) -> None:
        super().__init__(daemon=True)
        self.times = times
        self.killed: dict[int, set[str]] = {index: set() for index in times}

    def run(self) -> None:
        while any(len(self.killed[index]) < times for index, times in self.times.items()):
            time.sleep(0.05)
            with suppress(Exception):  # there is no client yet, or a worker is just starting
                client = distributed.default_client()
                for worker, keys in client.processing().items():
                    self._kill(client, worker, {int(str(key).rpartition("-")[2]) for key in keys})

    def _kill(self, client, worker, studies):
        for index in studies & self.times.keys():
            if len(self.killed[index]) < self.times[index] and worker not in self.killed[index]:
                os.kill(client.run(os.getpid, workers=[worker])[worker], signal.SIGKILL)
                self.killed[index].add(worker)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_workers(tmp_path, scheduler):
    """A study whose worker is killed is started once more; the others do not notice, also while no worker is left."""
    names = ["killed twice", "small 1", "killed once", "small 2", "small 3"]
    studies = [write_pair(tmp_path / n, (128, 128, 64) if n.startswith("killed") else (32, 32, 6)) for n in names]
    killer = Killer({0: 2, 2: 1})
    killer.start()
    failed, table = fuse_studies(studies, tmp_path / "night", "PET-MRI", OPTIONS, engine=DaskEngine(None, scheduler))
    rows = read_table(table)
    assert [len(killed) for killed in killer.killed.values()] == [2, 1]
    assert [row.name for row in rows] == names
    assert [row.status for row in rows] == ["failed", "fused", "fused", "fused", "fused"]
    assert failed == 1
    assert rows[0].error.startswith("the process that fused it ended 2 times without a word")


@pytest.mark.slow
def test_memory_decides_how_many_run_at_once(tmp_path, scheduler, monkeypatch):
    """With memory for one study only one runs at a time; one that is larger than all of it is a failed row."""
    at_once = []
    submit = cluster._Run._submit

    def counted(self, index, needed):
        submit(self, index, needed)
        at_once.append(len(self.running))

    monkeypatch.setattr(cluster._Run, "_submit", counted)
    studies = [write_pair(tmp_path / f"case-{k}", (32, 32, 6)) for k in range(3)]
    nibabel.save(nibabel.Nifti1Image(np.zeros((200, 200, 200), np.uint8), np.eye(4)), tmp_path / "large.nii.gz")
    studies.insert(1, replace(studies[0], name="large", source_a=str(tmp_path / "large.nii.gz")))
    engine = DaskEngine(scheduler=scheduler, memory=1.05e9)
    failed, table = fuse_studies(studies, tmp_path / "night", "PET-MRI", OPTIONS, engine=engine)
    assert failed == 1
    assert at_once == [1, 1, 1]
    assert re.match(r"needs about 1\.2 GB of memory, a thread of a worker has 1\.1 GB", read_table(table)[1].error)


@pytest.mark.slow
def test_a_running_scheduler(tmp_path, scheduler):
    """The command with --scheduler: its workers fuse, live on without the network, and do nothing twice."""
    write_pair(tmp_path / "studies" / "one", (32, 32, 6))
    words = ["batch", str(tmp_path / "studies"), "-o", str(tmp_path / "out"), *WORDS, "--scheduler", scheduler]
    assert main(words) == 0
    with distributed.Client(scheduler) as client:
        plugins = client.run(lambda dask_worker: list(dask_worker.plugins))
    assert (tmp_path / "out" / "one" / "fused.nii.gz").is_file()
    assert plugins
    assert not [name for names in plugins.values() for name in names if name.startswith("mmif-amin")]
    assert main(words) == 0
    assert [row.status for row in read_table(tmp_path / "out" / "batch.csv")] == ["done before"]


def test_a_scheduler_that_ends_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    write_pair(tmp_path / "studies" / "one", (32, 32, 6))
    words = ["batch", str(tmp_path / "studies"), "-o", str(tmp_path / "out"), *WORDS]
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as running:
        threading.Timer(2, running.close).start()
        assert main([*words, "--scheduler", running.scheduler_address]) == 2
    told = capsys.readouterr()
    assert "has no workers yet" in told.out + told.err
    assert "The connection to the Dask scheduler was lost. Start the same command again" in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize("lost", [pytest.param(1, id="a worker"), pytest.param(2, id="the scheduler")])
def test_what_ends_while_the_networks_are_loaded(lost):
    """The batch goes on with the other workers; a scheduler that has ended is told as such."""
    calls = []

    class Connection:
        def register_plugin(self, plugin):
            calls.append(plugin.idempotent)
            if len(calls) <= lost:
                raise CommClosedError("Stream is closed")

    with nullcontext() if lost == 1 else pytest.raises(InputError, match="The connection to the Dask scheduler was"):
        cluster._load_networks(Connection(), cluster._NetworkPlugin({}))
    assert calls == [True, True]


@pytest.mark.parametrize(
    ("limits", "share"),
    [
        pytest.param([(4e9, 1), (3e9, 1)], 3e9, id="the smallest worker"),
        pytest.param([(4e9, 2), (3e9, 1)], 2e9, id="threads share"),
        pytest.param([(0, 1), (3e9, 1)], 3e9, id="one without a limit"),
        pytest.param([], float("inf"), id="no workers yet"),
    ],
)
def test_what_a_study_may_take_on_workers_of_others(limits, share):
    assert cluster.thread_share({"memory_limit": memory, "nthreads": n} for memory, n in limits) == share


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(
            ["--engine", "dask", "--scheduler", "tcp://127.0.0.1:9"],
            "--scheduler tcp://127.0.0.1:9: expected a Dask scheduler there",
            id="nobody there",
        ),
        pytest.param(
            ["--engine", "dask", "--scheduler", "nonsense://x"], "--scheduler nonsense://x: expected", id="no address"
        ),
        pytest.param(["--scheduler", "tcp://127.0.0.1:9"], "--scheduler: is for --engine dask", id="scheduler alone"),
        pytest.param(["--workers", "2"], "--workers: is for --engine dask", id="workers alone"),
        pytest.param(["--engine", "dask", "--workers", "0"], "--workers 0: expected a number", id="no workers"),
        pytest.param(
            ["--engine", "dask", "--workers", "2", "--scheduler", "tcp://127.0.0.1:9"],
            "expected one of them",
            id="both",
        ),
        pytest.param(["--part", "1/2", "--merge", "2"], "--part and --merge: expected one of", id="part and merge"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2)
    write_pair(tmp_path / "studies" / "one", (32, 32, 6))
    studies = ["batch", str(tmp_path / "studies"), "-o", str(tmp_path / "out"), "--task", "PET-MRI"]
    assert main([*studies, *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len([line for line in error.splitlines() if "error:" in line]) == 1
    assert not list(tmp_path.glob("out/*"))


def test_no_dask(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "mmif_amin.batch.cluster")
    assert main(["batch", str(tmp_path), "-o", str(tmp_path / "out"), "--engine", "dask"]) == 2
    assert "pip install 'mmif-amin[cluster]'" in capsys.readouterr().err


def test_a_worker_of_another_version():
    """Its results would differ, and nothing in the table would say so."""
    plugin = cluster._NetworkPlugin({})
    plugin.version = "0.8.0"
    with pytest.raises(InputError, match=r"a worker has mmif-amin \S+, this command is of version 0\.8\.0"):
        plugin.setup(None)


@pytest.mark.slow
def test_weights_that_a_worker_cannot_load(tmp_path, scheduler):
    (tmp_path / "no.pt").write_bytes(b"no weights")
    studies, options = [write_pair(tmp_path / "one", (32, 32, 6))], {"ckpt_path": str(tmp_path / "no.pt")}
    with pytest.raises(InputError, match=r"expected workers that can load the network, got: .*no\.pt"):
        fuse_studies(studies, tmp_path / "out", "PET-MRI", options, engine=DaskEngine(scheduler=scheduler))
