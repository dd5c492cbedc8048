"""What a registration found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ...data.volume import ACCEPTED_BEYOND_LIMITS
from ...utils.files import write_atomically
from .deformation import Deformation
from .similarity import METRIC

__all__ = ["FROM_FILE", "Registration"]

FROM_FILE = "transform file"
NOT_FIGURES = ("itk_text", "deformation")


@dataclass(frozen=True)
class Registration:
    """A transform between two volumes, and what is known of its quality.

    Args:
        kind: ``"rigid"``, ``"affine"``, ``"deformable"``, or ``"transform file"`` where none was searched.
        matrix: (4, 4), a point of the fixed image (RAS, millimeters) to the same point of the moving one, as lists;
            without the deformation.
        rotation_deg: rotation about the x, y and z axes, degrees.
        translation_mm: of the center of the fixed image's foreground, millimeters.
        before: normalized mutual information with the geometry of the files.
        after: normalized mutual information with this matrix; 1 is none, 2 is all.
        overlap: part of the smaller foreground that lies in the other one.
        spread_mm: mean distance between the result and the farthest one of the independent restarts; None where there
            was none.
        gain: relative loss of ``after - 1`` at the best of six shifts of 10 mm.
        seconds: what it took.
        itk_text: the same transform as the text of an ITK transform file, in LPS.
        method: which way of searching found it. Defaults to ``"whole"``.
        beyond_limits: the limits that it breaks and was accepted with, one phrase each. Defaults to none.
        deformation: the map with its deformation. Defaults to None.
        deformed: figures of the deformation. Defaults to None.
    """

    kind: str
    matrix: list[list[float]]
    rotation_deg: list[float]
    translation_mm: list[float]
    before: float
    after: float
    overlap: float
    spread_mm: float | None
    gain: float
    seconds: float
    itk_text: str = field(repr=False)
    method: str = "whole"
    beyond_limits: Sequence[str] = ()
    deformation: Deformation | None = field(default=None, repr=False)
    deformed: dict[str, Any] | None = None

    @property
    def warning(self) -> str:
        """What each output says of a registration that was accepted beyond its limits; else nothing."""
        return ACCEPTED_BEYOND_LIMITS if self.beyond_limits else ""

    def map(self, points: np.ndarray) -> np.ndarray:
        """Moving points (N, 4) of fixed points (N, 4), RAS, millimeters."""
        if self.deformation is not None:
            return self.deformation.map(points)
        return points @ np.array(self.matrix).T

    def to_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        figures = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in NOT_FIGURES}
        return {"metric": METRIC, **figures, "beyond_limits": list(self.beyond_limits)}

    def write(self, path: str | os.PathLike) -> Path:
        """Write the transform as an ITK text file (.tfm), which 3D Slicer and ITK read.

        As ITK resamples, it maps points of the fixed image to the moving one, in LPS; 3D Slicer, where it is applied to
        the moving volume, inverts it by itself. A comment says which limits it breaks, if it was accepted beyond them.

        Raises:
            InputError: When it cannot be written.
        """
        first, _, rest = self.itk_text.partition("\n")
        comment = [f"# {self.warning}: {'; '.join(self.beyond_limits)}"] if self.beyond_limits else []
        text = "\n".join([first, *comment, rest])
        return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="ascii"))
