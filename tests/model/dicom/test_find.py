from __future__ import annotations

import numpy as np
import pydicom
from scripts.dicom.find import is_dicom_folder, list_series, scan_folder

from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import assert_nameless, read, refusal


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


def test_frames_of_reference_and_patients_are_told_apart_without_naming_them(tmp_path):
    write_series(tmp_path / "a", (4, 4, 2), SeriesNumber=1)
    write_series(tmp_path / "b", (4, 4, 2), SeriesNumber=2, FrameOfReferenceUID="1.2.3")
    write_series(tmp_path / "c", (4, 4, 2), SeriesNumber=3, PatientID="another", StudyDate="")
    write_series(tmp_path / "d", (4, 4, 2), SeriesNumber=4, without=["FrameOfReferenceUID"])
    found = list_series(tmp_path)
    assert [(s.frame, s.patient, s.date) for s in found] == [
        ("F1", "P1", "2024-01-02"),
        ("F2", "P1", "2024-01-02"),
        ("F1", "P2", ""),
        ("", "P1", "2024-01-02"),
    ]
    assert "no date, F1" in str(found[2])
    assert "no frame of reference" in str(found[3])
    assert_nameless(str(found) + repr(found))


def test_a_truncated_file_does_not_stop_a_folder_whose_series_is_whole(tmp_path):
    phantom = write_series(tmp_path / "mr")
    broken = write_series(tmp_path / "ct", modality="CT").files[0]
    broken.write_bytes(broken.read_bytes()[:300])
    volume = read(tmp_path, modality="MRI")
    np.testing.assert_array_equal(volume.values, phantom.stored)
    assert volume.notes == ("unreadable files in the folder passed over: 1",)
    scan = scan_folder(tmp_path)
    assert list(scan.unreadable) == [broken]
    assert scan.passed_over().endswith(f"passed over: 1, such as {broken}.")


def test_a_damaged_element_costs_only_its_file(tmp_path):
    phantom = write_series(tmp_path)
    raw = phantom.files[0].read_bytes().replace(b"1.5\\1.0", b"1,5\\1,0")
    assert raw != phantom.files[0].read_bytes()
    phantom.files[0].write_bytes(raw)
    assert len(scan_folder(tmp_path).series[0].files) == 9


def test_headers_are_read_once(tmp_path, monkeypatch):
    write_series(tmp_path / "a", (4, 4, 3))
    write_series(tmp_path / "b", (4, 4, 3), modality="CT")
    read_files = []
    dcmread = pydicom.dcmread
    monkeypatch.setattr(
        pydicom, "dcmread", lambda path, **keywords: read_files.append(path) or dcmread(path, **keywords)
    )
    scan_folder(tmp_path)
    assert len(read_files) == len(set(read_files)) == 6
