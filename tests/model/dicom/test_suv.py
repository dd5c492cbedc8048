from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.uid import EnhancedPETImageStorage
from scripts.dicom.suv import _positive, scan_start, suv_factor, unit_and_factor
from scripts.utils.enums import Modality

from tests.model.dicom import dicom_phantoms as made
from tests.model.dicom.dicom_phantoms import write_series
from tests.model.dicom.reading import read


@pytest.mark.parametrize(
    ("keywords", "note"),
    [
        pytest.param({"RescaleType": "US"}, "RescaleType US", id="unspecified"),
        pytest.param({"RescaleType": "DOE^JANE"}, "RescaleType (no term of the standard)", id="free-text"),
        pytest.param({"without": ["RescaleSlope"]}, "no RescaleSlope", id="no-rescale"),
    ],
)
def test_ct_that_is_not_in_hounsfield_units(tmp_path, keywords, note):
    write_series(tmp_path, modality="CT", **keywords)
    volume = read(tmp_path)
    assert volume.unit == "arbitrary"
    assert note in volume.notes[0]


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
        pytest.param({"Units": "GML", "SUVType": "BSA"}, None, "arbitrary", "Units is GML", id="body-surface-area"),
        pytest.param({"Units": "CNTS"}, None, "counts", "Units is CNTS", id="counts"),
        pytest.param({"Units": "CM2ML"}, None, "arbitrary", "Units is CM2ML", id="transmission"),
        pytest.param({"Units": "PROPCNTS"}, None, "arbitrary", "Units is PROPCNTS", id="proportional-counts"),
        pytest.param({"Units": ""}, None, "arbitrary", "Units is missing", id="no-units"),
        pytest.param({"Units": "DOE JANE"}, None, "arbitrary", "Units is (no term of the standard)", id="free-text"),
        pytest.param(
            {"DecayCorrection": "DOE"}, {}, "Bq/ml", "DecayCorrection is (no term of the standard)", id="free-decay"
        ),
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


def header(**keywords) -> pydicom.Dataset:
    result = pydicom.Dataset()
    for keyword, value in (made.SUV_TAGS | keywords).items():
        setattr(result, keyword, value)
    return result


def dosed(dose: dict | None = None, **keywords) -> pydicom.Dataset:
    return header(RadiopharmaceuticalInformationSequence=made.suv_dose(**(dose or {})), **keywords)


def test_the_scan_starts_with_its_earliest_acquisition_of_any_slice():
    """The first header need not be the earliest; of the times of the series that of the first counts."""
    times = (("112000", "113000"), ("110500", "090000"), ("111000", "113000"))
    headers = [header(AcquisitionTime=time, SeriesTime=series) for time, series in times]
    assert scan_start(headers) == datetime(2024, 1, 2, 11, 5)
    assert scan_start(headers[::2] + [header(AcquisitionTime="235959")]) == datetime(2024, 1, 2, 11, 10)
    assert scan_start([header(SeriesTime="100000", AcquisitionTime="110000")]) == datetime(2024, 1, 2, 10)


@pytest.mark.parametrize(
    ("start", "waited"),
    [
        pytest.param("110000", 0, id="at the scan"),
        pytest.param("105959", 1, id="a second before"),
        pytest.param("110001", 86399, id="of the day before"),
    ],
)
def test_from_injection_to_scan(start, waited):
    """A half-life of 24 h, so that no wait is too long; SUV = activity x weight / dose, in g/ml."""
    found = suv_factor([dosed({"RadiopharmaceuticalStartTime": start, "RadionuclideHalfLife": 86400.0})])
    assert found == pytest.approx(70_000 / (350e6 * 2 ** (-waited / 86400)), rel=1e-12)


@pytest.mark.parametrize(("half_life", "accepted"), [(360.1, True), (360.0, False)])
def test_ten_half_lives_are_too_long(half_life, accepted):
    """One hour: more is an error of the clocks."""
    headers = [dosed({"RadionuclideHalfLife": half_life})]
    if accepted:
        assert suv_factor(headers) == pytest.approx(2e-4 * 2 ** (3600 / half_life))
    else:
        with pytest.raises(ValueError, match="the injection lies 3600 s before the scan"):
            suv_factor(headers)


def test_two_doses_are_one_too_many():
    both = [*made.suv_dose(), *made.suv_dose()]
    with pytest.raises(ValueError, match="has 2 items"):
        suv_factor([header(RadiopharmaceuticalInformationSequence=both)])


@pytest.mark.parametrize("value", [0, -70, "many"])
def test_weights_that_are_none(value):
    bad = SimpleNamespace(get=lambda keyword: value if keyword == "PatientWeight" else None)
    with pytest.raises(ValueError, match="PatientWeight is missing or malformed"):
        _positive(bad, "PatientWeight")


def test_units_by_modality():
    """One slice each, and several: the first one's units count."""
    assert unit_and_factor("NM", [header()], []) == ("counts", 1.0)
    for code in ("MR", "US", "XA"):
        assert unit_and_factor(code, [header(Units="GML")], []) == ("arbitrary", 1.0)
    assert unit_and_factor("CT", [header(RescaleSlope=1), header(RescaleType="US")], []) == ("HU", 1.0)
    assert unit_and_factor("PT", [header(Units="GML"), header(Units="GML", SUVType="LBM")], []) == ("SUVbw", 1.0)
    assert unit_and_factor("PT", [header(Units="GML"), header(Units="CNTS")], []) == ("SUVbw", 1.0)
    assert unit_and_factor("PT", [header(Units="GML")], []) == ("SUVbw", 1.0)


def test_suv_factor_without_what_it_needs():
    with pytest.raises(ValueError, match="CorrectedImage lacks ATTN and DECY"):
        suv_factor([pydicom.Dataset()])


ENHANCED_PET = {
    "SOPClassUID": EnhancedPETImageStorage,
    "Modality": "PT",
    "PatientWeight": 70,
    "AttenuationCorrected": "YES",
    "DecayCorrected": "YES",
    "DecayCorrectionDateTime": "20240102110000",
}


def write_enhanced_pet(path, slope=2.0, without=(), **keywords):
    dose = made.suv_dose(RadiopharmaceuticalStartTime=None, RadiopharmaceuticalStartDateTime="20240102100000")
    phantom = made.write_enhanced_mr(
        path, **(ENHANCED_PET | {"RadiopharmaceuticalInformationSequence": dose} | keywords)
    )
    dataset = pydicom.dcmread(path)
    unit = made.item_of(CodeValue="Bq/ml", CodingSchemeDesignator="UCUM", CodeMeaning="Bq/ml")
    dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = made.item_of(
        RealWorldValueSlope=slope, RealWorldValueIntercept=-5.0, MeasurementUnitsCodeSequence=unit
    )
    for keyword in without:
        delattr(dataset, keyword)
    dataset.save_as(path)
    return phantom


def test_suv_of_enhanced_pet(tmp_path):
    """Units are a code there, the corrections are flags, and a moment says what the decay is corrected for."""
    phantom = write_enhanced_pet(tmp_path / "a")
    volume = read(tmp_path)
    assert volume.unit == "SUVbw"
    factor = 70e3 / (350e6 * 2 ** (-3600 / 6586.2))
    np.testing.assert_allclose(volume.values, (2.0 * phantom.stored - 5) * factor, rtol=1e-5)


@pytest.mark.parametrize(
    ("keywords", "unit", "note"),
    [
        pytest.param({"AttenuationCorrected": "NO"}, "Bq/ml", "CorrectedImage lacks ATTN", id="not-corrected"),
        pytest.param({"without": ["DecayCorrectionDateTime"]}, "Bq/ml", "DecayCorrection is missing", id="no-moment"),
        pytest.param({"slope": 3.0}, "arbitrary", "Units is missing", id="scaled-otherwise"),
    ],
)
def test_enhanced_pet_without_suv(tmp_path, keywords, unit, note):
    write_enhanced_pet(tmp_path / "a", **keywords)
    volume = read(tmp_path)
    assert volume.unit == unit
    assert note in volume.notes[0]
