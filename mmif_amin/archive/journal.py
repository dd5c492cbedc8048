"""What the node tells: log lines that name no patient, metrics for Prometheus, and whether it is well."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from ..scripts.utils.checks import InputError, input_error_behind
from .extra import require_archive

__all__ = ["Journal", "Pseudonyms", "public_reason"]

KEY_NAME = "pseudonym.key"
UID = re.compile(r"\b[012](?=[\d.]{9,}|(?:\.\d+){4})(?:\.\d+){2,}\b")  # also 2.25.NUMBER, of three parts
SHORT = 12  # hexadecimal digits
BUCKETS = (1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1280)  # seconds


class Pseudonyms:
    """Names in place of UIDs: a keyed hash, so nobody without the key can tell whether a UID is meant.

    Args:
        folder: of the queue; the key is a file in it that only its owner can read, made at first use.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / KEY_NAME
        if not path.is_file():
            temporary = folder / f".{KEY_NAME}.{os.getpid()}"
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(os.urandom(32))
                os.fsync(file.fileno())
            os.replace(temporary, path)
        self._key = path.read_bytes()

    def of(self, uid: str, kind: str = "study") -> str:
        """The name of a UID, such as ``study-0123456789ab``."""
        return f"{kind}-{hmac.new(self._key, uid.encode(), hashlib.sha256).hexdigest()[:SHORT]}"

    def masked(self, text: str) -> str:
        """The text in one line, with names in place of all UIDs."""
        return UID.sub(lambda match: self.of(match[0], "uid"), " ".join(text.split()))


def public_reason(error: BaseException) -> str:
    """Why something failed, in one line that names no patient.

    Errors of the input are written without a patient's data, and the system says what is wrong with the disk; of all
    other errors only the type is told, because a package may quote the image.
    """
    cause = input_error_behind(error)
    if cause:
        return "; ".join(line.strip() for line in str(cause).splitlines())
    if isinstance(error, sqlite3.OperationalError):  # such as "database or disk is full"; it quotes no value
        return f"queue: {error}"
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, OSError) and behind.errno:
            return os.strerror(behind.errno)
        behind = behind.__cause__ or behind.__context__
    return type(error).__name__


class _QuietHandler(WSGIRequestHandler):
    """Logs no request."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Journal:
    """Log lines and metrics of one node.

    Args:
        names: makes pseudonyms.
        stream: where log lines go. Defaults to None: standard error.
    """

    def __init__(self, names: Pseudonyms, stream: Any = None) -> None:
        prometheus = require_archive("prometheus_client")
        self.names = names
        self.log = logging.Logger("mmif_amin.listen", logging.INFO)
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self.log.addHandler(handler)
        self.registry = prometheus.CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Any:
            return prometheus.Counter(f"mmif_amin_{name}", text, labels, registry=self.registry)

        self.objects = counter("objects", "objects received, by DICOM status", "status")
        self.associations = counter("associations", "associations, by outcome", "outcome")
        self.fusions = counter("fusions", "fusions, by outcome", "outcome")
        self.deliveries = counter("deliveries", "deliveries, by destination and outcome", "destination", "outcome")
        self.seconds = prometheus.Histogram(
            "mmif_amin_fusion_seconds", "time of a fusion", registry=self.registry, buckets=BUCKETS
        )
        self.studies = prometheus.Gauge("mmif_amin_studies", "studies, by state", ("state",), registry=self.registry)
        self.free = prometheus.Gauge("mmif_amin_free_bytes", "free space on the disk", registry=self.registry)
        prometheus.ProcessCollector(registry=self.registry)

    def tell(self, event: str, warning: bool = False, **facts: object) -> None:
        """Write one line: what happened, and facts about it; UIDs in them are masked."""
        words = [event, *(f"{key}={self.names.masked(str(value))!r}" for key, value in facts.items())]
        self.log.log(logging.WARNING if warning else logging.INFO, " ".join(words).replace("'", '"'))

    def serve(self, port: int, health: Callable[[], str]) -> Callable[[], None]:
        """Answer ``/metrics`` and ``/healthz`` on the loopback address.

        Args:
            port: TCP port.
            health: says what is wrong, or nothing.

        Returns:
            Ends it.

        Raises:
            InputError: When the port is taken.
        """
        metrics = require_archive("prometheus_client").make_wsgi_app(self.registry)

        def answer(environment: dict[str, Any], start: Callable[..., Any]) -> Any:
            if environment["PATH_INFO"] == "/metrics":
                return metrics(environment, start)
            if environment["PATH_INFO"] != "/healthz":
                start("404 Not Found", [("Content-Type", "text/plain")])
                return [b"There are /metrics and /healthz.\n"]
            problem = health()
            start("503 Service Unavailable" if problem else "200 OK", [("Content-Type", "text/plain")])
            return [f"{problem or 'well'}\n".encode()]

        try:
            server = make_server("127.0.0.1", port, answer, handler_class=_QuietHandler)
        except OSError as error:
            raise InputError(
                f"metrics_port {port}: cannot listen there: {error.strerror or error}. Choose another port."
            ) from error
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()

        def end() -> None:
            server.shutdown()
            server.server_close()

        return end
