"""Registration, blending and loss maps: what they say, that other programs read it, and that it is valid."""

from __future__ import annotations

from dataclasses import replace

import highdicom
import numpy as np
import pydicom
import pytest
from mmif_amin.scripts.data.volume import Volume
from mmif_amin.scripts.dicom.read import read_dicom_volume
from mmif_amin.scripts.dicom.write_source import write_source_series
from mmif_amin.scripts.transforms.registration.deformation import Deformation
from mmif_amin.scripts.transforms.registration.transform_file import read_transform

from mmif_amin.carry.segments import segmentation_object
from mmif_amin.carry.structures import Structure
from mmif_amin.dicom_objects.blending import blending_state
from mmif_amin.dicom_objects.loss_maps import loss_map_object
from mmif_amin.dicom_objects.registration import spatial_registration
from mmif_amin.dicom_objects.writer import write_dicom_objects
from tests.mmif_amin.dicom_objects.made_up import MATRIX, OTHER_FRAME, assert_valid, study_of
from tests.model.dicom import dicom_phantoms as made

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_all(folder, study, loss: np.ndarray | None = None) -> dict[str, pydicom.Dataset]:
    """Write the series of B and the objects; returns the objects by name."""
    from mmif_amin.scripts.data.nifti import write_nifti

    out = folder / "out"
    out.mkdir()
    affine, b = study["source_a"].affine.numpy(), study["source_b_file"]
    write_source_series(
        out / "dicom_source_b",
        study["source_b"].numpy()[0],
        affine,
        study["source_a_file"],
        b,
        study["source_b_window"],
    )
    if loss is not None:
        for letter in "ab":
            write_nifti(out / f"loss_{letter}.nii.gz", loss[None], affine)
    write_dicom_objects(out, study)
    return {file.stem: pydicom.dcmread(file) for file in sorted((out / "dicom_objects").iterdir())}


@pytest.mark.parametrize("modality", ["PT", "CT", "NM", "MR"])
def test_what_is_written_is_valid(tmp_path, modality):
    study = study_of(tmp_path, modality)
    loss = np.random.default_rng(1).random(made.SHAPE, dtype=np.float32)
    objects = write_all(tmp_path, study, loss)
    assert list(objects) == ["blending", "loss_a", "loss_b", "registration"]
    for name, dataset in objects.items():
        assert_valid(tmp_path / "out" / "dicom_objects" / f"{name}.dcm")
        a = study["source_a_file"].headers[0]
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName"):
            assert dataset[keyword].value == a[keyword].value, keyword
        assert "NOT FOR DIAGNOSTIC USE" in dataset.SeriesDescription
        assert not any(element.tag.is_private for element in dataset)
    assert len({dataset.SeriesInstanceUID for dataset in objects.values()}) == 4
    numbers = {name: dataset.SeriesNumber for name, dataset in objects.items()}
    assert numbers == {"blending": 5007, "loss_a": 6007, "loss_b": 6008, "registration": 4007}
    assert len({dataset.SeriesDescription for dataset in objects.values()}) == 4
    assert f"loss map of B ({modality})" in objects["loss_b"].SeriesDescription
    assert f"registration of {modality} to MR" in objects["registration"].SeriesDescription


@pytest.mark.parametrize(
    ("characters", "name"),
    [
        pytest.param("ISO_IR 100", "Müller^Zoë", id="latin"),
        pytest.param("ISO_IR 6", "DOE^JANE", id="ascii by name"),
        pytest.param(["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", id="japanese"),
        pytest.param("ISO_IR 144", "Люкceмбypг^Анна", id="cyrillic"),
    ],
)
def test_names_are_written_in_letters_that_the_object_names(tmp_path, characters, name):
    """Whatever characters the headers of A use, and others in those of B and in names of structures."""
    study = study_of(tmp_path, "CT", ContrastBolusAgent="Entéral", SpecificCharacterSet="ISO_IR 100")
    made.write_series(tmp_path / "c", axes=made.OBLIQUE, PatientName=name, SpecificCharacterSet=characters)
    study["source_a_file"] = a = read_dicom_volume(tmp_path / "c")
    objects = write_all(tmp_path, study, np.zeros(made.SHAPE, dtype=np.float32))
    segments = segmentation_object([a.values > 0], [Structure("Läsion Ω", a.values, a.affine)], a.affine, a, 1)
    segments.save_as(tmp_path / "out" / "dicom_objects" / "segments.dcm")
    objects["segments"] = pydicom.dcmread(tmp_path / "out" / "dicom_objects" / "segments.dcm")
    objects["b"] = pydicom.dcmread(tmp_path / "out" / "dicom_source_b" / "0001.dcm")
    assert {str(dataset.PatientName) for dataset in objects.values()} == {name}
    assert objects["segments"].SegmentSequence[0].SegmentLabel == "Läsion Ω"
    assert objects["b"].ContrastBolusAgent == "Entéral"
    assert_valid(tmp_path / "out" / "dicom_objects" / "registration.dcm")


def test_the_registration_moves_points_of_b_to_a(tmp_path):
    """The direction of the standard: source RCS to registered RCS."""
    study = study_of(tmp_path)
    made_one = write_all(tmp_path, study)["registration"]
    a, b = study["source_a_file"], study["source_b_file"]
    assert made_one.FrameOfReferenceUID == a.headers[0].FrameOfReferenceUID
    first, second = made_one.RegistrationSequence
    assert (first.FrameOfReferenceUID, second.FrameOfReferenceUID) == (a.headers[0].FrameOfReferenceUID, OTHER_FRAME)
    for item, volume in ((first, a), (second, b)):
        named = [reference.ReferencedSOPInstanceUID for reference in item.ReferencedImageSequence]
        assert named == [header.SOPInstanceUID for header in volume.headers]
    step = second.MatrixRegistrationSequence[0].MatrixSequence[0]
    assert step.FrameOfReferenceTransformationMatrixType == "RIGID"
    matrix = np.array(step.FrameOfReferenceTransformationMatrix, float).reshape(4, 4)
    point_of_a = np.array([12.0, -7, 30, 1])
    point_of_b = LPS @ MATRIX @ LPS @ point_of_a
    np.testing.assert_allclose(matrix @ point_of_b, point_of_a, atol=1e-6)
    series = {item.SeriesInstanceUID for item in made_one.ReferencedSeriesSequence}
    assert series == {a.headers[0].SeriesInstanceUID, b.headers[0].SeriesInstanceUID}


def test_our_own_reader_gives_the_matrix(tmp_path):
    study = study_of(tmp_path)
    write_all(tmp_path, study)
    frames = (study["source_a_file"].headers[0].FrameOfReferenceUID, OTHER_FRAME)
    matrix = read_transform(tmp_path / "out" / "dicom_objects" / "registration.dcm", frames)
    np.testing.assert_allclose(matrix, MATRIX, atol=1e-6)


def test_an_affine_matrix_is_called_so(tmp_path):
    study = study_of(tmp_path)
    stretched = MATRIX @ np.diag([1.1, 1, 1, 1])
    dataset = spatial_registration(stretched, study["source_a_file"], study["source_b_file"])
    kinds = [
        item.MatrixRegistrationSequence[0].MatrixSequence[0].FrameOfReferenceTransformationMatrixType
        for item in dataset.RegistrationSequence
    ]
    assert kinds == ["RIGID", "AFFINE"]


@pytest.mark.parametrize("beyond", [["overlap 0.3"], []])
def test_a_registration_accepted_by_hand_says_so(tmp_path, beyond):
    study = study_of(tmp_path)
    study["source_b_registration"] = replace(study["source_b_registration"], beyond_limits=beyond)
    _, second = write_all(tmp_path, study)["registration"].RegistrationSequence
    comment = second.MatrixRegistrationSequence[0].FrameOfReferenceTransformationComment
    assert comment == ("accepted by hand beyond the limits of plausibility" if beyond else "")


def test_a_deformation_has_no_matrix(tmp_path):
    study = study_of(tmp_path)
    deformation = Deformation(np.zeros((3, 4, 4, 4)), np.eye(4), MATRIX)
    study["source_b_registration"] = replace(study["source_b_registration"], deformation=deformation)
    assert list(write_all(tmp_path, study)) == ["blending"]


def test_in_one_frame_the_matrix_is_for_the_images_of_b_alone(tmp_path):
    study = study_of(tmp_path, moved=False)
    dataset = spatial_registration(MATRIX, study["source_a_file"], study["source_b_file"])
    assert [item.get("FrameOfReferenceUID") for item in dataset.RegistrationSequence] == [None, None]
    dataset.save_as(tmp_path / "registration.dcm", enforce_file_format=True)
    assert_valid(tmp_path / "registration.dcm")


def test_b_of_another_study_is_named_as_such(tmp_path):
    study = study_of(tmp_path, StudyInstanceUID="1.2.3.4")
    dataset = spatial_registration(MATRIX, study["source_a_file"], study["source_b_file"])
    (other,) = dataset.StudiesContainingOtherReferencedInstancesSequence
    assert other.StudyInstanceUID == "1.2.3.4"
    assert len(other.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == made.SHAPE[2]


@pytest.mark.parametrize("missing", ["source_a_file", "source_b_file"])
def test_no_registration_without_headers(tmp_path, missing):
    study = study_of(tmp_path)
    study[missing] = Volume(np.zeros(made.SHAPE), np.eye(4))
    with pytest.raises(ValueError, match="must have DICOM headers"):
        spatial_registration(MATRIX, study["source_a_file"], study["source_b_file"])


def test_a_matrix_without_inverse(tmp_path):
    study = study_of(tmp_path)
    with pytest.raises(ValueError, match="must have an inverse"):
        spatial_registration(np.zeros((4, 4)), study["source_a_file"], study["source_b_file"])


def test_nothing_is_registered_where_nothing_was_moved(tmp_path):
    assert list(write_all(tmp_path, study_of(tmp_path, moved=False))) == ["blending"]


def test_the_blending_shows_a_in_gray_and_b_in_color(tmp_path):
    study = study_of(tmp_path, **made.SUV_TAGS, RadiopharmaceuticalInformationSequence=made.suv_dose())
    assert study["source_b_file"].unit == "SUVbw"
    state = write_all(tmp_path, study)["blending"]
    gray, color = state.AdvancedBlendingSequence
    assert gray.SeriesInstanceUID == study["source_a_file"].headers[0].SeriesInstanceUID
    overlay = pydicom.dcmread(tmp_path / "out" / "dicom_source_b" / "0001.dcm")
    assert color.SeriesInstanceUID == overlay.SeriesInstanceUID
    (voi,) = color.SoftcopyVOILUTSequence
    assert float(voi.WindowCenter) == pytest.approx(float(overlay.WindowCenter))  # in the Bq/ml that are stored
    assert float(color.RescaleSlope) == pytest.approx(float(overlay.RescaleSlope))
    tables = [
        np.frombuffer(item.PaletteColorLookupTableSequence[0].RedPaletteColorLookupTableData, np.uint8)
        for item in (gray, color)
    ]
    assert np.array_equal(tables[0], np.arange(256))
    assert tables[1][128] != 128
    (display,) = state.BlendingDisplaySequence
    assert (display.BlendingMode, display.RelativeOpacity) == ("FOREGROUND", 0.5)


def test_slices_of_a_that_are_rescaled_each_by_its_own_have_no_blending(tmp_path, caplog):
    study = study_of(tmp_path, moved=False)
    for k, header in enumerate(study["source_a_file"].headers):
        header.RescaleSlope, header.RescaleIntercept = 1 + k / 10, 0
    assert list(write_all(tmp_path, study)) == []
    assert "no blending presentation is written: the slices of a source are not all rescaled alike" in caplog.text


def without_shared_groups(folder):
    file = made.write_enhanced_mr(folder / "a.dcm").files[0]
    dataset = pydicom.dcmread(file)
    (shared,) = dataset.SharedFunctionalGroupsSequence
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.update({tag: shared[tag] for tag in ("PlaneOrientationSequence", "PixelMeasuresSequence")})
    del dataset.SharedFunctionalGroupsSequence
    dataset.save_as(file)


def nearly_parallel(k: int) -> dict:
    return {"ImageOrientationPatient": [1, 0, k * 1e-6, 0, 1, 0]}


@pytest.mark.parametrize(
    ("write", "blends"),
    [
        pytest.param(lambda f: made.write_series(f, axes=made.OBLIQUE), True, id="series"),
        pytest.param(lambda f: made.write_series(f, without=("SliceThickness",)), True, id="no-thickness"),
        pytest.param(lambda f: made.write_series(f, SliceThickness=None), True, id="empty-thickness"),
        pytest.param(lambda f: made.write_series(f, per_slice=nearly_parallel), True, id="cosines-differ"),
        pytest.param(lambda f: made.write_enhanced_mr(f / "a.dcm"), True, id="enhanced"),
        pytest.param(without_shared_groups, True, id="enhanced-groups-of-frames"),
        pytest.param(lambda f: made.write_mosaic(f / "a.dcm"), False, id="mosaic"),
        pytest.param(lambda f: made.write_series(f, step=(0, 0.8, 3.0)), False, id="tilted"),
    ],
)
def test_loss_maps_and_segments_come_back_where_they_were(tmp_path, write, blends):
    """Whatever the files of A are like; a blending only where it can name the slices."""
    (tmp_path / "a").mkdir()
    write(tmp_path / "a")
    a = read_dicom_volume(tmp_path / "a")
    loss = np.random.default_rng(1).random(a.values.shape, dtype=np.float32)
    mask = np.zeros(a.values.shape, bool)
    mask[4:9, 6:8, 2:5] = True
    objects = (
        (loss, loss_map_object(loss, a.affine, a, "b")),
        (mask, segmentation_object([mask], [Structure("box", mask, a.affine)], a.affine, a, 1)),
    )
    for values, dataset in objects:
        dataset.save_as(tmp_path / "made.dcm", enforce_file_format=True)
        assert_valid(tmp_path / "made.dcm")
        read = highdicom.imread(tmp_path / "made.dcm")
        volume = read.get_volume(**({"apply_real_world_transform": False} if values is loss else {}))
        there = np.linalg.inv(LPS @ volume.affine[:, [2, 1, 0, 3]]) @ a.affine
        places = np.argwhere(values)
        index = (np.c_[places, np.ones(len(places))] @ there.T)[:, :3]
        np.testing.assert_allclose(index, index.round(), atol=1e-2)
        found = volume.array.squeeze().T[tuple(index.round().astype(int).T)]
        np.testing.assert_array_equal(found, values[values > 0])
        assert (volume.array > 0).sum() == (values > 0).sum()
    assert (blending_state(a, a.headers, [(0, 1), (0, 1)], None) is not None) == blends
