"""The node as a whole: what comes in goes through the queue to the workers and on to the destinations."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..scripts.dicom.privacy import quiet_pydicom
from ..scripts.utils.checks import InputError
from .commitments import Commitments
from .delivery import Courier, pause_after
from .intake import Intake
from .journal import Journal, Pseudonyms, public_reason
from .node import Node
from .queue import State, StudyQueue
from .rules import read_rules
from .settings import NodeSettings
from .worker import Answer, Job, Worker

__all__ = ["NodeService"]

TICK = 0.1  # seconds between looks at the queue
REST = 10.0  # seconds between looks at the disk, old files and unanswered commitments
OUTCOMES = {State.FUSED: "fused", State.DONE: "done before", State.RECEIVED: "fused too early"}
STALLED = 60.0  # seconds without a look at the queue, after which the node is not well


class NodeService:
    """A running node.

    Pauses are measured with the monotonic clock, so a clock that is set forth or back makes no study ready too early,
    and keeps none back.

    Args:
        settings: of the node.
        options: overrides of ``inference_volume.json``, as the command line gives them.

    Raises:
        InputError: When another process has the folder, or a setting cannot be used.
    """

    def __init__(self, settings: NodeSettings, options: Mapping[str, Any]) -> None:
        self.settings = settings
        self.folder = Path(settings.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self._lock_file = _locked(self.folder / "lock")
        self.rules = read_rules(settings.rules)
        self.queue = StudyQueue(self.folder)
        self.journal = Journal(Pseudonyms(self.folder))
        self.intake = Intake(self.folder, self.queue, settings.limits, self.journal.names)
        self.queue.recover()
        self.intake.tidy()
        self.commitments = Commitments(settings, self.queue)
        self._quiet_since = {row.uid: time.monotonic() for row in self.queue.studies(State.RECEIVED)}
        self._quiet_lock = threading.Lock()
        self._answers: deque[Answer] = deque()
        self._pauses: dict[str, float] = {}
        self._was_full = False
        self._rested = self._looked = time.monotonic()
        self._over = threading.Event()
        self.couriers = [
            Courier(item, settings, self.queue, self.intake.results, self.journal, self._ended)
            for item in settings.destinations
        ]
        self.workers = [Worker(options) for _ in range(settings.workers)]
        self.node = Node(settings, self.intake, self.commitments, self.journal, self._arrived)
        self._end_metrics = self.journal.serve(settings.metrics_port, self.health) if settings.metrics_port else None

    def run(self) -> None:
        """Work until :meth:`stop`.

        Raises:
            InputError: When a worker cannot load its network.
        """
        for courier in self.couriers:
            courier.start()
        threading.Thread(target=self._answer_commitments, name="commitments", daemon=True).start()
        self._give_up_lost_destinations()
        waiting = len(self.queue.studies(*(state for state in State if state not in (State.DONE, State.FAILED))))
        self.journal.tell("listening", port=self.node.port, waiting=waiting)
        try:
            with quiet_pydicom():
                pause = TICK
                while not self._over.wait(pause):
                    pause = self._careful_step()
        finally:
            self._end()

    def stop(self) -> None:
        """End soon; what is under way is begun again the next time."""
        self._over.set()

    def health(self) -> str:
        """What is wrong, in one line; empty where the node is well."""
        if time.monotonic() - self._looked > STALLED:
            return "the queue is not looked at any more"
        if self.intake.full():
            return "the disk is full"
        dead = [courier.name for courier in self.couriers if not courier.is_alive()]
        return f"ended: {', '.join(dead)}" if dead else ""

    def _end(self) -> None:
        self.node.stop()
        for courier in self.couriers:
            courier.stop()
        for worker in self.workers:
            worker.stop()
        for courier in self.couriers:
            courier.join(5.0)
        if self._end_metrics:
            self._end_metrics()
        self.journal.tell("stopped")
        self._lock_file.close()

    def _arrived(self, study: str, new: bool) -> None:
        """Something of a study has come: it waits longer. What is not new only counts while it waits anyway."""
        with self._quiet_lock:
            waits = study in self._quiet_since
            if new and not waits:
                self.journal.tell("receiving", study=self.journal.names.of(study))
            if new or waits:
                self._quiet_since[study] = time.monotonic()

    def _ended(self, study: str) -> None:
        """A study may have been opened again because more of it came while it was under way."""
        rows = [row for row in self.queue.studies(State.RECEIVED) if row.uid == study]
        with self._quiet_lock:
            for row in rows:
                self._quiet_since.setdefault(row.uid, time.monotonic())

    def _careful_step(self) -> float:
        """Work; where the disk does not let the queue be written, nothing is forgotten.

        Returns:
            Seconds to wait.
        """
        try:
            self._step()
        except (OSError, sqlite3.Error) as error:
            self.journal.tell("the queue cannot be written", warning=True, why=public_reason(error))
            return REST
        return TICK

    def _step(self) -> None:
        self._looked = time.monotonic()
        self._settle()
        for worker in self.workers:
            answer = worker.poll(self.settings.fuse_minutes * 60)
            if answer is not None:
                self._answers.append(answer)
        while self._answers:
            self._take(self._answers[0])
        self._hand_out()
        if time.monotonic() - self._rested > REST:
            self._rested = time.monotonic()
            self._rest()

    def _settle(self) -> None:
        """Studies of which nothing has come for a while are complete."""
        now = time.monotonic()
        with self._quiet_lock:
            quiet = [uid for uid, since in self._quiet_since.items() if now - since >= self.settings.quiet_seconds]
        for uid in quiet:
            self.queue.settle(uid)
            with self._quiet_lock:
                if self._quiet_since.get(uid, now) < now:  # else more of it has just come, and it waits again
                    del self._quiet_since[uid]

    def _hand_out(self) -> None:
        idle = [worker for worker in self.workers if worker.idle]
        if not idle:
            return
        now = time.monotonic()
        waiting = self.queue.studies(State.READY)  # no tries: it is new, or an operator wants a retry
        ready = [row for row in waiting if row.attempts == 0 or now >= self._pauses.get(row.uid, 0.0)]
        for worker, row in zip(idle, ready, strict=False):
            if not self.queue.start(row.uid):
                continue
            files = {sop: str(self.folder / file) for sop, file, _ in self.queue.objects(row.uid)}
            work, results = str(self.intake.work / row.name), str(self.intake.results)
            incomplete = self.queue.refused(row.uid)
            worker.give(Job(row.uid, files, self.rules, work, results, self.queue.results(row.uid), incomplete))
            self.journal.tell("fusing", study=row.name, objects=len(files))

    def _take(self, answer: Answer) -> None:
        name = self.journal.names.of(answer.study)
        self.journal.seconds.observe(answer.seconds)
        if answer.key:
            names = [destination.name for destination in self.settings.destinations]
            event = OUTCOMES[self.queue.finish(answer.study, answer.key, names)]
            self._answers.popleft()
            self._pauses.pop(answer.study, None)
            self.journal.fusions.labels(event).inc()
            self.journal.tell(event, study=name, seconds=f"{answer.seconds:.1f}")
        else:
            reason = self.journal.names.masked(answer.reason)
            given_up = self.queue.fail(answer.study, reason, 0 if answer.lasting else self.settings.fuse_tries)
            self._answers.popleft()
            tries = next((row.attempts for row in self.queue.studies() if row.uid == answer.study), 1)
            self._pauses[answer.study] = time.monotonic() + pause_after(max(tries, 1), self.settings.retry_seconds)
            self.journal.fusions.labels("failed").inc()
            self.journal.tell("given up" if given_up else "failed", warning=True, study=name, why=reason)
        self._ended(answer.study)

    def _rest(self) -> None:
        """Look at the disk and the destinations, and delete files of studies that are long finished."""
        self._give_up_lost_destinations()
        self.journal.free.set(self.intake.free_bytes())
        rows = self.queue.studies()
        for state in State:
            self.journal.studies.labels(state).set(sum(row.state == state for row in rows))
        full = self.intake.full()
        if full != self._was_full:
            event = "disk full" if full else "disk has room again"
            self.journal.tell(event, warning=full, free_gb=f"{self.intake.free_bytes() / 1e9:.1f}")
            self._was_full = full
        old = time.time() - self.settings.keep_hours * 3600
        for row in rows:
            if row.state == State.DONE and row.changed < old and (row.objects or row.result):
                files = self.queue.forget_objects(row.uid)
                if files is not None:
                    delete_files(self.folder, self.queue, files, row.result)
        if not any(row.state in (State.RECEIVED, State.READY, State.FUSING) for row in rows):  # who might use it
            for result in {path.name for path in self.intake.results.iterdir()} - {row.result for row in rows}:
                shutil.rmtree(self.intake.results / result, ignore_errors=True)

    def _give_up_lost_destinations(self) -> None:
        for name in self.queue.give_up_all_but([destination.name for destination in self.settings.destinations]):
            self.journal.tell(
                "delivery given up", warning=True, study=name, why="the settings name no such destination"
            )

    def _answer_commitments(self) -> None:
        while not self._over.wait(1.0):
            try:
                problems = self.commitments.answer_all()
            except (OSError, sqlite3.Error) as error:
                problems = [public_reason(error)]
                self._over.wait(REST)
            for problem in problems:
                self.journal.tell("commitment not answered", warning=True, why=problem)


def delete_files(folder: Path, queue: StudyQueue, files: list[str], result: str) -> None:
    """Delete objects that a queue has forgotten, and a result."""
    queue.delete_unlisted(folder, files)
    if result:
        shutil.rmtree(folder / "results" / result, ignore_errors=True)


def _locked(path: Path) -> Any:
    """Open a file that only one process can have.

    Raises:
        InputError: When another process has it.
    """
    file = open(path, "w", encoding="ascii")  # it stays open as long as the process lives
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise InputError(f"{path.parent}: another `mmif-amin listen` works in this folder. Choose another.") from error
    return file
