from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from scripts.data import found_study
from scripts.data.study import Study, find_study, is_volume, read_study
from scripts.utils.checks import InputError

from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import assert_nameless


def nifti(path, low=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.linspace(low, 900, 20**3, dtype=np.float32).reshape(20, 20, 20)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    return path


@pytest.fixture
def folder(tmp_path):
    """A patient's folder: MR and CT mixed, and a text file."""
    write_series(tmp_path / "patient", modality="MR")
    write_series(tmp_path / "patient", modality="CT", prefix="ct")
    (tmp_path / "patient" / "readme.txt").write_text("not an image")
    return tmp_path / "patient"


def test_what_is_a_volume(tmp_path, folder):
    assert is_volume("somewhere/v.NII.GZ")
    assert is_volume(folder)
    assert is_volume(next(folder.glob("ct*")))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "p.png").write_bytes(b"")
    assert not is_volume(tmp_path / "pictures")
    assert not is_volume(tmp_path / "pictures" / "p.png")


def test_one_folder_with_both(folder):
    a, b, task = read_study(Study(str(folder), str(folder)))
    assert (task, a.modality, b.modality) == ("CT-MRI", "MRI", "CT")


@pytest.mark.parametrize("task", [None, "CT-MRI"])
def test_nifti_ct_says_what_it_is(tmp_path, task):
    study = Study(str(nifti(tmp_path / "a.nii.gz")), str(nifti(tmp_path / "b.nii.gz", low=-1000)), task=task)
    assert read_study(study)[2] == "CT-MRI"


@pytest.mark.parametrize(
    ("lows", "task", "message"),
    [
        pytest.param((0, 0), None, "does not say its modality. Name it, such as --task PET-MRI", id="unknown"),
        pytest.param((-1000, 0), "CT-MRI", "Source A: expected MRI, the file says CT. Swap the two", id="swapped"),
        pytest.param((0, 0), "MRT-CT", "expected OTHER-STRUCTURAL", id="unknown task"),
    ],
)
def test_modalities_must_fit(tmp_path, lows, task, message):
    paths = [str(nifti(tmp_path / f"{name}.nii.gz", low)) for name, low in zip("ab", lows, strict=True)]
    with pytest.raises(InputError, match=message):
        read_study(Study(*paths, task=task))


def test_pet_may_be_negative(tmp_path):
    """Filtered back-projection undershoots; what the user says wins over the guess."""
    paths = [str(nifti(tmp_path / "a.nii.gz")), str(nifti(tmp_path / "b.nii.gz", low=-1000))]
    assert read_study(Study(*paths, task="PET-MRI"))[1].unit == "arbitrary"


def test_dicom_given_the_wrong_way_round(tmp_path):
    write_series(tmp_path / "ct", modality="CT")
    write_series(tmp_path / "mr", modality="MR")
    with pytest.raises(InputError, match="Source A: expected MRI, the file says CT|MR"):
        read_study(Study(str(tmp_path / "ct"), str(tmp_path / "mr"), task="CT-MRI"))


@pytest.mark.parametrize(
    ("task", "low", "outside", "expected"),
    [
        pytest.param("CT-MRI", -30.0, 0.0, -1000.0, id="brain cut out of a CT"),
        pytest.param("CT-MRI", -1024.0, -1000.0, -1000.0, id="air around a CT"),
        pytest.param("MRI-MRI", -2.0, 0.0, -2.0, id="standardized MR"),
        pytest.param("MRI-MRI", 5.0, 0.0, 0.0, id="black already"),
    ],
)
def test_a_cut_out_background_becomes_black(tmp_path, task, low, outside, expected):
    values = np.full((20, 20, 20), outside, np.float32)
    values[4:16, 4:16, 4:16] = np.linspace(low, 60, 12**3).reshape(12, 12, 12)
    values[10, 10, 10] = outside  # inside, it is tissue
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "b.nii.gz")
    _, volume, _ = read_study(Study(str(nifti(tmp_path / "a.nii.gz")), str(tmp_path / "b.nii.gz"), task=task))
    assert (volume.values[0] == expected).all()
    assert volume.values[10, 10, 10] == outside
    inner = (slice(4, 16),) * 3
    assert np.array_equal(volume.values[inner], values[inner])


def test_one_series_as_both(tmp_path):
    write_series(tmp_path, modality="MR")
    with pytest.raises(InputError, match="one and the same for A and B"):
        read_study(Study(str(tmp_path), str(tmp_path), task="MRI-MRI"))


def test_mri_as_source_b(tmp_path):
    write_series(tmp_path / "ct", modality="CT", SeriesNumber=1)
    write_series(tmp_path / "mr", modality="MR", SeriesNumber=1)
    with pytest.raises(InputError, match="Expected the MRI as source A, got CT as A and MRI as B"):
        read_study(Study(str(tmp_path / "ct"), str(tmp_path / "mr"), series_a="1", series_b="1"))


def test_ct_without_unit_and_with_negative_values_is_in_hounsfield_units(tmp_path):
    paths = [str(nifti(tmp_path / f"{name}.nii.gz", low)) for name, low in (("a", 0.0), ("b", -30.0))]
    volume = read_study(Study(*paths, task="CT-MRI"))[1]
    assert volume.unit == "HU"
    assert "negative values, so taken as Hounsfield units" in volume.notes


def write_pair(folder, a="MR", b="PT", **of_b):
    write_series(folder / "a", modality=a, SeriesNumber=1)
    write_series(folder / "b", modality=b, SeriesNumber=2, **of_b)
    return Study(str(folder / "a"), str(folder / "b"))


@pytest.mark.parametrize("one_folder", [False, True])
@pytest.mark.parametrize(
    ("of_b", "tags"),
    [
        pytest.param({"PatientID": "9"}, "PatientID", id="id"),
        pytest.param({"PatientName": "ROE^RICHARD"}, "PatientName", id="name"),
        pytest.param({"PatientBirthDate": "19700102"}, "PatientBirthDate", id="birth-date"),
        pytest.param({"PatientID": "9", "PatientName": "ROE^RICHARD"}, "PatientID and PatientName", id="both"),
    ],
)
def test_two_patients_are_refused_unless_they_are_said_to_be_one(tmp_path, one_folder, of_b, tags):
    study = write_pair(tmp_path, **of_b)
    study = replace(study, source_a=str(tmp_path), source_b=str(tmp_path)) if one_folder else study
    with pytest.raises(InputError) as caught:
        find_study(study)
    assert f"Expected two series of one patient, they differ in {tags}. " in str(caught.value)
    assert "--same-patient" in str(caught.value)
    assert_nameless(str(caught.value))
    assert "ROE" not in str(caught.value)
    found = find_study(replace(study, same_patient=True))
    assert found.differs_in == tuple(tags.split(" and "))
    _, b, _ = read_study(replace(study, same_patient=True))
    assert f"different in the two sources, said to be one person's: {tags}" in b.notes
    assert_nameless(str(b.notes))


def test_a_tag_that_one_source_lacks_is_noted(tmp_path):
    study = write_pair(tmp_path, PatientID="", without=["PatientBirthDate"])
    _, b, _ = read_study(study)
    assert "not compared between the sources, because missing: PatientID and PatientBirthDate" in b.notes


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        pytest.param("MR PT", "PET-MRI", id="PET-MRI"),
        pytest.param("PT CT", "PET-CT", id="PET-CT"),
        pytest.param("CT MR", "CT-MRI", id="CT-MRI"),
        pytest.param("MR MR", None, id="two MRI: which is A?"),
        pytest.param("MR CT PT", None, id="three"),
        pytest.param("PT", None, id="one"),
    ],
)
def test_a_folder_whose_pair_is_clear_needs_no_task(tmp_path, kinds, expected):
    for number, kind in enumerate(kinds.split(), start=1):
        write_series(tmp_path, (4, 4, 3), kind, prefix=f"S{number}_", SeriesNumber=number)
    study = Study(str(tmp_path), str(tmp_path))
    if expected is None:
        with pytest.raises(InputError, match=r"--series-[ab]"):
            find_study(study)
    else:
        assert read_study(study)[2] == expected


def write_kinds(folder, *kinds):
    """One series for each: its modality, and keywords."""
    for number, (modality, keywords) in enumerate(kinds, start=1):
        own = {"SeriesNumber": number, "SeriesDescription": f"{modality} {number}"} | keywords
        write_series(folder, (4, 4, 3), modality, prefix=f"S{number}_", **own)
    return Study(str(folder), str(folder))


PLACE = ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
OTHER = {"PatientID": "9", "PatientName": "ROE^RICHARD"}
AC, NAC = {"CorrectedImage": ["DECY", "ATTN"]}, {"CorrectedImage": ["DECY", "SCAT"]}
T1, FLAIR = {"SeriesDescription": "T1"}, {"SeriesDescription": "FLAIR"}


@pytest.mark.parametrize(
    ("kinds", "options", "expected"),
    [
        pytest.param(
            [("CT", {}), ("CT", {"without": PLACE}), ("PT", {}), ("PT", {"PhotometricInterpretation": "RGB"})],
            {},
            ("CT 1", "PT 3"),
            id="reports and screenshots are no candidates",
        ),
        pytest.param(
            [("MR", OTHER), ("PT", OTHER), ("MR", {}), ("PT", {})],
            {"series_a": "3"},
            ("MR 3", "PT 4"),
            id="B of the same patient",
        ),
        pytest.param(
            [("MR", OTHER), ("PT", OTHER), ("MR", {}), ("PT", {})],
            {"series_a": "3", "task": "PET-MRI"},
            ("MR 3", "PT 4"),
            id="B of the same patient, by the task",
        ),
        pytest.param([("CT", {}), ("PT", NAC), ("PT", AC)], {}, ("CT 1", "PT 3"), id="the corrected PET"),
        pytest.param([("CT", {}), ("PT", NAC)], {}, ("CT 1", "PT 2"), id="the only PET"),
        pytest.param(
            [("CT", {}), ("PT", NAC), ("PT", AC)], {"series_b": "2"}, ("CT 1", "PT 2"), id="the PET that is named"
        ),
        pytest.param([("MR", FLAIR), ("MR", T1)], {"task": "MRI-MRI"}, ("T1", "FLAIR"), id="T1 and FLAIR by the task"),
        pytest.param(
            [("MR", FLAIR), ("MR", T1), ("PT", {})], {"task": "MRI-MRI"}, ("T1", "FLAIR"), id="T1 and FLAIR beside PET"
        ),
        pytest.param(
            [("MR", FLAIR), ("MR", T1)], {"task": "MRI-MRI", "series_a": "1"}, ("FLAIR", "T1"), id="the other MRI"
        ),
        pytest.param(
            [("CT", {"SeriesNumber": 1}), ("PT", {"SeriesNumber": 1})],
            {"task": "PET-CT", "series_a": "1", "series_b": "1"},
            ("CT 1", "PT 2"),
            id="one number for both",
        ),
    ],
)
def test_a_clear_choice_is_made(tmp_path, kinds, options, expected):
    found = find_study(replace(write_kinds(tmp_path, *kinds), **options))
    assert tuple(source.opened.series.description for source in (found.a, found.b)) == expected
    told = "series without correction of the attenuation, not chosen: 1" in found.notes
    assert told == (expected == ("CT 1", "PT 3") and ("PT", NAC) in kinds)


def test_the_message_offers_only_tasks_that_are_clear(tmp_path):
    study = write_kinds(tmp_path, ("MR", {}), ("MR", {}), ("CT", {}), ("PT", {}))
    with pytest.raises(InputError, match="found 2. Choose .* or by the modalities of B and A: --task PET-CT. It holds"):
        find_study(study)
    assert find_study(replace(study, task="PET-CT")).a.opened.series.description == "CT 3"


def test_several_series_for_source_b_are_said_to_be_that(tmp_path):
    for number, kind in enumerate(("MR", "CT", "PT"), start=1):
        write_series(tmp_path, (4, 4, 3), kind, prefix=f"S{number}_", SeriesNumber=number)
    message = r"one series for source B beside series 1 \(MR\), found 2. Choose .*: --task CT-MRI, --task PET-MRI or"
    with pytest.raises(InputError, match=message):
        find_study(Study(str(tmp_path), str(tmp_path)))


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        pytest.param("PT CT", "Expected the CT as source A, got PET as A and CT as B. Swap the two", id="PET and CT"),
        pytest.param("CT MR", "Expected the MRI as source A, got CT as A and MRI as B. Swap the two", id="CT and MRI"),
    ],
)
def test_two_folders_the_wrong_way_round(tmp_path, kinds, message):
    a, b = kinds.split()
    with pytest.raises(InputError, match=message):
        find_study(write_pair(tmp_path, a, b))


def test_two_folders_of_mri(tmp_path):
    assert read_study(write_pair(tmp_path, "MR", "MR"))[2] == "MRI-MRI"


def test_the_same_file_twice(tmp_path):
    path = str(nifti(tmp_path / "a.nii.gz"))
    with pytest.raises(InputError, match="got the same file twice"):
        find_study(Study(path, path, task="MRI-MRI"))


def test_a_series_of_a_nifti_file(tmp_path):
    study = Study(str(nifti(tmp_path / "a.nii.gz")), str(nifti(tmp_path / "b.nii.gz")), task="PET-MRI", series_b="3")
    with pytest.raises(InputError, match="b.nii.gz: expected DICOM for --series-b 3, got NIfTI. Leave it out"):
        find_study(study)


def test_two_volumes_of_one_series(tmp_path):
    origin = {"RescaleIntercept": 0}
    for n, b_value in enumerate((0, 1000)):
        write_series(
            tmp_path, prefix=f"V{n}", SeriesInstanceUID="1.2.3", DiffusionBValue=b_value, RescaleSlope=n + 1, **origin
        )
    study = Study(str(tmp_path), str(tmp_path), task="MRI-MRI", volume_a="b=0", volume_b="b=1000")
    a, b, _ = read_study(study)
    np.testing.assert_array_equal(b.values, 2 * a.values)
    with pytest.raises(InputError, match="one and the same for A and B"):
        find_study(replace(study, volume_b="b=0"))


def test_headers_of_a_folder_are_read_once(folder, monkeypatch):
    scanned = []
    scan_folder = found_study.scan_folder
    monkeypatch.setattr(found_study, "scan_folder", lambda path, *a: scanned.append(path) or scan_folder(path, *a))
    study = Study(str(folder), str(folder))
    read_study(study, find_study(study))
    assert scanned == [str(folder)]
