"""Fusing pictures: reading two, fusing them, writing the result with the colors of the second one or of a map."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .fuser import Fuser
from .scripts.data.pictures import Source, read_source, write_image
from .scripts.data.tasks import task_of
from .scripts.utils.checks import InputError
from .scripts.utils.color import color_fused, colorize, scale_colors
from .scripts.utils.enums import ColorMap, Lightness
from .scripts.utils.files import write_set_atomically

__all__ = ["PictureColors", "PictureJob", "fuse_picture", "fuse_pictures"]


@dataclass(frozen=True)
class PictureColors:
    """What colors a fused picture gets.

    Args:
        gray: none, also where source B is a color picture. Defaults to False.
        colormap: a map for the luminance of source B, gray or in color. Defaults to None: the colors of source B.
        lightness: which image the lightness under the colors is. Defaults to ``"auto"``: the structural one under ember
            and gold, else the fused one.
        bar: draw the scale of the colors beside the fused picture. A picture does not say its values, so the scale is
            of the luminance, 0 to 1. Defaults to False.
    """

    gray: bool = False
    colormap: ColorMap | str | None = None
    lightness: Lightness | str = Lightness.AUTO
    bar: bool = False

    def check(self) -> None:
        """Refuse a map for a picture without colors.

        Raises:
            InputError: When both are asked for.
        """
        if self.gray and self.colormap:
            raise InputError("--gray: leaves out the colors that --colormap asks for. Drop one.")

    def apply(self, fused: np.ndarray, a: Source, b: Source) -> np.ndarray:
        """Color a fused picture.

        Args:
            fused: (1, H, W) in [0, 1].
            a: the structural source.
            b: the other one.

        Returns:
            (3, H, W) or, without colors, (1, H, W), in [0, 1].
        """
        if self.gray:
            return fused
        if self.colormap:
            return color_fused(fused, a.gray, b.gray, self.colormap, self.lightness).astype(np.float32) / 255
        if b.rgb is None:
            return fused
        return colorize(a.gray if Lightness(self.lightness) is Lightness.STRUCTURAL else fused, b.rgb)

    def scale(self, b: Source) -> np.ndarray | None:
        """Colors of the scale from the lowest to the highest luminance of source B, (256, 3); None without colors."""
        if self.gray:
            return None
        if self.colormap:
            return scale_colors(self.colormap)
        if b.rgb is None:
            return None
        from .reports.scale_bar import colors_of_picture

        return colors_of_picture(b.rgb)


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
    fuser: Fuser, job: PictureJob, colors: PictureColors = PictureColors(), loss_map: bool = False
) -> list[Path]:
    """Fuse one pair of pictures.

    Args:
        fuser: what fuses.
        job: the pair.
        colors: what colors the fused picture gets. Defaults to those of source B.
        loss_map: also write what of each source the fused picture does not hold, as a figure and as JSON. Defaults to
            False.

    Returns:
        The files that were written.

    Raises:
        InputError: When a picture cannot be read or written, the two differ in size or are too small, or a bar is asked
            for and the fused picture has no colors.
    """
    task = task_of(job.task)
    a, b = read_source(job.source_a, task.source_a), read_source(job.source_b, task.source_b)
    if a.gray.shape != b.gray.shape:
        raise InputError(
            f"{job.source_a} and {job.source_b}: expected the same size, got {a.gray.shape[1:]} and "
            f"{b.gray.shape[1:]}. Register and resample them first."
        )
    scale = colors.scale(b)
    if colors.bar and scale is None:
        raise InputError(
            f"{job.source_b}: expected colors for a scale bar, the fused picture has none. Leave out --scale-bar."
        )
    try:
        fused = fuser.fuse_stack(a.gray, b.gray)
    except ValueError as error:
        raise InputError(f"{job.source_a} and {job.source_b}: {error}") from error
    shown = colors.apply(fused, a, b)
    shown = _with_bar(shown, scale) if colors.bar and scale is not None else shown
    if not loss_map:
        return [write_image(job.output, shown)]
    from .reports.loss_figure import write_loss_figure
    from .scripts.metrics.loss_map import loss_maps

    maps, lost = loss_maps(fused, a.gray, b.gray)
    names = [job.output.name, *(f"{job.output.stem}_loss.{suffix}" for suffix in ("png", "json"))]
    facts = {"fused": job.output.name, "lost_of_source_a": lost[0], "lost_of_source_b": lost[1]}

    def write(temporary: Path) -> None:
        write_image(temporary / names[0], shown)
        write_loss_figure(temporary / names[1], [a.gray[0], b.gray[0], fused[0]], maps[:, 0], lost)
        (temporary / names[2]).write_text(json.dumps(facts, indent=4) + "\n", encoding="utf-8")

    return write_set_atomically(job.output.parent, names, write)


def _with_bar(shown: np.ndarray, scale: np.ndarray) -> np.ndarray:
    from .reports.scale_bar import SMALLEST, scale_bar, with_scale_bar

    return with_scale_bar(shown, scale_bar(scale, 0, 1, "luminance", max(shown.shape[1], SMALLEST)))


def fuse_pictures(
    fuser: Fuser, jobs: Sequence[PictureJob], colors: PictureColors = PictureColors(), loss_map: bool = False
) -> int:
    """Fuse many pairs with a progress bar; a bad one is named on standard error and the others go on.

    Args:
        fuser: what fuses.
        jobs: the pairs.
        colors: see :func:`fuse_picture`.
        loss_map: see :func:`fuse_picture`.

    Returns:
        How many failed.
    """
    from tqdm import tqdm

    failed = 0
    for job in tqdm(jobs, desc="fusing", unit="pair"):
        try:
            fuse_picture(fuser, job, colors, loss_map)
        except InputError as error:
            failed += 1
            tqdm.write(f"mmif-amin: error: {error}", file=sys.stderr)
    return failed
