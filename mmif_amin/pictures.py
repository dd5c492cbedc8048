"""Fusing pictures: reading two, fusing them, writing the result with the colors of the second one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .fuser import Fuser
from .scripts.data.datalist import modalities_of
from .scripts.data.pictures import read_source, write_image
from .scripts.utils.checks import InputError
from .scripts.utils.color import colorize
from .scripts.utils.files import write_atomically

__all__ = ["PictureJob", "fuse_picture", "fuse_pictures"]


@dataclass(frozen=True)
class PictureJob:
    """Two pictures, and where the fused one goes.

    Args:
        source_a: the structural picture.
        source_b: the other one, of the same size.
        output: the fused picture.
        task: their modalities, such as ``"PET-MRI"``; it decides how pictures of 16 bit are scaled.
    """

    source_a: Path
    source_b: Path
    output: Path
    task: str

    def check_output(self) -> None:
        """Refuse an output that is one of the sources.

        Raises:
            InputError: When it is one.
        """
        if self.output.resolve() in (self.source_a.resolve(), self.source_b.resolve()):
            raise InputError(f"{self.output}: the output would overwrite a source. Choose another output.")


def fuse_picture(
    fuser: Fuser, job: PictureJob, gray: bool = False, loss_map: bool = False, bar: bool = False
) -> list[Path]:
    """Fuse one pair of pictures.

    Args:
        fuser: what fuses.
        job: the pair.
        gray: write the luminance only, also where source B is a color picture. Defaults to False.
        loss_map: also write what of each source the fused picture does not hold, as a figure and as JSON. Defaults to
            False.
        bar: draw the scale of source B's colors beside the fused picture. A picture does not say its values, so the
            scale is of the luminance, 0 to 1. Defaults to False.

    Returns:
        The files that were written.

    Raises:
        InputError: When a picture cannot be read or written, the two differ in size or are too small, or a bar is asked
            for and the fused picture has no colors.
    """
    structural, other = modalities_of(job.task)
    a, b = read_source(job.source_a, structural), read_source(job.source_b, other)
    if a.gray.shape != b.gray.shape:
        raise InputError(
            f"{job.source_a} and {job.source_b}: expected the same size, got {a.gray.shape[1:]} and "
            f"{b.gray.shape[1:]}. Register and resample them first."
        )
    if bar and (gray or b.rgb is None):
        raise InputError(
            f"{job.source_b}: expected colors for a scale bar, the fused picture has none. Leave out --scale-bar."
        )
    try:
        fused = fuser.fuse_stack(a.gray, b.gray)
    except ValueError as error:
        raise InputError(f"{job.source_a} and {job.source_b}: {error}") from error
    shown = colorize(fused, b.rgb) if b.rgb is not None and not gray else fused
    write_image(job.output, _with_bar(shown, b.rgb) if bar and b.rgb is not None else shown)
    if not loss_map:
        return [job.output]
    from .reports.loss_figure import write_loss_figure
    from .scripts.metrics.loss_map import loss_maps

    maps, lost = loss_maps(fused, a.gray, b.gray)
    figure, facts = (job.output.with_name(f"{job.output.stem}_loss.{suffix}") for suffix in ("png", "json"))
    write_loss_figure(figure, [a.gray[0], b.gray[0], fused[0]], maps[:, 0], lost)
    text = json.dumps({"fused": job.output.name, "lost_of_source_a": lost[0], "lost_of_source_b": lost[1]}, indent=4)
    write_atomically(facts, lambda path: path.write_text(text + "\n", encoding="utf-8"))
    return [job.output, figure, facts]


def _with_bar(shown: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    from .reports.scale_bar import SMALLEST, colors_of_picture, scale_bar, with_scale_bar

    return with_scale_bar(shown, scale_bar(colors_of_picture(rgb), 0, 1, "luminance", max(shown.shape[1], SMALLEST)))


def fuse_pictures(
    fuser: Fuser, jobs: Sequence[PictureJob], gray: bool = False, loss_map: bool = False, bar: bool = False
) -> int:
    """Fuse many pairs with a progress bar; a bad one is named on standard error and the others go on.

    Args:
        fuser: what fuses.
        jobs: the pairs.
        gray: see :func:`fuse_picture`.
        loss_map: see :func:`fuse_picture`.
        bar: see :func:`fuse_picture`.

    Returns:
        How many failed.
    """
    from tqdm import tqdm

    failed = 0
    for job in tqdm(jobs, desc="fusing", unit="pair"):
        try:
            fuse_picture(fuser, job, gray, loss_map, bar)
        except InputError as error:
            failed += 1
            tqdm.write(f"mmif-amin: error: {error}", file=sys.stderr)
    return failed
