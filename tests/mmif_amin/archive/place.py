"""The node alone, in this process, and one who calls it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pydicom
from pynetdicom import AE
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import CTImageStorage, MRImageStorage, Verification

from mmif_amin.archive.commitments import Commitments
from mmif_amin.archive.intake import Intake
from mmif_amin.archive.journal import Journal, Pseudonyms
from mmif_amin.archive.node import Node
from mmif_amin.archive.queue import StudyQueue
from mmif_amin.archive.settings import Destination, Limits, NodeSettings, Peer
from tests.mmif_amin.archive.made_up import PATIENT_WORDS

__all__ = ["STUDY", "Place", "store"]

STUDY = "1.2.826.0.1.3680043.8.498.1.2.3"


class Place:
    """A node in this process, with its queue and its log."""

    def __init__(self, folder: Path, **changes) -> None:
        self.peers = changes.pop("peers", (Peer("MODALITY", ("127.0.0.1",)),))
        destinations = (Destination("pacs", "dicom://127.0.0.1:104/PACS"),)
        limits = changes.pop("limits", Limits(free_gb=0.001))
        self.settings = NodeSettings(str(folder), self.peers, destinations, port=0, limits=limits, **changes)
        self.queue = StudyQueue(folder)
        self.log = io.StringIO()
        self.journal = Journal(Pseudonyms(folder), self.log)
        self.intake = Intake(folder, self.queue, limits, self.journal.names)
        self.commitments = Commitments(self.settings, self.queue)
        self.arrived: list[tuple[str, bool]] = []
        self.node = Node(self.settings, self.intake, self.commitments, self.journal, self.note)

    def note(self, study: str, new: bool) -> None:
        self.arrived.append((study, new))

    def call(self, calling: str = "MODALITY", called: str = "MMIF-AMIN", contexts=None, **keywords):
        entity = AE(calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
        kinds = contexts or [build_context(MRImageStorage), build_context(CTImageStorage), build_context(Verification)]
        return entity.associate("127.0.0.1", self.node.port, contexts=kinds, ae_title=called, **keywords)

    def lines(self, event: str) -> list[str]:
        """Log lines of an event."""
        return [line for line in self.log.getvalue().splitlines() if f" {event} " in line]

    def check_privacy(self) -> None:
        words = re.split(r"[^a-z0-9.]+", self.log.getvalue().lower())
        assert not set(words) & {*PATIENT_WORDS, STUDY}


def store(association, file) -> int:
    return association.send_c_store(pydicom.dcmread(file)).get("Status", -1)
