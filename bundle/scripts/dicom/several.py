"""A series of several volumes (time points, b-values, echoes, phases): telling its images apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..utils.checks import InputError
from .frames import Plane
from .geometry import directions
from .header import private_value
from .pixels import decode

__all__ = ["PRIVATE_TELLING_TAGS", "TELLING_TAGS", "OneVolume", "volumes_of"]

SAME_POSITION = 0.01  # mm; slices closer than this lie at one position
TELLING_TAGS = {  # what can tell images at one position apart, the most telling first, and the word to choose by it
    "TemporalPositionIdentifier": "time",
    "TemporalPositionIndex": "time",
    "TemporalPositionTimeOffset": "time",
    "DiffusionBValue": "b",
    "DiffusionGradientOrientation": "",
    "EchoTime": "echo",
    "EffectiveEchoTime": "echo",
    "InversionTime": "inversion",
    "FlipAngle": "flip",
    "TriggerTime": "phase",
    "NominalCardiacTriggerDelayTime": "phase",
    "FrameReferenceTime": "time",
    "ComplexImageComponent": "type",
    "ConvolutionKernel": "kernel",
    "KVP": "kvp",
    "ImageType": "type",
    "FrameType": "type",
    "AcquisitionNumber": "acquisition",
    "AcquisitionTime": "time",
    "ContentTime": "time",
    "FrameAcquisitionDateTime": "time",
    "FrameReferenceDateTime": "time",
}
COUNTED = ("time", "echo", "inversion", "phase")  # chosen by their place in the order, from 1, not by their value
MEASURED = {"echo": "te", "inversion": "ti"}  # and by their value too, in ms
FRAME_NUMBER = "frame"  # of a multi-frame file; the last resort
ORDERING_TAGS = (
    "TriggerTime",
    "FrameReferenceTime",
    "AcquisitionTime",
    "ContentTime",
    "FrameAcquisitionDateTime",
    "FrameReferenceDateTime",
    "InstanceNumber",
    "DimensionIndexValues",
    FRAME_NUMBER,
)
PRIVATE_B_VALUES = (  # group, private creator, element
    (0x0019, "SIEMENS MR HEADER", 0x0C),
    (0x2001, "Philips Imaging DD 001", 0x03),
    (0x0043, "GEMS_PARM_01", 0x39),
    (0x0065, "Image Private Header", 0x09),
)
PRIVATE_TELLING_TAGS = tuple(
    tag
    for group, _, element in PRIVATE_B_VALUES
    for tag in (group * 0x10000 + 0x10, group * 0x10000 + 0x1000 + element)
)
GE_B_VALUE_BASE = 100000  # GE adds multiples of it to the b-value


@dataclass
class OneVolume:
    """The images of one volume.

    Args:
        planes: one for each position, sorted along their normal.
        label: what tells the volume apart, such as ``{"b": "1000"}``; empty where only its number does.
    """

    planes: list[Plane]
    label: dict[str, str]


def volumes_of(planes: Sequence[Plane], who: str, notes: list[str]) -> list[OneVolume]:
    """Split a series into volumes with one image at each position, and leave out exact copies of slices.

    Args:
        planes: parallel slices, sorted along their normal.
        who: folder and series, for messages.
        notes: what was left out is added to it.

    Raises:
        InputError: When several images that differ lie at one position and nothing tells them apart.
    """
    along = np.array([plane.position for plane in planes]) @ np.cross(*directions(planes))
    places = np.concatenate([[0], np.cumsum(np.diff(along) > SAME_POSITION)])
    placed = _without_copies(list(zip(places.tolist(), planes, strict=True)), notes)
    parts = _split(placed, tuple(TELLING_TAGS), len(set(places.tolist())))
    if parts is None:
        parts = [_without_equal_pixels(placed, who, notes)]
    labels = _labels(parts)
    return [OneVolume([plane for _, plane in part], label) for part, label in zip(parts, labels, strict=True)]


Placed = list[tuple[int, Plane]]  # each image with the number of its position


def _split(placed: Placed, tags: Sequence[str], positions: int) -> list[Placed] | None:
    """Parts with one image at each position, by the first tags whose values each cover at least half the positions."""
    if _one_each(placed):
        return [placed]
    for number, tag in enumerate(tags):
        groups: dict[Any, Placed] = {}
        for place, plane in placed:
            groups.setdefault(_value(plane.header, tag), []).append((place, plane))
        if len(groups) > 1 and all(2 * len({place for place, _ in part}) >= positions for part in groups.values()):
            split = [_split(groups[key], tags[number + 1 :], positions) for key in sorted(groups, key=_order)]
            return None if None in split else [part for parts in split for part in parts or ()]
    return _in_their_order(placed)


def _in_their_order(placed: Placed) -> list[Placed] | None:
    """Parts of the first, the second, ... image of each position, by the first tag that orders all of them."""
    by_place: dict[int, list[Plane]] = {}
    for place, plane in placed:
        by_place.setdefault(place, []).append(plane)
    counts = {len(planes) for planes in by_place.values()}
    if len(counts) != 1:
        return None
    for tag in ORDERING_TAGS:
        keys = {place: [_rank(plane, tag) for plane in planes] for place, planes in by_place.items()}
        if all(len(set(values)) == len(values) and None not in values for values in keys.values()):
            ordered = {place: sorted(planes, key=lambda plane: _rank(plane, tag)) for place, planes in by_place.items()}
            return [[(place, planes[k]) for place, planes in ordered.items()] for k in range(counts.pop())]
    return None


def _rank(plane: Plane, tag: str) -> Any:
    """Where an image comes among those of its position, by a tag; None where the tag does not say it."""
    if tag == FRAME_NUMBER:
        return plane.frame
    value = _value(plane.header, tag)
    return value if value is None or isinstance(value, tuple) else _order(value)


def _without_copies(placed: Placed, notes: list[str]) -> Placed:
    """Leave out images that are there twice: the same SOPInstanceUID at the same position, with the same pixels."""
    kept: dict[Any, Plane] = {}
    result = []
    for place, plane in placed:
        key = (place, str(plane.header.get("SOPInstanceUID", plane.path)), plane.frame, plane.tile)
        if key in kept and _equal(kept[key], plane):
            continue
        kept.setdefault(key, plane)
        result.append((place, plane))
    _note_copies(len(placed) - len(result), notes)
    return result


def _without_equal_pixels(placed: Placed, who: str, notes: list[str]) -> Placed:
    kept = placed[:1]
    for place, plane in placed[1:]:
        if place != kept[-1][0]:
            kept.append((place, plane))
        elif not _equal(kept[-1][1], plane):
            positions = len({place for place, _ in placed})
            raise InputError(
                f"{who}: expected one image at each of {positions} positions, got {len(placed)} images; no tag tells "
                "them apart. Export the one volume to fuse."
            )
    _note_copies(len(placed) - len(kept), notes)
    return kept


def _note_copies(count: int, notes: list[str]) -> None:
    if count:
        notes.append(f"exact copies of slices left out: {count}")


def _equal(one: Plane, other: Plane) -> bool:
    first, second = (values for _, values, _ in decode([one, other]))
    return np.array_equal(first, second)


def _one_each(placed: Placed) -> bool:
    return max(Counter(place for place, _ in placed).values()) == 1


def _labels(parts: Sequence[Placed]) -> list[dict[str, str]]:
    """For each volume the values of the tags that differ from volume to volume."""
    labels: list[dict[str, str]] = [{} for _ in parts]
    for tag, word in TELLING_TAGS.items():
        values = [_value(part[0][1].header, tag) for part in parts]
        if word and len(set(values)) > 1 and not any(word in label for label in labels):
            order = sorted(set(values), key=_order)
            for label, value in zip(labels, values, strict=True):
                if value is None:
                    continue
                label[word] = str(order.index(value) + 1) if word in COUNTED else _text(value)
                if word in MEASURED:
                    label[MEASURED[word]] = _text(value)
    return labels


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value(header: Any, tag: str) -> Any:
    """A value that can be compared and sorted: a number, a text, a tuple of them, or None."""
    value = header.get(tag)
    if tag == "DiffusionBValue" and value is None:
        value = _private_b_value(header)
    if tag == "DiffusionGradientOrientation" and value is None:  # of enhanced DICOM, one sequence deeper
        value = next((item.get(tag) for item in header.get("DiffusionGradientDirectionSequence") or ()), None)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "__iter__"):
        return tuple(round(float(v), 4) if not isinstance(v, str) else str(v) for v in value)
    return float(value)


def _private_b_value(header: Any) -> float | None:
    for group, creator, element in PRIVATE_B_VALUES:
        value = private_value(header, group, creator, element)
        if value is None:
            continue
        try:
            first = value.decode().split("\\")[0] if isinstance(value, bytes) else np.ravel(value)[0]
            return float(first) % GE_B_VALUE_BASE
        except (UnicodeDecodeError, ValueError, TypeError, IndexError):
            continue
    return None


def _order(value: Any) -> tuple[int, Any]:
    """Sorts numbers before texts, and both after nothing."""
    if value is None:
        return 0, 0
    if isinstance(value, float):
        return 1, value
    return (2, value) if isinstance(value, str) else (3, tuple(map(str, value)))
