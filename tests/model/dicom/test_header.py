from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scripts.dicom.find import is_dicom_folder
from scripts.dicom.header import blaming, is_localizer, values_of
from scripts.utils.checks import InputError

from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import read, refusal


def truncated_header(folder):
    phantom = write_series(folder)
    file = phantom.files[4]
    file.write_bytes(file.read_bytes()[:500])


REFUSED = [
    pytest.param(truncated_header, "IM0786: .*truncated", id="truncated-header"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_refused(tmp_path, make, message):
    make(tmp_path)
    text = refusal(tmp_path)
    assert re.search(message, text), text


@pytest.mark.parametrize("implicit", [True, False], ids=["implicit", "explicit"])
def test_files_without_preamble(tmp_path, implicit):
    phantom = write_series(tmp_path)
    for file in phantom.files:
        dataset = pydicom.dcmread(file)
        del dataset.file_meta
        dataset.preamble = None
        pydicom.dcmwrite(file, dataset, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert is_dicom_folder(tmp_path)
    np.testing.assert_array_equal(read(tmp_path).values, phantom.stored)


def test_without_pydicom(tmp_path, monkeypatch):
    write_series(tmp_path, (4, 4, 1))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert "pip install pydicom highdicom" in refusal(tmp_path)


def test_unreadable_file(tmp_path, monkeypatch):
    write_series(tmp_path, (4, 4, 1))

    def locked(self, *args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", locked)
    assert "IM0000: cannot be read: Permission denied" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(KeyError("PatientName"), InputError, id="of-pydicom"),
        pytest.param(InputError("clear already"), InputError, id="clear-already"),
        pytest.param(MemoryError(), MemoryError, id="memory"),
    ],
)
def test_blaming(error, expected):
    with pytest.raises(expected) as caught, blaming(Path("a.dcm")):
        raise error
    if isinstance(error, KeyError):
        assert str(caught.value).startswith("a.dcm: expected whole and valid DICOM")
    else:
        assert caught.value is error


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, [], id="missing"),
        pytest.param("", [], id="empty"),
        pytest.param("LOCALIZER", ["LOCALIZER"], id="one"),
        pytest.param(["ORIGINAL", "LOCALIZER"], ["ORIGINAL", "LOCALIZER"], id="several"),
    ],
)
def test_values_of_an_element(value, expected):
    header = pydicom.Dataset()
    if value is not None:
        header.ImageType = value
    assert values_of(header, "ImageType") == expected
    assert is_localizer(header) == ("LOCALIZER" in expected)
