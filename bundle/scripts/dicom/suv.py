"""Units of a series, and the factor that brings PET from Bq/ml to SUV."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import isclose
from typing import Any

from ..utils.enums import Modality
from .header import DICOM_MODALITIES, values_of
from .privacy import public_word

__all__ = ["scan_start", "suv_factor", "unit_and_factor"]

UNITS_OF_CODES = {"Bq/ml": "BQML", "{counts}": "CNTS", "g/ml{SUVbw}": "GML"}  # of UCUM, in enhanced PET
CORRECTIONS = {"AttenuationCorrected": "ATTN", "DecayCorrected": "DECY"}  # the same
PLAIN = (("Slope", 1), ("Intercept", 0))  # a scaling that changes nothing
MAX_HALF_LIVES = 10  # between injection and scan; more is an error of the clocks


def unit_and_factor(code: str, headers: Sequence[Any], notes: list[str]) -> tuple[str, float]:
    """Unit of the values, and the factor by which they must be multiplied to be in it.

    Args:
        code: DICOM's code of the modality.
        headers: of all slices.
        notes: why the values are not in HU or SUV is added to it.

    Returns:
        ``"HU"``, ``"SUVbw"``, ``"Bq/ml"``, ``"counts"`` or ``"arbitrary"``, and the factor, 1 for all but SUV.
    """
    if code == DICOM_MODALITIES[Modality.SPECT]:
        return "counts", 1.0
    if code == DICOM_MODALITIES[Modality.CT]:
        return _unit_of_ct(headers[0], notes), 1.0
    if code == DICOM_MODALITIES[Modality.PET]:
        return _unit_of_pet(headers, notes)
    return "arbitrary", 1.0


def suv_factor(headers: Sequence[Any]) -> float:
    """Factor by which Bq/ml are multiplied to give SUVbw, in g/ml.

    Args:
        headers: of all slices of a PET series.

    Raises:
        ValueError: When the headers lack what the formula needs; the message says what.

    Reference: QIBA, "SUV: vendor-neutral pseudo-code for calculation of Standardized Uptake Value, happy path only",
        qibawiki.rsna.org/index.php/Standardized_Uptake_Value_(SUV).
    """
    first = headers[0]
    done = {word for keyword, word in CORRECTIONS.items() if first.get(keyword) == "YES"}
    missing = {"ATTN", "DECY"} - done - set(values_of(first, "CorrectedImage"))
    if missing:
        raise ValueError(f"CorrectedImage lacks {' and '.join(sorted(missing))}")
    doses = first.get("RadiopharmaceuticalInformationSequence") or []
    if len(doses) != 1:
        raise ValueError(f"RadiopharmaceuticalInformationSequence has {len(doses)} items")
    weight = _positive(first, "PatientWeight")  # kg
    dose = _positive(doses[0], "RadionuclideTotalDose")  # Bq
    correction = first.get("DecayCorrection") or "missing"
    moment = None if "DecayCorrection" in first else _decay_moment(first)
    if correction not in ("START", "ADMIN") and moment is None:
        raise ValueError(f"DecayCorrection is {public_word(correction)}")
    if correction != "ADMIN":
        half_life = _positive(doses[0], "RadionuclideHalfLife")  # s
        scan = moment or scan_start(headers)
        waited = (scan - _injection(doses[0], scan)).total_seconds()
        if not 0 <= waited < MAX_HALF_LIVES * half_life:
            raise ValueError(f"the injection lies {waited:.0f} s before the scan")
        dose *= 2 ** (-waited / half_life)
    return 1000 * weight / dose


def scan_start(headers: Sequence[Any]) -> datetime:
    """When a PET scan began, for which its decay is corrected: the series' time, or an earlier acquisition.

    Args:
        headers: of all slices.

    Raises:
        ValueError: When a date or time is missing or malformed.
    """
    return min(_moment(headers[0], "Series"), *(_moment(header, "Acquisition") for header in headers))


def _unit_of_ct(header: Any, notes: list[str]) -> str:
    kind = header.get("RescaleType") or "HU"
    if kind == "HU" and "RescaleSlope" in header:
        return "HU"
    other = f"not in Hounsfield units: RescaleType {public_word(kind)}"
    notes.append(other if kind != "HU" else "no RescaleSlope, so no HU")
    return "arbitrary"


def _unit_of_pet(headers: Sequence[Any], notes: list[str]) -> tuple[str, float]:
    units = _units(headers[0])
    if units == "BQML":
        try:
            factor = suv_factor(headers)
        except ValueError as error:
            notes.append(f"kept in Bq/ml, no SUV: {error}")
            return "Bq/ml", 1.0
        notes.append("Bq/ml brought to SUVbw by dose, half-life, weight and times of the header")
        return "SUVbw", factor
    if units == "GML" and headers[0].get("SUVType", "BW") == "BW":
        return "SUVbw", 1.0
    notes.append(f"no SUV: Units is {public_word(units)}")
    return ("counts" if units == "CNTS" else "arbitrary"), 1.0


def _units(header: Any) -> str:
    """Units, which enhanced PET has as a code, for values that are scaled as the rescaling scales them."""
    if header.get("Units"):
        return str(header.Units)
    code = next((str(item.get("CodeValue")) for item in header.get("MeasurementUnitsCodeSequence") or ()), "")
    pairs = ((header.get(f"RealWorldValue{part}"), header.get(f"Rescale{part}", plain)) for part, plain in PLAIN)
    alike = all(None not in pair and isclose(*map(float, pair), rel_tol=1e-6) for pair in pairs)
    return UNITS_OF_CODES.get(code, "missing") if alike else "missing"


def _decay_moment(header: Any) -> datetime | None:
    """When enhanced PET says that its decay is corrected for; None where it does not."""
    from pydicom.valuerep import DT

    try:
        return DT(header.DecayCorrectionDateTime).replace(tzinfo=None)
    except (AttributeError, TypeError, ValueError):
        return None


def _positive(header: Any, keyword: str) -> float:
    try:
        value = float(header.get(keyword) or 0)
    except (TypeError, ValueError):
        value = 0.0
    if not value > 0:
        raise ValueError(f"{keyword} is missing or malformed")
    return value


def _moment(header: Any, name: str) -> datetime:
    from pydicom.valuerep import DA, TM

    try:
        return datetime.combine(DA(header.get(f"{name}Date")), TM(header.get(f"{name}Time")))
    except (TypeError, ValueError):
        raise ValueError(f"{name}Date or {name}Time is missing or malformed") from None


def _injection(dose: Any, scan: datetime) -> datetime:
    """When the tracer was given; a time without a date is the last one before the scan."""
    from pydicom.valuerep import DT, TM

    try:
        if dose.get("RadiopharmaceuticalStartDateTime"):
            return DT(dose.RadiopharmaceuticalStartDateTime).replace(tzinfo=None)
        moment = datetime.combine(scan.date(), TM(dose.get("RadiopharmaceuticalStartTime")))
    except (TypeError, ValueError):
        raise ValueError("RadiopharmaceuticalStartTime is missing or malformed") from None
    return moment if moment <= scan else moment - timedelta(days=1)
