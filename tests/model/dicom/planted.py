"""A patient planted in every element that may name one; each secret tells where it was planted."""

from __future__ import annotations

import gzip
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pydicom
from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from mmif_amin.dicom_objects.deidentify import EDITION

MARK = "QZQX"  # each planted text begins so
UID_ROOT = "1.2.826.0.1.3680043.10.77777"  # each planted UID begins so
TEXTS = ("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
FIRST_DAY = date(1901, 1, 1)  # planted dates lie in the years from here, which no other date does
YEARS = tuple(f"{year}" for year in range(1901, 1904))
TAGS = tuple(sorted(tag for tag in dicom_anonymization_database_selector(EDITION)["ALL_TAGS"] if len(tag) == 2))


def plant(header: Dataset, number: int = 1) -> Dataset:
    """Put a secret into each element of the profile's table that holds text, a date or a time, and deeper ones.

    Args:
        header: gets them; UIDs become planted ones.
        number: of the image, for its SOPInstanceUID.
    """
    for place, (group, element) in enumerate(TAGS):
        tag = Tag(group, element)
        if group == 2 or not pydicom.datadict.dictionary_has_tag(tag):
            continue
        day = f"{FIRST_DAY + timedelta(place):%Y%m%d}"
        kind = dictionary_VR(tag)
        if kind in TEXTS:
            header.add_new(tag, kind, f"{MARK}{group:04X}{element:04X}{'^' * (kind == 'PN')}")
        elif kind in ("DA", "DT"):
            header.add_new(tag, kind, day if kind == "DA" else f"{day}101112")
        elif kind == "TM":
            header.add_new(tag, kind, f"101112.{place:06d}")
    for keyword, last in (("StudyInstanceUID", "1"), ("FrameOfReferenceUID", "2"), ("SOPInstanceUID", f"4.{number}")):
        setattr(header, keyword, f"{UID_ROOT}.{last}")
    header.OtherPatientIDsSequence = [hidden("OTHERIDS")]
    header.RequestAttributesSequence = [hidden("REQUEST")]
    header.ReferencedStudySequence = [hidden("REFSTUDY")]
    header.PatientOrientationCodeSequence = [hidden("ORIENTATION")]
    header.RadiopharmaceuticalInformationSequence = [hidden("DOSE")]
    header.RadiopharmaceuticalInformationSequence[0].RadionuclideCodeSequence = [hidden("NUCLIDE")]
    block = header.private_block(0x0011, f"{MARK}CREATOR", create=True)
    block.add_new(0x01, "LO", f"{MARK}PRIVATE")
    block.add_new(0x02, "SQ", [hidden("PRIVATESQ")])
    return header


def hidden(where: str) -> Dataset:
    """An item of a sequence, also one of codes, with secrets in text, private elements and a sequence in it."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "102538003", "SCT", "recumbent"
    item.PatientID, item.OperatorsName = f"{MARK}{where}ID", f"{MARK}{where}PN"
    block = item.private_block(0x0011, f"{MARK}CREATOR", create=True)
    block.add_new(0x01, "LO", f"{MARK}{where}PRIVATE")
    deeper = Dataset()
    deeper.PersonName = f"{MARK}{where}DEEP"
    item.PersonIdentificationCodeSequence = [deeper]
    return item


def plant_in_files(files: list[Path], series: int, **keywords: Any) -> None:
    """Plant the patient in written images, the same in all.

    Args:
        files: of one series.
        series: its number, for its SeriesInstanceUID.
        **keywords: further elements.
    """
    for number, file in enumerate(files, start=1000 * series):
        dataset = plant(pydicom.dcmread(file), number)
        dataset.SeriesInstanceUID = f"{UID_ROOT}.3.{series}"
        for keyword, value in keywords.items():
            setattr(dataset, keyword, value)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(file, enforce_file_format=True)


def secrets_in(text: str | bytes) -> list[str]:
    """The planted words in a text, each with what is around it."""
    content = text.encode() if isinstance(text, str) else text
    found = []
    for secret in (MARK, UID_ROOT):
        place = content.find(secret.encode())
        if place >= 0:
            found.append(content[max(0, place - 20) : place + 30].decode("latin1"))
    for year in YEARS:
        for spelling in (year + "-", *(f"{year}{month:02d}" for month in range(1, 13))):
            place = content.find(spelling.encode())
            if place >= 0 and content[place + 6 : place + 8].strip(b"-").isdigit():
                found.append(content[max(0, place - 20) : place + 30].decode("latin1"))
    return found


def secrets_below(folder: Path) -> dict[str, list[str]]:
    """Files, by their path in a folder, whose name or content holds a secret; DICOM only by its name."""
    found = {}
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder).as_posix()
        hits = secrets_in(place)
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            if content[128:132] != b"DICM":
                hits += secrets_in(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
        if hits:
            found[place] = hits
    return found


def planted_elements(dataset: Dataset, path: str = "") -> dict[str, str]:
    """Elements of a dataset, and of the items in it, that hold a secret: path of keywords to value."""
    found = {}
    for element in dataset:
        name = f"{path}{element.keyword or element.tag}"
        if element.VR == "SQ":
            for item in element.value:
                found.update(planted_elements(item, f"{name}/"))
        elif element.VR in ("DA", "DT"):
            if str(element.value)[:4] in YEARS:
                found[name] = str(element.value)
        elif element.VR == "TM":
            if str(element.value).startswith("101112."):
                found[name] = str(element.value)
        elif element.VR not in ("OB", "OW", "OF") and any(mark in str(element.value) for mark in (MARK, UID_ROOT)):
            found[name] = str(element.value)
    return found
