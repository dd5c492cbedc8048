"""A real archive on the loopback address: Debian's Orthanc with its DICOMweb plugin, started and ended here."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests

__all__ = ["MISSING", "PLUGIN", "Orthanc", "free_port", "free_ports"]

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
PROGRAM = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
MISSING = (
    ""
    if PROGRAM and PLUGIN.is_file()
    else "Orthanc is not installed: apt-get install orthanc orthanc-dicomweb dicom3tools"
)
START_SECONDS = 30


def free_ports(count: int) -> list[int]:
    """Different TCP ports of the loopback address that nobody has: all are held until the last is chosen."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def free_port() -> int:
    """A TCP port of the loopback address that nobody has."""
    return free_ports(1)[0]


class Orthanc:
    """One archive with a folder of its own; it can be killed and started again with the same content."""

    def __init__(self, folder: Path, modalities: Mapping[str, list[Any]] | None = None, **settings: Any) -> None:
        self.folder = folder
        self.http, self.dicom = free_ports(2)
        self.title = "ORTHANC"
        self.settings = {
            "Name": "test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpPort": self.http,
            "DicomPort": self.dicom,
            "DicomAet": self.title,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomCheckCalledAet": True,
            "StableAge": 3600,
            "DicomScuTimeout": 20,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "DicomModalities": dict(modalities or {}),
            **settings,
        }
        self.process: subprocess.Popen | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def address(self) -> str:
        """As mmif-amin names it."""
        return f"dicomweb://127.0.0.1:{self.http}/dicom-web"

    def start(self) -> None:
        config = self.folder / "orthanc.json"
        config.write_text(json.dumps(self.settings))
        log = open(self.folder / "orthanc.log", "ab")
        self.process = subprocess.Popen([str(PROGRAM), str(config)], stdout=log, stderr=log)
        log.close()
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            try:
                if requests.get(f"{self.url}/system", timeout=2).status_code in (200, 401):
                    return
            except requests.RequestException:
                time.sleep(0.1)
            if self.process.poll() is not None:
                break
        raise RuntimeError((self.folder / "orthanc.log").read_text()[-2000:])

    def kill(self) -> None:
        """End it as kill -9 does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def get(self, path: str, **parameters: Any) -> Any:
        answer = requests.get(f"{self.url}/{path}", params=parameters, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, data: Any) -> Any:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        answer = requests.post(f"{self.url}/{path}", data=body, timeout=120)
        answer.raise_for_status()
        return answer.json()

    def upload(self, folder: Path) -> None:
        """Store every file of a folder."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.post("instances", file.read_bytes())

    def find(self, level: str, **query: str) -> list[Any]:
        """Resources with their tags."""
        return self.post("tools/find", {"Level": level, "Query": query, "Expand": True})

    def series(self, study: str) -> list[dict[str, Any]]:
        """Series of a study, each with modality, description and number of instances."""
        found = self.find("Series", StudyInstanceUID=study)
        return [{**item["MainDicomTags"], "images": len(item["Instances"]), "id": item["ID"]} for item in found]

    def fused(self, study: str) -> list[dict[str, Any]]:
        """The fused series of a study; what goes with them (registration, presentation) has other descriptions."""
        ours = [item for item in self.series(study) if item.get("Manufacturer") == "MMIF-AMIN"]
        return [item for item in ours if " fused " in item.get("SeriesDescription", "")]

    def send(self, study: str, modality: str) -> None:
        """Send a study to a modality by C-STORE."""
        identity = self.find("Study", StudyInstanceUID=study)[0]["ID"]
        self.post(f"modalities/{modality}/store", {"Resources": [identity], "Synchronous": True})

    def download(self, series: str, folder: Path) -> list[Path]:
        """All files of a series, by Orthanc's own identifier."""
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for item in self.get(f"series/{series}")["Instances"]:
            path = folder / f"{item}.dcm"
            path.write_bytes(requests.get(f"{self.url}/instances/{item}/file", timeout=30).content)
            files.append(path)
        return files
