"""Opening an archive by its address, whichever protocol it speaks."""

from __future__ import annotations

import os

from .addresses import Address
from .dicom_send import DicomArchive
from .dicomweb import WebArchive
from .login import find_login
from .tls import TlsFiles

__all__ = ["open_archive"]

CALLING = "MMIF-AMIN"  # own AE title where none is configured


def open_archive(
    address: Address,
    login_file: str | os.PathLike | None = None,
    tls: TlsFiles = TlsFiles(),  # noqa: B008  # it is frozen
    calling: str = CALLING,
    tries: int = 5,
) -> WebArchive | DicomArchive:
    """An archive of either protocol.

    Raises:
        InputError: When credentials or files of TLS cannot be used, or the extra is not installed.
    """
    if address.web:
        return WebArchive(address, find_login(address, login_file), tls, tries)
    return DicomArchive(address, calling, tls, tries)
