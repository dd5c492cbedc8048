"""Fusing a study that lies in an archive, and storing the result in one."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..dicom_objects.deidentify import deidentifies
from ..scripts.data.study import Study
from ..scripts.data.tasks import modalities_of
from ..scripts.dicom.header import DICOM_MODALITIES
from ..scripts.utils.checks import InputError
from ..scripts.utils.enums import Modality
from ..scripts.utils.files import write_folder_atomically
from ..studies import fuse_study
from .derived import derived_files, give_lasting_uids, result_key
from .dicom_send import DicomArchive
from .dicomweb import WebArchive
from .errors import ArchiveError
from .rules import FUNCTIONAL, IMAGE_TYPE, STRUCTURAL, Candidate, choose_by_rules

__all__ = ["check_output", "fuse_candidates", "fuse_from_archive", "narrowed_rules"]


def narrowed_rules(rules: str, task: str | None, series_a: str | None, series_b: str | None) -> str:
    """The rules with what a user asked for: the modalities of a task, or a series by number or UID.

    Args:
        rules: what ``read_rules`` returns.
        task: such as ``"PET-MRI"``. None: as the rules say.
        series_a: SeriesInstanceUID or number of the structural series. None: as the rules say.
        series_b: the same of the functional one.
    """
    selections = json.loads(rules)["selections"]
    roles = {selection["name"]: selection["conditions"] for selection in selections}
    modalities: Sequence[Modality | None] = modalities_of(task) if task else (None, None)
    for role, modality, series in zip((STRUCTURAL, FUNCTIONAL), modalities, (series_a, series_b), strict=True):
        if modality is not None:
            roles[role]["Modality"] = f"^{DICOM_MODALITIES[modality]}$"
        if series is not None:
            number = series.isdecimal() and len(series) < 10
            named = {"SeriesNumber": int(series)} if number else {"SeriesInstanceUID": f"^{re.escape(series)}$"}
            roles[role].clear()
            roles[role].update({**named, IMAGE_TYPE: []})
    return json.dumps({"selections": selections})


def check_output(output: Path) -> None:
    """Refuse an output folder that holds something, before anything is fetched.

    Raises:
        InputError: When it does, or is a file.
    """
    if output.suffix in (".nii", ".gz") or output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise InputError(f"{output}: expected a new or empty folder for a study of an archive. Choose another output.")


def fuse_from_archive(
    source: WebArchive,
    studies: Sequence[str],
    rules: str,
    output: Path,
    options: Mapping[str, Any],
    destination: WebArchive | DicomArchive | None = None,
) -> list[str]:
    """Fuse a study of an archive.

    Args:
        source: where it is.
        studies: StudyInstanceUIDs: one, or two of one patient that hold one series each.
        rules: which two series, see :func:`narrowed_rules`.
        output: a new or empty folder.
        options: overrides of ``inference_volume.json``.
        destination: where the DICOM of the result goes. Defaults to None: nowhere.

    Returns:
        Lines that say what was made of what, and how many images were stored.

    Raises:
        InputError: When the archive does not answer, has no fitting pair, or the study cannot be fused.
    """
    check_output(output)
    candidates = [candidate for study in studies for candidate in source.series(study)]
    pair = choose_by_rules(rules, candidates, bool(options.get("same_patient")))
    with tempfile.TemporaryDirectory(prefix="mmif-amin-") as temporary:
        fetched = [(Path(temporary) / letter, candidate) for letter, candidate in zip("ab", pair, strict=True)]
        images: set[str] = set()
        for folder, candidate in fetched:
            images |= set(source.fetch(candidate.study, candidate.uid, folder))
        options = {**options, "dicom": options.get("dicom") or destination is not None}
        lines = fuse_candidates(fetched, output, options, result_key(images, options))
    if destination is not None:
        files = derived_files(output)
        try:
            sent = destination.store(files)
        except ArchiveError as error:
            raise ArchiveError(
                f"{error} The result is in {output}; a run with another output stores it.", error.lasting
            ) from error
        lines.append(f"stored: {sent} images sent, {len(files) - sent} were there")
    return lines


def fuse_candidates(
    pair: Sequence[tuple[Path, Candidate]], output: Path, options: Mapping[str, Any], key: str
) -> list[str]:
    """Fuse two series that lie in folders of their own; the DICOM has lasting UIDs, unless it is de-identified.

    Args:
        pair: folder and series, of the structural and of the functional one.
        output: a new or empty folder.
        options: overrides of ``inference_volume.json``.
        key: what the UIDs follow from, see ``result_key``.

    Returns:
        Lines that say what was made of what.

    Raises:
        InputError: When the study cannot be fused; nothing is left behind.
    """
    (folder_a, a), (folder_b, b) = pair
    study = Study(str(folder_a), str(folder_b), series_a=a.uid, series_b=b.uid)
    lines: list[str] = []

    def write(folder: Path) -> None:
        lines.extend(line.replace(str(folder), str(output)) for line in fuse_study(study, folder, options))
        if not deidentifies(options):  # lasting ones would follow from those of the sources
            give_lasting_uids(folder, key)

    write_folder_atomically(output, write)
    return lines
