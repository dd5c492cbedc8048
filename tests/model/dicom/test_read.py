from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy.ndimage import map_coordinates
from scripts.dicom.read import is_dicom_folder, list_series, patient_words, read_dicom_volume
from scripts.utils.checks import InputError
from scripts.utils.enums import Modality

from tests.conftest import SHARED
from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import PATIENT_ID, PATIENT_NAME, SPACING, write_series

SECRETS = (PATIENT_NAME, "DOE", PATIENT_ID, "19700101", "ACC-0815")


def assert_nameless(text: str) -> None:
    assert not [secret for secret in SECRETS if secret in text]


def refusal(path, **keywords) -> str:
    with pytest.raises(InputError) as caught:
        read_dicom_volume(path, **keywords)
    assert_nameless(str(caught.value))
    return str(caught.value)


def read(path, **keywords):
    volume = read_dicom_volume(path, **keywords)
    assert volume.values.dtype == np.float32
    assert_nameless("\n".join(volume.notes))
    return volume


def edit(file, **keywords) -> None:
    dataset = pydicom.dcmread(file)
    for keyword, value in keywords.items():
        setattr(dataset, keyword, value)
    dataset.save_as(file)


# ---------------------------------------------------------------- geometry


@pytest.mark.parametrize(
    "axes",
    [
        pytest.param(made.AXIAL, id="axial"),
        pytest.param(made.SAGITTAL, id="sagittal"),
        pytest.param(made.OBLIQUE, id="oblique"),
        pytest.param(((-1, 0, 0), (0, 1, 0)), id="feet-first"),
    ],
)
@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_values_and_geometry(tmp_path, axes, modality):
    phantom = write_series(tmp_path, axes=axes, modality=modality)
    volume = read(tmp_path)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    np.testing.assert_array_equal(volume.values, phantom.stored - (1024.0 if modality == "CT" else 0.0))
    np.testing.assert_allclose(volume.spacing, SPACING)
    assert volume.unit == ("HU" if modality == "CT" else "arbitrary")
    assert [header.InstanceNumber for header in volume.headers] == list(range(1, 11))
    assert not any("PixelData" in header for header in volume.headers)
    assert volume.notes == ()


def test_slices_written_against_the_normal_are_sorted_along_it(tmp_path):
    phantom = write_series(tmp_path, step=(0, 0, -3.0))
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.values, phantom.stored[:, :, ::-1])
    flip = np.diag([1.0, 1, -1, 1])
    flip[2, 3] = 9
    np.testing.assert_allclose(volume.affine, phantom.affine @ flip, atol=1e-9)


def test_itk_agrees(tmp_path):
    import itk

    write_series(tmp_path, axes=made.OBLIQUE, modality="CT")
    volume = read(tmp_path)
    names = itk.GDCMSeriesFileNames.New(Directory=str(tmp_path)).GetInputFileNames()
    image = itk.imread([str(name) for name in names], itk.F)
    affine = np.eye(4)
    affine[:3, :3] = itk.array_from_matrix(image.GetDirection()) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1
    np.testing.assert_allclose(volume.affine, affine, atol=1e-3)
    np.testing.assert_allclose(volume.values, itk.array_from_image(image).T, atol=1e-3)


@pytest.mark.parametrize("jitter", [pytest.param(0.0004, id="rounding"), pytest.param(0.03, id="one-percent-of-3mm")])
def test_tiny_jitter_is_accepted(tmp_path, jitter):
    def moved(k):
        return {"ImagePositionPatient": [-11, -14.5, 20 + 3 * k + jitter * (-1) ** k]}

    write_series(tmp_path, per_slice=moved)
    assert read(tmp_path).spacing[2] == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("degrees", [pytest.param(15, id="15-degrees"), pytest.param(-20, id="minus-20-degrees")])
def test_gantry_tilt_is_straightened(tmp_path, degrees):
    lateral = 3 * np.tan(np.radians(degrees))
    shape = (24, 30, 10)
    x, y, z = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    stored = (100 + 2 * x + 1.5 * y * 10 + lateral * z * 10).round().astype(np.uint16)  # 10 times the world's y
    phantom = write_series(tmp_path, shape, "CT", stored, step=(0, lateral, 3), PixelPaddingValue=9)
    volume = read(tmp_path)
    assert f"gantry tilt of {abs(degrees)}.0 degrees" in volume.notes[0]
    assert len(volume.headers) == 1
    assert volume.values.shape == (24, 30 + int(np.ceil(9 * abs(lateral) / 1.5)), 10)
    np.testing.assert_allclose(volume.spacing, SPACING)
    assert volume.values.min() == int(stored.min()) - 1024

    index = np.stack([x, y, z, np.ones_like(x)], -1)[3:-3, 3:-3].reshape(-1, 4)
    world = index @ phantom.affine.T
    nearest = (world @ np.linalg.inv(volume.affine).T)[:, :3]
    expected = stored[tuple(index[:, :3].T)] - 1024.0
    np.testing.assert_allclose(map_coordinates(volume.values, nearest.T, order=1), expected, atol=1.1)


def test_tilt_below_tolerance_keeps_the_exact_positions(tmp_path):
    phantom = write_series(tmp_path, step=(0, 0.02, 3))
    volume = read(tmp_path)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-9)
    assert volume.notes == ()


@pytest.mark.parametrize("keyword", ["SliceThickness", "SpacingBetweenSlices"])
def test_a_single_slice_needs_a_thickness(tmp_path, keyword):
    write_series(tmp_path, (24, 20, 1), **{keyword: 4})
    edit(tmp_path / "IM0000", **{keyword: 4})
    volume = read(tmp_path)
    assert volume.values.shape == (24, 20, 1)
    assert volume.spacing[2] == 4
    assert "single slice, 4 mm" in volume.notes[0]
    assert read(tmp_path / "IM0000").values.shape == (24, 20, 1)


# ---------------------------------------------------------------- refusals and what is left out


def two_axes(k):
    row, column = made.SAGITTAL if k % 2 else made.AXIAL
    return {"ImageOrientationPatient": [*row, *column]}


def add_localizer(folder, **keywords):
    phantom = write_series(folder)
    uid = phantom.series_uid
    write_series(folder, (24, 20, 1), axes=made.SAGITTAL, prefix="LOC", SeriesInstanceUID=uid, **keywords)


def add_second(folder, difference, **keywords):
    """The same positions again, with other pixels."""
    phantom = write_series(folder, **{keyword: 1 for keyword in difference}, **keywords)
    again = np.roll(phantom.stored, 1, 0)
    write_series(folder, stored=again, prefix="B", SeriesInstanceUID=phantom.series_uid, **(keywords | difference))


def no_position(folder):
    write_series(folder, without=["ImagePositionPatient"])


def other_matrix(folder):
    phantom = write_series(folder, skip=[9])
    write_series(folder, (24, 22, 10), skip=range(9), SeriesInstanceUID=phantom.series_uid)


def truncated_pixels(folder):
    phantom = write_series(folder)
    file = phantom.files[4]
    file.write_bytes(file.read_bytes()[:-100])


def truncated_header(folder):
    phantom = write_series(folder)
    file = phantom.files[4]
    file.write_bytes(file.read_bytes()[:500])


def color(folder):
    write_series(folder, PhotometricInterpretation="RGB")


def infinite(folder):
    write_series(folder, RescaleSlope="1e38", RescaleIntercept=0)


def four_frames(folder):
    for file in write_series(folder, (4, 4, 1)).files:
        dataset = pydicom.dcmread(file)
        dataset.NumberOfFrames = 4
        made.save(file, dataset, np.zeros((4, 4, 4), np.uint16))


REFUSED = [
    pytest.param(lambda f: write_series(f, skip=[4]), r"mostly 3.00 mm.*6.00 mm from .*29.0\] to .*35.0\]", id="gap"),
    pytest.param(
        lambda f: write_series(f, per_slice=lambda k: {"ImagePositionPatient": [0, 0, 3 * k * (1 + k / 100)]}),
        "evenly spaced",
        id="uneven",
    ),
    pytest.param(
        lambda f: write_series(f, per_slice=lambda k: {"ImagePositionPatient": [5 * (k == 3), 0, 3 * k]}),
        "evenly spaced",
        id="one-beside",
    ),
    pytest.param(lambda f: write_series(f, per_slice=two_axes), r"got 5 \+ 5 of different", id="two-orientations"),
    pytest.param(lambda f: add_second(f, {"AcquisitionNumber": 2}), "AcquisitionNumber has 2", id="acquisitions"),
    pytest.param(
        lambda f: add_second(f, {"FrameReferenceTime": 2}, modality="PT"),
        r"each of 10 positions, got 20 .*FrameReferenceTime has 2 values: 1.0 \(10 images\), 2.0",
        id="pet-4d",
    ),
    pytest.param(lambda f: add_second(f, {"EchoTime": 20}), "EchoTime has 2 values", id="echoes"),
    pytest.param(lambda f: add_second(f, {}), "no tag tells them apart", id="same-tags"),
    pytest.param(lambda f: write_series(f, without=["PixelSpacing"]), "expected PixelSpacing", id="no-pixel-spacing"),
    pytest.param(
        lambda f: write_series(f, without=["PixelSpacing"], ImagerPixelSpacing=[1, 1]),
        "expected PixelSpacing",
        id="imager-pixel-spacing",
    ),
    pytest.param(no_position, "ImagePositionPatient", id="no-position"),
    pytest.param(lambda f: write_series(f, PixelSpacing=[0, 0]), "PixelSpacing above 0", id="zero-spacing"),
    pytest.param(
        lambda f: write_series(f, ImageOrientationPatient=[1, 0, 0, 0.5, 1, 0]), "perpendicular", id="skew-axes"
    ),
    pytest.param(other_matrix, "9 of 20x24 pixels of 1.5x1 mm, 1 of 22x24", id="two-sizes"),
    pytest.param(truncated_pixels, "IM0786: .*truncated", id="truncated-pixels"),
    pytest.param(truncated_header, "IM0786: .*truncated", id="truncated-header"),
    pytest.param(color, "gray images", id="color"),
    pytest.param(infinite, "expected finite values", id="infinite"),
    pytest.param(four_frames, "a position for each of 4 frames", id="frames-without-positions"),
    pytest.param(lambda f: write_series(f, (9, 9, 1), without=["SliceThickness"]), "one without", id="no-thickness"),
    pytest.param(
        lambda f: write_series(f, stored=np.full(made.SHAPE, 9, np.uint16), PixelPaddingValue=9),
        "every pixel has the PixelPaddingValue",
        id="only-padding",
    ),
    pytest.param(
        lambda f: write_series(f, ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), "got mosaics", id="mosaic"
    ),
    pytest.param(lambda f: made.write_nuclear(f / "a", kind="TOMO"), "NM image of type TOMO", id="nm-projections"),
    pytest.param(lambda f: None, "expected DICOM images, found none", id="empty-folder"),
    pytest.param(lambda f: (f / "a.dcm").write_text("text"), "expected DICOM images, found none", id="only-text"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_refused(tmp_path, make, message):
    make(tmp_path)
    text = refusal(tmp_path)
    assert re.search(message, text), text


def test_nothing_there(tmp_path):
    assert "found nothing there" in refusal(tmp_path / "no")


@pytest.mark.parametrize(
    "keywords",
    [
        pytest.param({}, id="other-orientation"),
        pytest.param({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, id="image-type"),
    ],
)
def test_localizer_in_the_series_is_left_out(tmp_path, keywords):
    add_localizer(tmp_path, **keywords)
    volume = read(tmp_path)
    assert volume.values.shape == made.SHAPE
    assert volume.notes == ("localizer images in the series left out: 1",)
    assert len(volume.headers) == 10


def test_exact_copies_are_left_out(tmp_path):
    phantom = write_series(tmp_path)
    shutil.copy(phantom.files[2], tmp_path / "copy")
    shutil.copy(phantom.files[7], tmp_path / "other copy")
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.values, phantom.stored)
    assert volume.notes == ("exact copies of slices left out: 2",)


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


def test_is_dicom_folder(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    assert not is_dicom_folder(tmp_path)
    assert not is_dicom_folder(tmp_path / "a.txt")
    assert not is_dicom_folder(tmp_path / "nothing")
    phantom = write_series(tmp_path / "deep" / "er", (4, 4, 1))
    assert is_dicom_folder(tmp_path)
    assert is_dicom_folder(phantom.files[0])


def test_damaged_pixels_name_only_the_file(tmp_path, caplog):
    """What pydicom warns of and logs, values of the header among them, is held back."""
    phantom = write_series(tmp_path, (4, 4, 1), SliceThickness=3)
    raw = phantom.files[0].read_bytes().replace(b"19700101", b"DOE^JANE").replace(b"1.0\\", b"1,0\\")
    phantom.files[0].write_bytes(raw)
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        refusal(tmp_path)
    assert_nameless(caplog.text + "".join(str(w.message) for w in caught))


# ---------------------------------------------------------------- pixels


def test_run_length_encoding(tmp_path):
    phantom = write_series(tmp_path, syntax=pydicom.uid.RLELossless)
    np.testing.assert_array_equal(read(tmp_path).values, phantom.stored)


@pytest.mark.parametrize(
    "syntax",
    [
        pytest.param(pydicom.uid.MPEG2MPML, id="no-decoder-exists"),
        pytest.param(pydicom.uid.DeflatedExplicitVRLittleEndian, id="deflated"),
        pytest.param(pydicom.uid.JPEG2000Lossless, id="not-installed"),
    ],
)
def test_compressed_without_a_decoder(tmp_path, monkeypatch, syntax):
    file = write_series(tmp_path, (8, 8, 1)).files[0]
    dataset = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax.is_encapsulated:
        dataset.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
    dataset.save_as(file)
    decoder = pydicom.pixels.get_decoder(pydicom.uid.JPEG2000Lossless)
    monkeypatch.setattr(type(decoder), "is_available", property(lambda self: False))
    text = refusal(tmp_path)
    assert f"{syntax.name} ({syntax})" in text
    assert "pip install mmif-amin[decoders]" in text


def test_signed_pixels_and_padding_become_air(tmp_path):
    stored = made.head().astype(np.int16) - 500
    stored[:2] = -2000
    write_series(tmp_path, modality="CT", stored=stored, PixelPaddingValue=-2000)
    values = read(tmp_path).values
    np.testing.assert_array_equal(values[2:], stored[2:] - 1024)
    assert (values[:2] == stored[2:].min() - 1024).all()


def test_padding_range(tmp_path):
    phantom = write_series(tmp_path, PixelPaddingValue=0, PixelPaddingRangeLimit=20)
    values = read(tmp_path).values
    assert values.min() == phantom.stored[phantom.stored > 20].min()


@pytest.mark.parametrize(
    ("modality", "inverted"),
    [pytest.param("MR", True, id="mr"), pytest.param("PT", False, id="pet"), pytest.param("CT", False, id="ct")],
)
def test_monochrome1(tmp_path, modality, inverted):
    phantom = write_series(
        tmp_path, modality=modality, PhotometricInterpretation="MONOCHROME1", Units="CNTS", per_slice=no_slope
    )
    volume = read(tmp_path)
    expected = 1000.0 - phantom.stored if inverted else phantom.stored
    assert phantom.stored.max() <= 1000
    offset = volume.values - expected
    assert np.ptp(offset) == 0
    assert any(note.startswith("MONOCHROME1") for note in volume.notes)


def no_slope(k):
    return {"RescaleSlope": 1, "RescaleIntercept": 0}


def test_modality_lut(tmp_path):
    table = made.item_of(LUTDescriptor=[1001, 0, 16], ModalityLUTType="US", LUTData=[3 * v for v in range(1001)])
    table[0]["LUTData"].VR = "US"
    phantom = write_series(tmp_path, ModalityLUTSequence=table)
    np.testing.assert_array_equal(read(tmp_path).values, 3.0 * phantom.stored)


@pytest.mark.parametrize(
    ("keywords", "note"),
    [
        pytest.param({"RescaleType": "US"}, "RescaleType US", id="unspecified"),
        pytest.param({"without": ["RescaleSlope"]}, "no RescaleSlope", id="no-rescale"),
    ],
)
def test_ct_that_is_not_in_hounsfield_units(tmp_path, keywords, note):
    write_series(tmp_path, modality="CT", **keywords)
    volume = read(tmp_path)
    assert volume.unit == "arbitrary"
    assert note in volume.notes[0]


# ---------------------------------------------------------------- PET


def pet_values(phantom):
    return phantom.stored * (0.5 + np.arange(phantom.stored.shape[2]) / 10)


def test_suv(tmp_path):
    """One hour before the scan, F-18: 350 MBq * 2^(-3600 / 6586.2) = 239.6 MBq for 70 kg."""
    dose = 350e6 * 2 ** (-3600 / 6586.2)
    assert dose == pytest.approx(239.6e6, rel=1e-3)
    phantom = write_series(
        tmp_path, modality="PT", RadiopharmaceuticalInformationSequence=made.suv_dose(), **made.SUV_TAGS
    )
    volume = read(tmp_path)
    assert (volume.unit, volume.modality) == ("SUVbw", Modality.PET)
    np.testing.assert_allclose(volume.values, pet_values(phantom) * 70e3 / dose, rtol=1e-5)
    assert "SUVbw" in volume.notes[0]


@pytest.mark.parametrize(
    ("tags", "dose", "waited"),
    [
        pytest.param({}, {"RadiopharmaceuticalStartDateTime": "20240102103000.00+0100"}, 1800, id="date-and-time"),
        pytest.param({}, {"RadiopharmaceuticalStartTime": "233000.5"}, 11.5 * 3600 - 0.5, id="over-midnight"),
        pytest.param({"SeriesTime": "150000"}, {}, 3600, id="series-made-later"),
        pytest.param({"AcquisitionTime": "113000"}, {}, 3600, id="later-bed-position"),
        pytest.param({"DecayCorrection": "ADMIN"}, {"RadiopharmaceuticalStartTime": None}, 0, id="admin"),
    ],
)
def test_suv_times(tmp_path, tags, dose, waited):
    sequence = made.suv_dose(**dose)
    phantom = write_series(
        tmp_path, modality="PT", RadiopharmaceuticalInformationSequence=sequence, **(made.SUV_TAGS | tags)
    )
    factor = 70e3 / (350e6 * 2 ** (-waited / 6586.2))
    np.testing.assert_allclose(read(tmp_path).values, pet_values(phantom) * factor, rtol=1e-5)


@pytest.mark.parametrize(
    ("tags", "dose", "unit", "note"),
    [
        pytest.param({"PatientWeight": None}, {}, "Bq/ml", "PatientWeight is missing or malformed", id="no-weight"),
        pytest.param({"CorrectedImage": ["DECY"]}, {}, "Bq/ml", "CorrectedImage lacks ATTN", id="no-attenuation"),
        pytest.param({"DecayCorrection": "NONE"}, {}, "Bq/ml", "DecayCorrection is NONE", id="no-decay-correction"),
        pytest.param(
            {"SeriesTime": ""}, {}, "Bq/ml", "SeriesDate or SeriesTime is missing or malformed", id="no-series-time"
        ),
        pytest.param({}, None, "Bq/ml", "has 0 items", id="no-tracer"),
        pytest.param(
            {}, {"RadionuclideTotalDose": None}, "Bq/ml", "RadionuclideTotalDose is missing or malformed", id="no-dose"
        ),
        pytest.param(
            {}, {"RadionuclideHalfLife": 0}, "Bq/ml", "RadionuclideHalfLife is missing or malformed", id="no-half-life"
        ),
        pytest.param(
            {}, {"RadiopharmaceuticalStartTime": None}, "Bq/ml", "StartTime is missing or malformed", id="no-start"
        ),
        pytest.param(
            {}, {"RadiopharmaceuticalStartDateTime": "20240103"}, "Bq/ml", "before the scan", id="after-the-scan"
        ),
        pytest.param({"Units": "GML"}, None, "SUVbw", None, id="suv-already"),
        pytest.param({"Units": "GML", "SUVType": "LBM"}, None, "arbitrary", "Units is GML", id="lean-body-mass"),
        pytest.param({"Units": "CNTS"}, None, "counts", "Units is CNTS", id="counts"),
        pytest.param({"Units": ""}, None, "arbitrary", "Units is missing", id="no-units"),
    ],
)
def test_pet_that_is_not_brought_to_suv(tmp_path, tags, dose, unit, note):
    keywords = made.SUV_TAGS | tags
    if dose is not None:
        keywords["RadiopharmaceuticalInformationSequence"] = made.suv_dose(**dose)
    phantom = write_series(tmp_path, modality="PT", **keywords)
    volume = read(tmp_path)
    assert volume.unit == unit
    np.testing.assert_allclose(volume.values, pet_values(phantom), rtol=1e-6)
    assert note is None or volume.notes[0].endswith(note)


# ---------------------------------------------------------------- multi-frame


def test_enhanced_mr_with_shuffled_frames(tmp_path):
    phantom = made.write_enhanced_mr(tmp_path / "a", order=[3, 9, 0, 1, 7, 2, 8, 5, 6, 4])
    volume = read(tmp_path / "a")
    np.testing.assert_array_equal(volume.values, 2.0 * phantom.stored - 5)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    assert len(volume.headers) == 1
    assert list_series(tmp_path)[0].spacing == SPACING[:2]


def test_enhanced_mr_of_several_time_points(tmp_path):
    phantom = made.write_enhanced_mr(tmp_path / "a", order=[*range(10), *range(1, 10), 0])
    dataset = pydicom.dcmread(phantom.files[0])
    frames = dataset.PerFrameFunctionalGroupsSequence
    for k, frame in enumerate(frames):
        frame.FrameContentSequence = made.item_of(TemporalPositionIndex=k // 10 + 1)
    frames[19].PlanePositionSequence, frames[10].PlanePositionSequence = (
        frames[10].PlanePositionSequence,
        frames[19].PlanePositionSequence,
    )
    dataset.save_as(phantom.files[0])
    assert "TemporalPositionIndex has 2 values: 1 (10 images), 2 (10 images)" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("spacing", "notes"),
    [
        pytest.param(3.0, (), id="along-the-normal"),
        pytest.param(-3.0, (), id="against-the-normal"),
        pytest.param(None, ("slice spacing taken from SliceThickness",), id="from-thickness"),
    ],
)
def test_nuclear_medicine(tmp_path, spacing, notes):
    phantom = made.write_nuclear(tmp_path / "a", spacing)
    volume = read(tmp_path, modality="SPECT")
    np.testing.assert_array_equal(volume.values, phantom.stored)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-9)
    assert (volume.unit, volume.modality, volume.notes, len(volume.headers)) == ("counts", Modality.SPECT, notes, 1)


# ---------------------------------------------------------------- choice


@pytest.fixture
def study(tmp_path):
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SeriesDescription": "scout"}
    kinds = {2: ("MR", {}), 3: ("MR", {}), 4: ("CT", {}), 5: ("CT", scout), 6: ("PT", {})}
    for number, (modality, keywords) in kinds.items():
        uid = f"1.2.840.99{number}.{number}0"
        write_series(
            tmp_path, (6, 5, 3), modality, prefix=f"S{number}_", SeriesInstanceUID=uid, SeriesNumber=number, **keywords
        )
    return tmp_path


@pytest.mark.parametrize(
    ("keywords", "number"),
    [
        pytest.param({"series": "3"}, 3, id="number"),
        pytest.param({"series": "1.2.840.992.20"}, 2, id="uid"),
        pytest.param({"series": "992.20"}, 2, id="uid-end"),
        pytest.param({"series": "1.2.840.993"}, 3, id="uid-start"),
        pytest.param({"series": "1.2.840", "modality": "PET"}, 6, id="uid-start-and-modality"),
        pytest.param({"modality": Modality.PET}, 6, id="modality"),
        pytest.param({"modality": "CT"}, 4, id="modality-but-not-the-scout"),
        pytest.param({"series": "5"}, 5, id="the-scout-by-number"),
    ],
)
def test_choice(study, keywords, number):
    assert read(study, **keywords).headers[0].SeriesNumber == number


@pytest.mark.parametrize(
    ("keywords", "count"),
    [
        pytest.param({"modality": "MRI"}, 2, id="two-mr"),
        pytest.param({"modality": "SPECT"}, 0, id="no-spect"),
        pytest.param({}, 4, id="any"),
        pytest.param({"series": "7"}, 0, id="no-such-number"),
        pytest.param({"series": "1.2.840"}, 5, id="uid-of-all"),
    ],
)
def test_no_choice_lists_the_series(study, keywords, count):
    text = refusal(study, **keywords)
    assert f"found {count}. Choose with --series-a/--series-b" in text
    assert "3: MR, 3 images of 6x5, 1x1.5 mm, 'MR phantom', UID 1.2.840.993.30" in text
    assert "5: CT localizer, 3 images" in text


def test_list_series(study):
    found = list_series(study)
    assert [(s.number, s.modality, s.images, s.size, s.localizer) for s in found] == [
        (2, "MR", 3, (6, 5), False),
        (3, "MR", 3, (6, 5), False),
        (4, "CT", 3, (6, 5), False),
        (5, "CT", 3, (6, 5), True),
        (6, "PT", 3, (6, 5), False),
    ]


# ---------------------------------------------------------------- a real pair


@pytest.fixture(scope="session")
def real_pair(tmp_path_factory):
    archive = SHARED / "volumes" / "dicom" / "pyapetnet_brainweb06_PT_MR_48slices.tar.xz"
    if not archive.is_file():
        pytest.skip("the pyapetnet DICOM pair is not beside this checkout")
    folder = tmp_path_factory.mktemp("pair")
    subprocess.run(["tar", "xf", archive, "-C", folder], check=True)
    return folder


@pytest.mark.parametrize(("modality", "code"), [("MRI", "MR"), ("PET", "PT")])
def test_real_pair(real_pair, modality, code):
    """The PET is MONOCHROME1, has no Units, and slopes of its own."""
    volume = read(real_pair, modality=modality)
    assert volume.values.shape == (256, 256, 48)
    assert volume.unit == "arbitrary"
    np.testing.assert_allclose(volume.affine, [[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 110], [0, 0, 0, 1]])
    assert volume.values[:2].max() < 0.1 * volume.values.max()  # air stays dark
    header = volume.headers[20]
    files = [f for f in list_series(real_pair)[code == "MR"].files if header.SOPInstanceUID in f.name]
    dataset = pydicom.dcmread(files[0])
    np.testing.assert_allclose(volume.values[:, :, 20].T, dataset.pixel_array * float(dataset.RescaleSlope), rtol=1e-6)


def test_patient_words(tmp_path):
    write_series(tmp_path / "p", modality="MR")
    (tmp_path / "p" / "0-damaged.dcm").write_bytes(bytes(128) + b"DICM" + bytes(5))
    assert patient_words(tmp_path / "p") == {"doe", "jane", "pid", "4711"}
    assert patient_words(tmp_path / "nothing") == set()


def test_a_description_that_names_the_patient_is_not_listed(tmp_path):
    write_series(tmp_path, modality="MR", SeriesDescription="T2 for DOE^JANE")
    assert "(names the patient)" in str(list_series(tmp_path)[0])
    assert "JANE" not in str(list_series(tmp_path)[0])
