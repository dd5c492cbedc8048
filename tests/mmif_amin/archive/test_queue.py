"""The queue: every step a study can take, and the end of the process at every moment."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pydicom
import pytest
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin.archive.queue import State, StudyQueue
from mmif_amin.archive.queue_file import QUEUE_NAME
from mmif_amin.cli import main
from tests.conftest import ROOT
from tests.model.dicom.dicom_phantoms import write_series

STUDY = "1.2.3.4.5"
TO = ["pacs", "backup"]
LIFE = Path(__file__).with_name("one_life.py")


@pytest.fixture
def queue(tmp_path):
    queue = StudyQueue(tmp_path)
    yield queue
    queue.close()


def state(queue: StudyQueue, study: str = STUDY) -> State:
    return next(row.state for row in queue.studies() if row.uid == study)


def receive(queue: StudyQueue, *numbers: int, content: str = "a", study: str = STUDY) -> list[bool]:
    return [queue.record(f"{study}.{n}", study, "study-x", f"objects/{n}.dcm", f"{content}{n}") for n in numbers]


def advance(queue: StudyQueue, to: State) -> None:
    """Take a study that was received up to a state."""
    steps = {
        State.READY: lambda: queue.settle(STUDY),
        State.FUSING: lambda: queue.start(STUDY),
        State.FUSED: lambda: queue.finish(STUDY, "key", TO),
        State.SENDING: lambda: queue.send(STUDY, "key"),
        State.DONE: lambda: [queue.delivered(STUDY, name) for name in TO],
    }
    for name, step in steps.items():
        if to == State.RECEIVED:
            return
        step()
        assert state(queue) == name
        if name == to:
            return


def test_the_way_of_a_study(queue):
    receive(queue, 1, 2)
    assert state(queue) == State.RECEIVED
    advance(queue, State.SENDING)
    assert [row[:3] for row in queue.waiting("pacs")] == [(STUDY, "study-x", "key")]
    queue.delivered(STUDY, "pacs")
    assert state(queue) == State.SENDING
    assert not queue.waiting("pacs")
    assert queue.waiting("backup")
    queue.delivered(STUDY, "backup")
    assert state(queue) == State.DONE
    assert queue.results(STUDY) == {"key"}
    assert queue.studies()[0].fused == 1


WRONG_STEPS = [
    pytest.param(State.RECEIVED, lambda q: q.start(STUDY), id="start before it is quiet"),
    pytest.param(State.FUSING, lambda q: q.settle(STUDY), id="settle twice"),
    pytest.param(State.DONE, lambda q: q.start(STUDY), id="start when done"),
    pytest.param(State.DONE, lambda q: q.send(STUDY, "key"), id="send when done"),
    pytest.param(State.RECEIVED, lambda q: q.send(STUDY, "key"), id="send before it is fused"),
]


@pytest.mark.parametrize(("before", "step"), WRONG_STEPS)
def test_a_step_out_of_turn_changes_nothing(queue, before, step):
    receive(queue, 1)
    advance(queue, before)
    step(queue)
    assert state(queue) == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (State.RECEIVED, State.RECEIVED),
        (State.READY, State.RECEIVED),
        (State.FUSING, State.FUSING),
        (State.FUSED, State.RECEIVED),
        (State.SENDING, State.SENDING),
        (State.DONE, State.RECEIVED),
    ],
)
def test_an_object_that_comes_late(queue, before, after):
    """It waits until what is under way has ended, and opens the study again; the same object again changes nothing."""
    receive(queue, 1)
    advance(queue, before)
    assert receive(queue, 1) == [False]
    assert state(queue) == before
    assert receive(queue, 2) == [True]
    assert state(queue) == after
    if after == State.FUSING:
        assert queue.finish(STUDY, "key", TO) == State.RECEIVED  # of half a study: it is not sent
        assert not any(queue.waiting(name) for name in TO)
    if after == State.SENDING:  # what has begun to be sent is sent whole
        for name in TO:
            queue.delivered(STUDY, name)
    assert state(queue) == State.RECEIVED or after == State.READY
    assert not queue.send(STUDY, "key")


def test_an_object_that_has_changed_is_a_new_one(queue):
    receive(queue, 1)
    advance(queue, State.DONE)
    assert receive(queue, 1, content="b") == [True]
    assert state(queue) == State.RECEIVED
    assert len(queue.objects(STUDY)) == 1


def test_what_was_delivered_is_not_sent_again(queue):
    receive(queue, 1)
    advance(queue, State.DONE)
    receive(queue, 2)
    queue.settle(STUDY)
    queue.start(STUDY)
    assert queue.finish(STUDY, "key", TO) == State.DONE
    assert state(queue) == State.DONE
    assert not queue.waiting("pacs")


def test_failed_fusions_are_tried_again_and_then_kept_with_their_reason(queue):
    receive(queue, 1)
    queue.settle(STUDY)
    for tries in (1, 2, 3):
        queue.start(STUDY)
        assert queue.fail(STUDY, "out of memory", 3) == (tries == 3)
    row = queue.studies()[0]
    assert (row.state, row.reason, row.attempts) == (State.FAILED, "out of memory", 3)
    queue.retry(STUDY)
    row = queue.studies()[0]
    assert (row.state, row.reason, row.attempts) == (State.READY, "", 0)


def test_a_failed_study_gets_the_rest_of_its_objects(queue):
    """Half a study has no fitting pair; when the other half comes it is begun again."""
    receive(queue, 1)
    queue.settle(STUDY)
    queue.start(STUDY)
    assert queue.fail(STUDY, "no pair", 0)
    receive(queue, 2)
    assert state(queue) == State.RECEIVED
    queue.settle(STUDY)
    queue.start(STUDY)
    receive(queue, 3)
    assert not queue.fail(STUDY, "no pair", 0)
    assert state(queue) == State.RECEIVED


def test_failed_deliveries_are_tried_again_and_then_kept_with_their_reason(queue):
    receive(queue, 1)
    advance(queue, State.SENDING)
    queue.delivered(STUDY, "pacs")
    assert not queue.undelivered(STUDY, "backup", "refused", 2)
    assert state(queue) == State.SENDING
    assert queue.undelivered(STUDY, "backup", "refused", 2)
    row = queue.studies()[0]
    assert (row.state, row.reason) == (State.FAILED, "backup: refused")
    queue.retry(STUDY)
    assert state(queue) == State.FUSED
    assert not queue.waiting("pacs")
    assert queue.waiting("backup")


def test_an_interrupted_try_does_not_count(queue):
    receive(queue, 1)
    queue.settle(STUDY)
    for _ in range(5):
        queue.start(STUDY)
        queue.recover()
    assert state(queue) == State.READY
    queue.start(STUDY)
    assert not queue.fail(STUDY, "x", 2)


def test_an_object_that_was_not_taken_is_remembered_until_it_comes(queue):
    """A study of which nothing else has come is seen as failed; when the object comes it is taken as any other."""
    queue.refuse(f"{STUDY}.1", STUDY, "1.2.9", "study-x", "the disk is full")
    row = queue.studies()[0]
    assert (row.state, row.reason) == (
        State.FAILED,
        "an object was not taken: the disk is full. Send the study again.",
    )
    assert queue.refused(STUDY) == {"1.2.9": "the disk is full"}
    assert receive(queue, 1) == [True]
    assert (state(queue), queue.refused(STUDY)) == (State.RECEIVED, {})
    queue.refuse(f"{STUDY}.1", STUDY, "1.2.9", "study-x", "it came only in part")  # it is there
    assert not queue.refused(STUDY)


def test_an_operator_who_retries_does_without_what_was_not_taken(queue):
    receive(queue, 1)
    queue.refuse(f"{STUDY}.2", STUDY, "1.2.9", "study-x", "the disk is full")
    advance(queue, State.FUSING)
    queue.fail(STUDY, "series 1 lacks an object", 0)
    queue.retry(STUDY)
    assert (state(queue), queue.refused(STUDY)) == (State.READY, {})


def test_one_object_in_two_studies(queue):
    """Some archives split a study and keep the UIDs of its objects; neither study loses its object."""
    for study in (STUDY, f"{STUDY}.9"):
        queue.record("1.2.3", study, "study-x", f"objects/{study}/1.dcm", "a")
    assert [row.objects for row in queue.studies()] == [1, 1]


def test_dropping(queue):
    receive(queue, 1, 2)
    assert queue.drop(STUDY) == ["objects/1.dcm", "objects/2.dcm"]
    assert queue.studies() == []
    receive(queue, 1)
    advance(queue, State.FUSING)
    with pytest.raises(InputError, match=r"study-x: expected a study that is not under way, it is fusing"):
        queue.drop(STUDY)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        pytest.param(lambda q: q.retry(STUDY), "expected a failed study, it is received", id="retry of another state"),
        pytest.param(lambda q: q.retry("9"), "9: expected a failed study, it is not there", id="retry of nothing"),
        pytest.param(lambda q: q.drop("9"), "9: expected a study that is not under way, it is not there", id="drop"),
    ],
)
def test_refusals(queue, step, message):
    receive(queue, 1)
    with pytest.raises(InputError, match=message):
        step(queue)


def test_a_damaged_queue(tmp_path, capsys):
    queue = StudyQueue(tmp_path)
    receive(queue, 1)
    queue.close()
    with (tmp_path / "queue.sqlite").open("r+b") as file:
        file.seek(4096)
        file.write(b"x" * 5 * 4096)
    assert main(["queue", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "queue.sqlite: expected a queue, cannot use it: it is damaged; restore it" in line


def test_a_file_that_is_no_queue(tmp_path):
    (tmp_path / QUEUE_NAME).write_bytes(b"no sqlite file at all, but long enough to be read as one" * 40)
    with pytest.raises(InputError, match="expected a queue, cannot use it"):
        StudyQueue(tmp_path)


def test_a_queue_of_a_newer_version(tmp_path):
    StudyQueue(tmp_path).close()
    with sqlite3.connect(tmp_path / QUEUE_NAME) as base:
        base.execute("PRAGMA user_version = 99")
    with pytest.raises(InputError, match="expected a queue of version 1, got 99. Update"):
        StudyQueue(tmp_path)


def test_many_threads_and_processes_at_once(tmp_path):
    queue, other = StudyQueue(tmp_path), StudyQueue(tmp_path)
    threads = [
        threading.Thread(target=receive, args=(q, *range(start, 200, 4)), kwargs={"study": f"{STUDY}.{start % 2}"})
        for start, q in enumerate((queue, other, queue, other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row.objects for row in queue.studies()) == [100, 100]


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """Two small objects, each named after its SOPInstanceUID."""
    folder = tmp_path_factory.mktemp("objects")
    for file in write_series(folder / "in", (4, 4, 2), StudyInstanceUID=STUDY).files:
        file.rename(folder / f"{pydicom.dcmread(file).SOPInstanceUID}.dcm")
    (folder / "in").rmdir()
    return folder


@pytest.fixture
def lives():
    """A folder in memory where there is one: a hundred lives wait long for a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_kill_9_at_every_moment(lives, objects):
    """Whenever the process ends, the next one goes on: no object lost, none fused twice, each archive has the result.

    An archive may be told twice (the process ended between its answer and the note of it); it keeps one, because the
    UIDs are the same.
    """
    words = [sys.executable, str(LIFE), str(objects), str(lives)]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    assert len(ends) > 60
    for step, end in enumerate(ends):
        assert end is not None, f"step {step}"
        told = {"pacs": ["key"], "backup": ["key"]}
        expected = {"state": "done", "fused": 1, "told": told, "objects": 2, "left": 0}
        assert {**end, **expected} == end, f"step {step}"
