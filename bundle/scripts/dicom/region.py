"""The part of the body that a DICOM series shows, by BodyPartExamined or AnatomicRegionSequence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from ..utils.enums import BodyRegion
from .header import require

__all__ = ["body_region"]

GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

# Defined terms of BodyPartExamined (PS3.16, annex L) and what else scanners write, by their beginnings; $ is the end of
# a word. The first region that fits any word counts. The first line is tried on all words written together.
FROM_HEAD_TO_LEGS = r"(SKULL|HEAD|EYES?|VERTEX)\w*TO\w*(THIGH|KNEE|TOE|FEET|FOOT)"
SEVERAL = r"(NECK)?(CHEST|THORAX)(AND|TO)?(ABD|PELV)|NECK(AND|TO)?CHEST|CAP$|TAP$"
WHOLE = re.compile(rf"WHOLEBODY|TOTALBODY|FULLBODY|BODY|WB$|TRUNK|{FROM_HEAD_TO_LEGS}|{SEVERAL}")
WORDS = {
    region: re.compile(words)
    for region, words in (
        (BodyRegion.SPINE, r"([CTLS]|CT|TL|LS)?SPINE|SPINAL|VERTEBRA|LUMB|COLUMN"),
        (
            BodyRegion.HEAD,
            r"HEAD|BRAIN|SKULL|CRANI|CEREB|ORBIT|EYE|FACE|FACIAL|EARS?$|JAW|MAXIL|MANDIB|PITUITARY|SELLA|IAC|TMJ|SINUS"
            r"|PARANASAL|TEMPORAL|MOUTH|TONGUE|NOSE|NASAL|PAROTID|CIRCLEOFWILLIS|SCALP|ZYGOMA|HIPPOCAMP|NEURO",
        ),
        (BodyRegion.NECK, r"NECK|THYROID|LARYN|PHARYN|NASOPHARYN|CAROTID|CERVICAL|SUBMANDIB"),
        (
            BodyRegion.CHEST,
            r"CHEST|THORA|TORAX|LUNG|HEART|CARDIAC|MYOCARD|CORONAR|BREAST|MEDIAST|STERNUM|RIBS?$|ESOPHAG|TRACHEA|BRONCH"
            r"|THYMUS|AORTA|AXILLA|CLAVIC",
        ),
        (
            BodyRegion.ABDOMEN,
            r"ABD|LIVER|HEPAT|KIDNEY|RENAL|PANCREAS|SPLEEN|STOMACH|ADRENAL|GALLBLADDER|COLON|BOWEL|INTESTIN|DUODENUM"
            r"|JEJUNUM|ILEUM|URETER|MRCP",
        ),
        (
            BodyRegion.PELVIS,
            r"PELV|PROSTAT|BLADDER|UTERUS|RECTUM|OVAR|SACR|COCCYX|ILIUM|CERVIX|VAGINA|VULVA|PENIS|SCROT|TEST[IE]S|ANUS|ANAL$"
            r"|PERINEUM|URETHRA|BUTTOCK",
        ),
        (
            BodyRegion.EXTREMITY,
            r"EXTREMIT|EXM$|(UPPER|LOWER)?(ARM|LEG)S?$|THIGH|FEMUR|KNEE|TIBIA|FIBULA|CALF|CALCAN|ANKLE|FOOT|FEET|TOES?$"
            r"|HIPS?$|PATELLA|SHOULDER|SCAPULA|HUMERUS|ELBOW|FOREARM|RADIUS|ULNA|WRIST|HAND|FINGER|THUMB"
            r"|(LOWER|UPPER)EXTREMIT",
        ),
    )
}


def body_region(header: Any) -> BodyRegion | None:
    """The region that a header names; None where it names none that is known.

    Args:
        header: a pydicom dataset; of a multi-frame file, all of it.
    """
    for name in _names(header):
        words = re.findall(r"[^\W\d_]+", name.upper())
        if WHOLE.match("".join(words)):
            return BodyRegion.WHOLE_BODY
        for region, beginnings in WORDS.items():
            if any(map(beginnings.match, (*words, "".join(words)))):
                return region
    return None


def _names(header: Any) -> Iterator[str]:
    """What a header calls the region: BodyPartExamined, then the codes, which multi-frame files keep with frames."""
    yield str(header.get("BodyPartExamined") or "")
    frames = [_items(item, "FrameAnatomySequence")[:1] for word in GROUPS for item in _items(header, word)[:1]]
    for item in (header, *chain(*frames)):
        for code in _items(item, "AnatomicRegionSequence"):
            yield str(code.get("CodeMeaning") or "")


def _items(header: Any, keyword: str) -> list[Any]:
    """Items of a sequence; none where the element is missing, or damaged and no sequence."""
    value = header.get(keyword)
    return list(value) if isinstance(value, require("pydicom").Sequence) else []
