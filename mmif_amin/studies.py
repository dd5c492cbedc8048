"""Fusing studies with ``inference_volume.json``: one, or a night's batch."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from . import BUNDLE
from .scripts.data.study import Study
from .scripts.dicom.read import patient_words
from .scripts.utils.checks import InputError, input_error_behind
from .scripts.utils.files import check_writable, is_nifti, write_atomically
from .workflow import run_config

__all__ = ["fuse_studies", "fuse_study"]

CONFIG_MARKS = "$@%"  # with which MONAI's expressions and references begin; # parts its keys, also in values
CONFIG = BUNDLE / "configs" / "inference_volume.json"
COLUMNS = ("name", "status", "seconds", "VIF", "VIFlocal", "Qabf", "registration_nmi", "error")


def fuse_study(study: Study, output: str | os.PathLike, options: dict[str, Any]) -> list[str]:
    """Fuse one study.

    Args:
        study: its two volumes.
        output: a new folder, or a NIfTI name for the fused volume alone.
        options: overrides of ``inference_volume.json``.

    Returns:
        Lines that say what was made of what.

    Raises:
        InputError: When an input cannot be used, or the registration is not plausible.
    """
    entry = {"task": study.task, "series_a": study.series_a, "series_b": study.series_b}
    for key, path in (("source_a", study.source_a), ("source_b", study.source_b), ("output_dir", output)):
        entry[key] = os.path.abspath(path)
    for key, value in entry.items():
        if value and ("#" in value or value[0] in CONFIG_MARKS):
            raise InputError(f"{key} '{value}': expected no # in it, and none of {CONFIG_MARKS} before it. Rename it.")
    if options.get("dicom") and is_nifti(study.source_a):
        raise InputError("DICOM output: expected DICOM as source A, got NIfTI. Leave out --dicom.")
    _keep_sources(study, Path(output))
    run_config([CONFIG], "run", {**options, **entry})
    if is_nifti(output):
        return [str(output)]
    report = json.loads((Path(output) / "report.json").read_text())
    found = report["registration"]
    lines = [f"source {letter.upper()}: {note}" for letter in "ab" for note in report["sources"][letter]["notes"]]
    if found:
        lines.append(
            f"registered ({found['kind']}): turned {max(map(abs, found['rotation_deg'])):.1f} degrees, shifted "
            f"{sum(x * x for x in found['translation_mm']) ** 0.5:.1f} mm; normalized mutual information "
            f"{found['before']:.4f} to {found['after']:.4f}"
        )
    lines.append(f"{report['task']}, {report['seconds']:.0f} s, {report['peak_memory_gb']:.1f} GB: {output}")
    return [*lines, f"look at it: mmif-amin view {output}"]


def _keep_sources(study: Study, output: Path) -> None:
    """Refuse an output that would overwrite a source, or be read as a part of it the next time."""
    place = output.resolve()
    for source in (Path(study.source_a).resolve(), Path(study.source_b).resolve()):
        if place == source:
            raise InputError(f"{output}: the output would overwrite a source. Choose another output.")
        if source.is_dir() and source in place.parents:
            raise InputError(f"{output}: the output would lie in a source's folder. Choose another output.")


def fuse_studies(
    studies: Sequence[Study], output: str | os.PathLike, task: str | None, options: dict[str, Any]
) -> tuple[int, Path]:
    """Fuse many studies, one after the other; a bad one is written down and the others go on.

    A study whose folder has its report is done and is left as it is, so that an interrupted batch goes on where it was.
    A study named after its patient (the name or id in its DICOM) gets a name made of its hash.

    Args:
        studies: the studies.
        output: folder; each study gets a folder of its name in it, and ``batch.csv`` a row.
        task: task of those that do not name theirs.
        options: overrides of ``inference_volume.json``.

    Returns:
        How many failed, and the report.
    """
    output = Path(output)
    check_writable(output)
    report = output / "batch.csv"
    rows: list[dict[str, Any]] = []
    for study in tqdm(studies, desc="studies", unit="study"):
        name = _public_name(study)
        row: dict[str, Any] = {"name": name}
        try:
            row["status"] = "done before" if (output / name / "report.json").is_file() else "fused"
            if row["status"] == "fused":
                fuse_study(replace(study, task=study.task or task), output / name, options)
            row.update(_figures(output / name))
        except Exception as error:  # whatever is wrong with one study must not stop the night
            row.update(status="failed", error=_reason(error, study, name))
            tqdm.write(f"{name}: {row['error']}")
        rows.append(row)
        _write_table(report, rows)
    return sum(row["status"] == "failed" for row in rows), report


def _public_name(study: Study) -> str:
    words = set().union(*(patient_words(path) for path in (study.source_a, study.source_b) if not is_nifti(path)))
    letters = re.sub(r"[\W_]+", "", study.name).lower()
    if any(word in letters for word in words):
        return f"study-{hashlib.sha256(study.name.encode()).hexdigest()[:8]}"
    return study.name


def _reason(error: Exception, study: Study, name: str) -> str:
    """What went wrong in one line.

    Neither the paths nor the study's own name are in it: both may name the patient.
    """
    cause = input_error_behind(error)
    while cause is None and (behind := error.__cause__ or error.__context__):
        error = behind  # type: ignore[assignment]
    text = str(cause) if cause else f"{type(error).__name__}: {error}"
    for path, letter in ((study.source_a, "A"), (study.source_b, "B")):
        text = text.replace(os.path.abspath(path), letter).replace(path, letter)
    text = text.replace(study.name, name)
    return "; ".join(line.strip() for line in text.splitlines())


def _figures(folder: Path) -> dict[str, Any]:
    report = json.loads((folder / "report.json").read_text())
    metrics = {key: round(report["metrics"][key], 4) for key in ("VIF", "VIFlocal", "Qabf") if key in report["metrics"]}
    found = report["registration"]
    return {"seconds": report["seconds"], **metrics, "registration_nmi": round(found["after"], 4) if found else ""}


def _write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, lambda temporary: temporary.write_text(text.getvalue()))
