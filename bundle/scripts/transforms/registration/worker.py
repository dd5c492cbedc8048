"""The process in which elastix searches: it can be stopped at a time limit, and its crash is only an error here.

Both ends are in this file. :func:`search_in_process` runs this module as a program (``python -m
scripts.transforms.registration.worker``), sends it the job through its standard input and reads its one answer, a line
of JSON. :func:`main` is that program. It imports neither torch nor MONAI, which would take as long as the search.

The job holds a patient's head. It is never a file, so that nothing of it is left, whatever ends the two processes.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from typing import BinaryIO

import numpy as np

from ... import BUNDLE_ROOT
from ...utils.checks import InputError
from ...utils.enums import RegistrationKind, RegistrationStart
from .deformation import Deformation
from .search import Pair, SearchJob, SearchResult, search
from .settings import SearchSettings
from .volumes import PreparedVolume

__all__ = ["main", "pack_job", "read_job", "search_in_process", "worker_environment"]

LENGTH_BYTES = 8
PR_SET_PDEATHSIG = 1  # sys/prctl.h
COMMAND = (sys.executable, "-P", "-m", "scripts.transforms.registration.worker")  # -P: not from the current folder
STEPS, ROLES = ("coarse", "fine"), ("fixed", "moving")
FIELDS = tuple(PreparedVolume.__dataclass_fields__)


def search_in_process(job: SearchJob, time_limit: float, began: float) -> tuple[SearchResult, str]:
    """Search in a process of its own; it ends with this call, or soon after this process has ended.

    Args:
        job: the volumes and the settings.
        time_limit: seconds from ``began``.
        began: when the registration began, by ``time.perf_counter``.

    Returns:
        What was found, and the transform as the text of an ITK transform file.

    Raises:
        InputError: When the time is over, elastix failed from every start, or its process ended by itself.
    """
    try:
        returncode, answered, said = _run(pack_job(job), max(0.0, time_limit - (time.perf_counter() - began)))
    except subprocess.TimeoutExpired:
        raise InputError(
            f"Registration: not done after {time_limit:g} s, stopped. Allow more time with --time-limit, "
            "or register the volumes with another tool first and use --register none."
        ) from None
    if returncode != 0:
        last = (said.strip().splitlines() or [f"exit code {returncode}"])[-1]
        raise InputError(
            f"Registration: elastix's process ended by itself: {last}. Is itk-elastix installed, is memory free?"
        )
    answer = json.loads(answered)
    if "error" in answer:
        raise InputError(f"Registration: elastix could not align the volumes: {answer['error']}")
    restarts = [None if matrix is None else np.array(matrix) for matrix in answer["restarts"]]
    deformation = None
    if (told := answer["deformation"]) is not None:
        coefficients, affine, matrix = (np.array(told[name]) for name in ("coefficients", "affine", "matrix"))
        deformation = Deformation(coefficients, affine, matrix, tuple(told["jacobian"]))
    found = SearchResult(np.array(answer["rigid"]), np.array(answer["best"]), restarts, deformation)
    return found, answer["itk_text"]


def worker_environment() -> dict[str, str]:
    """The environment of a process that imports the model's modules as ``scripts``."""
    path = os.pathsep.join(filter(None, (BUNDLE_ROOT, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def pack_job(job: SearchJob) -> bytes:
    """A job as a NumPy archive (.npz) after its length in 8 bytes; the options are JSON in it."""
    arrays = {
        f"{step}_{role}_{name}": getattr(volume, name)
        for step in STEPS
        for role, volume in zip(ROLES, getattr(job, step), strict=True)
        for name in FIELDS
    }
    options = {name: getattr(job, name) for name in ("kind", "start", "seed", "least_overlap")}
    options["starts"] = [start.tolist() for start in job.starts]
    archive = io.BytesIO()
    np.savez(archive, options=json.dumps({**options, "settings": asdict(job.settings)}), **arrays)
    return archive.tell().to_bytes(LENGTH_BYTES, "little") + archive.getvalue()


def read_job(file: BinaryIO) -> SearchJob:
    """Read what :func:`pack_job` made.

    Raises:
        EOFError: When it ends too early.
    """
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    packed = file.read(length)
    if not length or len(packed) < length:
        raise EOFError("the job ends too early")
    with np.load(io.BytesIO(packed)) as arrays:
        pairs: dict[str, Pair] = {}
        for step in STEPS:
            fixed, moving = (PreparedVolume(*(arrays[f"{step}_{role}_{name}"] for name in FIELDS)) for role in ROLES)
            pairs[step] = (fixed, moving)
        options = json.loads(str(arrays["options"]))
    return SearchJob(
        **pairs,
        kind=RegistrationKind(options["kind"]),
        start=RegistrationStart(options["start"]),
        seed=options["seed"],
        least_overlap=options["least_overlap"],
        settings=SearchSettings(**options["settings"]),
        starts=tuple(map(np.array, options["starts"])),
    )


def _run(packed: bytes, seconds: float) -> tuple[int, str, str]:
    """Run the program on a packed job; its exit code and what it wrote to both streams.

    Its standard input stays open as long as this process waits, and ends with this process, whatever ends it.

    Raises:
        subprocess.TimeoutExpired: When it takes longer; it is stopped then.
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(COMMAND, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe, env=worker_environment())
    stdin, process.stdin = process.stdin, None  # so that `communicate` neither writes to it nor closes it
    sender = threading.Thread(target=_send, args=[stdin, packed], name="registration job", daemon=True)
    try:
        sender.start()
        answered, said = process.communicate(timeout=seconds)
    finally:
        process.kill()
        process.wait()
        sender.join()
        for stream in (stdin, process.stdout, process.stderr):
            stream.close()  # type: ignore[union-attr]
    return process.returncode, answered.decode(errors="replace"), said.decode(errors="replace")


def _send(stdin: BinaryIO, packed: bytes) -> None:
    """Write a job to a pipe; the process at its other end may have ended."""
    rest = memoryview(packed)
    try:
        while rest:
            rest = rest[stdin.write(rest) :]
    except OSError:  # it has
        pass


def _end_with_parent() -> None:
    """End this process when the one that started it ends, whatever ends it.

    Linux does it at once. Elsewhere standard input ends; while elastix computes, it holds this thread back for seconds.
    """
    os.read(0, 1)
    os._exit(1)


def _die_with_parent() -> None:
    """Have Linux kill this process when the one that started it ends. Reference: PR_SET_PDEATHSIG in prctl(2)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Read the job, search, print one line of JSON. What ITK itself prints goes nowhere."""
    _die_with_parent()
    try:
        job = read_job(sys.stdin.buffer)
    except EOFError:
        sys.exit("the job ended too early")  # its sender has ended
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    import itk.support.helpers

    itk.support.helpers._HAVE_TORCH = False  # else ITK imports PyTorch, 1.2 s, to accept tensors
    from .elastix import deform_from, register_from
    from .itk_files import itk_transform_text

    try:
        found = search(job, register_from, deform_from)
    except Exception as error:  # elastix raises RuntimeError for all that goes wrong
        answer: dict[str, object] = {"error": (str(error).strip().splitlines() or [type(error).__name__])[-1]}
    else:
        answer = {
            "rigid": found.rigid.tolist(),
            "best": found.best.tolist(),
            "restarts": [None if matrix is None else matrix.tolist() for matrix in found.restarts],
            "deformation": None if found.deformation is None else _listed(found.deformation),
            "itk_text": itk_transform_text(found.best, found.deformation),
        }
    print(json.dumps(answer), file=answers, flush=True)


def _listed(deformation: Deformation) -> dict[str, object]:
    """A deformation for JSON."""
    values = asdict(deformation)
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


if __name__ == "__main__":
    main()
