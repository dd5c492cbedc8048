from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scripts.dicom.find import is_dicom_folder
from scripts.dicom.header import blaming, files_in, is_localizer, values_of
from scripts.utils.checks import InputError

from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import read, refusal


def truncated_header(folder):
    phantom = write_series(folder)
    file = phantom.files[4]
    file.write_bytes(file.read_bytes()[:500])


def only_truncated(folder):
    file = write_series(folder, (4, 4, 1)).files[0]
    file.write_bytes(file.read_bytes()[:500])


def without_class(folder, *further):
    phantom = write_series(folder)
    for file in phantom.files:
        dataset = pydicom.dcmread(file)
        for keyword in ("SOPClassUID", *further):
            delattr(dataset, keyword)
        del dataset.file_meta.MediaStorageSOPClassUID
        pydicom.dcmwrite(file, dataset, enforce_file_format=False)
    return phantom


def without_class_or_image(folder):
    for file in without_class(folder, "Columns").files[1:]:
        file.unlink()


REFUSED = [
    pytest.param(truncated_header, "6.00 mm from .* Unreadable files .*: 1, such as .*IM0786", id="a-slice-missing"),
    pytest.param(only_truncated, "IM0000: expected whole and valid DICOM, it is truncated", id="truncated-header"),
    pytest.param(without_class_or_image, "neither SOPClassUID nor Columns", id="no-class-and-no-image"),
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


def test_images_without_a_class_are_read(tmp_path):
    phantom = without_class(tmp_path)
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


def test_locked_folder(tmp_path, monkeypatch):
    write_series(tmp_path / "ward", (4, 4, 1))
    scandir = os.scandir

    def locked(path):
        if str(path).endswith("ward"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    assert "ward: cannot be read: Permission denied. Check its permissions." in refusal(tmp_path)


def test_files_in_the_order_of_their_names(tmp_path):
    for name in ("b/2", "b/10", "a/z", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert [str(file.relative_to(tmp_path)) for file in files_in(tmp_path)] == ["a/z", "b/10", "b/2", "c"]
    assert list(files_in(tmp_path / "c")) == [tmp_path / "c"]
    assert list(files_in(tmp_path / "nothing")) == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(KeyError("PatientName"), InputError, id="of-pydicom"),
        pytest.param(InputError("clear already"), InputError, id="clear-already"),
        pytest.param(MemoryError(), InputError, id="memory"),
    ],
)
def test_blaming(error, expected):
    with pytest.raises(expected) as caught, blaming(Path("a.dcm")):
        raise error
    if isinstance(error, KeyError):
        assert str(caught.value).startswith("a.dcm: expected whole and valid DICOM")
    elif isinstance(error, MemoryError):
        assert str(caught.value).startswith("a.dcm: there is not enough memory")
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
