from __future__ import annotations

import nibabel
import numpy as np
import pytest
from scripts.data.study import Study, is_volume, read_study
from scripts.utils.checks import InputError

from tests.model.dicom.dicom_phantoms import write_series


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


@pytest.fixture
def strangers(tmp_path):
    """The MR of one patient and the CT of another one on the same grid."""
    write_series(tmp_path / "mr", modality="MR")
    write_series(tmp_path / "ct", modality="CT", PatientID="PID-9000", PatientName="ROE^RICHARD")
    return Study(str(tmp_path / "mr"), str(tmp_path / "ct"))


def test_two_patients_are_refused_by_the_names_of_the_tags(strangers):
    with pytest.raises(InputError, match="the sources differ in PatientID, PatientName") as refusal:
        read_study(strangers)
    for value in ("9000", "ROE", "4711", "DOE"):
        assert value not in str(refusal.value).upper()


def test_two_ids_of_one_person_are_taken_on_request_and_noted(strangers):
    _, b, _ = read_study(strangers, same_patient=True)
    (note,) = [note for note in b.notes if "--same-patient" in note]
    assert note.startswith("PatientID, PatientName differs from source A")


def test_a_patient_that_cannot_be_compared_is_noted(tmp_path):
    write_series(tmp_path / "mr", modality="MR")
    write_series(tmp_path / "ct", modality="CT", without=("PatientID", "PatientName"))
    _, b, _ = read_study(Study(str(tmp_path / "mr"), str(tmp_path / "ct")))
    assert any("for lack of it" in note for note in b.notes)
