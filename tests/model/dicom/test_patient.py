"""Telling patients apart by their headers."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from scripts.dicom.patient import IDENTITY_TAGS, Patient, number_patients


def patient(identity="1", name="DOE^JANE", born="19700101"):
    header = Dataset()
    for tag, value in zip(IDENTITY_TAGS, (identity, name, born), strict=True):
        if value is not None:
            setattr(header, tag, value)
    return Patient.of(header)


@pytest.mark.parametrize(
    ("other", "differs_in"),
    [
        pytest.param({}, (), id="same"),
        pytest.param({"name": "Doe^Jane^^"}, (), id="case and carets"),
        pytest.param({"name": "doe, jane "}, (), id="comma and blanks"),
        pytest.param({"name": "DOE^JANE=ドウ^ジェーン"}, (), id="another spelling beside"),
        pytest.param({"identity": " 1"}, (), id="blank before the id"),
        pytest.param({"born": "1970.01.01"}, (), id="old date"),
        pytest.param({"identity": "2"}, ("PatientID",), id="id"),
        pytest.param({"name": "DOE^JOHN"}, ("PatientName",), id="name"),
        pytest.param({"identity": "2", "born": "19700102"}, ("PatientID", "PatientBirthDate"), id="two"),
        pytest.param({"identity": None}, (), id="no id on one side"),
    ],
)
def test_differences(other, differs_in):
    assert patient().differs_in(patient(**other)) == differs_in


def test_what_could_not_be_compared():
    assert patient().not_compared(patient(identity=None, born="")) == ("PatientID", "PatientBirthDate")
    assert patient().not_compared(patient()) == ()
    assert patient(born="").not_compared(patient(born="")) == ()
    assert patient(None, None, None).not_compared(patient(None, None, None)) == IDENTITY_TAGS


def test_a_patient_prints_nothing():
    assert repr(patient()) == "Patient()"


def test_numbers():
    patients = [patient(), patient("2", "ROE^RICHARD"), patient(identity=None), patient("2", "ROE^RICHARD")]
    assert number_patients(patients) == [1, 2, 1, 2]
