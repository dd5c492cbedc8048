from __future__ import annotations

import numpy as np
import pydicom
import pytest
from scripts.dicom.suv import suv_factor
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
        pytest.param({"Units": "CNTS"}, None, "counts", "Units is CNTS", id="counts"),
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


def test_suv_factor_without_what_it_needs():
    with pytest.raises(ValueError, match="CorrectedImage lacks ATTN and DECY"):
        suv_factor([pydicom.Dataset()])
