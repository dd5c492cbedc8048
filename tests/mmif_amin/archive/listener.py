"""The node as a real process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.mmif_amin.archive.made_up import PATIENT_WORDS
from tests.mmif_amin.archive.orthanc import free_port, free_ports

__all__ = ["Listener", "settings_file", "wait_for"]

UID = re.compile(r"\b\d+(?:\.\d+){5,}\b")


def wait_for(what: Callable[[], Any], seconds: float = 60.0, pause: float = 0.1) -> Any:
    """The first true answer of a function."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := what():
            return answer
        time.sleep(pause)
    raise AssertionError(f"not within {seconds} s: {what}")


class Listener:
    """``mmif-amin listen`` with settings of its own; it can be killed and started again."""

    def __init__(self, folder: Path, start: bool = True, **settings: Any) -> None:
        self.base = folder
        self.folder = folder / "node"
        self.log = folder / "listen.log"
        self.port, self.metrics = free_ports(2)
        self.settings = {
            "folder": str(self.folder),
            "port": self.port,
            "metrics_port": self.metrics,
            "quiet_seconds": 1.0,
            "retry_seconds": 0.5,
            **settings,
        }
        self.process: subprocess.Popen | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if start:
            self.start()

    def start(self, wait: bool = True) -> None:
        config = self.base / "listen.json"
        config.write_text(json.dumps(self.settings))
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        words = [sys.executable, "-m", "mmif_amin", "listen", "--config", str(config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, env=environment, cwd=self.base)
        if wait:
            wait_for(self.is_up, 60, 0.05)

    def is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """End it as kill -9 does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it as an operator does; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def rows(self) -> list[Any]:
        """The queue, read in this process."""
        from mmif_amin.archive.queue import StudyQueue

        queue = StudyQueue(self.folder)
        try:
            return queue.studies()
        finally:
            queue.close()

    def lines(self, event: str) -> list[str]:
        """Log lines of an event."""
        return [line for line in self.log.read_text().splitlines() if re.search(rf" (INFO|WARNING) {event}( |$)", line)]

    def check_privacy(self) -> None:
        """No line of the log names a patient or holds a UID."""
        text = self.log.read_text()
        assert not [word for word in PATIENT_WORDS if re.search(rf"\b{word}\b", text, re.IGNORECASE)]
        assert not UID.search(text)


def settings_file(folder: Path) -> Path:
    """Settings of a node in a folder; its destination is down."""
    path = folder / "node.toml"
    path.write_text(
        'folder = "node"\n[[peers]]\ntitle = "A"\nhosts = ["127.0.0.1"]\n'
        f'[[destinations]]\nname = "pacs"\nurl = "dicom://127.0.0.1:{free_port()}/PACS"\n'
    )
    return path
