"""Credentials of DICOMweb archives: from the environment or from a file that only its owner can read."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..scripts.utils.checks import InputError
from .addresses import Address

__all__ = ["LOGIN_VARIABLE", "Login", "find_login"]

TOKEN, USER, PASSWORD = "MMIF_AMIN_TOKEN", "MMIF_AMIN_USER", "MMIF_AMIN_PASSWORD"
PLACE = "MMIF_AMIN_ARCHIVE"  # HOST:PORT for which the variables above are meant
LOGIN_VARIABLE = "MMIF_AMIN_LOGIN"  # names the login file


@dataclass(frozen=True, repr=False)
class Login:
    """What an archive asks for; it never appears in a message.

    Args:
        token: bearer token. Defaults to "": none.
        user: of basic authentication. Defaults to "".
        password: of basic authentication. Defaults to "".
    """

    token: str = ""
    user: str = ""
    password: str = ""

    @property
    def header(self) -> str:
        """Value of HTTP's Authorization header."""
        import base64

        if self.token:
            return f"Bearer {self.token}"
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def find_login(
    address: Address, file: str | os.PathLike | None = None, environment: Mapping[str, str] = os.environ
) -> Login | None:
    """Find the credentials of an archive.

    A login file is JSON with an entry for each archive:
    ``{"HOST:PORT": {"token": "..."}, "HOST:PORT": {"user": "...", "password": "..."}}``. The environment holds those of
    one archive: ``MMIF_AMIN_ARCHIVE`` (``HOST:PORT``) with ``MMIF_AMIN_TOKEN``, or with ``MMIF_AMIN_USER`` and
    ``MMIF_AMIN_PASSWORD``. So no archive ever gets what is meant for another.

    Args:
        address: the archive.
        file: login file. Defaults to None: the one that ``MMIF_AMIN_LOGIN`` names, if any.
        environment: variables. Defaults to those of the process.

    Returns:
        The credentials, or None where there are none for this archive.

    Raises:
        InputError: When the file is not there, others than its owner can read it, or its form is wrong; when the
            variables are incomplete; or when credentials would go over a network without TLS.
    """
    file = file or environment.get(LOGIN_VARIABLE)
    found = _from_file(Path(file), address.place) if file else None
    found = found or _from_environment(environment, address.place)
    if found and not address.tls and not address.local:
        raise InputError(f"{address.place}: credentials need TLS. Write {address.scheme}s:// for this archive.")
    return found


def _from_file(path: Path, place: str) -> Login | None:
    try:
        mode = path.stat().st_mode
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InputError(f"{path}: others than its owner can read this login file. Do: chmod 600 {path}.")
        entries = json.loads(path.read_text(encoding="utf-8"))
        entry = {name.lower(): entry for name, entry in entries.items()}.get(place)
        if entry is None:
            return None
        if set(entry) not in ({"token"}, {"user", "password"}) or not all(isinstance(v, str) for v in entry.values()):
            raise TypeError
        return Login(**entry)
    except OSError as error:
        raise InputError(f"{path}: the login file cannot be read: {error.strerror or error}.") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f'{path}: expected JSON such as {{"{place}": {{"token": "..."}}}}, or "user" and "password", got others.'
        ) from None  # the cause may quote the secret


def _from_environment(environment: Mapping[str, str], place: str) -> Login | None:
    token, user, password = (environment.get(name, "") for name in (TOKEN, USER, PASSWORD))
    if not (token or user or password):
        return None
    if not environment.get(PLACE) or bool(token) == bool(user or password) or bool(user) != bool(password):
        raise InputError(
            f"Expected {PLACE} (HOST:PORT) with {TOKEN}, or with {USER} and {PASSWORD}, in the environment; one is "
            "missing or too many."
        )
    return Login(token, user, password) if environment[PLACE].lower() == place else None
