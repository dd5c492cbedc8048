"""The windows that the page of a study offers for a source."""

from __future__ import annotations

import numpy as np

from ..scripts.data.study_report import SourceReport
from ..scripts.utils.enums import Modality
from ..scripts.utils.intensity import CT_WINDOWS, SAMPLES

__all__ = ["window_presets"]

SUV_MAXIMA = (2.5, 5, 7, 10, 15, 20)
MR_PERCENTILES = ((1.0, 99.5), (2.0, 98.0), (5.0, 95.0))
FUNCTIONAL_SHARES = (1.0, 0.75, 0.5)  # of the 99.5th percentile

Preset = tuple[str, float, float]


def window_presets(source: SourceReport, values: np.ndarray) -> list[Preset]:
    """Windows for one source; the first is that of the fusion.

    CT in Hounsfield units gets the windows of ``--ct-window``, PET in SUV rounded maxima, other PET and SPECT shares of
    the 99.5th percentile of the positive voxels, everything else percentiles of the voxels above the minimum. Where
    the fusion took one of them, it has both names, such as "as fused (head)".

    Args:
        source: modality, unit and the window of the fusion.
        values: any shape, in ``source.unit``. Of more than 10 million voxels only each n-th is looked at.

    Returns:
        Name, lower and upper value of each window, lower below upper, no window twice.
    """
    smallest, largest = float(values.min()), float(values.max())
    found: list[Preset] = [("as fused", *source.window)]
    if source.modality is Modality.CT and source.unit == "HU":
        found += [(str(name), *ends) for name, ends in CT_WINDOWS.items()]
    elif source.modality in (Modality.PET, Modality.SPECT):
        found += _functional(source.unit, values)
    else:
        shown = _sample(values, smallest)
        for low, high in MR_PERCENTILES if shown.size else ():
            found.append((f"{low:g} to {high:g} %", *np.percentile(shown, (low, high)).tolist()))
    found.append(("full range", smallest, largest))
    different = {(float(low), float(high)): name for name, low, high in reversed(found) if low < high}
    presets = [(name, *ends) for ends, name in reversed(different.items())]
    known = [name for name, low, high in found[1:] if low < high and (low, high) == tuple(source.window)]
    if known:
        presets[0] = (f"{found[0][0]} ({known[0]})", *presets[0][1:])
    return presets


def _functional(unit: str, values: np.ndarray) -> list[Preset]:
    if unit.startswith("SUV"):
        return [(f"SUV 0 to {top:g}", 0.0, float(top)) for top in SUV_MAXIMA]
    shown = _sample(values, 0.0)
    top = float(np.percentile(shown, 99.5)) if shown.size else 0.0
    return [(f"0 to {share:.0%} of the 99.5th percentile", 0.0, share * top) for share in FUNCTIONAL_SHARES]


def _sample(values: np.ndarray, above: float) -> np.ndarray:
    looked_at = values.ravel()[:: 1 + values.size // SAMPLES]
    return looked_at[looked_at > above]
