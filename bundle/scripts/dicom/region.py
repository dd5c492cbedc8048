"""The part of the body that a DICOM series shows, by BodyPartExamined or AnatomicRegionSequence."""

from __future__ import annotations

from typing import Any

from ..utils.enums import BodyRegion

__all__ = ["body_region"]

# Defined terms of BodyPartExamined (PS3.16, annex L), by their beginnings; the first that fits counts. Scanners write
# them with spaces and in longer forms, such as "HEAD AND NECK" or "THIGH_LEFT".
WORDS = {
    BodyRegion.WHOLE_BODY: ("WHOLEBODY", "TRUNK", "BODY", "SKULLTOTHIGH", "EYESTOTHIGH", "HEADTOTHIGH"),
    BodyRegion.SPINE: ("SPINE", "CSPINE", "TSPINE", "LSPINE", "SSPINE", "CTSPINE", "TLSPINE", "LSSPINE", "VERTEBRA"),
    BodyRegion.HEAD: ("HEAD", "BRAIN", "SKULL", "ORBIT", "EYE", "FACE", "EAR", "JAW", "PITUITARY", "SELLA", "IAC"),
    BodyRegion.NECK: ("NECK", "THYROID", "LARYNX", "PHARYNX", "CAROTID", "CERVI"),
    BodyRegion.CHEST: ("CHEST", "THORAX", "LUNG", "HEART", "CARDIAC", "BREAST", "MEDIASTINUM", "STERNUM", "RIB"),
    BodyRegion.ABDOMEN: ("ABDOMEN", "ABDO", "LIVER", "KIDNEY", "PANCREAS", "SPLEEN", "STOMACH", "ADRENAL", "CHESTABD"),
    BodyRegion.PELVIS: ("PELVI", "PROSTATE", "BLADDER", "UTERUS", "RECTUM", "OVARY", "SACRUM", "ABDOMENPELVIS"),
    BodyRegion.EXTREMITY: (
        *("EXTREMITY", "ARM", "LEG", "THIGH", "FEMUR", "KNEE", "TIBIA", "CALF", "ANKLE", "FOOT", "TOE", "HIP"),
        *("SHOULDER", "HUMERUS", "ELBOW", "FOREARM", "WRIST", "HAND", "FINGER", "LOWEREXTREMITY", "UPPEREXTREMITY"),
    ),
}


def body_region(header: Any) -> BodyRegion | None:
    """The region that a header names; None where it names none that is known.

    Args:
        header: a pydicom dataset.
    """
    codes = header.get("AnatomicRegionSequence") or []
    names = [str(header.get("BodyPartExamined") or ""), *(str(code.get("CodeMeaning") or "") for code in codes)]
    for name in names:
        word = "".join(letter for letter in name.upper() if letter.isalpha())
        for region, beginnings in WORDS.items():
            if word.startswith(beginnings):
                return region
    return None
