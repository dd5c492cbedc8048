"""Storage commitment: what peers asked for is kept on the disk and answered in an association of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from ..scripts.dicom.header import require
from ..scripts.utils.checks import InputError
from .addresses import Address
from .delivery import pause_after
from .dicom_send import DicomArchive
from .errors import ArchiveError
from .extra import require_archive
from .queue import StudyQueue
from .settings import NodeSettings, Peer

__all__ = ["Commitments"]

TRIES = 50  # in nearly two days
ALL_STORED, SOME_MISSING = 1, 2  # event types, PS3.4 J.3.3
NO_SUCH_OBJECT = 0x0112


class Commitments:
    """What peers asked to be confirmed.

    An object is confirmed if it lies on the disk now. It stays there until its study is finished, and ``keep_hours``
    longer.

    Args:
        settings: of the node.
        queue: its queue.
    """

    def __init__(self, settings: NodeSettings, queue: StudyQueue) -> None:
        self.settings, self.queue = settings, queue
        self._pauses: dict[str, float] = {}

    def ask(self, request: Any, peer: Peer, host: str) -> None:
        """Write down a request before it is answered with success.

        Args:
            request: dataset of the N-ACTION.
            peer: who asks.
            host: the IP address from where.
        """
        items = [
            (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
            for item in request.ReferencedSOPSequence
        ]
        with self.queue.change() as base:
            base.execute(
                "INSERT OR REPLACE INTO commitments (id, title, host, request) VALUES (?, ?, ?, ?)",
                (str(request.TransactionUID), peer.title, host, json.dumps(items)),
            )

    def answer_all(self) -> list[str]:
        """Answer what is open.

        Returns:
            Why each that could not be answered was not; it is tried again after growing pauses, up to 50 times.
        """
        problems = []
        rows = self.queue.ask("SELECT id, title, host, request, attempts FROM commitments ORDER BY attempts")
        for transaction, title, host, request, attempts in rows:
            if time.monotonic() < self._pauses.get(transaction, 0.0):
                continue
            peer = next((peer for peer in self.settings.peers if peer.title == title and peer.port), None)
            try:
                if peer is None:
                    raise InputError(f"{title}: the settings name no port for it.")
                self._answer(transaction, peer, host, json.loads(request))
            except InputError as error:  # an archive's, or a file of TLS
                last = attempts + 1 >= TRIES
                problems.append(f"{error}{' It is given up.' if last else ''}")
                self._pauses[transaction] = time.monotonic() + pause_after(attempts + 1, self.settings.retry_seconds)
                with self.queue.change() as base:
                    base.execute("UPDATE commitments SET attempts = attempts + 1 WHERE id = ?", (transaction,))
                    base.execute("DELETE FROM commitments WHERE id = ? AND ?", (transaction, last))
            else:
                with self.queue.change() as base:
                    base.execute("DELETE FROM commitments WHERE id = ?", (transaction,))
        return problems

    def _answer(self, transaction: str, peer: Peer, host: str, items: Sequence[Sequence[str]]) -> None:
        pydicom, pynetdicom = require("pydicom"), require_archive("pynetdicom")
        classes = require_archive("pynetdicom.sop_class")
        model, instance = classes.StorageCommitmentPushModel, classes.StorageCommitmentPushModelInstance
        report = pydicom.Dataset()
        report.TransactionUID = transaction
        stored, missing = [], []
        for sop_class, sop in items:
            item = pydicom.Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop
            if self.queue.has_object(sop):
                stored.append(item)
            else:
                item.FailureReason = NO_SUCH_OBJECT
                missing.append(item)
        if stored:
            report.ReferencedSOPSequence = stored
        if missing:
            report.FailedSOPSequence = missing
        address = Address("dicoms" if peer.tls else "dicom", host, peer.port, peer.title)
        archive = DicomArchive(address, self.settings.title, self.settings.tls)
        role = pynetdicom.build_role(model, scp_role=True)
        association = archive.associate([(model, pydicom.uid.ImplicitVRLittleEndian)], ext_neg=[role])
        try:
            event = SOME_MISSING if missing else ALL_STORED
            status, _ = association.send_n_event_report(report, event, model, instance)
            if status.get("Status") != 0:
                raise ArchiveError(f"{peer.title}: did not take the result of storage commitment.")
        except ArchiveError:
            raise
        except (ValueError, AttributeError, RuntimeError) as error:
            raise ArchiveError(f"{peer.title}: does not take results of storage commitment.") from error
        finally:
            association.release()
