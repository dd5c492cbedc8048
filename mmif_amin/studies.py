"""Fusing one study with ``inference_volume.json``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import BUNDLE
from .scripts.data.study import Study
from .scripts.data.study_report import REPORT_NAME, StudyReport
from .scripts.utils.checks import InputError
from .scripts.utils.files import is_nifti
from .workflow import run_config

__all__ = ["fuse_study"]

CONFIG = BUNDLE / "configs" / "inference_volume.json"


def fuse_study(study: Study, output: str | os.PathLike, options: Mapping[str, Any]) -> list[str]:
    """Fuse one study.

    Args:
        study: its two volumes.
        output: a new folder, or a NIfTI name for the fused volume alone.
        options: overrides of ``inference_volume.json``. Values are used as they are, so text is never an expression.

    Returns:
        Lines that say what was made of what.

    Raises:
        InputError: When an input cannot be used, the output would overwrite a source, or the registration is not
            plausible.
    """
    output = Path(output)
    if options.get("dicom") and is_nifti(study.source_a):
        raise InputError("DICOM output: expected DICOM as source A, got NIfTI. Leave out --dicom.")
    _keep_sources(study, output)
    entry = {"task": study.task, "series_a": study.series_a, "series_b": study.series_b}
    paths = {"source_a": study.source_a, "source_b": study.source_b, "output_dir": str(output)}
    run_config([CONFIG], "run", {**options, **entry, **{key: os.path.abspath(path) for key, path in paths.items()}})
    return [str(output)] if is_nifti(output) else _summary(StudyReport.read(output / REPORT_NAME), output)


def _summary(report: StudyReport, output: Path) -> list[str]:
    """What was made of what, for a person."""
    sources = (("A", report.sources.a), ("B", report.sources.b))
    lines = [f"source {letter}: {note}" for letter, source in sources for note in source.notes]
    if found := report.registration:
        lines.append(
            f"registered ({found.kind}): turned {max(map(abs, found.rotation_deg)):.1f} degrees, shifted "
            f"{sum(x * x for x in found.translation_mm) ** 0.5:.1f} mm; {found.metric} {found.before:.4f} to "
            f"{found.after:.4f}"
        )
    lines.append(f"{report.task}, {report.seconds:.0f} s, {report.peak_memory_gb:.1f} GB: {output}")
    return [*lines, f"look at it: mmif-amin view {output}"]


def _keep_sources(study: Study, output: Path) -> None:
    """Refuse an output that would overwrite a source, or be read as a part of it the next time."""
    place = output.resolve()
    for source in (Path(study.source_a).resolve(), Path(study.source_b).resolve()):
        if place == source:
            raise InputError(f"{output}: the output would overwrite a source. Choose another output.")
        if source.is_dir() and source in place.parents:
            raise InputError(f"{output}: the output would lie in a source's folder. Choose another output.")
