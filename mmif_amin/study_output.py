"""Where a fused study goes, which is refused before the long work if it cannot go there."""

from __future__ import annotations

import os
from pathlib import Path

from .scripts.data.study import Study
from .scripts.utils.checks import InputError
from .scripts.utils.files import check_new_output, is_nifti

__all__ = ["check_study_output"]


def check_study_output(study: Study, output: str | os.PathLike, dicom: bool, several: bool) -> None:
    """Refuse an output that cannot be written, would overwrite a source, or be read as a part of it the next time.

    Args:
        study: its two volumes.
        output: a new folder, or a NIfTI name for the fused volume alone.
        dicom: whether DICOM is to be written.
        several: whether more than the fused volume is asked for, DICOM apart.

    Raises:
        InputError: When it is refused, or source A is NIfTI and DICOM is to be written.
    """
    output = Path(output)
    if dicom and is_nifti(study.source_a):
        raise InputError("DICOM output: expected DICOM as source A, got NIfTI. Leave out --dicom.")
    place = output.resolve()
    for source in (Path(study.source_a).resolve(), Path(study.source_b).resolve()):
        if place == source:
            raise InputError(f"{output}: the output would overwrite a source. Choose another output.")
        if source.is_dir() and source in place.parents:
            raise InputError(f"{output}: the output would lie in a source's folder. Choose another output.")
    check_new_output(output, dicom or several)
