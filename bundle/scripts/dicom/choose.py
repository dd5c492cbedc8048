"""Choosing one series of a folder, by name or by modality."""

from __future__ import annotations

from collections.abc import Sequence

from ..utils.checks import InputError
from ..utils.enums import Modality
from .find import Series
from .header import DICOM_MODALITIES

__all__ = ["choose_series"]

PART_OF_UID = 6  # characters; fewer are a series number


def choose_series(who: str, found: Sequence[Series], modality: Modality | None, series: str | None) -> Series:
    """The one series that was asked for.

    Args:
        who: the folder, for messages.
        found: its series.
        modality: chooses where ``series`` does not, or where several series have that name; None stands for any that
            can be fused.
        series: SeriesInstanceUID, its start or end, or series number; None: chosen by modality.

    Raises:
        InputError: When there is no series, none that fits, or several (they are listed).
    """
    if not found:
        raise InputError(f"{who}: expected DICOM images, found none. Give the folder that the scanner exported.")
    if series is not None:
        hits, wanted = _named(found, series, modality), f"one series '{series}'"
    else:
        codes = list(DICOM_MODALITIES.values()) if modality is None else [DICOM_MODALITIES[modality]]
        hits, wanted = _of_modality(found, codes), f"one series of modality {' or '.join(codes)}"
    if len(hits) != 1:
        listing = "".join(f"\n  {s}" for s in found)
        raise InputError(
            f"{who}: expected {wanted}, found {len(hits)}. Choose with --series-a/--series-b by number or UID:{listing}"
        )
    return hits[0]


def _named(found: Sequence[Series], name: str, modality: Modality | None) -> list[Series]:
    """Series of that UID, else of that number, else with a UID that starts or ends so."""
    hits = [s for s in found if s.uid == name] or [s for s in found if str(s.number) == name]
    if not hits and len(name) >= PART_OF_UID:
        hits = [s for s in found if s.uid.startswith(name) or s.uid.endswith(name)]
    if len(hits) > 1 and modality is not None:
        hits = [s for s in hits if s.modality == DICOM_MODALITIES[modality]]
    return hits


def _of_modality(found: Sequence[Series], codes: Sequence[str]) -> list[Series]:
    """Series of these modalities; localizers only where there is nothing else."""
    hits = [s for s in found if s.modality in codes]
    return [s for s in hits if not s.localizer] or hits
