"""What ``mmif-amin list`` says of a folder, and that it names nobody."""

from __future__ import annotations

import json

import pydicom
import pytest
from mmif_amin.scripts.data.study import Study, find_study

from mmif_amin.cli import main
from mmif_amin.listing import list_folder
from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import assert_nameless


@pytest.fixture
def folder(tmp_path):
    """Two patients, two frames of reference, a 4-D series, a scout, a report, a damaged file, a cut series."""
    root = tmp_path / "DOE_JANE"
    write_series(root / "t1", SeriesNumber=1, SeriesDescription="T1")
    write_series(root / "pet", modality="PT", SeriesNumber=2, SeriesDescription="FDG DOE")
    write_series(root / "ct", modality="CT", SeriesNumber=3, FrameOfReferenceUID="1.2.3")
    for n in (1, 2):
        time_point = {"TemporalPositionIdentifier": n, "SeriesInstanceUID": "1.2.840.4"}
        write_series(root / "dyn", prefix=f"V{n}", SeriesNumber=4, **time_point)
    write_series(root / "scout", (8, 8, 1), SeriesNumber=5, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(root / "gap", modality="PT", SeriesNumber=6, skip=[4])
    write_series(root / "other", modality="PT", SeriesNumber=7, PatientID="9", PatientName="ROE^RICHARD")
    write_series(root / "us", SeriesNumber=8, Modality="US")
    (root / "broken").write_bytes(bytes(128) + b"DICM" + bytes(5))
    return root


def test_what_a_folder_holds(folder):
    listing = list_folder(folder)
    rows = {int(row.name): row for row in listing.series}
    assert rows[1].size == (24, 20, 10)
    assert rows[1].spacing == (1.0, 1.5, 3.0)
    assert [rows[n].patient for n in (1, 2, 3, 7)] == ["P1", "P1", "P1", "P2"]
    assert [rows[n].frame_of_reference for n in (1, 2, 3)] == ["F1", "F1", "F2"]
    assert (rows[4].volumes, rows[4].images, rows[4].problem) == (2, 20, "")
    assert rows[2].description == "(names the patient)"
    assert rows[5].problem == "localizer"
    assert "Copy the missing slices" in rows[6].problem
    assert rows[8].problem == "US is not fused, only MR, CT, PT and NM"
    assert listing.unreadable == 1
    ((reason, count),) = listing.unreadable_because.items()
    assert count == 1
    assert reason.startswith("expected DICOM that says what it is")
    uids = {row.uid: int(row.name) for row in listing.series}
    pairs = [
        (pair.task, uids[pair.series_a], uids[pair.series_b], pair.same_frame_of_reference) for pair in listing.pairs
    ]
    assert pairs == [
        ("PET-MRI", 1, 2, True),
        ("CT-MRI", 1, 3, False),
        ("PET-CT", 3, 2, False),
        ("PET-MRI", 4, 2, True),
        ("CT-MRI", 4, 3, False),
        ("MRI-MRI", 1, 4, True),
    ]


def test_table_and_json_name_nobody(folder, capsys):
    assert main(["list", str(folder)]) == 0
    table = capsys.readouterr().out
    assert main(["list", str(folder), "--json"]) == 0
    text = capsys.readouterr().out
    for shown in (table, text):
        assert_nameless(shown)
        assert "ROE" not in shown
    assert json.loads(text)["pairs"][0]["task"] == "PET-MRI"
    lines = table.splitlines()
    assert lines[1].split() == ["1", "P1", "2024-01-02", "MR", "24x20x10", "1x1.5x3", "F1", "T1"]
    assert "PET-MRI: --series-a 1 --series-b 2 (one frame of reference)" in lines
    assert "24x20x10, 2 volumes" in table
    assert "series 4: volumes 1: time=1; 2: time=2" in lines
    assert json.loads(text)["series"][3]["labels"] == [{"time": "1"}, {"time": "2"}]
    assert "series 8: US is not fused, only MR, CT, PT and NM" in lines
    assert lines[-2].startswith("1 unreadable: expected DICOM that says what it is")
    assert lines[-1] == "unreadable files passed over: 1"


def test_one_series_makes_no_pair(tmp_path):
    write_series(tmp_path, (4, 4, 3))
    assert list_folder(tmp_path).lines()[-1] == "no two series of one patient could be fused"


def test_two_patients_make_no_pair(tmp_path):
    write_series(tmp_path / "a", (4, 4, 3))
    write_series(tmp_path / "b", (4, 4, 3), modality="PT", PatientID="9")
    listing = list_folder(tmp_path)
    assert listing.pairs == ()
    assert listing.lines()[-1].endswith("if two patients here are one person, fuse has --same-patient")


def test_each_series_of_one_number_has_a_name_that_fuse_takes(tmp_path):
    for n, kind in enumerate(("MR", "MR", "PT")):
        write_series(tmp_path / str(n), (4, 4, 3), kind, SeriesNumber=3, SeriesInstanceUID=f"1.2.840.1{n}.77777")
    listing = list_folder(tmp_path)
    assert {row.number for row in listing.series} == {3}
    names = {row.uid: row.name for row in listing.series}
    assert len(set(names.values())) == 3
    for pair in listing.pairs:
        study = Study(str(tmp_path), str(tmp_path), series_a=names[pair.series_a], series_b=names[pair.series_b])
        found = find_study(study)
        assert (found.a.opened.series.uid, found.b.opened.series.uid) == (pair.series_a, pair.series_b)


def test_the_structural_mri_is_source_a(tmp_path):
    for n, text in enumerate(("DWI", "T2"), start=1):
        write_series(tmp_path / str(n), (4, 4, 3), SeriesNumber=n, SeriesDescription=text, StudyDate="2024.01.02")
    listing = list_folder(tmp_path)
    assert listing.lines()[-1] == "MRI-MRI: --series-a 2 --series-b 1 (one frame of reference)"
    assert listing.series[0].date == "2024-01-02"


def test_many_pairs_are_cut_in_the_table(tmp_path):
    for n in range(8):
        write_series(tmp_path / str(n), (4, 4, 2), SeriesNumber=n + 1)
    listing = list_folder(tmp_path)
    assert len(listing.pairs) == 28
    assert listing.lines()[-1] == "and 8 more pairs, see --json"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda f: None, "expected DICOM images, found none", id="empty"),
        pytest.param(lambda f: f.rmdir(), "found nothing there", id="nothing"),
        pytest.param(lambda f: (f / "a.txt").write_text("text"), "expected DICOM images, found none", id="text"),
    ],
)
def test_bad_input(tmp_path, capsys, make, message):
    (tmp_path / "in").mkdir()
    make(tmp_path / "in")
    assert main(["list", str(tmp_path / "in")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mmif-amin: error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_many_series_of_many_files(tmp_path):
    for n in range(8):
        number = {"SeriesNumber": n, "SeriesInstanceUID": f"1.2.{n}"}
        phantom = write_series(tmp_path / str(n), (4, 4, 1), ("MR", "CT")[n % 2], SliceThickness=3, **number)
        dataset = pydicom.dcmread(phantom.files[0])
        for k in range(99):
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{phantom.series_uid}.{k}"
            dataset.ImagePositionPatient = [*made.ORIGIN[:2], made.ORIGIN[2] + 3 * (k + 1)]
            dataset.save_as(tmp_path / str(n) / f"{k}")
    listing = list_folder(tmp_path)
    assert len(listing.series) == 8
    assert {row.size for row in listing.series} == {(4, 4, 100)}


def test_no_text_of_a_header_steers_the_terminal(tmp_path):
    """In the table for a terminal it is spelled out; in JSON, which no terminal obeys, it is escaped by JSON."""
    write_series(tmp_path, SeriesDescription="T1 \x1b]0;title\x07\x1b[2J\u202e", SpecificCharacterSet="ISO_IR 192")
    text = "\n".join(list_folder(tmp_path).lines())
    assert not {letter for letter in text if ord(letter) < 32 or letter == "\u202e"} - {"\n"}
    assert r"T1 \x1b]0;title\x07\x1b[2J\u202e" in text
