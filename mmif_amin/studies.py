"""Fusing one study with ``inference_volume.json``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import BUNDLE
from .dicom_objects.deidentify import deidentifies, refuse_burned_in
from .dicom_objects.writer import write_dicom_objects
from .scripts.data.study import FoundStudy, Study, find_study
from .scripts.data.study_report import REPORT_NAME, StudyReport
from .scripts.dicom.privacy import BURNED_IN
from .scripts.handlers.study_writer import FurtherWriter
from .scripts.utils.files import is_nifti
from .study_output import check_study_output
from .workflow import make_component, run_config

__all__ = ["fuse_study", "with_network"]

ENTRY = ("task", "series_a", "series_b", "volume_a", "volume_b", "same_patient")
CONFIG = BUNDLE / "configs" / "inference_volume.json"


def fuse_study(
    study: Study,
    output: str | os.PathLike,
    options: Mapping[str, Any],
    found: FoundStudy | None = None,
    further: Sequence[FurtherWriter] = (),
) -> list[str]:
    """Fuse one study.

    Args:
        study: its two volumes.
        output: a new folder, or a NIfTI name for the fused volume alone.
        options: overrides of ``inference_volume.json``. Values are used as they are, so text is never an expression.
        found: what ``find_study`` found of the study. Defaults to None: it is looked for first.
        further: what writes more into the new folder, see ``StudyWriter``. With ``dicom`` the DICOM objects are written
            in any case. What stands under ``further`` in ``options`` comes after these. Defaults to none.

    Returns:
        Lines that say what was made of what.

    Raises:
        InputError: When an input cannot be used, the output would overwrite a source, the registration is not
            plausible, or images with burned-in text are to be de-identified.
    """
    output = Path(output)
    check_study_output(study, output, bool(options.get("dicom")), bool(options.get("loss_map") or further))
    study = replace(study, same_patient=study.same_patient or bool(options.get("same_patient")))
    found = find_study(study) if found is None else found
    if deidentifies(options):
        refuse_burned_in(found)
    for letter, source in zip("AB", (found.a, found.b), strict=True):
        if source.opened and BURNED_IN in source.opened.notes:
            warnings.warn(f"source {letter}: {BURNED_IN}", stacklevel=2)
    objects = [write_dicom_objects] if options.get("dicom") else []
    further = [*objects, *further, *options.get("further", ())]
    entry = {key: getattr(study, key) for key in ENTRY} | {"found_study": found, "further": further}
    paths = {"source_a": study.source_a, "source_b": study.source_b, "output_dir": str(output)}
    run_config([CONFIG], "run", {**options, **entry, **{key: os.path.abspath(path) for key, path in paths.items()}})
    return [str(output)] if is_nifti(output) else _summary(StudyReport.read(output / REPORT_NAME), output)


def with_network(options: Mapping[str, Any]) -> dict[str, Any]:
    """Load the network once, for many studies.

    Args:
        options: overrides of ``inference_volume.json``, as for :func:`fuse_study`.

    Returns:
        The options with the loaded network, which :func:`fuse_study` then uses as it is.

    Raises:
        InputError: When the weights, the device or the runtime cannot be used.
    """
    return {**options, "network": make_component([CONFIG], "network", options)}


def _summary(report: StudyReport, output: Path) -> list[str]:
    """What was made of what, for a person."""
    sources = (("A", report.sources.a), ("B", report.sources.b))
    lines = [f"source {letter}: {note}" for letter, source in sources for note in source.notes]
    if found := report.registration:
        lines.append(
            f"registered ({found.kind}): turned {found.turn_deg:.1f} degrees, shifted "
            f"{sum(x * x for x in found.translation_mm) ** 0.5:.1f} mm; {found.metric} {found.before:.4f} to "
            f"{found.after:.4f}"
        )
    if found and found.deformed:
        lines.append(
            f"deformed by {found.deformed.mean_mm:.1f} mm on average, {found.deformed.largest_mm:.1f} mm at most; "
            f"local change of volume {found.deformed.least_jacobian:.2f} to {found.deformed.largest_jacobian:.2f}"
        )
    if report.refinement:
        lines.append(str(report.refinement))
    there = report.alignment
    if there and found is None and there.value is not None:
        lines.append(f"not registered ({there.reason}); {there.metric} {there.value:.4f}")
    lines.append(f"{report.task}, {report.seconds:.0f} s, {report.peak_memory_gb:.1f} GB: {output}")
    return [*lines, f"look at it: mmif-amin view {output}"]
