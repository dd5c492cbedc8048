from __future__ import annotations

import numpy as np
import pydicom
from scripts.dicom.find import is_dicom_folder, list_series

from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import read, refusal


def test_is_dicom_folder(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    assert not is_dicom_folder(tmp_path)
    assert not is_dicom_folder(tmp_path / "a.txt")
    assert not is_dicom_folder(tmp_path / "nothing")
    phantom = write_series(tmp_path / "deep" / "er", (4, 4, 1))
    assert is_dicom_folder(tmp_path)
    assert is_dicom_folder(phantom.files[0])


def test_other_files_beside_are_passed_over(tmp_path):
    phantom = write_series(tmp_path / "DICOM" / "A")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "DICOM" / "empty.dcm").touch()
    (tmp_path / "DICOM" / "junk").write_bytes(b"\x08\x00" + bytes(range(256)))
    report = made.base_header(Modality="SR", SOPClassUID=pydicom.uid.BasicTextSRStorage)
    report.SeriesInstanceUID = pydicom.uid.generate_uid()
    report.file_meta = pydicom.dataset.FileMetaDataset()
    report.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    report.save_as(tmp_path / "DICOM" / "report.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read(tmp_path).values, phantom.stored)


def test_nothing_there(tmp_path):
    assert "found nothing there" in refusal(tmp_path / "no")


def test_list_series(study):
    found = list_series(study)
    assert [(s.number, s.modality, s.images, s.size, s.localizer) for s in found] == [
        (2, "MR", 3, (6, 5), False),
        (3, "MR", 3, (6, 5), False),
        (4, "CT", 3, (6, 5), False),
        (5, "CT", 3, (6, 5), True),
        (6, "PT", 3, (6, 5), False),
    ]
