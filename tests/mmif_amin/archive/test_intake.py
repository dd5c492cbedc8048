"""Objects that cannot be taken: one line in the log, one in the queue, and their series waits until they come."""

from __future__ import annotations

import errno
from pathlib import Path

import pydicom
import pytest

from mmif_amin.archive import intake as intake_module
from mmif_amin.archive.intake import CANNOT_UNDERSTAND, NO_MATCH, OUT_OF_RESOURCES, Taken
from mmif_amin.archive.queue import State
from mmif_amin.archive.settings import Limits
from tests.mmif_amin.archive.listener import wait_for
from tests.mmif_amin.archive.place import STUDY, Place, store
from tests.model.dicom.dicom_phantoms import write_series


@pytest.fixture
def large(tmp_path):
    """Two objects of one series, of 0.5 MB each."""
    return write_series(tmp_path / "large", (512, 512, 2), StudyInstanceUID=STUDY).files


def send_half(association, file) -> None:
    """Send an object, and die in the middle of it."""
    socket, left = association.dul.socket, [8]
    whole = socket.send

    def send(data: bytes) -> None:
        left[0] -= 1
        if left[0]:
            whole(data)
        else:
            socket.close()

    socket.send = send
    assert store(association, file) == -1


def the_row(here: Place):
    (row,) = here.queue.studies()
    return row


def check_refused(here: Place, event: str, why: str) -> None:
    """One line in the log, the study in the queue with the reason, nothing left on the disk."""
    (line,) = wait_for(lambda: here.lines(event), 5)
    assert why in line
    assert len(here.log.getvalue().splitlines()) == 1
    assert the_row(here).state == State.FAILED
    assert the_row(here).reason.startswith("an object was not taken: ")
    assert list(here.queue.refused(STUDY))
    wait_for(lambda: not list(here.intake.incoming.iterdir()), 5)


def test_an_object_that_is_too_large(place, large):
    here = place(limits=Limits(object_mb=0.3, free_gb=0.001))
    association = here.call()
    assert store(association, large[0]) == OUT_OF_RESOURCES
    association.release()
    check_refused(here, "object refused", 'why="it is larger than 0.3 MB"')


def test_an_object_that_grows_without_end_is_cut_off(place, large):
    here = place(limits=Limits(object_mb=0.1, free_gb=0.001))
    association = here.call()
    assert store(association, large[0]) == -1
    wait_for(lambda: not association.is_established, 5)
    check_refused(here, "object cut off", 'why="larger than 0.2 MB"')
    wait_for(lambda: here.call().is_established, 5)


def test_a_disk_that_is_nearly_full(place, images):
    """Refused before it is full, in one line for all images; when there is room again the study is taken."""
    here = place(limits=Limits(free_gb=1e6))
    association = here.call()
    assert [store(association, file) for file in images] == [OUT_OF_RESOURCES] * 3
    check_refused(here, "object refused", 'why="the disk is full"')
    here.intake.limits = Limits(free_gb=0)
    assert [store(association, file) for file in images] == [0, 0, 0]
    association.release()
    assert (the_row(here).state, the_row(here).reason, the_row(here).objects) == (State.RECEIVED, "", 3)
    assert not here.queue.refused(STUDY)


def test_a_disk_that_fills_up_while_an_object_arrives(place, large, monkeypatch):
    here = place()
    monkeypatch.setattr(here.intake, "free_bytes", lambda: 1e4)
    association = here.call()
    assert store(association, large[0]) == -1
    (line,) = wait_for(lambda: here.lines("object cut off"), 5)
    assert 'why="the disk is full"' in line
    wait_for(lambda: not list(here.intake.incoming.iterdir()), 5)


def test_a_disk_that_fills_up_just_now(place, images, monkeypatch):
    here = place()
    association = here.call()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(intake_module.os, "replace", full)
        assert store(association, images[0]) == OUT_OF_RESOURCES
    assert 'why="No space left on device"' in here.lines("object refused")[0]
    assert not here.queue.studies()
    assert store(association, images[0]) == 0
    association.release()
    assert len(here.queue.objects(STUDY)) == 1


def test_half_an_object(place, large):
    """Its study is not taken for whole before the object has come; then nothing is remembered of it."""
    here = place()
    association = here.call()
    assert store(association, large[0]) == 0
    send_half(association, large[1])
    (line,) = wait_for(lambda: here.lines("object in part"), 5)
    assert here.journal.names.of(STUDY) in line
    assert the_row(here).state == State.RECEIVED
    assert list(here.queue.refused(STUDY).values()) == ["it came only in part"]
    wait_for(lambda: not list(here.intake.incoming.iterdir()), 5)
    assert (STUDY, False) in here.arrived  # what came of it kept the study waiting
    again = here.call()
    assert [store(again, file) for file in large] == [0, 0]
    again.release()
    assert not here.queue.refused(STUDY)
    assert the_row(here).objects == 2


def test_an_association_that_ends_between_two_objects(place, images):
    here = place()
    association = here.call()
    assert store(association, images[0]) == 0
    association.abort()
    (line,) = wait_for(lambda: here.lines("association aborted"), 5)
    assert 'calling="MODALITY" host="127.0.0.1"' in line
    assert not here.queue.refused(STUDY)


@pytest.mark.parametrize(
    ("keyword", "value", "status", "why"),
    [
        pytest.param("StudyInstanceUID", None, CANNOT_UNDERSTAND, "it cannot be read", id="no study"),
        pytest.param("StudyInstanceUID", "", NO_MATCH, "its UIDs are missing", id="empty study"),
        pytest.param("SeriesInstanceUID", None, NO_MATCH, "its UIDs are missing", id="no series"),
    ],
)
def test_objects_that_belong_nowhere(place, images, keyword, value, status, why):
    here = place()
    dataset = pydicom.dcmread(images[0])
    if value is None:
        delattr(dataset, keyword)
    else:
        setattr(dataset, keyword, value)
    association = here.call()
    assert association.send_c_store(dataset).Status == status
    association.release()
    assert not here.queue.studies()
    (line,) = here.lines("object refused")
    assert f'why="{why}' in line


def test_an_object_that_announces_another_uid(place, images):
    here = place()
    arrived = here.intake.incoming / "x"
    arrived.write_bytes(Path(images[0]).read_bytes())
    taken = here.intake.take(arrived, "1.2.3")
    assert taken == Taken(NO_MATCH, STUDY, False, "its UIDs are missing, or others than announced")


def test_what_an_end_of_the_process_left_is_tidied_up(place, images, large):
    here = place()
    association = here.call()
    store(association, images[0])
    association.release()
    (kept,) = (file for _, file, _ in here.queue.objects(STUDY))
    rubbish = [here.intake.incoming / "tmp1.dcm", here.intake.folder / "objects" / "0" / "orphan.dcm"]
    rubbish += [here.intake.work / "study-1" / "x.dcm", here.intake.results / ".key-abc" / "x.dcm"]
    for file in rubbish:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    rubbish[0].write_bytes(Path(large[0]).read_bytes()[:100_000])
    (here.intake.results / "key").mkdir()
    here.intake.tidy()
    assert not [file for file in rubbish if file.exists()]
    assert (here.intake.folder / kept).is_file()
    assert (here.intake.results / "key").is_dir()
    assert list(here.queue.refused(STUDY).values()) == ["it came only in part"]  # of the series it belonged to
