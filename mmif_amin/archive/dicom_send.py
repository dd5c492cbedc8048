"""An archive that is sent to by DICOM's own protocol (C-STORE)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..scripts.dicom.header import require
from ..scripts.dicom.privacy import quiet_pydicom
from .addresses import Address
from .errors import ArchiveError, with_retries
from .extra import require_archive
from .tls import TlsFiles, client_context

__all__ = ["DicomArchive", "quiet_pynetdicom"]

TRIES = 5
TIMEOUT = 30.0  # seconds without an answer
WARNINGS = range(0xB000, 0xC000)  # stored, with a remark
DUPLICATE = 0x0111  # the archive has an image of this UID, so an earlier try has stored it


def quiet_pynetdicom() -> Any:
    """The package pynetdicom, which then logs nothing: what it logs quotes the images."""
    import logging

    pynetdicom = require_archive("pynetdicom")
    pynetdicom._config.LOG_HANDLER_LEVEL = "none"
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    return pynetdicom


class DicomArchive:
    """A DICOM node that takes images.

    Args:
        address: where it is, with its AE title.
        calling: own AE title.
        tls: files of TLS. Defaults to the system's authorities.
        tries: how often an association is tried at most. Defaults to 5.

    Raises:
        InputError: When a file of ``tls`` cannot be used or the extra is not installed.
    """

    def __init__(
        self,
        address: Address,
        calling: str,
        tls: TlsFiles = TlsFiles(),  # noqa: B008  # it is frozen
        tries: int = TRIES,
    ) -> None:
        self.address, self.calling, self.tries = address, calling, tries
        self.context = client_context(tls) if address.tls else None

    @quiet_pydicom()
    def store(self, files: Iterable[Path]) -> int:
        """Send images; who has an image with the same UID keeps one of them.

        Returns:
            How many were sent.

        Raises:
            ArchiveError: When the association, a class or an image is refused, or the association ends before all
                images are stored. Where a class is refused nothing is sent.
        """
        waiting = list(files)
        total = len(waiting)
        with_retries(lambda: self._store(waiting), self.tries)
        return total

    def _store(self, waiting: list[Path]) -> None:
        """Send, and take from the list what has been stored."""
        pydicom = require("pydicom")
        kinds = set()
        for file in waiting:
            meta = pydicom.filereader.read_file_meta_info(file)
            kinds.add((meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID))
        association = self.associate(sorted(kinds))
        try:
            while waiting:
                status = association.send_c_store(waiting[0])
                code = status.get("Status")
                if code is None:
                    raise ArchiveError(f"{self.address.place}: the association ended before an image was stored.")
                if code not in (0, DUPLICATE) and code not in WARNINGS:
                    raise ArchiveError(f"{self.address.place}: refused an image with the status 0x{code:04X}.")
                waiting.pop(0)
        except ArchiveError:
            raise
        except RuntimeError as error:  # pynetdicom's, where the association ended just now
            raise ArchiveError(f"{self.address.place}: the association ended before an image was stored.") from error
        except (ValueError, AttributeError) as error:  # pynetdicom's, for a file that lacks what it sends by
            raise ArchiveError(f"{self.address.place}: an image cannot be sent.", lasting=True) from error
        finally:
            association.release()

    def associate(self, kinds: Iterable[tuple[str, str]], **keywords: Any) -> Any:
        """Open an association.

        Args:
            kinds: SOP classes with a transfer syntax.
            keywords: for pynetdicom's ``associate``.

        Raises:
            ArchiveError: When nobody answers, the association is refused, or one of the classes.
        """
        entity = quiet_pynetdicom().AE(self.calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = TIMEOUT
        for sop_class, syntax in kinds:
            entity.add_requested_context(sop_class, syntax)
        tls = {"tls_args": (self.context, self.address.host)} if self.context else {}
        address = self.address
        association = entity.associate(address.host, address.port, ae_title=address.path, **tls, **keywords)
        if association.rejected_contexts:
            if association.is_established:
                association.release()
            classes = sorted({context.abstract_syntax.name for context in association.rejected_contexts})
            raise ArchiveError(
                f"{address.place}: {address.path} does not take {' and '.join(classes)}; nothing was sent.",
                lasting=True,
            )
        if not association.is_established:
            why = "refused the association" if association.is_rejected else "gave no answer, or TLS failed"
            raise ArchiveError(f"{address.place}: {address.path} {why}. Is it up, and does it know {self.calling}?")
        return association
