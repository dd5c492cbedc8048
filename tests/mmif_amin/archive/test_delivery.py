"""Sending results on: a destination that cannot take them is one line in the log and in the queue, until it can."""

from __future__ import annotations

import io
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, AllStoragePresentationContexts, evt

from mmif_amin.archive.delivery import Courier
from mmif_amin.archive.journal import Journal, Pseudonyms
from mmif_amin.archive.queue import State, StudyQueue
from mmif_amin.archive.settings import Destination, NodeSettings, Peer
from mmif_amin.archive.tls import TlsFiles, server_context
from tests.mmif_amin.archive.listener import wait_for
from tests.mmif_amin.archive.made_up import PATIENT_WORDS
from tests.mmif_amin.archive.orthanc import free_port
from tests.mmif_amin.archive.place import STUDY
from tests.model.dicom.dicom_phantoms import write_series

IMAGES = 4


class Office:
    """A courier with one result to deliver."""

    def __init__(self, folder: Path, url: str, tls: TlsFiles, send_tries: int = 2) -> None:
        self.queue = StudyQueue(folder)
        self.log = io.StringIO()
        write_series(folder / "results" / "key", (8, 8, IMAGES), StudyInstanceUID=STUDY)
        self.queue.record("1.2.3", STUDY, "study-x", "objects/1", "digest")
        self.queue.settle(STUDY)
        self.queue.start(STUDY)
        self.queue.finish(STUDY, "key", ["pacs"])
        destination = Destination("pacs", url, tls=tls)
        settings = NodeSettings(
            str(folder), (Peer("A", ("127.0.0.1",)),), (destination,), retry_seconds=0.01, send_tries=send_tries
        )
        journal = Journal(Pseudonyms(folder), self.log)
        self.ended: list[str] = []
        self.courier = Courier(
            destination, settings, self.queue, folder / "results", journal, lambda study: self.ended.append(study)
        )
        self.courier.start()

    def wait(self, state: State):
        wait_for(lambda: self.queue.studies()[0].state == state, 20)
        return self.queue.studies()[0]

    def close(self) -> None:
        self.courier.stop()
        self.courier.join(10)
        assert not self.courier.is_alive()
        self.queue.close()
        words = re.split(r"[^a-z0-9.]+", self.log.getvalue().lower())
        assert not set(words) & {*PATIENT_WORDS, STUDY}


@pytest.fixture
def office(tmp_path):
    offices = []

    def make(*args, **keywords) -> Office:
        offices.append(Office(tmp_path, *args, **keywords))
        return offices[-1]

    yield make
    for made in offices:
        made.close()


class Destined:
    """What a destination got, and how it answers."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.calls = 0
        self.answer = lambda call: 0
        self.gate = threading.Event()
        self.gate.set()

    def store(self, event) -> int:
        self.calls += 1
        self.gate.wait(10)
        status = self.answer(self.calls)
        if status is None:
            event.assoc.abort()
            return 0xC000
        if status == 0:
            self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return status


@contextmanager
def a_pacs(
    destined: Destined, port: int = 0, calling: str = "", contexts: bool = True, tls: TlsFiles | None = None
) -> Iterator[str]:
    """A DICOM node that stores; yields its address."""
    entity = AE("PACS")
    entity.require_calling_aet = [calling] if calling else []
    kinds = AllStoragePresentationContexts if contexts else AllStoragePresentationContexts[:1]
    for context in kinds:
        entity.add_supported_context(context.abstract_syntax)
    secure = server_context(tls, lambda _: True, lambda *_: None) if tls else None
    handlers = [(evt.EVT_C_STORE, destined.store)]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers, ssl_context=secure)
    yield f"dicom{'s' if tls else ''}://127.0.0.1:{server.socket.getsockname()[1]}/PACS"
    server.shutdown()


BAD_DESTINATIONS = [
    pytest.param({"calling": "OTHER"}, None, "refused the association. Is it up, and does it know", id="association"),
    pytest.param({"contexts": False}, None, "does not take MR Image Storage; nothing was sent", id="kind of image"),
    pytest.param({}, lambda _: 0xA700, "refused an image with the status 0xA700", id="full"),
    pytest.param({}, lambda call: None if call == 3 else 0, "the association ended before an image", id="half"),
    pytest.param({"tls": "foreign"}, None, "gave no answer, or TLS failed", id="wrong certificate"),
]


@pytest.mark.parametrize(("kind", "answer", "reason"), BAD_DESTINATIONS)
def test_a_destination_that_does_not_take_a_result(office, certificates, kind, answer, reason):
    """Each failed try is one line in the log; the queue keeps the reason, in one line; a retry delivers all of it."""
    files = {
        name: TlsFiles(str(certificates / f"{name}.pem"), str(certificates / f"{name}-own.pem"))
        for name in ("ours", "foreign")
    }
    wrong, right, port = Destined(), Destined(), free_port()
    wrong.answer = answer or wrong.answer
    tls = files[kind["tls"]] if "tls" in kind else None
    with a_pacs(wrong, port, **{**kind, "tls": tls}) as url:
        here = office(url, files["ours"], send_tries=1)
        row = here.wait(State.FAILED)
    assert row.reason.startswith("pacs: ")
    assert reason in row.reason
    (line,) = here.log.getvalue().splitlines()
    assert "WARNING delivery given up" in line
    assert reason in line
    assert here.ended == [STUDY]
    with a_pacs(right, port, tls=files["ours"] if tls else None):
        here.queue.retry(STUDY)
        row = here.wait(State.DONE)
    assert row.reason == ""
    assert len(right.stored) == len(set(right.stored)) == IMAGES


def test_an_archive_that_refuses_what_it_has(office):
    """An image of an earlier try, of which the answer was lost."""
    pacs = Destined()
    pacs.answer = lambda call: 0x0111 if call < IMAGES else 0xB000
    with a_pacs(pacs) as url:
        assert office(url, TlsFiles()).wait(State.DONE).reason == ""


def test_a_destination_that_is_down_gets_its_result_later(office):
    port, pacs = free_port(), Destined()
    here = office(f"dicom://127.0.0.1:{port}/PACS", TlsFiles(), send_tries=100)
    assert "gave no answer" in wait_for(lambda: here.queue.studies()[0].reason, 10)
    with a_pacs(pacs, port):
        assert here.wait(State.DONE).reason == ""
    assert len(pacs.stored) == IMAGES


def test_the_end_while_a_result_is_sent(office):
    """The courier ends after what it is sending; a new start sends nothing that is there twice."""
    pacs = Destined()
    pacs.gate.clear()
    with a_pacs(pacs) as url:
        here = office(url, TlsFiles())
        wait_for(lambda: pacs.calls, 10)
        here.courier.stop()
        assert here.queue.studies()[0].state == State.SENDING
        pacs.gate.set()
        here.wait(State.DONE)
    assert len(pacs.stored) == IMAGES


def test_a_result_that_is_gone_from_the_disk(office, tmp_path):
    with a_pacs(Destined()) as url:
        here = office(url, TlsFiles())
        here.wait(State.DONE)
        for file in (tmp_path / "results" / "key").rglob("*.dcm"):
            file.unlink()
        here.queue.record("1.2.4", STUDY, "study-x", "objects/2", "digest")
        here.queue.settle(STUDY)
        here.queue.start(STUDY)
        here.queue.finish(STUDY, "other", ["pacs"])
        assert "not on the disk any more. Drop the study" in here.wait(State.FAILED).reason


def test_a_queue_that_cannot_be_written_ends_no_courier(office, monkeypatch):
    """The result is sent when it can be written again; the destination keeps one."""
    monkeypatch.setattr("mmif_amin.archive.delivery.REST", 0.05)
    pacs = Destined()
    with a_pacs(pacs) as url:
        real, broken = StudyQueue.delivered, [2]

        def delivered(self, *words):
            if broken[0]:
                broken[0] -= 1
                raise sqlite3.OperationalError("database or disk is full")
            real(self, *words)

        monkeypatch.setattr(StudyQueue, "delivered", delivered)
        here = office(url, TlsFiles())
        here.wait(State.DONE)
    assert len(set(pacs.stored)) == IMAGES
    assert 'the queue cannot be written why="queue: database or disk is full"' in here.log.getvalue()
