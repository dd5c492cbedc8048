"""A program: the life of one study, from its first object to its end, killed at each call of the disk or the queue.

For each call it forks two processes that share a folder: one that is killed there, and one that goes on. Words: the
folder of the objects, and a folder for the lives. It prints what became of each life as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom

from mmif_amin.archive.intake import Intake
from mmif_amin.archive.journal import Pseudonyms
from mmif_amin.archive.queue import State, StudyQueue
from mmif_amin.archive.settings import Limits

DESTINATIONS = ("pacs", "backup")


class Steps:
    """Counts calls, and ends the process at the last one."""

    def __init__(self, last: int) -> None:
        self.last, self.count = last, 0

    def __call__(self, *_: Any) -> None:
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            self()
            result = function(*args, **keywords)
            self()
            return result

        return call

    def watch(self) -> None:
        for name in ("replace", "fsync", "open", "rename"):
            setattr(os, name, self.around(getattr(os, name)))
        connect = sqlite3.connect

        def traced(*args: Any, **keywords: Any) -> sqlite3.Connection:
            base = connect(*args, **keywords)
            base.set_trace_callback(self)
            return base

        sqlite3.connect = traced


def receive(folder: Path, intake: Intake) -> None:
    """The sender sends each object until that is confirmed, and notes it then."""
    (folder / "sent").mkdir(exist_ok=True)
    for source in sorted((folder / "source").iterdir()):
        noted = folder / "sent" / source.name
        if not noted.exists():
            arrived = intake.incoming / f"tmp-{source.name}"
            arrived.write_bytes(source.read_bytes())
            taken = intake.take(arrived, source.stem)
            assert taken.status == 0, taken
            noted.touch()


def fuse(folder: Path, queue: StudyQueue, results: Path) -> None:
    for row in queue.studies(State.READY):
        queue.start(row.uid)
        made = results / "key"
        if not made.exists():
            assert len([file for _, file, _ in queue.objects(row.uid) if (folder / file).is_file()]) == 2
            unfinished = results / ".key"
            unfinished.mkdir()
            (unfinished / "report.json").write_text("{}")
            os.rename(unfinished, made)
        queue.finish(row.uid, "key", DESTINATIONS)


def send(folder: Path, queue: StudyQueue, results: Path) -> None:
    for name in DESTINATIONS:
        for uid, _, key, _ in queue.waiting(name):
            assert queue.send(uid, key)
            assert (results / key / "report.json").is_file()
            with open(folder / f"at-{name}", "a") as archive:
                archive.write(key + "\n")
            queue.delivered(uid, name)


def live(folder: Path, last: int) -> None:
    steps = Steps(last)
    steps.watch()
    queue = StudyQueue(folder)
    intake = Intake(folder, queue, Limits(free_gb=0), Pseudonyms(folder))
    queue.recover()
    intake.tidy()
    receive(folder, intake)
    queue.settle(queue.studies()[0].uid)
    fuse(folder, queue, intake.results)
    send(folder, queue, intake.results)
    row = queue.studies()[0]
    told = {name: sorted(set((folder / f"at-{name}").read_text().split())) for name in DESTINATIONS}
    kept = len([file for file in (folder / "objects").rglob("*.dcm")])
    end = {"steps": steps.count, "state": row.state, "fused": row.fused, "told": told, "objects": kept}
    (folder / "end.json").write_text(json.dumps({**end, "left": len(list(intake.incoming.iterdir()))}))


def forked(folder: Path, last: int) -> int:
    """Live in a process of its own; returns the signal that ended it, or its exit code."""
    process = os.fork()
    if process == 0:
        try:
            live(folder, last)
        except BaseException as error:
            (folder / "error.txt").write_text(repr(error))
            os._exit(1)
        os._exit(0)
    return os.waitpid(process, 0)[1]


def main(source: Path, lives: Path) -> None:
    pydicom.dcmread(next(source.iterdir()))  # what is imported now is not imported in each life
    ends, last, signals = [], 0, 0
    while last <= 1 or signals == signal.SIGKILL:
        folder = lives / str(last)
        shutil.copytree(source, folder / "source")
        signals = forked(folder, last)
        if last and signals == signal.SIGKILL:
            forked(folder, 0)
        ends.append(json.loads((folder / "end.json").read_text()) if (folder / "end.json").is_file() else None)
        shutil.rmtree(folder)
        last += 1
    print(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
