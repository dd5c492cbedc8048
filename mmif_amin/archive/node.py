"""The DICOM node: C-ECHO, C-STORE and storage commitment, for those on the allow list."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..scripts.dicom.header import require
from ..scripts.utils.checks import InputError
from .commitments import Commitments
from .dicom_send import quiet_pynetdicom
from .extra import require_archive
from .intake import DISK_FULL, STORED, Intake
from .journal import Journal, public_reason
from .settings import NodeSettings, Peer
from .tls import server_context

__all__ = ["Node", "find_peer"]

IDLE_SECONDS = 60.0  # after which a silent association is ended
ANSWER_SECONDS = 30.0
REJECT_TITLE, REJECT_CALLED = (1, 1, 3), (1, 1, 7)  # result, source, reason: PS3.8 9.3.4
CANNOT_PROCESS = 0x0110
NO_SYNTAX = 4  # result of a context: no transfer syntax of it is supported, PS3.8 9.3.3.2
BEYOND_LIMIT = 2  # times the limit of an object, where it is cut off


def find_peer(settings: NodeSettings, title: str, host: str) -> Peer | None:
    """The peer on the allow list with this AE title that may call from this host, or None."""
    named = (peer for peer in settings.peers if peer.title == title.strip())
    return next((peer for peer in named if peer.is_at(host)), None)


@dataclass
class _Call:
    """What is known of an association.

    Args:
        size: bytes that have come since its last object. Defaults to 0.
        cut_off: whether an object was too large. Defaults to False.
        study: StudyInstanceUID of its last object. Defaults to "": none.
        told: why objects were refused, as far as it has been told. Defaults to none.
    """

    size: int = 0
    cut_off: bool = False
    study: str = ""
    told: set[str] = field(default_factory=set)


class Node:
    """Listens for studies.

    Args:
        settings: of the node.
        intake: takes what arrives.
        commitments: takes requests of storage commitment.
        journal: what it tells.
        arrived: called with the StudyInstanceUID when something of a study has come, and whether it is a new object;
            it may be a part of one, or one that was there.

    Raises:
        InputError: When the port is taken or a file of TLS cannot be used.
    """

    def __init__(
        self,
        settings: NodeSettings,
        intake: Intake,
        commitments: Commitments,
        journal: Journal,
        arrived: Callable[[str, bool], None],
    ) -> None:
        self.settings, self.intake, self.commitments, self.journal = settings, intake, commitments, journal
        self.arrived = arrived
        self._calls: dict[int, _Call] = {}
        self._told: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._server = self._listen()

    @property
    def port(self) -> int:
        """The TCP port, also where the settings leave it to the system (0)."""
        return int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """End all associations and the server."""
        self._server.shutdown()
        self._entity.shutdown()
        tempfile.tempdir = self._tempdir

    def _listen(self) -> Any:
        pynetdicom = quiet_pynetdicom()
        events = pynetdicom.evt
        pynetdicom._config.STORE_RECV_CHUNKED_DATASET = True  # to the disk as it arrives, not into memory
        self._tempdir, tempfile.tempdir = tempfile.tempdir, str(self.intake.incoming)  # there pynetdicom puts it
        self._entity = entity = pynetdicom.AE(self.settings.title)
        entity.maximum_associations = self.settings.limits.associations
        entity.network_timeout = IDLE_SECONDS
        entity.acse_timeout = entity.dimse_timeout = ANSWER_SECONDS
        syntaxes = _readable_syntaxes()
        for context in pynetdicom.AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, syntaxes)
        classes = require_archive("pynetdicom.sop_class")
        entity.add_supported_context(classes.Verification)
        entity.add_supported_context(classes.StorageCommitmentPushModel)
        handlers = [
            (events.EVT_REQUESTED, self._requested),
            (events.EVT_ACCEPTED, self._accepted),
            (events.EVT_REJECTED, lambda _: self._count_refusal("too many")),
            (events.EVT_DATA_RECV, self._data),
            (events.EVT_ABORTED, self._aborted),
            (events.EVT_RELEASED, self._forget),
            (events.EVT_CONN_CLOSE, self._closed),
            (events.EVT_C_STORE, self._store),
            (events.EVT_N_ACTION, self._commit),
        ]
        settings = self.settings
        tls = None
        if settings.tls.certificate:
            tls = server_context(settings.tls, self._host_is_known, self._no_handshake)
        try:
            return entity.start_server(
                (settings.host, settings.port), block=False, evt_handlers=handlers, ssl_context=tls
            )
        except OSError as error:
            raise InputError(
                f"{settings.host}:{settings.port}: cannot listen there: {error.strerror or error}. Choose another port."
            ) from error

    def _host_is_known(self, host: str) -> bool:
        known = any(peer.is_at(host) for peer in self.settings.peers)
        if not known:
            self._count_refusal("host", host=host)
        return known

    def _no_handshake(self, host: str, why: str) -> None:
        self._count_refusal("TLS", host=host, error=why)

    def _requested(self, event: Any) -> None:
        """Refuse who is not on the allow list, before anything else of the request is looked at."""
        association = event.assoc
        request = association.requestor.primitive
        calling, host = request.calling_ae_title, association.requestor.address
        if find_peer(self.settings, calling, host) is None:
            why, reason = REJECT_TITLE, "calling title or host"
        elif request.called_ae_title.strip() != self.settings.title:
            why, reason = REJECT_CALLED, "called title"
        else:
            with self._lock:
                self._calls[id(association)] = _Call()
            return
        self._count_refusal(reason, calling=calling, called=request.called_ae_title, host=host)
        association.acse.send_reject(*why)
        association.kill()

    def _accepted(self, event: Any) -> None:
        """An association has begun; what it may not send is told once, because many propose more than they send."""
        self.journal.associations.labels("accepted").inc()
        calling = event.assoc.requestor.ae_title
        kinds = {_kind(context) for context in event.assoc.rejected_contexts}
        if kinds and (facts := (calling, "; ".join(sorted(kinds)))) not in self._told:
            self._told.add(facts)
            self.journal.tell("kinds of objects refused", warning=True, calling=calling, kinds=facts[1])

    def _count_refusal(self, why: str, **facts: object) -> None:
        self.journal.associations.labels("refused").inc()
        self.journal.tell("association refused", warning=True, why=why, **facts)

    def _call(self, event: Any) -> _Call:
        with self._lock:
            return self._calls.setdefault(id(event.assoc), _Call())

    def _data(self, event: Any) -> None:
        """Cut off an object that is far beyond the limit, or that would fill the disk, while it arrives."""
        call = self._call(event)
        call.size += len(event.data)
        if call.study:
            self.arrived(call.study, False)
        large = call.size > BEYOND_LIMIT * self.intake.largest
        if large or (_part_of_object(event.assoc) is not None and self.intake.must_stop):
            call.size, call.cut_off = 0, True
            why = f"larger than {BEYOND_LIMIT * self.settings.limits.object_mb:g} MB" if large else DISK_FULL
            self.journal.tell("object cut off", warning=True, why=why)
            self.journal.objects.labels("cut off").inc()
            event.assoc.dul.socket.close()

    def _store(self, event: Any) -> int:
        call = self._call(event)
        call.size = 0
        taken = self.intake.take(Path(event.dataset_path), str(event.request.AffectedSOPInstanceUID))
        self.journal.objects.labels(f"0x{taken.status:04X}").inc()
        if taken.status == STORED:
            call.study = taken.study
            self.arrived(taken.study, taken.new)
        elif taken.why not in call.told:  # once, not for each of its images
            call.told.add(taken.why)
            study = {"study": self.journal.names.of(taken.study)} if taken.study else {}
            self.journal.tell("object refused", warning=True, status=f"0x{taken.status:04X}", why=taken.why, **study)
        return taken.status

    def _forget(self, event: Any) -> None:
        with self._lock:
            self._calls.pop(id(event.assoc), None)

    def _aborted(self, event: Any) -> None:
        """An association has ended without a release; an object that was cut off or in part is told elsewhere."""
        requestor = event.assoc.requestor
        self.journal.associations.labels("aborted").inc()
        known = requestor.ae_title  # else it was only seen whether somebody listens here
        if known and not self._call(event).cut_off and _part_of_object(event.assoc) is None:
            self.journal.tell("association aborted", warning=True, calling=known, host=requestor.address)
        self._forget(event)

    def _closed(self, event: Any) -> None:
        """Delete what has come of an object whose association has ended in the middle of it."""
        part = _part_of_object(event.assoc)
        if part is None:
            return
        study = self.intake.discard(part)
        if not self._call(event).cut_off:
            named = {"study": self.journal.names.of(study)} if study else {}
            self.journal.tell("object in part", warning=True, why="its association ended in the middle of it", **named)

    def _commit(self, event: Any) -> tuple[int, None]:
        """Write down what is to be confirmed; the confirmation follows in an association of its own."""
        requestor = event.assoc.requestor
        peer = find_peer(self.settings, requestor.ae_title, requestor.address)
        try:
            if peer is None or not peer.port:
                raise InputError("the settings name no port for its result")
            self.commitments.ask(event.action_information, peer, requestor.address)
        except Exception as error:  # pydicom raises many types for a damaged request
            self.journal.tell("commitment refused", warning=True, peer=requestor.ae_title, why=public_reason(error))
            return CANNOT_PROCESS, None
        return STORED, None


def _part_of_object(association: Any) -> Path | None:
    """Where pynetdicom has written what has come of an object; it forgets the file, but does not delete it."""
    path = getattr(association.dimse.message, "_data_set_path", None)
    return Path(path) if path else None


def _kind(context: Any) -> str:
    """What one proposes to send: by its name, where DICOM has one."""
    name = context.abstract_syntax.name
    kind = "a private one" if name == str(context.abstract_syntax) else name
    kind += " (retired)" if context.abstract_syntax.is_retired else ""
    return f"{kind}, in a transfer syntax that cannot be read" if context.result == NO_SYNTAX else kind


def _readable_syntaxes() -> list[str]:
    """Transfer syntaxes that can be decoded here, uncompressed ones first."""
    uid = require("pydicom").uid
    pixels = require_archive("pydicom.pixels")
    plain = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian]
    for syntax in uid.AllTransferSyntaxes:
        if syntax.is_compressed and not syntax.is_deflated:
            try:
                if pixels.get_decoder(syntax).is_available:
                    plain.append(syntax)
            except NotImplementedError:  # video
                continue
    return plain
