"""Intensity normalization by modality: CT by a window in HU, MR by percentiles, PET and SPECT from zero."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from .checks import InputError
from .enums import BodyRegion, CTWindow, Modality

__all__ = [
    "CT_WINDOWS",
    "REGION_WINDOWS",
    "check_finite",
    "choose_ct_window",
    "intensity_window",
    "normalize_intensity",
    "otsu_threshold",
]

CT_WINDOWS = {  # HU
    CTWindow.HEAD: (-20.0, 180.0),  # level 80, width 200: brain stays gray, bone is white
    CTWindow.BRAIN: (0.0, 80.0),
    CTWindow.SOFT: (-160.0, 240.0),
    CTWindow.BONE: (-500.0, 1500.0),
    CTWindow.LUNG: (-1350.0, 150.0),
}
REGION_WINDOWS = {
    BodyRegion.HEAD: CTWindow.HEAD,
    BodyRegion.NECK: CTWindow.SOFT,
    BodyRegion.CHEST: CTWindow.SOFT,
    BodyRegion.ABDOMEN: CTWindow.SOFT,
    BodyRegion.PELVIS: CTWindow.SOFT,
    BodyRegion.SPINE: CTWindow.BONE,
    BodyRegion.EXTREMITY: CTWindow.SOFT,
    BodyRegion.WHOLE_BODY: CTWindow.SOFT,
}
UPPER_PERCENTILE = 99.5
INFRARED_PERCENTILES = (0.1, 99.9)
SAMPLES = 10_000_000  # voxels that suffice for percentiles
RAYLEIGH_97 = 2.25  # 97th percentile of a Rayleigh distribution, in medians
NOISE_CAP = 0.05


def check_finite(path: str | os.PathLike, values: np.ndarray) -> None:
    """Check the values of a file.

    Args:
        path: the file, for the message.
        values: any shape.

    Raises:
        InputError: When a value is NaN or infinite.
    """
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        raise InputError(f"{path}: expected finite values, {bad} of {values.size} are NaN or infinite. Replace them.")


def otsu_threshold(values: np.ndarray, bins: int = 256) -> float:
    """Threshold that splits values into two classes with the largest variance between them.

    Args:
        values: any shape, not constant.
        bins: of the histogram. Defaults to 256.

    Returns:
        The threshold, the center of a bin; the value of scikit-image's ``threshold_otsu`` for floating-point values,
        without that package, which nothing else here needs.

    Reference: Otsu, "A threshold selection method from gray-level histograms", IEEE SMC 1979, doi
    10.1109/TSMC.1979.4310076.
    """
    counts, edges = np.histogram(values, bins)
    centers = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts)[:-1], np.cumsum(counts * centers)[:-1]
    above, rest = counts.sum() - below, (counts * centers).sum() - total
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (total / below - rest / above) ** 2
    return float(centers[np.nanargmax(between)])


def choose_ct_window(
    window: CTWindow, region: BodyRegion | str | None, modalities: Sequence[Modality] = ()
) -> CTWindow:
    """Settle which window of a CT is meant by ``"auto"``.

    Args:
        window: what was asked for; only ``"auto"`` is settled.
        region: what the CT shows; None where nothing says it.
        modalities: of the sources, structural first. Defaults to none.

    Returns:
        The region's window. Where no region is known: the soft one, if the CT is the structure (PET-CT and SPECT-CT
        mostly show the trunk), else that of the head.
    """
    if window is not CTWindow.AUTO:
        return window
    if region is not None:
        return REGION_WINDOWS[BodyRegion(region)]
    return CTWindow.SOFT if modalities and modalities[0] is Modality.CT else CTWindow.HEAD


def intensity_window(
    values: np.ndarray, modality: Modality | str, ct_window: CTWindow | str = CTWindow.HEAD
) -> tuple[float, float]:
    """Values that become 0 and 1.

    - CT with negative values: the window, in HU.
    - MRI, and CT without negative values (no HU): the 1st and the 99.5th percentile of the voxels above the minimum, so
      that an empty background stays black. Where noise fills the background, the noise's 97th percentile is the lower
      value, but at most 5 % of the range. Voxels below half of Otsu's threshold are taken for noise; the noise of a
      magnitude image has a Rayleigh distribution, whose 97th percentile is 2.25 medians.
    - PET, SPECT: 0 and the 99.5th percentile of the positive voxels.
    - Infrared: the 0.1st and the 99.9th percentile of the pixels; a narrower range would cut off what is small and hot.

    Args:
        values: any shape, any real dtype, finite. Of more than 10 million voxels only each n-th is looked at.
        modality: which rule.
        ct_window: which window of CT. Defaults to ``"head"``, -20 to 180 HU.

    Returns:
        Lower and upper value; both are the same where the image is constant.

    Raises:
        ValueError: When ``modality`` or ``ct_window`` is not known.

    Reference: Nyul and Udupa, "On standardizing the MR image intensity scale", MRM 1999 (percentiles),
    doi:10.1002/(SICI)1522-2594(199912)42:6<1072::AID-MRM11>3.0.CO;2-M; Gudbjartsson and Patz, "The Rician distribution
    of noisy MRI data", MRM 1995 (background), doi:10.1002/mrm.1910340618.
    """
    modality, ct_window = Modality(modality), choose_ct_window(CTWindow(ct_window), None)
    smallest = float(values.min())
    if modality is Modality.CT and smallest < 0:
        return CT_WINDOWS[ct_window]
    if modality is Modality.INFRARED:
        low, high = (float(value) for value in np.percentile(values, INFRARED_PERCENTILES))
        return (low, high) if high > low else (smallest, float(values.max()))
    functional = modality in (Modality.PET, Modality.SPECT)
    looked_at = values.ravel()[:: 1 + values.size // SAMPLES]
    shown = looked_at[looked_at > (0 if functional else smallest)]
    if shown.size == 0:
        return smallest, smallest
    high = float(np.percentile(shown, UPPER_PERCENTILE))
    low = 0.0
    if not functional:
        dark = looked_at[looked_at < smallest + (otsu_threshold(looked_at) - smallest) / 2]
        noise = RAYLEIGH_97 * (float(np.median(dark)) - smallest) if dark.size else 0.0
        low = max(float(np.percentile(shown, 1.0)), smallest + min(noise, NOISE_CAP * (high - smallest)))
    return (low, high) if high > low else (smallest, float(values.max()))


def normalize_intensity(
    values: np.ndarray, modality: Modality | str, window: tuple[float, float] | None = None
) -> np.ndarray:
    """Bring the values of a scanner to [0, 1].

    Args:
        values: any shape, any real dtype, finite.
        modality: which rule; see :func:`intensity_window`.
        window: values that become 0 and 1. Defaults to None: those of ``intensity_window``.

    Returns:
        float32 array of the same shape, in [0, 1]; 0 where the image is constant.

    Raises:
        ValueError: When ``modality`` is not known.

    Example:
        >>> normalize_intensity(np.array([-1000.0, 80.0, 1000.0]), "CT").tolist()
        [0.0, 0.5, 1.0]
    """
    values = values.astype(np.float32)
    low, high = window or intensity_window(values, modality)
    if high <= low:
        return np.zeros_like(values)
    values -= np.float32(low)
    values /= np.float32(high - low)
    return values.clip(0.0, 1.0, out=values)
