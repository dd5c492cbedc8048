"""TLS for DICOM, both ends, with certificates of an own authority."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..scripts.utils.checks import InputError

__all__ = ["TlsFiles", "client_context", "server_context"]

HANDSHAKE_SECONDS = 5.0


@dataclass(frozen=True)
class TlsFiles:
    """The files that TLS needs, all PEM.

    Args:
        ca: certificates of the authorities that are trusted. Defaults to "": those of the system.
        certificate: own certificate. Defaults to "": none.
        key: its private key. Defaults to "": in the certificate's file.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Context of one who calls: the other side's certificate and name are checked, own ones are shown where given.

    Raises:
        InputError: When a file is missing or holds something else.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=files.ca or None)
        if files.certificate:
            context.load_cert_chain(files.certificate, files.key or None)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(files, error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def server_context(
    files: TlsFiles, allowed: Callable[[str], bool], failed: Callable[[str, str], None]
) -> ssl.SSLContext:
    """Context of the node: who calls must show a certificate that an own authority signed.

    Args:
        files: all three are needed; the key may lie in the certificate's file.
        allowed: whether a host may speak to the node at all. Others are cut off before the handshake.
        failed: called with the host and the reason when a handshake has failed.

    Raises:
        InputError: When a file is missing or holds something else.
    """
    if not (files.ca and files.certificate):
        raise InputError("TLS: expected the files `ca` and `certificate`, one is missing. Name both.")
    context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.allowed, context.failed = allowed, failed
    try:
        context.load_cert_chain(files.certificate, files.key or None)
        context.load_verify_locations(files.ca)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(files, error) from error
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _ServerContext(ssl.SSLContext):
    """Limits the time of a handshake, because pynetdicom's server waits for it before it takes the next call."""

    allowed: Callable[[str], bool]
    failed: Callable[[str, str], None]

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        host = "unknown"
        try:
            host = sock.getpeername()[0]
            if not self.allowed(host):
                raise ConnectionRefusedError("host not on the allow list")
            sock.settimeout(HANDSHAKE_SECONDS)
            wrapped = super().wrap_socket(sock, *args, **kwargs)
        except OSError as error:
            sock.close()
            if not isinstance(error, ConnectionRefusedError):
                self.failed(host, str(getattr(error, "reason", None) or error))
            raise
        wrapped.settimeout(None)
        return wrapped


def _unusable(files: TlsFiles, error: Exception) -> InputError:
    names = ", ".join(name for name in (files.ca, files.certificate, files.key) if name)
    return InputError(f"TLS: expected PEM files, cannot use {names}: {error}.")
