"""``mmif-amin queue``: what the node has, and what to do with what failed."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..declarations import Argument, Command, Option
from ..scripts.utils.checks import InputError

if TYPE_CHECKING:
    from ..archive.queue import StudyQueue, StudyRow

__all__ = ["COMMAND", "run"]

ALL = "all"
COMMAND = Command(
    "queue",
    "show the queue of listen; retry or drop failed studies",
    (Argument("folder", "FOLDER", "folder of the node"),),
    (
        Option("json", "print JSON", False, flag=True),
        Option("uids", "also print StudyInstanceUIDs, with which an archive finds the study", False, flag=True),
        Option("retry", "begin again with this failed study, or with all", metavar="NAME", repeat=True),
        Option("drop", "forget this study and delete its files, or all that failed", metavar="NAME", repeat=True),
    ),
)
COLUMNS = "{:<19} {:<9} {:>7} {:>5} {:<16} {}"


def run(args: argparse.Namespace) -> int:
    """Change what is to be changed, then show the queue."""
    import sqlite3

    from ..archive.journal import public_reason
    from ..archive.queue import StudyQueue
    from ..archive.queue_file import QUEUE_NAME

    folder = Path(args.folder)
    if not (folder / QUEUE_NAME).is_file():
        raise InputError(f"{folder}: expected the folder of `mmif-amin listen`, found no queue in it.")
    queue = StudyQueue(folder)
    try:
        _change(queue, folder, args)
        rows = queue.studies()
    except (OSError, sqlite3.Error) as error:
        raise InputError(f"{folder}: the queue cannot be used: {public_reason(error)}.") from error
    print(_as_json(rows, args.uids) if args.json else _as_table(rows, args.uids))
    return 0


def _change(queue: StudyQueue, folder: Path, args: argparse.Namespace) -> None:
    """Retry and drop what is named; a name that is wrong is told before anything is changed."""
    from ..archive.service import delete_files

    again, away = _chosen(queue, args.retry), _chosen(queue, args.drop)
    for row in again:
        queue.retry(row.uid)
    for row in away:
        delete_files(folder, queue, queue.drop(row.uid), row.result)


def _chosen(queue: StudyQueue, names: list[str]) -> list[StudyRow]:
    """The studies of these names or UIDs; ``all`` are those that failed."""
    from ..archive.queue import State

    chosen = []
    for name in names:
        rows = queue.studies(State.FAILED) if name == ALL else [r for r in queue.studies() if name in (r.name, r.uid)]
        if not rows and name != ALL:
            raise InputError(f"{name}: expected the name of a study, or all, there is none of that name in the queue.")
        chosen += rows
    return chosen


def _as_json(rows: list[StudyRow], uids: bool) -> str:
    hidden = {"result"} if uids else {"result", "uid"}
    return json.dumps([{k: v for k, v in asdict(row).items() if k not in hidden} for row in rows], indent=4)


def _as_table(rows: list[StudyRow], uids: bool) -> str:
    lines = [COLUMNS.format("study", "state", "objects", "tries", "changed", "reason").rstrip()]
    for row in rows:
        changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.changed))
        name = f"{row.name} {row.uid}" if uids else row.name
        lines.append(COLUMNS.format(name, row.state, row.objects, row.attempts, changed, row.reason).rstrip())
    return "\n".join([*lines, f"{len(rows)} studies"])
