"""A process that fuses studies, one after the other, with one network in its memory."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import platform
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..scripts.data.study_report import REPORT_NAME
from ..scripts.dicom.privacy import quiet_pydicom, without_header_texts
from ..scripts.utils.checks import InputError
from .derived import result_key
from .intake import sync_folder
from .journal import public_reason
from .rules import candidates_in, choose_by_rules

__all__ = ["Answer", "Job", "Worker"]

GRACE_SECONDS = 3.0
DIE_WITH_PARENT = 1  # prctl(2), PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Job:
    """One study to fuse.

    Args:
        study: StudyInstanceUID.
        files: SOPInstanceUID and file of each object.
        rules: text of series_rules.json.
        work: folder for this job; it is made and deleted.
        results: folder in which the result gets a folder of its key.
        delivered: keys of results that all destinations have.
        incomplete: SeriesInstanceUIDs of series that lack an object which was not taken, and why. Defaults to none.
    """

    study: str
    files: Mapping[str, str]
    rules: str
    work: str
    results: str
    delivered: frozenset[str]
    incomplete: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What became of a job.

    Args:
        study: StudyInstanceUID.
        key: of the result; empty where there is none.
        reason: why there is none, in one line that names no patient.
        lasting: whether another try would end the same way. Defaults to False.
        seconds: how long it took. Defaults to 0.
    """

    study: str
    key: str
    reason: str = ""
    lasting: bool = False
    seconds: float = 0.0


class Worker:
    """A worker process, as the process that began it sees it.

    Args:
        options: overrides of ``inference_volume.json``, as the command line gives them.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = dict(options)
        self.study = ""
        self.began = 0.0
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.options, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()
        self.loaded = False

    @property
    def idle(self) -> bool:
        """Whether it has its network and waits for a study."""
        return self.loaded and not self.study

    def give(self, job: Job) -> None:
        """Hand it a study."""
        self.study, self.began = job.study, time.monotonic()
        try:
            self.connection.send(job)
        except OSError:  # it has just died; poll() says so
            pass

    def poll(self, limit: float) -> Answer | None:
        """Ask for news without waiting; a worker that died or takes too long is replaced.

        Args:
            limit: seconds for one study.

        Returns:
            What became of its study, or None.

        Raises:
            InputError: When the network cannot be loaded.
        """
        try:
            if self.connection.poll():
                answer = self.connection.recv()
                if isinstance(answer, Answer):
                    self.study = ""
                    return answer
                if answer:
                    raise InputError(answer)
                self.loaded = True
                return None
        except (EOFError, OSError):
            self.process.join()
            if not self.loaded:
                raise InputError(
                    f"The worker ended with the code {self.process.exitcode} before it had its network."
                ) from None
            killed = self.process.exitcode == -signal.SIGKILL
            why = ", as a system that lacks memory ends a process" if killed else ""
            return self._replaced(f"the worker ended with the code {self.process.exitcode}{why}")
        if self.study and time.monotonic() - self.began > limit:
            return self._replaced(f"not done within {limit / 60:g} minutes")
        return None

    def _replaced(self, reason: str) -> Answer | None:
        self.stop()
        study, self.study = self.study, ""
        self._start()
        return Answer(study, "", reason) if study else None

    def stop(self) -> None:
        """End the process; what it was about is begun again the next time."""
        self.connection.close()  # one that waits for a study ends by itself
        self.process.join(0 if self.study else GRACE_SECONDS)
        self.process.kill()
        self.process.join()


def _serve(connection: Connection, options: dict[str, Any], parent: int) -> None:
    """Load the network once, then fuse what comes until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with(parent)
    _say_nothing()
    with quiet_pydicom():
        try:
            overrides = _with_network(options)
        except Exception as error:
            connection.send(public_reason(error))
            return
        connection.send("")
        while True:
            try:
                job = connection.recv()
            except EOFError:
                return
            connection.send(_fuse(job, overrides))


def _end_with(parent: int) -> None:
    """Let the kernel end this process when its parent ends, even by kill -9: else two would fuse one study."""
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)


def _say_nothing() -> None:
    """Packages print names of series and progress; the node's journal is the only log."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _with_network(options: dict[str, Any]) -> dict[str, Any]:
    """The overrides with the loaded network itself."""
    import torch

    from ..device import choose_device
    from ..memory import keep_freed_memory
    from ..scripts.inferers.contract import choose_runtime
    from ..scripts.utils.enums import Runtime
    from ..studies import with_network

    keep_freed_memory()
    device, weights = choose_device(options["device"]), options["ckpt_path"]
    wanted = Runtime.TORCH if options["runtime"] == Runtime.AUTO and weights is None else options["runtime"]
    runtime, _ = choose_runtime(weights, device, wanted, options["precision"])
    settled = {"dicom": True, "device": torch.device(device), "runtime": str(runtime), "inferer#progress": False}
    return with_network({**options, **settled})


def _fuse(job: Job, overrides: Mapping[str, Any]) -> Answer:
    began = time.monotonic()
    work = Path(job.work)
    key, reason, lasting = "", "", False
    try:
        shutil.rmtree(work, ignore_errors=True)
        key = _fuse_in(work, job, overrides)
    except Exception as error:
        reason = without_header_texts(public_reason(error), work).replace(job.work, "study")
        lasting = isinstance(error, _NoPairError)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Answer(job.study, key, reason, lasting, time.monotonic() - began)


class _NoPairError(InputError):
    """The rules do not find two series, and will not before more of the study comes."""


def _fuse_in(work: Path, job: Job, overrides: Mapping[str, Any]) -> str:
    from .remote import fuse_candidates

    place = {}
    for sop, file in job.files.items():
        path = work / "all" / Path(file).name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, path)  # an object that comes again replaces the name, not what is read here
        place[path] = sop
    try:
        pair = choose_by_rules(job.rules, candidates_in(work / "all"), bool(overrides.get("same_patient")))
    except InputError as error:
        raise _NoPairError(str(error)) from error
    for candidate in pair:
        if candidate.uid in job.incomplete:
            why = job.incomplete[candidate.uid]
            raise _NoPairError(f"{candidate} lacks an object that was not taken: {why}. Send the study again.")
    key = result_key([place[file] for candidate in pair for file in candidate.files], overrides)
    output = Path(job.results) / key
    if key in job.delivered or (output / REPORT_NAME).is_file():
        return key
    folders = []
    for letter, candidate in zip("ab", pair, strict=True):
        folder = work / letter
        folder.mkdir()
        for image in candidate.files:
            os.link(image, folder / image.name)
        folders.append((folder, candidate))
    fuse_candidates(folders, output, overrides, key)
    for made in output.rglob("*"):
        if made.is_file():
            with made.open("rb") as opened:
                os.fsync(opened.fileno())
    sync_folder(output.parent)
    return key
