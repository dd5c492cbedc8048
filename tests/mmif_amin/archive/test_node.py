"""The node alone: who may speak to it, what it refuses and with which status, TLS, and storage commitment."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from mmif_amin.scripts.utils.checks import InputError
from pydicom.uid import MPEG2MPML
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    CTImageStorage,
    MRImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from mmif_amin.archive.commitments import Commitments
from mmif_amin.archive.node import Node
from mmif_amin.archive.settings import Limits, Peer
from mmif_amin.archive.tls import TlsFiles, client_context, server_context
from tests.mmif_amin.archive.listener import wait_for
from tests.mmif_amin.archive.orthanc import free_port
from tests.mmif_amin.archive.place import STUDY, store


def test_echo_and_store(place, images):
    here = place()
    association = here.call()
    assert association.send_c_echo().Status == 0
    assert [store(association, file) for file in images] == [0, 0, 0]
    assert store(association, images[0]) == 0
    association.release()
    objects = here.queue.objects(STUDY)
    assert len(objects) == 3
    assert [new for _, new in here.arrived].count(True) == 3  # the last one came again
    for sop, file, _ in objects:
        kept = pydicom.dcmread(here.intake.folder / file)
        assert kept.SOPInstanceUID == sop
        assert kept.pixel_array.shape == (8, 8)
    assert not list(here.intake.incoming.iterdir())
    assert os.stat(here.intake.folder / "pseudonym.key").st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("calling", "called", "hosts", "why"),
    [
        pytest.param("STRANGER", "MMIF-AMIN", "127.0.0.1", "calling title or host", id="calling title"),
        pytest.param("MODALITY", "OTHER", "127.0.0.1", "called title", id="called title"),
        pytest.param("MODALITY", "MMIF-AMIN", "10.0.0.0/8", "calling title or host", id="host"),
    ],
)
def test_who_is_not_on_the_list_is_refused(place, calling, called, hosts, why):
    here = place(peers=(Peer("MODALITY", (hosts,)),))
    association = here.call(calling, called)
    assert association.is_rejected
    assert not association.is_established
    line = wait_for(lambda: [line for line in here.log.getvalue().splitlines() if "association refused" in line], 5)
    assert f'why="{why}"' in line[0]
    assert len(here.log.getvalue().splitlines()) == 1


def test_too_many_associations(place):
    here = place(limits=Limits(associations=2, free_gb=0.001))
    open_ones = [here.call(), here.call()]
    assert all(association.is_established for association in open_ones)
    assert here.call().is_rejected
    for association in open_ones:
        association.release()
    wait_for(lambda: here.call().is_established, 5)


def test_a_port_that_is_taken(place, tmp_path):
    here = place()
    taken = replace(here.settings, port=here.node.port)
    with pytest.raises(InputError, match="cannot listen there: Address already in use. Choose another port"):
        Node(taken, here.intake, here.commitments, here.journal, here.note)
    with pytest.raises(InputError, match="metrics_port .* cannot listen there: Address already in use"):
        here.journal.serve(here.node.port, str)


def tls(certificates: Path, authority: str, own: str) -> TlsFiles:
    return TlsFiles(str(certificates / f"{authority}.pem"), str(certificates / f"{own}-own.pem") if own else "")


def test_tls_with_certificates_of_both_sides(place, images, certificates):
    here = place(tls=tls(certificates, "ours", "ours"))
    association = here.call(tls_args=(client_context(tls(certificates, "ours", "ours")), "127.0.0.1"))
    assert store(association, images[0]) == 0
    association.release()


@pytest.mark.parametrize(
    ("authority", "own", "why"),
    [
        pytest.param("ours", "foreign", "CERTIFICATE_VERIFY_FAILED", id="certificate of a foreign authority"),
        pytest.param("ours", "", "PEER_DID_NOT_RETURN_A_CERTIFICATE", id="no certificate"),
        pytest.param("foreign", "ours", "UNKNOWN_CA", id="the caller does not trust the node"),
    ],
)
def test_tls_with_a_wrong_certificate_is_one_line(place, certificates, authority, own, why):
    here = place(tls=tls(certificates, "ours", "ours"))
    association = here.call(tls_args=(client_context(tls(certificates, authority, own)), "127.0.0.1"))
    assert not association.is_established
    (line,) = wait_for(lambda: here.lines("association refused"), 5)
    assert 'why="TLS" host="127.0.0.1"' in line
    assert why in line


def test_a_silent_caller_does_not_hold_up_the_others(place, certificates, monkeypatch):
    monkeypatch.setattr("mmif_amin.archive.tls.HANDSHAKE_SECONDS", 0.5)
    here = place(tls=tls(certificates, "ours", "ours"))
    with socket.create_connection(("127.0.0.1", here.node.port)):  # says nothing
        association = here.call(tls_args=(client_context(tls(certificates, "ours", "ours")), "127.0.0.1"))
        assert association.is_established
        association.release()


def test_no_plain_talk_where_tls_is_asked(place, certificates):
    here = place(tls=tls(certificates, "ours", "ours"))
    assert not here.call().is_established
    assert 'why="TLS"' in wait_for(lambda: here.lines("association refused"), 5)[0]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param(TlsFiles(ca="x.pem"), "expected the files `ca` and `certificate`", id="one missing"),
        pytest.param(TlsFiles("none.pem", "none.pem"), "cannot use none.pem, none.pem: .*No such file", id="no file"),
    ],
)
def test_files_of_tls_that_cannot_be_used(files, message):
    with pytest.raises(InputError, match=message):
        server_context(files, lambda _: True, print)


def test_hosts_are_cut_off_before_the_handshake(certificates):
    context = server_context(tls(certificates, "ours", "ours"), lambda host: host != "127.0.0.1", print)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        with pytest.raises(ConnectionRefusedError, match="not on the allow list"):
            context.wrap_socket(server.accept()[0], server_side=True)
    assert isinstance(context, ssl.SSLContext)


def ask_for_commitment(association, instances) -> int:
    request = pydicom.Dataset()
    request.TransactionUID = "1.2.3.4.5.6"
    request.ReferencedSOPSequence = []
    for instance in instances:
        item = pydicom.Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MRImageStorage, instance
        request.ReferencedSOPSequence.append(item)
    status, _ = association.send_n_action(request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    return status.Status


def test_storage_commitment(place, images):
    """Confirmed in an association of its own, also after the process ended in between; what is missing is named."""
    told = []
    peer = AE("MODALITY")
    peer.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    answered = threading.Event()

    def report(event):
        told.append((event.event_type, event.event_information))
        answered.set()
        return 0, None

    port = free_port()
    here = place(peers=(Peer("MODALITY", ("127.0.0.1",), port),))
    kinds = [build_context(MRImageStorage), build_context(StorageCommitmentPushModel)]
    association = here.call(contexts=kinds)
    store(association, images[0])
    stored = here.queue.objects(STUDY)[0][0]
    assert ask_for_commitment(association, [stored, "1.2.9"]) == 0
    association.release()
    assert "does it know MMIF-AMIN" in here.commitments.answer_all()[0]  # nobody listens there yet
    server = peer.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
    try:
        again = Commitments(here.settings, here.queue)  # as after a new start
        assert again.answer_all() == []
        assert answered.wait(10)
        assert again.answer_all() == []
    finally:
        server.shutdown()
    kind, report_of = told[0]
    assert len(told) == 1
    assert kind == 2
    assert report_of.TransactionUID == "1.2.3.4.5.6"
    assert [item.ReferencedSOPInstanceUID for item in report_of.ReferencedSOPSequence] == [stored]
    failed = report_of.FailedSOPSequence[0]
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == ("1.2.9", 0x0112)


def test_storage_commitment_without_a_port_for_the_result(place, images):
    here = place()
    association = here.call(contexts=[build_context(StorageCommitmentPushModel)])
    assert ask_for_commitment(association, ["1.2.9"]) == 0x0110
    association.release()
    assert 'peer="MODALITY" why="the settings name no port for its result"' in here.log.getvalue()


def test_storage_commitment_that_nobody_takes_is_given_up_after_growing_pauses(place, monkeypatch):
    here = place(peers=(Peer("MODALITY", ("127.0.0.1",), free_port()),), retry_seconds=0.01)
    association = here.call(contexts=[build_context(StorageCommitmentPushModel)])
    assert ask_for_commitment(association, ["1.2.9"]) == 0
    association.release()
    monkeypatch.setattr("mmif_amin.archive.commitments.TRIES", 2)
    assert len(here.commitments.answer_all()) == 1
    assert here.commitments.answer_all() == []  # it waits
    time.sleep(0.02)
    assert here.commitments.answer_all()[0].endswith(" It is given up.")
    time.sleep(0.03)
    assert here.commitments.answer_all() == []


def test_kinds_of_objects_that_are_not_taken_are_told_once(place):
    here = place()
    kinds = [
        build_context(MRImageStorage),
        build_context("1.3.12.2.1107.5.9.1"),
        build_context(CTImageStorage, MPEG2MPML),
    ]
    for _ in range(2):
        here.call(contexts=kinds).release()
    (line,) = here.lines("kinds of objects refused")
    assert 'kinds="CT Image Storage, in a transfer syntax that cannot be read; a private one"' in line
