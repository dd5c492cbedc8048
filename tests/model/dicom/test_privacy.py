from __future__ import annotations

import logging
import warnings

import pytest
from pydicom import Dataset
from scripts.dicom.find import list_series
from scripts.dicom.privacy import patient_words, public_text

from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import assert_nameless, refusal


def test_damaged_pixels_name_only_the_file(tmp_path, caplog):
    """What pydicom warns of and logs, values of the header among them, is held back."""
    phantom = write_series(tmp_path, (4, 4, 1), SliceThickness=3)
    raw = phantom.files[0].read_bytes().replace(b"19700101", b"DOE^JANE").replace(b"1.0\\", b"1,0\\")
    phantom.files[0].write_bytes(raw)
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        refusal(tmp_path)
    assert_nameless(caplog.text + "".join(str(w.message) for w in caught))


def test_patient_words(tmp_path):
    write_series(tmp_path / "p", modality="MR")
    (tmp_path / "p" / "0-damaged.dcm").write_bytes(bytes(128) + b"DICM" + bytes(5))
    born = {"19700101", "01011970", "700101", "010170"}
    assert patient_words(tmp_path / "p") == {"doe", "jane", "pid", "4711", "acc", "0815"} | born
    assert patient_words(tmp_path / "nothing") == set()


def test_whose_a_damaged_folder_is_nobody_knows(tmp_path):
    (tmp_path / "0-damaged.dcm").write_bytes(bytes(128) + b"DICM" + bytes(5))
    assert patient_words(tmp_path) is None
    (tmp_path / "1-locked.dcm").symlink_to("/proc/self/mem")  # opens, and cannot be read
    assert patient_words(tmp_path) is None


def test_a_description_that_names_the_patient_is_not_listed(tmp_path):
    write_series(tmp_path, modality="MR", SeriesDescription="T2 for DOE^JANE")
    assert "(names the patient)" in str(list_series(tmp_path)[0])
    assert "JANE" not in str(list_series(tmp_path)[0])


@pytest.mark.parametrize(
    ("name", "identity", "text", "public"),
    [
        pytest.param("DOE^JANE", "1", "Doe T1", False, id="a-word"),
        pytest.param("DOE^JANE", "1", "t1_jane", False, id="a-word-behind-an-underscore"),
        pytest.param("DOE^JANE", "1", "DOEJANE head", False, id="written-together"),
        pytest.param("DOE^JANE", "1", "JaneDoe head", False, id="the-other-way-round"),
        pytest.param("SMITH^ANN", "1", "t1smithson", False, id="a-long-word-inside"),
        pytest.param("SMITH^ANN", "PID-4711", "scan 4711", False, id="the-id"),
        pytest.param("AXE^ANN", "1", "t2_tse_axeial planning", True, id="three-letters-inside"),
        pytest.param("TSE^LO", "1", "t2_tsespace local", True, id="letters-of-a-sequence"),
        pytest.param("DOE^JANE", "1", "T1 1 mm", True, id="a-single-digit"),
        pytest.param("Müller^Zoë", "1", "Mueller T1", False, id="without-its-umlaut"),
        pytest.param("Yamada=山田^太郎", "1", "山田様 T1", False, id="ideographs-inside"),
        pytest.param("", "", "T1", True, id="no-name"),
    ],
)
def test_public_text(name, identity, text, public):
    header = Dataset()
    header.PatientName, header.PatientID = name, identity
    assert public_text(text, header) == (text if public else "(names the patient)")
