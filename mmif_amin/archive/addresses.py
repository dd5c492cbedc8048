"""Addresses of archives: ``dicomweb://HOST:PORT/PATH`` and ``dicom://HOST:PORT/AE_TITLE``, with an ``s`` for TLS.

The URL of DICOMweb services as the archive's own manual names it, ``https://HOST:PORT/PATH``, is the same address.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..scripts.utils.checks import InputError

__all__ = ["Address", "is_address", "parse_address"]

WEB = {"http": "dicomweb", "https": "dicomwebs"}
SCHEMES = ("dicomweb", "dicomwebs", "dicom", "dicoms", *WEB)
DEFAULT_PORTS = {"dicomweb": 80, "dicomwebs": 443, "dicom": 104, "dicoms": 2762}
LONGEST_TITLE = 16  # characters of an AE title


@dataclass(frozen=True)
class Address:
    """Where an archive is.

    Args:
        scheme: ``"dicomweb"`` or ``"dicom"``, with an ``s`` at its end for TLS.
        host: name or IP address.
        port: TCP port.
        path: root of the DICOMweb services, without slashes around it; of a DICOM node its AE title.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme.endswith("s")

    @property
    def web(self) -> bool:
        """Whether the archive is asked by DICOMweb; else by DICOM's own protocol."""
        return self.scheme.startswith("dicomweb")

    @property
    def place(self) -> str:
        """Host and port, as the login file and messages name them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL that HTTP uses."""
        return f"http{'s' if self.tls else ''}://{self.place}/{self.path}".rstrip("/")

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def is_address(word: str) -> bool:
    """Whether a word names an archive, not a file."""
    return word.partition("://")[0] in SCHEMES and "://" in word


def parse_address(word: str) -> Address:
    """Read the address of an archive.

    Raises:
        InputError: When it has another form, or holds a user or a password.

    Example:
        >>> parse_address("dicomwebs://pacs.example/dicom-web").url
        'https://pacs.example:443/dicom-web'
    """
    forms = "dicomweb[s]://HOST:PORT/PATH or dicom[s]://HOST:PORT/AE_TITLE"
    if "@" in word:
        raise InputError(f"Expected {forms}, got an address with '@'. Put user and password or token in a login file.")
    try:
        parts = urlsplit(word)
        port = parts.port
    except ValueError:
        raise InputError(f"{word}: expected {forms}.") from None
    if parts.scheme not in SCHEMES or not parts.hostname or parts.query or parts.fragment:
        raise InputError(f"{word}: expected {forms}.")
    scheme = WEB.get(parts.scheme, parts.scheme)
    address = Address(scheme, parts.hostname, port or DEFAULT_PORTS[scheme], parts.path.strip("/"))
    if not address.web and not 0 < len(address.path) <= LONGEST_TITLE:
        raise InputError(f"{word}: expected an AE title of 1 to {LONGEST_TITLE} characters as its path, {forms}.")
    return address
