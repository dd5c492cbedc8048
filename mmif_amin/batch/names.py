"""Names and errors of a batch that do not say who the patient is."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from ..scripts.data.study import Study
from ..scripts.dicom.privacy import patient_words
from ..scripts.utils.checks import input_error_behind
from ..scripts.utils.files import is_nifti

__all__ = ["hashed_name", "public_name", "public_reason"]


def public_name(study: Study) -> str:
    """Name of a study for its folder and for the table.

    It is the study's own name, or :func:`hashed_name` where that holds a word of the name or the id in its DICOM.
    """
    words = set().union(*(patient_words(path) for path in (study.source_a, study.source_b) if not is_nifti(path)))
    letters = re.sub(r"[\W_]+", "", study.name).lower()
    return hashed_name(study) if any(word in letters for word in words) else study.name


def hashed_name(study: Study) -> str:
    """A name made of the hash of the study's own name: the same in each run, and nobody reads a patient's name in it.

    Example:
        >>> hashed_name(Study("a.nii", "b.nii", name="DOE_JANE"))
        'study-ccde0451'
    """
    return f"study-{hashlib.sha256(study.name.encode()).hexdigest()[:8]}"


def public_reason(error: BaseException, study: Study, name: str) -> str:
    """Say in one line why a study failed.

    Args:
        error: what was raised.
        study: the study. Its paths become A and B and its name becomes ``name``, because both may name the patient.
        name: its public name.
    """
    cause = input_error_behind(error)
    while cause is None and (behind := error.__cause__ or error.__context__):
        error = behind
    text = str(cause) if cause else f"{type(error).__name__}: {error}".removesuffix(": ")
    for path, letter in ((study.source_a, "A"), (study.source_b, "B")):
        for spelling in (os.path.realpath(path), os.path.abspath(path), path, str(Path(path))):
            text = text.replace(spelling, letter)
    text = text.replace(study.name, name)
    return "; ".join(line.strip() for line in text.splitlines())
