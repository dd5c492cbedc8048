from __future__ import annotations

import re

import nibabel
import numpy as np
import pytest
from scripts.data.study import Study, find_studies, is_volume, read_study
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


def test_folder_of_studies(tmp_path, folder):
    nifti(tmp_path / "one" / "a.nii.gz")
    nifti(tmp_path / "one" / "b.nii")
    write_series(tmp_path / "two" / "source_a", modality="MR")
    write_series(tmp_path / "two" / "source_b", modality="CT")
    (tmp_path / "notes.txt").write_text("")
    found = {study.name: study for study in find_studies(tmp_path)}
    assert sorted(found) == ["one", "patient", "two"]
    assert found["one"].source_b.endswith("b.nii")
    assert found["two"].source_a.endswith("source_a")
    assert found["patient"].source_a == found["patient"].source_b == str(folder)


def test_table(tmp_path):
    table = tmp_path / "studies.csv"
    table.write_text("\ufeffsource_a, source_b,name,task\n x/a.nii.gz ,y/b.nii.gz,first,PET-MRI\n,,,\nx/c,x/c,,\n")
    first, second = find_studies(table)
    assert first == Study(str(tmp_path / "x/a.nii.gz"), str(tmp_path / "y/b.nii.gz"), "first", "PET-MRI")
    assert (second.name, second.task) == ("study-003", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("source_a,other\n1,2\n", "missing: source_b", id="missing column"),
        pytest.param("source_a,source_b,weight\n1,2,3\n", "unknown: weight", id="unknown column"),
        pytest.param("source_a,source_b\n1,\n", "row 1: expected source_a and source_b", id="empty cell"),
        pytest.param("source_a,source_b\n", "expected at least one study", id="no rows"),
        pytest.param("source_a,source_b,name\n1,2,x\n3,4,x\n", "'x' is there 2 times", id="name twice"),
        pytest.param("source_a,source_b,name\n1,2,../x\n", "expected a plain name", id="name with a path"),
        pytest.param("source_a;source_b\n1;2\n", "parted by commas; missing: source_a", id="semicolons"),
        pytest.param("source_a,source_b,name\n1,2,..\n", "expected a plain name", id="name of the parent"),
        pytest.param("source_a,source_b,name\n1,2,x.nii.gz\n", "expected a plain name", id="name of a file"),
        pytest.param("source_a,source_b\n1,2,3\n", "row 1: expected 2 columns", id="too many cells"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    (tmp_path / "studies.csv").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        find_studies(tmp_path / "studies.csv")


def test_a_table_in_another_encoding(tmp_path):
    (tmp_path / "studies.csv").write_bytes("source_a,source_b\nä,b\n".encode("latin-1"))
    with pytest.raises(InputError, match="expected a table in UTF-8"):
        find_studies(tmp_path / "studies.csv")


def test_nothing_to_do(tmp_path):
    with pytest.raises(InputError, match="expected a folder of studies or a .csv table"):
        find_studies(tmp_path / "missing")
    with pytest.raises(InputError, match="expected at least one study"):
        find_studies(tmp_path)
