"""The process in which elastix searches: it can be stopped at a time limit, and its crash is only an error here.

Both ends are in this file. :func:`search_in_process` writes a job file, runs this module as a program (``python -m
scripts.transforms.registration.worker JOB``) and reads its one answer, a line of JSON. :func:`main` is that program. It
imports neither torch nor MONAI, which would take as long as the search itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ... import BUNDLE_ROOT
from ...utils.checks import InputError
from ...utils.enums import RegistrationKind, RegistrationStart
from .deformation import Deformation
from .search import Pair, SearchJob, SearchResult, search
from .settings import SearchSettings
from .volumes import PreparedVolume

__all__ = ["main", "read_job", "search_in_process", "worker_environment", "write_job"]

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
        InputError: When the time is over, elastix failed from every start, its process ended by itself, or the job
            cannot be written to a temporary file.
    """
    with _job_file(job) as path, _open_pipe() as alive:
        try:
            done = subprocess.run(
                [*COMMAND, str(path)],
                stdin=alive,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                env=worker_environment(),
                timeout=max(0.0, time_limit - (time.perf_counter() - began)),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise InputError(
                f"Registration: not done after {time_limit:g} s, stopped. Allow more time with --time-limit, "
                "or register the volumes with another tool first and use --register none."
            ) from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise InputError(
            f"Registration: elastix's process ended by itself: {last}. Is itk-elastix installed, is memory free?"
        )
    answer = json.loads(done.stdout)
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


def write_job(job: SearchJob, path: Path) -> None:
    """Write a job as a NumPy archive (.npz); the options are JSON in it."""
    arrays = {
        f"{step}_{role}_{name}": getattr(volume, name)
        for step in STEPS
        for role, volume in zip(ROLES, getattr(job, step), strict=True)
        for name in FIELDS
    }
    options = {name: getattr(job, name) for name in ("kind", "start", "seed", "least_overlap")}
    options["starts"] = [start.tolist() for start in job.starts]
    np.savez(path, options=json.dumps({**options, "settings": asdict(job.settings)}), **arrays)


def read_job(path: Path) -> SearchJob:
    """Read what :func:`write_job` wrote."""
    with np.load(path) as arrays:
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


@contextmanager
def _job_file(job: SearchJob) -> Iterator[Path]:
    """The job as a file; the worker deletes it when it has read it, and it is gone here in any case."""
    with ExitStack() as cleanup:
        try:
            handle, name = tempfile.mkstemp(prefix="mmif-amin-", suffix=".npz")
            cleanup.callback(Path(name).unlink, missing_ok=True)
            os.close(handle)
            write_job(job, Path(name))
        except OSError as error:
            raise InputError(
                f"Registration: cannot write a temporary file in {tempfile.gettempdir()}: {error.strerror or error}. "
                "Free space there, or set TMPDIR to another folder."
            ) from error
        yield Path(name)


@contextmanager
def _open_pipe() -> Iterator[int]:
    """The reading end of a pipe into which nobody writes: it ends when this process does, whatever ends it."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(writing)
        os.close(reading)


def _end_with_parent() -> None:
    """End this process when standard input ends; while elastix computes, it holds this thread back for seconds."""
    os.read(0, 1)
    os._exit(1)


def main() -> None:
    """Read the job, delete its file, search, print one line of JSON. What ITK itself prints goes nowhere."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    path = Path(sys.argv[1])
    job = read_job(path)
    path.unlink()
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
