"""De-identifying the DICOM files of a fused study by the basic profile of DICOM PS3.15, for research."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ..scripts.data.study import FoundStudy
from ..scripts.dicom.header import read_dataset, require
from ..scripts.dicom.privacy import BURNED_IN, quiet_pydicom
from ..scripts.dicom.suv import suv_factor
from ..scripts.dicom.write_common import PRODUCT, WARNING
from ..scripts.utils.checks import InputError

__all__ = ["EDITION", "OWN_TEXTS", "Deidentifier", "deidentifies", "refuse_burned_in"]

EDITION = "dicomfields_2026c"  # of table E.1-1 in PS3.15, as dicom-anonymizer names it
METHODS = (("113100", "Basic Application Confidentiality Profile"), ("113105", "Clean Descriptors Option"))
OWN_TEXTS = ("SeriesDescription", "ImageComments", "DerivationDescription")  # what was made of what, and the warning
STRUCTURE_NAMES = ("SegmentLabel", "SegmentDescription")  # somebody typed them; the profile's table has not got them
# Where the table, which knows no classes of objects, would make an object of these classes invalid.
INSTEAD = {
    "PresentationCreationDate": "D",  # each presentation state must have them
    "PresentationCreationTime": "D",
    "ClinicalTrialProtocolEthicsCommitteeName": "X",  # must not be there without the approval's number, which goes
}
DUMMIES = {"DA": "19000101", "DT": "19000101000000", "TM": "000000"}  # those of dicom-anonymizer are no valid dates
STANDARD_UIDS = "1.2.840.10008."
KEEP, REMOVE, EMPTY, REPLACE, NEW_UID = "K", "X", "Z", "D", "U"
ACTIONS = {  # of the table's columns: where a choice is left, what suits every object that is written here
    "X_TAGS": REMOVE,
    "Z_TAGS": EMPTY,
    "X_Z_TAGS": EMPTY,
    "D_TAGS": REPLACE,
    "Z_D_TAGS": REPLACE,
    "X_D_TAGS": REPLACE,
    "X_Z_D_TAGS": REPLACE,
    "U_TAGS": NEW_UID,
    "X_Z_U_STAR_TAGS": KEEP,  # sequences of references, whose UIDs become new ones
}


@dataclass(frozen=True)
class Deidentifier:
    """Writes the DICOM files of a study anew, without what the basic profile takes away.

    UIDs become new ones, the same for the same in all files, and name and id one pseudonym a patient; neither can be
    computed without ``secret``. Descriptions that this product wrote stay ("Clean Descriptors Option"). PET in Bq/ml is
    written in SUV first, because it needs weight, dose and times, and these go. It is a ``FurtherWriter``, the last.

    Args:
        secret: what UIDs and pseudonyms follow from. Defaults to random bytes, which are kept nowhere.

    Reference: DICOM PS3.15, annex E. The table is that of the package dicom-anonymizer.
    """

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @quiet_pydicom()
    def __call__(self, folder: Path, study: Mapping[str, Any]) -> None:
        """Write all DICOM files in the folder of a study anew."""
        for file in sorted(folder.rglob("*.dcm")):
            dataset = read_dataset(file)
            self.clean(dataset)
            dataset.save_as(file, enforce_file_format=True)

    def clean(self, dataset: Any) -> None:
        """De-identify a whole dataset, and say in it that this was done."""
        who = f"{dataset.get('PatientID') or ''}\\{dataset.get('PatientName') or ''}".strip("\\")
        pseudonym = f"ANON-{self._digest(who or str(dataset.StudyInstanceUID)).hex()[:12].upper()}"
        _bring_to_suv(dataset)
        self._clean_level(dataset)
        dataset.PatientName = dataset.PatientID = pseudonym
        dataset.PatientIdentityRemoved = "YES"
        dataset.LongitudinalTemporalInformationModified = "REMOVED"
        dataset.DeidentificationMethodCodeSequence = [_code(*method) for method in METHODS]
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    def _clean_level(self, dataset: Any) -> None:
        """De-identify the elements of a dataset, and of the items in it."""
        for element in list(dataset):
            action = _action(element)
            if action == REMOVE:
                del dataset[element.tag]
            elif action == NEW_UID:
                element.value = self._new_uids(element.value)
            elif action == EMPTY:
                element.clear()
            elif action == REPLACE:
                _replace(element)
            elif element.VR == "SQ":
                for item in element.value:
                    self._clean_level(item)

    def _new_uids(self, value: Any) -> Any:
        if value and not isinstance(value, str):
            return [self._new_uids(one) for one in value]
        return f"2.25.{int.from_bytes(self._digest(str(value))[:16])}" if value else value

    def _digest(self, text: str) -> bytes:
        return hmac.new(self.secret, text.encode(), hashlib.sha256).digest()


def deidentifies(options: Mapping[str, Any]) -> bool:
    """Whether overrides of ``inference_volume.json`` ask for de-identified output."""
    return any(isinstance(writer, Deidentifier) for writer in options.get("further", ()))


def refuse_burned_in(found: FoundStudy) -> None:
    """Refuse images with burned-in text, before the long work: no pixel is cleaned here.

    Raises:
        InputError: When a source says that it has some.
    """
    for letter, source in zip("AB", (found.a, found.b), strict=True):
        if source.opened and BURNED_IN in source.opened.notes:
            raise InputError(
                f"--deidentify: expected images without burned-in text, source {letter} has some (BurnedInAnnotation "
                "YES). Blacken it first."
            )


def _action(element: Any) -> str:
    """What is to be done with an element."""
    tag = element.tag
    if tag.is_private or element.VR == "UN":
        return REMOVE
    action = INSTEAD.get(element.keyword) or _table().get((tag.group, tag.element)) or _action_of_group(tag)
    if action in (REMOVE, EMPTY, REPLACE) and element.keyword in OWN_TEXTS and _is_own(str(element.value)):
        return KEEP
    if action == REPLACE and element.VR == "SQ":
        return REMOVE  # no object that is written here needs one of these
    if element.keyword in STRUCTURE_NAMES:
        return REPLACE
    if element.VR == "UI" and action in (KEEP, REPLACE):
        values = [element.value] if isinstance(element.value, str) else element.value or ()
        return NEW_UID if not all(str(value).startswith(STANDARD_UIDS) for value in values) else KEEP
    return action


@cache
def _table() -> dict[tuple[int, int], str]:
    """Element to action, of the elements with one number."""
    return {tag: action for tag, action in _rows() if len(tag) == 2}


def _action_of_group(tag: Any) -> str:
    """Action by one of the table's ranges, such as all overlays."""
    for (group, number, group_mask, number_mask), action in _ranges():
        if tag.group & group_mask == group & group_mask and tag.element & number_mask == number & number_mask:
            return action
    return KEEP


@cache
def _ranges() -> list[tuple[tuple[int, int, int, int], str]]:
    return [(tag, action) for tag, action in _rows() if len(tag) == 4]


def _rows() -> Iterable[tuple[Any, str]]:
    from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector

    columns = dicom_anonymization_database_selector(EDITION)
    return [(tag, action) for column, action in ACTIONS.items() for tag in columns[column]]


def _replace(element: Any) -> None:
    """Put something in the place of a value that says nothing; what is empty stays so."""
    from dicomanonymizer.simpledicomanonymizer import replace_element

    if element.VR in DUMMIES and not element.is_empty:
        element.value = DUMMIES[element.VR]
    elif not element.is_empty:
        replace_element(element)


def _is_own(text: str) -> bool:
    return text == WARNING or text.startswith((f"{PRODUCT} ", f"Fused by {PRODUCT} ", f"Resampled by {PRODUCT} "))


def _bring_to_suv(dataset: Any) -> None:
    """Write PET in g/ml where it is in Bq/ml and has all that this takes; the stored numbers stay."""
    if dataset.get("Modality") != "PT" or dataset.get("Units") != "BQML":
        return
    try:
        factor = suv_factor([dataset])
    except ValueError:
        return
    for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        if keyword in dataset:
            setattr(dataset, keyword, f"{float(dataset[keyword].value) * factor:.9g}")
    dataset.Units, dataset.SUVType = "GML", "BW"


def _code(value: str, meaning: str) -> Any:
    item = require("pydicom").Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
