"""Choosing one series of a folder, by name or by modality."""

from __future__ import annotations

from collections.abc import Sequence

from ..utils.checks import InputError, in_words
from ..utils.enums import Modality
from .find import PART_OF_UID, Scan, Series
from .header import DICOM_MODALITIES

__all__ = ["choose_series", "fusable", "modality_of", "others_of_one_patient", "wrong_number"]


def choose_series(
    found: Scan,
    modality: Modality | None,
    series: str | None,
    beside: Series | None = None,
    tasks: Sequence[str] = (),
) -> Series:
    """The one series that was asked for.

    Args:
        found: the folder and its series.
        modality: chooses where ``series`` does not, or where several series have that name; None stands for any that
            can be fused.
        series: SeriesInstanceUID, its start or end, or series number; None: chosen by modality.
        beside: the other source. Where several fit, neither it nor those of another patient count. Defaults to None.
        tasks: which tasks would make the choice clear, for the message. Defaults to none.

    Raises:
        InputError: When there is no series, none that fits, or several (they are listed).
    """
    if not found.series:
        raise InputError(
            f"{found.path}: expected DICOM images, found none. Give the folder that the scanner exported."
            f"{found.passed_over()}"
        )
    if series is not None:
        hits, wanted = _named(found.series, series, modality), f"one series '{series}'"
    else:
        codes = list(DICOM_MODALITIES.values()) if modality is None else [DICOM_MODALITIES[modality]]
        hits, wanted = _of_modality(found.series, codes), f"one series of modality {in_words(codes, 'or')}"
    hits = others_of_one_patient(hits, beside)
    if len(hits) != 1:
        by_task = series is None and len({hit.modality for hit in hits}) != 1
        raise wrong_number(found, hits, wanted, by_task, tasks)
    return hits[0]


def others_of_one_patient(hits: Sequence[Series], beside: Series | None) -> list[Series]:
    """All but the other source, if there are any; and of those, the ones that may be its patient's, if there are any.

    Args:
        hits: series that fit.
        beside: the other source; None where it is not known.
    """
    if beside is None:
        return list(hits)
    others = [hit for hit in hits if hit.uid != beside.uid] or list(hits)
    return [hit for hit in others if not beside.identity.differs_in(hit.identity)] or others


def wrong_number(
    found: Scan, hits: Sequence[Series], wanted: str, by_task: bool, tasks: Sequence[str] = ()
) -> InputError:
    """The error that says how many series fit, how to choose, and what there is.

    Args:
        found: the folder and its series.
        hits: series that fit.
        wanted: what was looked for.
        by_task: whether modalities could tell them apart.
        tasks: which would. Defaults to none that is known.
    """
    advice = "Choose with --series-a/--series-b by number or UID"
    if tasks:
        advice += f", or by the modalities of B and A: {in_words([f'--task {task}' for task in tasks], 'or')}"
    elif by_task:
        advice += ", or by the modalities of B and A, such as --task PET-MRI"
    listing = "".join(f"\n  {s}" for s in found.series)
    return InputError(
        f"{found.path}: expected {wanted}, found {len(hits)}. {advice}.{found.passed_over()} It holds:{listing}"
    )


def fusable(found: Scan) -> list[Series]:
    """Series of a modality that can be fused; see ``_of_modality`` for what counts only where there is nothing else."""
    return _of_modality(found.series, list(DICOM_MODALITIES.values()))


def modality_of(series: Series) -> Modality | None:
    """What a series shows; None where it cannot be fused."""
    return {code: name for name, code in DICOM_MODALITIES.items()}.get(series.modality)


def _named(found: Sequence[Series], name: str, modality: Modality | None) -> list[Series]:
    """Series of that UID, else of that number, else with a UID that starts or ends so."""
    hits = [s for s in found if name in (s.uid, s.name)] or [s for s in found if str(s.number) == name]
    if not hits and len(name) >= PART_OF_UID:
        hits = [s for s in found if s.uid.startswith(name) or s.uid.endswith(name)]
    if len(hits) > 1 and modality is not None:
        hits = [s for s in hits if s.modality == DICOM_MODALITIES[modality]]
    return hits


def _of_modality(found: Sequence[Series], codes: Sequence[str]) -> list[Series]:
    """Series of these modalities.

    Localizers, pictures, and PET and SPECT without correction of the attenuation count where there is nothing else.
    """
    hits = [s for s in found if s.modality in codes]
    hits = [s for s in hits if not (s.localizer or s.picture)] or hits
    corrected = {s.modality for s in hits if not s.uncorrected}
    return [s for s in hits if not s.uncorrected or s.modality not in corrected]
