"""Reading made-up series in tests: what is read or refused must never name the patient."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from scripts.data.volume import Volume
from scripts.dicom.read import read_dicom_volume
from scripts.utils.checks import InputError

from tests.model.dicom.dicom_phantoms import PATIENT_ID, PATIENT_NAME

SECRETS = (PATIENT_NAME, "DOE", PATIENT_ID, "19700101", "ACC-0815")


def assert_nameless(text: str) -> None:
    """Check that a text holds nothing of the patient's name, id, birth date or accession number."""
    assert not [secret for secret in SECRETS if secret in text]


def refusal(path, **keywords) -> str:
    """The message with which a series is refused."""
    with pytest.raises(InputError) as caught:
        read_dicom_volume(path, **keywords)
    assert_nameless(str(caught.value))
    return str(caught.value)


def read(path, **keywords) -> Volume:
    """The volume, checked for its type and its notes."""
    volume = read_dicom_volume(path, **keywords)
    assert volume.values.dtype == np.float32
    assert_nameless("\n".join(volume.notes))
    return volume


def edit(file, **keywords) -> None:
    """Change elements of a file."""
    dataset = pydicom.dcmread(file)
    for keyword, value in keywords.items():
        setattr(dataset, keyword, value)
    dataset.save_as(file)
