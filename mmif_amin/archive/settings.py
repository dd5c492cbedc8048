"""Settings of the node, as one dataclass that a TOML or JSON file fills."""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ..scripts.utils.checks import InputError
from .addresses import LONGEST_TITLE, parse_address
from .rules import SHIPPED_RULES, read_rules
from .tls import TlsFiles

__all__ = ["Destination", "Limits", "NodeSettings", "Peer", "read_settings"]


@dataclass(frozen=True)
class Peer:
    """One who may send studies.

    Args:
        title: its AE title.
        hosts: its IP addresses or networks, such as ``"10.0.3.0/24"``; a call from elsewhere is refused.
        port: where it takes the results of storage commitment. Defaults to 0: it asks for none.
        tls: whether that port speaks TLS. Defaults to False.
    """

    title: str
    hosts: tuple[str, ...]
    port: int = 0
    tls: bool = False

    def is_at(self, host: str) -> bool:
        """Whether it may call from this IP address."""
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in ipaddress.ip_network(network, strict=False) for network in self.hosts)


@dataclass(frozen=True)
class Destination:
    """One who gets the fused series.

    Args:
        name: for messages and metrics.
        url: ``dicom[s]://HOST:PORT/AE_TITLE`` or ``dicomweb[s]://HOST:PORT/PATH``.
        login: login file for DICOMweb. Defaults to "": the environment.
        tls: files of TLS. Defaults to the system's authorities.
    """

    name: str
    url: str
    login: str = ""
    tls: TlsFiles = field(default_factory=TlsFiles)


@dataclass(frozen=True)
class Limits:
    """What the node refuses.

    Args:
        associations: at the same time. Defaults to 8.
        object_mb: size of one object, MB; an object of more than twice that is cut off while it arrives. Defaults to
            1024.
        free_gb: space on the disk that stays free, GB; objects are refused (0xA700) before. Defaults to 2.
    """

    associations: int = 8
    object_mb: float = 1024.0
    free_gb: float = 2.0


@dataclass(frozen=True)
class NodeSettings:
    """Everything that ``mmif-amin listen`` must know.

    Args:
        folder: where the queue, the received objects and the results are.
        peers: who may send.
        destinations: who gets the results.
        title: own AE title. Defaults to ``"MMIF-AMIN"``.
        host: IP address to listen at. Defaults to ``"127.0.0.1"``, this machine alone; ``"0.0.0.0"`` is every one.
        port: TCP port. Defaults to 11112.
        tls: own certificate and key, and who signs those of the peers. Defaults to none: no TLS.
        rules: series_rules.json. Defaults to that of the MONAI Deploy app.
        quiet_seconds: how long nothing of a study has come when it is taken for complete. Defaults to 60.
        workers: processes that fuse, each with one network in its memory. Defaults to 1.
        fuse_tries: how often a study is fused until it is given up. Defaults to 3.
        send_tries: how often a result is sent to a destination until it is given up. Defaults to 12.
        retry_seconds: the pause before the second try, which is doubled each time, up to an hour. Defaults to 15.
        fuse_minutes: after which a fusion is ended and counts as failed. Defaults to 30.
        keep_hours: how long files of a finished study stay. Defaults to 24.
        metrics_port: of Prometheus's metrics and ``/healthz``, on the loopback address. Defaults to 0: none.
        limits: what is refused.
    """

    folder: str
    peers: tuple[Peer, ...]
    destinations: tuple[Destination, ...]
    title: str = "MMIF-AMIN"
    host: str = "127.0.0.1"
    port: int = 11112
    tls: TlsFiles = field(default_factory=TlsFiles)
    rules: str = str(SHIPPED_RULES)
    quiet_seconds: float = 60.0
    workers: int = 1
    fuse_tries: int = 3
    send_tries: int = 12
    retry_seconds: float = 15.0
    fuse_minutes: float = 30.0
    keep_hours: float = 24.0
    metrics_port: int = 0
    limits: Limits = field(default_factory=Limits)

    def checked(self) -> NodeSettings:
        """The same settings.

        Raises:
            InputError: When a value cannot be used.
        """
        if not self.peers or not self.destinations:
            raise InputError("Settings: expected at least one of `peers` and of `destinations`, got none.")
        for title in (self.title, *(peer.title for peer in self.peers)):
            if not 0 < len(title.strip()) <= LONGEST_TITLE:
                raise InputError(f"Settings: expected an AE title of 1 to {LONGEST_TITLE} characters, got '{title}'.")
        names = [destination.name for destination in self.destinations]
        if len(set(names)) < len(names):
            raise InputError(f"Settings: expected a name of its own for each destination, got {', '.join(names)}.")
        for peer in self.peers:
            for host in peer.hosts:
                try:
                    ipaddress.ip_network(host, strict=False)
                except ValueError:
                    raise InputError(f"Settings: hosts: expected an IP address or network, got '{host}'.") from None
        for destination in self.destinations:
            parse_address(destination.url)
        positive = ("quiet_seconds", "workers", "fuse_tries", "send_tries", "retry_seconds", "fuse_minutes")
        for name in positive:
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"Settings: {name}: expected a positive number, got {getattr(self, name)}.")
        if not 0 <= self.port < 2**16 or not 0 <= self.metrics_port < 2**16:
            raise InputError("Settings: expected ports from 0 to 65535.")
        read_rules(self.rules)
        return self


def read_settings(path: str | os.PathLike, overrides: Mapping[str, Any]) -> NodeSettings:
    """Read a file of settings.

    Args:
        path: ``.toml`` or ``.json``. Relative paths in it are relative to its folder.
        overrides: values that win over the file's, such as those of the command line.

    Raises:
        InputError: When it cannot be read, a key is unknown or missing, or a value cannot be used.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{path}: expected a file of settings, cannot read it: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected TOML, or JSON in a file *.json, got: {error}.") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a table of settings, got {type(data).__name__}.")
    settings = _typed(NodeSettings, {**data, **overrides}, str(path))
    base = path.resolve().parent
    return _with_places(settings, base).checked()


def _with_places(settings: NodeSettings, base: Path) -> NodeSettings:
    """The settings with absolute paths."""

    def tls(files: TlsFiles) -> TlsFiles:
        return TlsFiles(*(str(base / name) if name else "" for name in (files.ca, files.certificate, files.key)))

    destinations = tuple(
        replace(item, tls=tls(item.tls), login=str(base / item.login) if item.login else "")
        for item in settings.destinations
    )
    return replace(
        settings,
        folder=str(base / settings.folder),
        rules=str(base / settings.rules),
        tls=tls(settings.tls),
        destinations=destinations,
    )


def _typed(kind: Any, value: Any, who: str) -> Any:
    """A value of TOML or JSON as the dataclass, tuple, text or number that an annotation names."""
    if is_dataclass(kind):
        return _typed_object(kind, value, who)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise InputError(f"{who}: expected a list, got {type(value).__name__}.")
        return tuple(_typed(get_args(kind)[0], item, who) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        expected = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise InputError(f"{who}: expected {expected}, got {value!r}.")
    return value


def _typed_object(kind: Any, value: Any, who: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{who}: expected a table of {kind.__name__.lower()}, got {type(value).__name__}.")
    hints = get_type_hints(kind)
    for name in value:
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(hints)}."
            raise InputError(f"{who}: {name}: no such setting.{hint}")
    values = {name: _typed(hints[name], item, f"{who}: {name}") for name, item in value.items()}
    try:
        return kind(**values)
    except TypeError:
        missing = [item.name for item in fields(kind) if item.name not in values]
        raise InputError(f"{who}: expected the settings {', '.join(missing[:3])}, one is missing.") from None
