"""Intensity normalization by modality: CT by a window in HU, MR by percentiles, PET and SPECT from zero."""

from __future__ import annotations

import numpy as np

from .enums import Modality

__all__ = ["normalize_intensity"]

CT_WINDOW = (-20.0, 180.0)  # HU: level 80, width 200; brain stays gray, bone is white
UPPER_PERCENTILE = 99.5


def normalize_intensity(values: np.ndarray, modality: Modality | str) -> np.ndarray:
    """Bring the values of a scanner to [0, 1].

    - CT with negative values: the window -20 to 180 HU.
    - MRI, and CT without negative values (no HU): from the 1st to the 99.5th percentile of the voxels above the
    minimum,
      so that an empty background stays black.
    - PET, SPECT: from 0 to the 99.5th percentile of the positive voxels.

    A constant image has nothing to scale and becomes 0.

    Args:
        values: any shape, any real dtype, finite.
        modality: which rule.

    Returns:
        float32 array of the same shape, in [0, 1].

    Raises:
        ValueError: When ``modality`` is not known.

    Reference: Nyul and Udupa, "On standardizing the MR image intensity scale", MRM 1999 (percentiles),
    doi:10.1002/(SICI)1522-2594(199912)42:6<1072::AID-MRM11>3.0.CO;2-M.

    Example:
        >>> normalize_intensity(np.array([-1000.0, 80.0, 1000.0]), "CT").tolist()
        [0.0, 0.5, 1.0]
    """
    modality = Modality(modality)
    values = values.astype(np.float32)
    if modality is Modality.CT and values.min() < 0:
        low, high = CT_WINDOW
    else:
        functional = modality in (Modality.PET, Modality.SPECT)
        shown = values[values > (0 if functional else values.min())]
        if shown.size == 0:
            return np.zeros_like(values)
        low = 0.0 if functional else float(np.percentile(shown, 1.0))
        high = float(np.percentile(shown, UPPER_PERCENTILE))
        if high <= low:
            low, high = float(values.min()), float(values.max())
    return ((values - low) / (high - low)).clip(0.0, 1.0)
