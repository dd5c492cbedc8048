"""De-identified output: each element of each written object against the profile's table, and what research needs."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from mmif_amin.scripts.dicom.read import read_dicom_volume
from mmif_amin.scripts.dicom.write import write_dicom_series
from mmif_amin.scripts.dicom.write_source import write_source_series

from mmif_amin.carry.segments import segmentation_object
from mmif_amin.carry.structures import Structure
from mmif_amin.dicom_objects.deidentify import EDITION, Deidentifier, deidentifies
from mmif_amin.dicom_objects.writer import write_dicom_objects
from tests.mmif_amin.dicom_objects.made_up import assert_valid, study_of
from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.planted import MARK, UID_ROOT, plant, planted_elements

TABLE = dicom_anonymization_database_selector(EDITION)
OWN = {
    "SeriesDescription": "MMIF-AMIN ",
    "ImageComments": "NOT FOR DIAGNOSTIC USE",
    "DerivationDescription": ("Fused by MMIF-AMIN ", "Resampled by MMIF-AMIN "),
}
REQUIRED = ("PresentationCreationDate", "PresentationCreationTime")  # gone, an object of this class is none
SAID = {"PatientName", "PatientID"}  # a pseudonym, which the profile allows for Z


def write_all(folder: Path, modality: str) -> tuple[dict[str, pydicom.Dataset], dict[str, Any]]:
    """Everything that fuse --dicom --loss-map --carry writes, of a planted patient."""
    study = study_of(folder / "in", modality)
    for key, number in (("source_a_file", 1), ("source_b_file", 2)):
        for k, header in enumerate(study[key].headers):
            plant(header, 1000 * number + k)
            header.SeriesInstanceUID = f"{UID_ROOT}.3.{number}"
            header.FrameOfReferenceUID = f"{UID_ROOT}.2.{number}"
    out, affine = folder / "out", study["source_a"].affine.numpy()
    a, b = study["source_a_file"], study["source_b_file"]
    values = study["source_b"].numpy()[0] / 1000
    write_dicom_series(out / "dicom", values, affine, a, [a, b])
    write_dicom_series(out / "dicom_color", values, affine, a, [a, b], rgb=np.ones((3, *values.shape), np.uint8))
    write_source_series(out / "dicom_source_b", values, affine, a, b, (0, 1))
    from mmif_amin.scripts.data.nifti import write_nifti

    write_nifti(out / "loss_a.nii.gz", values[None], affine)
    write_dicom_objects(out, study)
    mask = values > 0.5
    segments = segmentation_object([mask], [Structure(f"{MARK}GTV", mask, affine)], affine, a, 1)
    segments.save_as(out / "dicom_objects" / "carried_01.dcm", enforce_file_format=True)
    return read_all(out), study


def read_all(out: Path) -> dict[str, pydicom.Dataset]:
    return {file.relative_to(out).as_posix(): pydicom.dcmread(file) for file in sorted(out.rglob("*.dcm"))}


def elements(dataset: pydicom.Dataset) -> Iterator[pydicom.DataElement]:
    for element in dataset:
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from elements(item)


def breach(element: pydicom.DataElement) -> str:
    """How an element is against the table; empty where it is not."""
    tag = (element.tag.group, element.tag.element)
    if element.tag.is_private or element.tag.group & 0xFF00 == 0x5000:
        return "private, or a curve"
    if element.keyword in OWN:
        return "" if str(element.value).startswith(OWN[element.keyword]) else "not our own words"
    if tag in TABLE["X_TAGS"] and element.keyword not in REQUIRED:
        return "must be gone"
    if tag in TABLE["Z_TAGS"] + TABLE["X_Z_TAGS"]:
        return "" if element.is_empty or element.keyword in SAID else "must be empty"
    if tag in TABLE["D_TAGS"] + TABLE["Z_D_TAGS"] + TABLE["X_D_TAGS"] + TABLE["X_Z_D_TAGS"] and element.VR != "UI":
        dummy = element.is_empty or str(element.value) in ("ANONYMIZED", "19000101", "19000101000000", "000000", "0")
        return "" if dummy or element.keyword in SAID else "must be a dummy"
    if element.VR == "UI":
        values = [element.value] if isinstance(element.value, str) else element.value
        return "" if all(value.startswith(("2.25.", "1.2.840.10008.")) for value in values) else "must be a new UID"
    return ""


@pytest.fixture(scope="module", params=["PT", "CT", "NM"])
def cleaned(request, tmp_path_factory):
    """Before, after, and the folder."""
    folder = tmp_path_factory.mktemp(request.param)
    before, study = write_all(folder, request.param)
    Deidentifier()(folder / "out", study)
    return before, read_all(folder / "out"), folder / "out"


def test_each_element_of_each_object_is_as_the_table_wants_it(cleaned):
    before, after, _ = cleaned
    assert after.keys() == before.keys()
    assert len({name.split("/")[-1] for name in after if name.startswith("dicom_objects")}) == 4
    assert any(planted_elements(dataset) for dataset in before.values())
    wrong = {f"{name} {e.keyword}: {breach(e)}" for name, ds in after.items() for e in elements(ds) if breach(e)}
    assert not wrong
    assert not {f"{name} {where}" for name, dataset in after.items() for where in planted_elements(dataset)}
    for dataset in after.values():
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert (dataset.PatientIdentityRemoved, dataset.LongitudinalTemporalInformationModified) == ("YES", "REMOVED")
        assert [code.CodeValue for code in dataset.DeidentificationMethodCodeSequence] == ["113100", "113105"]
        assert "NOT FOR DIAGNOSTIC USE" in dataset.SeriesDescription


def test_uids_stay_consistent_and_the_patient_one(cleaned):
    """The same UID is the same new one in all files, and another one another."""
    before, after, _ = cleaned
    new: dict[str, str] = {}
    for name, dataset in before.items():
        pairs = zip(uids(dataset), uids(after[name]), strict=True)
        for old, now in pairs:
            assert new.setdefault(old, now) == now
    assert len(set(new.values())) == len(new) > 20
    assert len({dataset.StudyInstanceUID for dataset in after.values()}) == 1
    (who,) = {str(dataset.PatientID) for dataset in after.values()}
    assert who.startswith("ANON-")


def uids(dataset: pydicom.Dataset) -> list[str]:
    """UIDs of instances in a dataset, in their order, but those in elements that the profile takes away."""
    gone = {keyword for keyword in ("DeidentificationMethodCodeSequence",)}
    found: list[str] = []
    for element in dataset:
        tag = (element.tag.group, element.tag.element)
        if element.keyword in gone or tag in TABLE["X_TAGS"] + TABLE["X_Z_TAGS"]:
            continue
        if element.VR == "SQ":
            found += [uid for item in element.value for uid in uids(item)]
        elif element.VR == "UI" and element.value and not str(element.value).startswith("1.2.840.10008."):
            found.append(str(element.value))
    return found


def test_what_is_written_stays_valid_and_keeps_its_pixels(cleaned):
    before, after, out = cleaned
    for name, dataset in after.items():
        assert_valid(out / name)
        for keyword in ("PixelData", "FloatPixelData", "ImagePositionPatient", "Modality", "Manufacturer"):
            assert dataset.get(keyword) == before[name].get(keyword), keyword
    image = after["dicom/0001.dcm"]
    assert read_dicom_volume(out / "dicom").values.shape == made.SHAPE
    assert image.BurnedInAnnotation == "NO"


def test_pet_in_bq_stays_readable_as_suv(tmp_path):
    """Weight, dose and times go, so the values are written as what was computed from them."""
    tags = {**made.SUV_TAGS, "RadiopharmaceuticalInformationSequence": made.suv_dose()}
    study = study_of(tmp_path / "in", "PT", **tags)
    a, b = study["source_a_file"], study["source_b_file"]
    values = study["source_b"].numpy()[0] / 100
    write_source_series(tmp_path / "out" / "b", values, study["source_a"].affine.numpy(), a, b, (0, 5))
    first = pydicom.dcmread(tmp_path / "out" / "b" / "0001.dcm")
    assert first.Units == "BQML"
    before = read_dicom_volume(tmp_path / "out" / "b")
    Deidentifier()(tmp_path / "out", study)
    dataset = pydicom.dcmread(tmp_path / "out" / "b" / "0001.dcm")
    assert (dataset.Units, dataset.SUVType, dataset.get("PatientWeight")) == ("GML", "BW", None)
    assert (dataset.WindowCenter, dataset.WindowWidth) == (pytest.approx(2.5), pytest.approx(5))
    after = read_dicom_volume(tmp_path / "out" / "b")
    assert (before.unit, after.unit) == ("SUVbw", "SUVbw")
    np.testing.assert_allclose(after.values, before.values, rtol=1e-6)


def test_nobody_without_the_secret_can_compute_the_names(tmp_path):
    one, other = Deidentifier(), Deidentifier()
    again = pickle.loads(pickle.dumps(one))  # as a worker of Dask gets it
    found = []
    for deidentifier in (one, again, other):
        dataset = pydicom.dcmread(made.write_series(tmp_path, (4, 4, 1), SliceThickness=3).files[0])
        dataset.SOPInstanceUID = "1.2.3"
        deidentifier.clean(dataset)
        found.append((dataset.PatientID, dataset.SOPInstanceUID))
    assert found[0] == found[1]
    assert not set(found[0]) & set(found[2])
    assert repr(one) == "Deidentifier()"
    assert deidentifies({"further": [one]})
    assert not deidentifies({"further": []})
    assert not deidentifies({})
