"""Sending results to one destination, in a thread of its own, so that a slow one holds up nobody else."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..scripts.utils.checks import InputError
from .addresses import parse_address
from .archives import open_archive
from .derived import derived_files
from .dicom_send import DicomArchive
from .dicomweb import WebArchive
from .journal import Journal, public_reason
from .queue import StudyQueue
from .settings import Destination, NodeSettings

__all__ = ["LONGEST_PAUSE", "Courier", "pause_after"]

LONGEST_PAUSE = 3600.0  # seconds
TICK = 0.2  # seconds between looks at the queue
REST = 10.0  # seconds of pause where the queue cannot be written


def pause_after(tries: int, first: float) -> float:
    """Seconds to wait after so many failed tries: the first pause, doubled each time, an hour at most.

    Example:
        >>> [pause_after(tries, 15) for tries in (1, 2, 3, 20)]
        [15.0, 30.0, 60.0, 3600.0]
    """
    return min(first * 2.0 ** min(tries - 1, 30), LONGEST_PAUSE)


class Courier(threading.Thread):
    """Sends every result to one destination.

    Args:
        destination: where to.
        settings: of the node.
        queue: its queue.
        results: folder of the results.
        journal: what it tells.
        ended: called with the StudyInstanceUID when a delivery succeeded or was given up.

    Raises:
        InputError: When credentials or files of TLS cannot be used.
    """

    def __init__(
        self,
        destination: Destination,
        settings: NodeSettings,
        queue: StudyQueue,
        results: Path,
        journal: Journal,
        ended: Callable[[str], None],
    ) -> None:
        super().__init__(name=f"courier {destination.name}", daemon=True)
        self.destination, self.settings, self.queue = destination, settings, queue
        self.results, self.journal, self.ended = results, journal, ended
        self._open()  # what cannot be used is refused at the start
        self._pauses: dict[str, float] = {}
        self._over = threading.Event()

    def _open(self) -> WebArchive | DicomArchive:
        """The archive, anew for each delivery: a token or a certificate may have been replaced meanwhile."""
        where = self.destination
        return open_archive(
            parse_address(where.url), where.login or None, where.tls, self.settings.title, tries=1
        )  # the queue tries again, not the archive

    def stop(self) -> None:
        """End after the delivery that is under way."""
        self._over.set()

    def run(self) -> None:
        """Send what waits, until :meth:`stop`."""
        pause = TICK
        while not self._over.wait(pause):
            try:
                self._send_what_waits()
                pause = TICK
            except (OSError, sqlite3.Error) as error:
                self.journal.tell("the queue cannot be written", warning=True, why=public_reason(error))
                pause = REST

    def _send_what_waits(self) -> None:
        for study, name, key, tries in self.queue.waiting(self.destination.name):
            if self._over.is_set():
                return
            if tries == 0 or time.monotonic() >= self._pauses.get(study, 0.0):  # 0: new, or an operator's retry
                self._deliver(study, name, key, tries)

    def _deliver(self, study: str, name: str, key: str, tries: int) -> None:
        where = self.destination.name
        if not self.queue.send(study, key):
            return
        try:
            files = derived_files(self.results / key)
            if not files:
                raise InputError("the result is not on the disk any more. Drop the study and send it again.")
            sent = self._open().store(files)
        except Exception as error:  # one result that cannot be sent stops no other
            reason = self.journal.names.masked(public_reason(error))
            given_up = self.queue.undelivered(study, where, reason, self.settings.send_tries)
            self._pauses[study] = time.monotonic() + pause_after(tries + 1, self.settings.retry_seconds)
            self.journal.deliveries.labels(where, "failed").inc()
            event = "delivery given up" if given_up else "delivery failed"
            self.journal.tell(event, warning=True, study=name, destination=where, tries=tries + 1, why=reason)
            if given_up:
                self.ended(study)
            return
        self.queue.delivered(study, where)
        self._pauses.pop(study, None)
        self.journal.deliveries.labels(where, "sent").inc()
        self.journal.tell("delivered", study=name, destination=where, images=sent)
        self.ended(study)
