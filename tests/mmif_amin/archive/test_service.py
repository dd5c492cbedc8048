"""The node as a whole, without its workers: what it does where the clock, the disk or an operator comes in between."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin.archive import service as service_module
from mmif_amin.archive.delivery import Courier
from mmif_amin.archive.queue import State, StudyQueue
from mmif_amin.archive.service import NodeService
from mmif_amin.archive.settings import Limits, read_settings
from mmif_amin.archive.worker import Answer
from mmif_amin.cli import main
from tests.mmif_amin.archive.listener import settings_file, wait_for
from tests.mmif_amin.archive.orthanc import free_port

STUDY = "1.2.3"


class Idle:
    """In place of a worker process: notes its jobs and gives the answers that a test puts in."""

    def __init__(self, _) -> None:
        self.jobs, self.answers = [], []
        self.idle = True

    def give(self, job) -> None:
        self.jobs.append(job)
        self.idle = False

    def poll(self, _):
        return self.answers.pop(0) if self.answers else None

    def stop(self) -> None:
        pass


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node that waits 0.3 s for the rest of a study; it does a step where a test says so."""
    monkeypatch.setattr(service_module, "Worker", Idle)
    monkeypatch.setattr(Courier, "start", lambda self: None)
    monkeypatch.setattr(Courier, "is_alive", lambda self: True)
    made = []

    def make(**changes) -> NodeService:
        settings = read_settings(settings_file(tmp_path), {})
        made.append(NodeService(replace(settings, quiet_seconds=0.3, port=0, **changes), {}))
        return made[-1]

    yield make
    monkeypatch.undo()
    for one in made:
        one._end_metrics and one._end_metrics()
        one.node.stop()
        one._lock_file.close()


def receive(node: NodeService, number: int = 1, study: str = STUDY) -> None:
    file = Path("objects", study, f"{number}.dcm")
    (node.folder / file).parent.mkdir(exist_ok=True)
    (node.folder / file).touch()
    name = node.journal.names.of(study)
    node._arrived(study, node.queue.record(f"{study}.{number}", study, name, file.as_posix(), "digest"))


def state(node: NodeService) -> State:
    return node.queue.studies()[0].state


def step_until(node: NodeService, wanted: State) -> None:
    def there() -> bool:
        node._careful_step()
        return state(node) == wanted

    wait_for(there, 5, 0.02)


def test_a_clock_that_jumps_makes_no_study_ready(node, monkeypatch):
    """Neither a jump of a year forth nor one back changes how long a study is waited for."""
    here, real = node(), time.time
    receive(here)
    for jump in (3e7, -3e7):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        here._settle()
        assert state(here) == State.RECEIVED
    wait_for(lambda: here._settle() or state(here) == State.READY, 5)


def test_a_clock_that_jumps_while_a_result_waits_to_be_sent_deletes_nothing(node, monkeypatch):
    here, real = node(), time.time
    receive(here)
    step_until(here, State.FUSING)
    here.workers[0].answers.append(Answer(STUDY, "key"))
    step_until(here, State.FUSED)
    (here.intake.results / "key").mkdir()
    monkeypatch.setattr(time, "time", lambda: real() + 3e7)
    here._rest()
    assert (here.intake.results / "key").is_dir()
    assert here.queue.objects(STUDY)


def test_a_study_that_is_sent_again_waits_for_the_rest(node):
    """What came before is no new object, but it says that the sender is at work."""
    here = node()
    receive(here)
    for _ in range(5):
        time.sleep(0.1)
        receive(here)
        here._settle()
    assert state(here) == State.RECEIVED
    wait_for(lambda: here._settle() or state(here) == State.READY, 5)
    receive(here)
    assert state(here) == State.READY


def test_each_study_goes_to_one_worker(node):
    here = node(workers=2)
    for number in range(4):
        receive(here, study=f"{STUDY}.{number}")
    wait_for(lambda: here._careful_step() and all(worker.jobs for worker in here.workers), 5, 0.02)
    for worker in here.workers:
        worker.answers.append(Answer(worker.jobs[0].study, "", "no pair", lasting=True))
        worker.idle = True
    here._careful_step()
    given = [job.study for worker in here.workers for job in worker.jobs]
    assert sorted(given) == [f"{STUDY}.{number}" for number in range(4)]
    assert [row.state for row in here.queue.studies()].count(State.FUSING) == 2


def test_a_study_that_an_operator_drops_just_before_it_is_fused(node, monkeypatch):
    here, other = node(), None
    receive(here)
    wait_for(lambda: here._settle() or state(here) == State.READY, 5)
    other = StudyQueue(here.folder)
    waiting = other.studies(State.READY)
    monkeypatch.setattr(here.queue, "studies", lambda *_: waiting)
    other.drop(STUDY)
    here._hand_out()
    assert not here.workers[0].jobs
    other.close()


def test_a_queue_that_cannot_be_written_forgets_nothing(node, monkeypatch, capfd):
    """A full disk: the node says so and goes on; the study is settled and its answer kept when there is room again."""
    here = node()
    receive(here)

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    def without(method: str) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(here.queue, method, full)
            wait_for(lambda: here._careful_step() == service_module.REST, 5, 0.02)

    without("settle")
    without("start")
    step_until(here, State.FUSING)
    here.workers[0].answers.append(Answer(STUDY, "key"))
    without("finish")
    step_until(here, State.FUSED)
    assert [job.study for job in here.workers[0].jobs] == [STUDY]
    told = [line for line in capfd.readouterr().err.splitlines() if "the queue cannot be written" in line]
    assert len(told) == 3
    assert 'why="queue: database or disk is full"' in told[0]


def test_a_disk_that_is_full_is_told_once(node, capfd):
    here = node(metrics_port=free_port())
    for limits in (Limits(free_gb=1e6), Limits(free_gb=1e6), Limits(free_gb=0)):
        here.intake.limits = limits
        answer = requests.get(f"http://127.0.0.1:{here.settings.metrics_port}/healthz", timeout=5)
        assert (answer.status_code == 503) == ("disk is full" in answer.text) == (limits.free_gb > 0)
        here._rest()
    told = capfd.readouterr().err
    assert told.count("WARNING disk full ") == 1
    assert told.count("INFO disk has room again ") == 1


def test_a_destination_that_the_settings_do_not_name_any_more(node, capfd):
    """What waits for it is not lost out of sight: it fails with its reason, and can be dropped."""
    here = node()
    receive(here)
    step_until(here, State.FUSING)
    here.queue.finish(STUDY, "key", ["pacs", "old"])
    here.queue.delivered(STUDY, "pacs")
    here._rest()
    row = here.queue.studies()[0]
    assert (row.state, row.reason) == (State.FAILED, "old: the settings name no such destination")
    assert capfd.readouterr().err.count("delivery given up") == 1
    here.queue.drop(STUDY)


def test_old_files_are_deleted_but_none_that_has_just_come_again(node, monkeypatch):
    here = node(keep_hours=0.0)
    receive(here)
    step_until(here, State.FUSING)
    here.queue.finish(STUDY, "key", ["pacs"])
    here.queue.delivered(STUDY, "pacs")
    rows, file = here.queue.studies(), here.folder / here.queue.objects(STUDY)[0][1]
    receive(here, 2)  # between the look at the queue and the deletion
    with monkeypatch.context() as patched:
        patched.setattr(here.queue, "studies", lambda *_: rows)
        here._rest()
    assert file.is_file()
    assert len(here.queue.objects(STUDY)) == 2
    here.workers[0].idle = True
    step_until(here, State.FUSING)
    here.queue.finish(STUDY, "key", ["pacs"])
    here._rest()
    assert not file.exists()
    assert not here.queue.objects(STUDY)
    assert here.queue.results(STUDY) == {"key"}


def test_a_study_that_grows_while_it_is_fused_is_not_sent_half(node, capfd):
    """Nor is a result that nobody has begun to send; what was made too early is deleted."""
    here = node()

    def fuse(key: str, wanted: State) -> None:
        here.workers[0].idle = True
        step_until(here, State.FUSING)
        (here.intake.results / key).mkdir()
        if wanted == State.RECEIVED:
            receive(here, 2)
        here.workers[0].answers.append(Answer(STUDY, key, seconds=1.0))
        step_until(here, wanted)

    receive(here)
    fuse("half", State.RECEIVED)
    fuse("more", State.FUSED)
    (waiting,) = here.queue.waiting("pacs")
    receive(here, 3)
    assert state(here) == State.RECEIVED
    here.couriers[0]._deliver(*waiting)
    fuse("all", State.FUSED)
    here._rest()
    assert [path.name for path in here.intake.results.iterdir()] == ["all"]
    assert [key for _, _, key, _ in here.queue.waiting("pacs")] == ["all"]
    told = capfd.readouterr().err
    assert told.count(" fused too early ") == 1
    assert "deliver" not in told


def test_a_folder_that_cannot_be_written_to(tmp_path, capsys):
    (tmp_path / "node").write_text("a file")
    assert main(["listen", "--config", str(settings_file(tmp_path))]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "node: expected a folder to write to: File exists" in line


@pytest.mark.skipif(os.name != "posix", reason="files are locked by POSIX")
def test_two_nodes_in_one_folder(node, tmp_path, capsys):
    node()
    assert main(["listen", "--config", str(settings_file(tmp_path)), "--port", str(free_port())]) == 2
    assert "another `mmif-amin listen` works in this folder" in capsys.readouterr().err


def test_a_login_file_that_others_can_read_is_refused_at_the_start(tmp_path, capsys):
    path = settings_file(tmp_path)
    text = path.read_text().replace("dicom://127.0.0.1", "dicomweb://127.0.0.1")
    path.write_text(text + 'login = "login.json"\n')
    (tmp_path / "login.json").write_text("{}")
    (tmp_path / "login.json").chmod(0o644)
    assert main(["listen", "--config", str(path), "--port", str(free_port())]) == 2
    assert "others than its owner can read this login file" in capsys.readouterr().err
    with pytest.raises(InputError):
        NodeService(read_settings(path, {}), {})
