"""A night at an archive, simulated on the loopback address: studies go from Orthanc to ``listen`` and back.

While they do, the listener and Orthanc are killed (kill -9) at random moments and started again. In the end each study
must have come back once, with all its series, and the pixels of some must be those that ``fuse`` makes. Else the exit
code is 1. Needs the extra ``[archive]`` and Debian's ``orthanc`` with ``orthanc-dicomweb``, and ``dicom3tools``:

    python benchmarks/bench_night.py --studies 200 --listener-kills 20 --archive-kills 5
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pydicom
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmif_amin.archive.derived import derived_files
from tests.mmif_amin.archive.listener import Listener
from tests.mmif_amin.archive.made_up import write_study
from tests.mmif_amin.archive.orthanc import MISSING, Orthanc

SLICES = 12
SERIES = 5  # of a study that came back: its two sources, the fused one, the other source on its grid, the presentation
BACK = 2 * SLICES + 2 * SLICES + 1  # its images
LOOKED_AT = 10  # studies that dciodvfy looks at
PATIENCE = 900.0  # seconds without any progress, after which the night is over


class Night:
    """One night.

    Args:
        folder: where everything is.
        args: the command line.
    """

    def __init__(self, folder: Path, args: argparse.Namespace) -> None:
        self.args = args
        self.folder = folder
        self.chance = random.Random(args.seed)
        own = {"quiet_seconds": args.quiet_seconds, "workers": args.workers, "send_tries": 100}
        self.listener = Listener(folder / "listener", start=False, **own)
        self.orthanc = Orthanc(folder / "orthanc", {"node": ["MMIF-AMIN", "127.0.0.1", self.listener.port]})
        self.listener.settings |= {
            "peers": [{"title": "ORTHANC", "hosts": ["127.0.0.1"], "port": self.orthanc.dicom}],
            "destinations": [{"name": "archive", "url": self.orthanc.address}],
        }
        self.listener.start()
        self.memory: list[tuple[float, float, float]] = []
        self.kills = {"listener": 0, "orthanc": 0}
        self.under_way: list[int] = []  # studies that were not done, at each kill
        self.studies: list[str] = []
        self.began = time.monotonic()
        self.over = threading.Event()

    def run(self) -> dict[str, Any]:
        """Live through the night; returns its figures."""
        helpers = [threading.Thread(target=task, daemon=True) for task in (self.kill_at_random, self.watch_memory)]
        for helper in helpers:
            helper.start()
        for number in range(self.args.studies):
            if time.monotonic() - self.began > self.args.minutes * 60:
                break
            source = self.folder / "source" / str(number)
            self.studies.append(write_study(source, seed=1000 * self.args.seed + number, shape=(64, 64, SLICES)))
            self.insist(lambda source=source: self.orthanc.upload(source))
            self.insist(lambda: self.orthanc.send(self.studies[-1], "node"))
        self.wait_for_all()
        self.over.set()
        for helper in helpers:
            helper.join(30)
        return self.figures()

    def insist(self, call: Callable[[], Any]) -> None:
        """Do something until it succeeds, as a sender does that was not answered."""
        while True:
            try:
                return call()
            except (requests.RequestException, IndexError):
                time.sleep(0.2)

    def wait_for_all(self) -> None:
        """Wait until every study has ended, or nothing has happened for long."""
        done, changed = -1, time.monotonic()
        while time.monotonic() - changed < PATIENCE:
            states = [row.state for row in self.listener.rows()]
            finished = sum(state in ("done", "failed") for state in states)
            if finished > done:
                done, changed = finished, time.monotonic()
            if finished >= len(self.studies) and sum(self.kills.values()) >= self.wanted():
                return
            time.sleep(1.0)

    def wanted(self) -> int:
        """How often something is to be killed."""
        return self.args.listener_kills + self.args.archive_kills

    def kill_at_random(self) -> None:
        """Kill the listener and Orthanc at random moments, and start them again."""
        victims = ["listener"] * self.args.listener_kills + ["orthanc"] * self.args.archive_kills
        self.chance.shuffle(victims)
        for victim in victims:
            if self.over.wait(self.chance.uniform(0.2, 2.0) * self.args.seconds_between):
                return
            self.under_way.append(sum(row.state not in ("done", "failed") for row in self.listener.rows()))
            {"listener": self.listener, "orthanc": self.orthanc}[victim].kill()
            self.kills[victim] += 1
            time.sleep(self.chance.uniform(0.0, 1.0))
            {"listener": self.listener, "orthanc": self.orthanc}[victim].start()

    def watch_memory(self) -> None:
        """Note the memory of the listener and of its workers."""
        while not self.over.wait(2.0):
            try:
                process = psutil.Process(self.listener.process.pid)  # type: ignore[union-attr]
                sizes = [child.memory_info().rss for child in process.children(recursive=True)]
                own = process.memory_info().rss / 2**20
                self.memory.append((time.monotonic() - self.began, own, sum(sizes) / 2**20))
            except psutil.Error:
                continue

    def figures(self) -> dict[str, Any]:
        """Count what is in the archive and in the queue."""
        rows = {row.uid: row for row in self.listener.rows()}
        fused = {study: self.orthanc.fused(study) for study in self.studies}
        whole = {study: [item["images"] for item in self.orthanc.series(study)] for study in self.studies}
        minutes: dict[int, tuple[float, float]] = {}
        for at, own, workers in self.memory:
            before = minutes.get(int(at // 60), (0.0, 0.0))
            minutes[int(at // 60)] = (max(before[0], own), max(before[1], workers))
        self.listener.check_privacy()
        return {
            "studies in": len(self.studies),
            "fused": sum(rows[study].fused >= 1 for study in self.studies if study in rows),
            "fused more than once": sum(rows[study].fused > 1 for study in self.studies if study in rows),
            "returned": sum(bool(series) for series in fused.values()),
            "returned whole": sum(len(series) == SERIES and sum(series) == BACK for series in whole.values()),
            "lost": sum(not series for series in fused.values()),
            "doubled": sum(len(series) > SERIES or sum(series) > BACK for series in whole.values()),
            "other pixels than fuse makes": self.compare(fused),
            "tracebacks in the log": self.listener.log.read_text().count("Traceback"),
            "not done": {row.name: f"{row.state}: {row.reason}" for row in rows.values() if row.state != "done"},
            "listener killed": self.kills["listener"],
            "orthanc killed": self.kills["orthanc"],
            "kills with studies under way": sum(map(bool, self.under_way)),
            "seconds": round(time.monotonic() - self.began),
            "memory by minute, MB (listener, workers)": {m: [round(v) for v in sizes] for m, sizes in minutes.items()},
            "dciodvfy errors": self.validate(fused),
        }

    def compare(self, fused: dict[str, list[dict[str, Any]]]) -> list[str]:
        """Fuse the first and the last study once more, in peace; returns what came back with other pixels."""
        different = []
        for number in {0, len(self.studies) - 1}:
            output = self.folder / "again" / str(number)
            sources = [str(self.folder / "source" / str(number) / name) for name in ("mr", "other")]
            words = [sys.executable, "-m", "mmif_amin", "fuse", *sources, "-o", str(output), "--dicom"]
            subprocess.run(words, check=True, capture_output=True, cwd=Path(__file__).resolve().parents[1])
            again = _pixels(derived_files(output))
            series = fused[self.studies[number]]
            back = (
                _pixels(self.orthanc.download(series[0]["id"], self.folder / "there" / str(number))) if series else {}
            )
            if not back or back != again:
                different.append(f"study {number}")
        return different

    def validate(self, fused: dict[str, list[dict[str, Any]]]) -> list[str]:
        """Errors that dciodvfy finds in the first image of each of ten studies that came back."""
        errors = set()
        for number, series in enumerate([series for series in fused.values() if series][:LOOKED_AT]):
            file = self.orthanc.download(series[0]["id"], self.folder / "back" / str(number))[0]
            told = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True)
            errors |= {line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")}
        return sorted(errors)

    def end(self) -> None:
        """End both programs."""
        self.over.set()
        self.listener.kill()
        self.orthanc.kill()


def _pixels(files: list[Path]) -> dict[tuple[float, ...], bytes]:
    """The pixels of the fused images among some files, by their position."""
    images = [image for image in map(pydicom.dcmread, files) if " fused " in image.get("SeriesDescription", "")]
    return {tuple(map(float, image.ImagePositionPatient)): image.PixelData for image in images}


def went_well(figures: dict[str, Any]) -> bool:
    """Whether every study came back once and whole."""
    all_of_them = {figures[name] for name in ("studies in", "fused", "returned", "returned whole")}
    bad = ("fused more than once", "lost", "doubled", "not done", "other pixels than fuse makes", "dciodvfy errors")
    return len(all_of_them) == 1 and not any(figures[name] for name in (*bad, "tracebacks in the log"))


def main() -> None:
    """Simulate a night and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0, help="after which no more studies are sent")
    parser.add_argument("--listener-kills", type=int, default=20)
    parser.add_argument("--archive-kills", type=int, default=5)
    parser.add_argument("--seconds-between", type=float, default=15.0, help="mean time between two kills")
    parser.add_argument("--quiet-seconds", type=float, default=6.0)
    parser.add_argument("--workers", type=int, default=1, help="processes that fuse")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if MISSING or not shutil.which("dciodvfy"):
        sys.exit(MISSING or "dciodvfy is not installed: apt-get install dicom3tools")
    with tempfile.TemporaryDirectory(prefix="night-") as temporary:
        night = Night(Path(temporary), args)
        try:
            figures = night.run()
            print(json.dumps(figures, indent=4))
        finally:
            night.end()
    sys.exit(0 if went_well(figures) else 1)


if __name__ == "__main__":
    main()
