"""Fusing files of photographs: reading, checking that they lie on each other, aligning, fusing, writing."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .fuser import Fuser
from .photographs.homography import Homography, align, find_homography
from .photographs.merge import check_count, fuse_photographs
from .photographs.shift import ALLOWED, NOTICED, find_shift
from .scripts.data.pictures import holds_alpha, read_source, write_image
from .scripts.data.source import Source
from .scripts.data.tasks import FusionTask
from .scripts.utils.checks import InputError
from .scripts.utils.enums import PhotographRegistration
from .scripts.utils.files import write_set_atomically

__all__ = ["PhotographJob", "fuse_photograph_files", "fuse_photograph_jobs"]

MOVING = (".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg", ".gif", ".apng")


@dataclass(frozen=True)
class PhotographJob:
    """Photographs, and where the fused one goes.

    Args:
        sources: the files, in the order of the task where it has one.
        output: the fused photograph.
        task: a photographic one.
        register: whether they are checked, aligned or neither. Defaults to ``"auto"``: checked.
        gray: leave out the colors. Defaults to False.
    """

    sources: tuple[Path, ...]
    output: Path
    task: FusionTask
    register: PhotographRegistration | str = PhotographRegistration.AUTO
    gray: bool = False

    def check(self) -> None:
        """Check, before anything is read, what the names say.

        Raises:
            InputError: When there are too few or too many sources, one is a video, or one is the output.
        """
        check_count(len(self.sources), self.task)
        for source in self.sources:
            if source.suffix.lower() in MOVING:
                raise InputError(
                    f"{source}: expected a photograph, got a video or an animated image. Save its frames as pictures, "
                    "then fuse them pair by pair."
                )
            if self.output.resolve() == source.resolve():
                raise InputError(f"{self.output}: the output would overwrite a source. Choose another output.")


def fuse_photograph_files(fuser: Fuser, job: PhotographJob) -> list[str]:
    """Fuse the photographs of one job.

    Args:
        fuser: what fuses, loaded for the job's task.
        job: the files.

    Returns:
        What was written, and what was done to align the sources, one line each.

    Raises:
        InputError: When a file cannot be read or written, the sources differ in size, do not lie on each other, or
            cannot be aligned.
    """
    job.check()
    names = [str(path) for path in job.sources]
    sources = [read_source(path, job.task.sources[min(k, 1)]) for k, path in enumerate(job.sources)]
    if job.task.ordered and sources[0].rgb is not None and sources[1].rgb is None:
        warnings.warn(
            f"{names[0]} is in color and {names[1]} is not: expected A {job.task.source_a} and B {job.task.source_b}; "
            "were they given in the wrong order?",
            stacklevel=2,
        )
    found: dict[str, Homography] = {}
    if job.register == PhotographRegistration.HOMOGRAPHY:
        sources, found = _aligned(sources, names, job.task)
    shapes = {name: source.gray.shape[1:] for name, source in zip(names, sources, strict=True)}
    if len(set(shapes.values())) > 1:
        sizes = ", ".join(f"{name} {width}x{height}" for name, (height, width) in shapes.items())
        raise InputError(f"Expected photographs of one size, got {sizes}. Add --register homography, or resample them.")
    if job.register == PhotographRegistration.AUTO:
        _check_shifts(sources, names)
    try:
        fused = fuse_photographs(lambda a, b: fuser.fuse_stack(a, b, True), sources, job.task, not job.gray)
    except ValueError as error:
        raise InputError(f"{' and '.join(names)}: {error}") from error
    return _write(job, fused, found)


def fuse_photograph_jobs(fuser: Fuser, jobs: Sequence[PhotographJob]) -> int:
    """Fuse many with a progress bar; a bad one is named on standard error and the others go on.

    Args:
        fuser: what fuses.
        jobs: the files.

    Returns:
        How many failed.
    """
    from tqdm import tqdm

    failed = 0
    for job in tqdm(jobs, desc="fusing", unit="pair"):
        try:
            for line in fuse_photograph_files(fuser, job)[1:]:
                tqdm.write(line)
        except InputError as error:
            failed += 1
            tqdm.write(f"mmif-amin: error: {error}", file=sys.stderr)
    return failed


def _check_shifts(sources: Sequence[Source], names: Sequence[str]) -> None:
    """Refuse photographs that lie clearly beside each other; tell of those that lie a little beside."""
    for source, name in zip(sources[1:], names[1:], strict=True):
        shift = find_shift(sources[0].gray[0], source.gray[0])
        if not shift.trusted or shift.pixels <= NOTICED:
            continue
        told = f"{names[0]} and {name}: expected photographs that lie on each other, {name} must move by {shift}"
        if shift.pixels > ALLOWED:
            raise InputError(
                f"{told}. Align them with --register homography, or fuse them as they are with --register none."
            )
        warnings.warn(f"{told}. They are fused as they are; --register homography aligns them.", stacklevel=3)


def _aligned(
    sources: Sequence[Source], names: Sequence[str], task: FusionTask
) -> tuple[list[Source], dict[str, Homography]]:
    """All photographs on the grid of the reference: the visible one, or else the first."""
    reference = 1 if task.ordered else 0
    fixed = sources[reference].gray[0]
    result, found = list(sources), {}
    for k, source in enumerate(sources):
        if k == reference:
            continue
        try:
            found[names[k]] = find_homography(fixed, source.gray[0])
        except InputError as error:
            raise InputError(f"{names[k]} on {names[reference]}: {error}") from error
        result[k] = align(source, found[names[k]], fixed.shape)
    return result, found


def _write(job: PhotographJob, fused: Source, found: dict[str, Homography]) -> list[str]:
    image = fused.gray if fused.rgb is None else fused.rgb
    if fused.alpha is not None:
        if holds_alpha(job.output, fused.bits):
            image = np.concatenate([image, fused.alpha])
        else:
            warnings.warn(f"{job.output}: cannot hold the alpha of the sources, it is left out.", stacklevel=3)
    if not found:
        return [str(write_image(job.output, image, fused.bits))]
    names = [job.output.name, f"{job.output.stem}_registration.json"]
    facts = {
        name: {
            "matrix": one.matrix.tolist(),
            "inliers": one.inliers,
            "matches": one.matches,
            "residual_pixels": one.residual,
            "overlap": one.overlap,
        }
        for name, one in found.items()
    }

    def write(temporary: Path) -> None:
        write_image(temporary / names[0], image, fused.bits)
        (temporary / names[1]).write_text(json.dumps(facts, indent=4) + "\n", encoding="utf-8")

    written = write_set_atomically(job.output.parent, names, write)
    return [*map(str, written), *(f"{name}: {one}" for name, one in found.items())]
