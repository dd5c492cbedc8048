"""The two volumes of a study: loading them in their own units, normalizing them, and their batch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import look_up_option
from monai.utils.enums import CommonKeys

from ..data.study import Study, find_study, read_study
from ..dicom.region import body_region
from ..utils.checks import InputError
from ..utils.enums import BodyRegion, CTWindow, Modality, SourceKeys, StudyKeys
from ..utils.intensity import choose_ct_window, intensity_window, normalize_intensity

__all__ = ["LoadStudyd", "NormalizeStudy", "NormalizeStudyd", "study_batch"]

SOURCES = (SourceKeys.SOURCE_A.value, SourceKeys.SOURCE_B.value)
SHOWN = 1e-3  # share of the grid on which a source must show something


class LoadStudyd(Transform):
    """Load both volumes of a study, NIfTI or DICOM, in their own units; ``read_study`` is its array version.

    Own code instead of ``LoadImaged``: that one assumes regular slices, has no SUV, no MONOCHROME1, no choice among the
    series of a folder, and fails with another error for each way in which a file is damaged. It has no ``keys``: an
    entry has the fields of :class:`~scripts.data.study.Study`, and may have ``found_study``, what ``find_study`` found,
    so that no header is read twice.

    Each source becomes a MetaTensor (1, X, Y, Z) whose ``meta`` has ``modality``, ``unit``, ``frame_of_reference`` and
    ``region``; ``<key>_file`` (:class:`StudyKeys`) keeps the :class:`Volume` with its headers and notes, but zeros
    without memory as values; ``task`` is settled; ``patient_differs_in`` has the tags that ``same_patient`` let pass.

    Args:
        same_patient: whether two ids, names or birth dates are known to be one person's. Defaults to False: two series
            of DICOM whose patients differ are refused.
        region: part of the body. Defaults to None: what each DICOM header names, if it does.

    Raises:
        ValueError: When ``region`` is not known.
        InputError: When a volume cannot be used, or the patients differ.
    """

    def __init__(self, same_patient: bool = False, region: BodyRegion | str | None = None) -> None:
        self.same_patient = same_patient
        self.region = None if region is None else BodyRegion(look_up_option(region, BodyRegion))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:  # type: ignore[override]
        """Load one study."""
        d = dict(data)
        fields = {name: d[name] for name in Study.__dataclass_fields__ if d.get(name) is not None}
        study = Study(**{"same_patient": self.same_patient, **fields})
        found = d.pop("found_study", None) or find_study(study)
        *volumes, task = read_study(study, found)
        d[SourceKeys.TASK.value] = task
        d[StudyKeys.PATIENT_DIFFERS_IN.value] = found.differs_in
        for key, volume, modality in zip(SOURCES, volumes, reversed(task.split("-")), strict=True):
            frame = volume.headers[0].get("FrameOfReferenceUID") if volume.headers else None
            region = self.region or next(filter(None, map(body_region, volume.headers[:1])), None)
            meta = {
                "modality": modality,
                "unit": volume.unit,
                "frame_of_reference": frame and str(frame),
                "region": region,
            }
            d[key] = MetaTensor(
                torch.from_numpy(volume.values[None]), affine=torch.from_numpy(volume.affine), meta=meta
            )
            d[StudyKeys.file(key)] = replace(volume, values=np.broadcast_to(np.float32(0), volume.values.shape))
        return d


class NormalizeStudy(Transform):
    """Normalize volumes by their modality into the network's input; the volumes themselves stay in their units.

    Args:
        ct_window: ``"head"``, ``"brain"``, ``"soft"``, ``"bone"`` or ``"lung"``. Defaults to ``"auto"``: by the
            ``region`` of the meta data and the pair, see ``choose_ct_window``.
        functional_max: value of PET and SPECT, in their unit, that becomes 1. Defaults to None: the 99.5th percentile.

    Shape:
        N times (1, X, Y, Z) on one grid, whose ``meta`` has ``modality``; returns (N, X, Y, Z) in [0, 1], whose
        ``meta`` has ``windows``: for each volume the two values that became 0 and 1.

    Raises:
        ValueError: When ``ct_window`` is not known or ``functional_max`` not positive.
        InputError: When a volume shows something on less than a thousandth of the fusion grid.
    """

    def __init__(self, ct_window: CTWindow | str = CTWindow.AUTO, functional_max: float | None = None) -> None:
        self.ct_window = CTWindow(look_up_option(ct_window, CTWindow))
        self.functional_max = functional_max
        if functional_max is not None and not functional_max > 0:
            raise ValueError(f"`functional_max` must be positive, got {functional_max}.")

    def __call__(self, *volumes: MetaTensor) -> MetaTensor:  # type: ignore[override]
        """Make the input; the structural volume comes first."""
        image = np.empty((len(volumes), *volumes[0].shape[1:]), dtype=np.float32)
        windows = []
        shown = [Modality(volume.meta["modality"]) for volume in volumes]
        region = next(filter(None, (volume.meta.get("region") for volume in volumes)), None)
        ct_window = choose_ct_window(self.ct_window, region, shown)
        for number, volume in enumerate(volumes):
            modality, values = Modality(volume.meta["modality"]), volume.as_tensor().numpy()[0]
            low, high = intensity_window(values, modality, ct_window)
            if self.functional_max and modality in (Modality.PET, Modality.SPECT):
                low, high = 0.0, float(self.functional_max)
            if high <= low or values.min() == values.max() or (values > low).mean() < SHOWN:
                raise InputError(
                    f"Source {'AB'[number]}: expected structure, there is hardly any on the fusion grid (values from "
                    f"{float(values.min()):g} to {float(values.max()):g}). Do the volumes show the same region? Try "
                    "--register rigid."
                )
            image[number] = normalize_intensity(values, modality, (low, high))
            windows.append((low, high))
        return MetaTensor(torch.from_numpy(image), affine=volumes[0].affine, meta={"windows": windows})


class NormalizeStudyd(MapTransform):
    """Dictionary version of :class:`NormalizeStudy`; the values that became 0 and 1 go under ``<key>_window``.

    Args:
        keys: keys of the sources, structural first. Defaults to both.
        name: key of the input. Defaults to ``"image"``.
        ct_window: see :class:`NormalizeStudy`.
        functional_max: see :class:`NormalizeStudy`.
        allow_missing_keys: skip missing keys. Defaults to False.
    """

    def __init__(
        self,
        keys: KeysCollection = SOURCES,
        name: str = CommonKeys.IMAGE.value,
        ct_window: CTWindow | str = CTWindow.AUTO,
        functional_max: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.name = name
        self.normalize = NormalizeStudy(ct_window, functional_max)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make the input of one study."""
        d = dict(data)
        keys = list(self.key_iterator(d))
        image = self.normalize(*(d[key] for key in keys))
        for key, window in zip(keys, image.meta["windows"], strict=True):
            d[StudyKeys.window(str(key))] = window
        d[self.name] = image
        return d


def study_batch(items: Sequence[dict[Hashable, Any]]) -> dict[Hashable, Any]:
    """Batch of one study: the network's input gets a batch axis, all else stays as it is.

    MONAI's collation would copy all volumes and cannot take DICOM headers.

    Args:
        items: one entry of the data set.
    """
    (item,) = items
    return {**item, CommonKeys.IMAGE.value: item[CommonKeys.IMAGE.value][None]}


NormalizeStudyD = NormalizeStudyDict = NormalizeStudyd
