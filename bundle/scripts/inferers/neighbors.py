"""What neighbor slices of a volume share, so that a volume that is fused slice by slice does not flicker."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from ..networks.layers.fusion_law import corrected, correction_of, disagreement

__all__ = ["SMOOTHING", "share_corrections"]

SMOOTHING = 1.0  # mm; more takes more flicker away, and sharpness too
LEAST_SHARE = 0.02  # of a neighbor, for which nothing is computed
NOTHING = 1e-6  # where the sources agree so well there is nothing to share


def share_corrections(fused: torch.Tensor, slices: torch.Tensor, spacing: float, smoothing: float = SMOOTHING) -> None:
    r"""Let each slice share its correction with both neighbors, in place.

    Each slice z was fused as :math:`F_z = m_z \oplus \Delta_z`, the larger source and a correction, see
    :func:`~scripts.networks.layers.fusion_law.corrected`, and the correction may be :math:`f_z = m_z D / (D + \tau)` at
    most, a few times over. What the network decides differently from slice to slice is the part of it that it takes,
    so that part is averaged:

    .. math::
        \Delta'_z = f_z \frac{\sum_k w_k \Delta_{z + k}}{\sum_k w_k f_{z + k}}, \qquad
        w_k = e^{-|k| d / l}, \quad k = -1, 0, 1

    for slices at a distance d. Both laws hold as before: where both sources are black, or the same, the correction is
    0. Slices of 4 mm and more, between which anatomy changes, share nothing.

    Args:
        fused: the fused slices, (N, 1, H, W) in [0, 1]; a view is changed where it lies.
        slices: both sources, (N, 2, H, W) in [0, 1].
        spacing: d, mm.
        smoothing: l, mm. Defaults to 1; 0 leaves all as it is.
    """
    share = math.exp(-spacing / smoothing) if smoothing > 0 else 0.0
    if share < LEAST_SHARE:
        return
    corrections, number = _corrections(fused, slices), 0
    before, here = None, next(corrections, None)
    while here is not None:
        after = next(corrections, None)
        larger, delta, limit = here
        for neighbor in (before, after):
            if neighbor is not None:
                delta, limit = delta + share * neighbor[1], limit + share * neighbor[2]
        fused[number] = corrected(larger, here[2] * delta / (limit + NOTHING))[0]
        before, here, number = here, after, number + 1


def _corrections(
    fused: torch.Tensor, slices: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Larger source, correction and its limit of each slice; read one ahead of what is changed, so as it was."""
    for number in range(len(fused)):
        image = slices[number : number + 1]
        larger = image.amax(dim=1, keepdim=True)
        yield larger, correction_of(larger, fused[number : number + 1]), disagreement(image) * larger
