"""Lasting identity of what is made: the same sources, version and settings give the same UIDs in each run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..scripts.dicom.header import files_in, is_dicom, read_dataset, require
from ..scripts.dicom.privacy import quiet_pydicom
from ..scripts.utils.files import sha256_of
from ..scripts.utils.metadata import bundle_metadata

__all__ = ["derived_files", "give_lasting_uids", "result_key"]

RUN_ONLY = ("device", "runtime", "network", "progress", "time_limit")  # change where or how fast, not what is made


def result_key(sources: Iterable[str], settings: Mapping[str, Any]) -> str:
    """A key for what will be made: 64 hexadecimal digits.

    Args:
        sources: SOPInstanceUIDs of all source images, in any order.
        settings: overrides of ``inference_volume.json``. Weights count by their content, not by their name. What is
            off counts as what is not named, so that ``fuse`` and ``listen`` make the same of the same study.
    """
    asked = {key: value for key, value in settings.items() if value is not None and value is not False}
    kept = {key: value for key, value in asked.items() if key.rpartition("#")[2] not in RUN_ONLY}
    if kept.get("ckpt_path"):
        kept["ckpt_path"] = sha256_of(kept["ckpt_path"])
    parts = [bundle_metadata()["version"], sorted(sources), sorted((key, str(value)) for key, value in kept.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def derived_files(folder: str | os.PathLike) -> list[Path]:
    """The DICOM files that a fusion wrote, in their order."""
    return sorted(filter(is_dicom, files_in(Path(folder))))


@quiet_pydicom()
def give_lasting_uids(folder: str | os.PathLike, key: str) -> list[Path]:
    """Replace the UIDs of new series and images by ones that follow from a key, also where files refer to each other.

    A second run then writes images that an archive takes for those that it has.

    Args:
        folder: what a fusion wrote. Nobody else may read it yet.
        key: see :func:`result_key`.

    Returns:
        The DICOM files, in their order.
    """
    pydicom = require("pydicom")
    files = derived_files(folder)
    datasets = [read_dataset(file) for file in files]
    lasting: dict[str, str] = {}
    for file, dataset in zip(files, datasets, strict=True):
        place = file.relative_to(folder).as_posix()
        for keyword in ("SeriesInstanceUID", "SOPInstanceUID"):
            new = pydicom.uid.generate_uid(entropy_srcs=[key, keyword, place])
            lasting.setdefault(str(dataset[keyword].value), str(new))

    def replace(_: Any, element: Any) -> None:
        if element.VR == "UI" and str(element.value) in lasting:
            element.value = lasting[str(element.value)]

    for file, dataset in zip(files, datasets, strict=True):
        dataset.walk(replace)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(file, enforce_file_format=True)
    return files
