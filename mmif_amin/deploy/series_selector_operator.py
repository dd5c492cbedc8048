"""Choosing the two series to fuse by rules."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.deploy.core import Fragment
from monai.deploy.core.domain.dicom_series import DICOMSeries
from monai.deploy.core.domain.dicom_series_selection import SelectedSeries, StudySelectedSeries
from monai.deploy.core.domain.dicom_study import DICOMStudy
from monai.deploy.operators.dicom_series_selector_operator import DICOMSeriesSelectorOperator

from ..archive.rules import FUNCTIONAL, IMAGE_TYPE, STRUCTURAL, read_rules
from ..scripts.dicom.find import Series
from ..scripts.utils.checks import InputError

__all__ = ["FUNCTIONAL", "STRUCTURAL", "SeriesSelectorOperator"]


class SeriesSelectorOperator(DICOMSeriesSelectorOperator):
    """Chooses exactly one series for each role, among all studies of the input.

    The SDK's selector applies the rules. Its ``filter``, made to be overridden, differs in this:

    - ``ImageType`` is compared word by word, ``!WORD`` for one that must not be there, and may be missing or a single
      word; the SDK's fails at a single one and passes over a series without any.
    - None or several series for a role are an error that lists them; the SDK's takes the first one, or goes on without.
    - Both series must be of one patient.

    Named input:
        dicom_study_list: the SDK's studies.

    Named output:
        study_selected_series_list: the two series, each with its study, named after its role.

    Args:
        fragment: the application.
        rules_file: the rules, see :func:`read_rules`.
        listed: all series of the input, for the messages.
    """

    def __init__(
        self, fragment: Fragment, *args: Any, rules_file: Path, listed: Sequence[Series], **kwargs: Any
    ) -> None:
        self.rules_file = rules_file
        self.listed = listed
        super().__init__(fragment, *args, rules=read_rules(rules_file), all_matched=True, **kwargs)

    def filter(
        self,
        selection_rules: Mapping[str, Any],
        dicom_study_list: Sequence[DICOMStudy],
        all_matched: bool = True,
        sort_by_sop_instance_count: bool = False,
    ) -> list[StudySelectedSeries]:
        """Choose the two series.

        Raises:
            InputError: When a condition cannot be applied, a role has no series or several, or the patients differ.
        """
        rules = copy.deepcopy(dict(selection_rules))
        words = {rule["name"]: rule["conditions"].pop(IMAGE_TYPE, []) for rule in rules["selections"]}
        found: dict[str, list[tuple[DICOMStudy, SelectedSeries]]] = {role: [] for role in words}
        try:
            for study in super().filter(rules, dicom_study_list, all_matched, sort_by_sop_instance_count):
                for selected in study.selected_series:
                    if _has_words(selected.series, words[selected.selection_name]):
                        found[selected.selection_name].append((study.study, selected))
        except Exception as error:  # the SDK raises many types for conditions that it cannot apply
            raise InputError(f"{self.rules_file}: a condition cannot be applied: {error}. Correct it.") from error
        for role, candidates in found.items():
            self._check_one(role, [selected.series.SeriesInstanceUID for _, selected in candidates])
        chosen = [candidates[0] for candidates in found.values()]
        if len({_patient(selected.series) for _, selected in chosen}) > 1:
            raise InputError(
                "Expected two series of one patient, their PatientID differ. Correct it where the images come from, or "
                "export the right ones."
            )
        result = []
        for study, selected in chosen:
            result.append(StudySelectedSeries(study))
            result[-1].add_selected_series(selected)
        return result

    def _check_one(self, role: str, uids: Sequence[str]) -> None:
        if len(uids) == 1:
            return
        listing = "; ".join(_describe(series) for series in self.listed if not uids or series.uid in uids)
        if uids:
            raise InputError(
                f"Expected one {role} series, {len(uids)} fit the rules: {listing}. Name one by its SeriesInstanceUID "
                f"in {self.rules_file}."
            )
        raise InputError(
            f"Expected one {role} series, none fits the rules; there are: {listing}. Add it, or change the rules in "
            f"{self.rules_file}."
        )


def _header(series: DICOMSeries) -> Any:
    return series.get_sop_instances()[0].get_native_sop_instance()


def _has_words(series: DICOMSeries, words: Sequence[str] | str) -> bool:
    """Whether the ImageType has each word, and none of those that begin with an exclamation mark."""
    value = _header(series).get(IMAGE_TYPE) or []
    there = {value} if isinstance(value, str) else set(value)
    wanted = [words] if isinstance(words, str) else words
    return all((word[1:] not in there) if word.startswith("!") else (word in there) for word in wanted)


def _patient(series: DICOMSeries) -> str:
    """PatientID, or PatientName where there is none."""
    header = _header(series)
    return str(header.get("PatientID") or header.get("PatientName") or "").strip()


def _describe(series: Series) -> str:
    """Without its description, in which anything may stand."""
    number = "without number" if series.number is None else series.number
    return f"series {number} ({series.modality}, {series.images} images, UID {series.uid})"
