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

from .. import BUNDLE_ROOT
from ..data.study import Study, patient_words
from ..utils.checks import InputError
from ..utils.image_io import is_nifti, write_atomically
from .workflow import run_config

__all__ = ["fuse_studies", "fuse_study"]

CONFIG = Path(BUNDLE_ROOT) / "configs" / "inference_volume.json"
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
    entry = {key: value for key, value in study.to_dict().items() if key != "name"}
    run_config([CONFIG], "run", {**options, **entry, "output_dir": str(output)})
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
    report = output / "batch.csv"
    rows: list[dict[str, Any]] = []
    for study in tqdm(studies, desc="studies", unit="study"):
        name = _public_name(study)
        folder = output / name
        row: dict[str, Any] = {"name": name, "status": "fused"}
        if (folder / "report.json").is_file():
            row["status"] = "done before"
        else:
            try:
                fuse_study(replace(study, task=study.task or task), folder, options)
            except Exception as error:  # whatever is wrong with one study must not stop the night
                row.update(status="failed", error=_reason(error))
                tqdm.write(f"{name}: {row['error']}")
        if row["status"] != "failed":
            row.update(_figures(folder))
        rows.append(row)
        _write_table(report, rows)
    return sum(row["status"] == "failed" for row in rows), report


def _public_name(study: Study) -> str:
    words = patient_words(study.source_a) | patient_words(study.source_b)
    letters = re.sub(r"[\W_]+", "", study.name).lower()
    if any(word in letters for word in words):
        return f"study-{hashlib.sha256(study.name.encode()).hexdigest()[:8]}"
    return study.name


def _reason(error: BaseException | None) -> str:
    """What went wrong in one line: MONAI wraps errors, and a config's InputError is another class of the same name."""
    last = error
    while error is not None:
        if type(error).__name__ == InputError.__name__:
            return str(error)
        last, error = error, error.__cause__ or error.__context__
    return f"{type(last).__name__}: {last}".splitlines()[0]


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
