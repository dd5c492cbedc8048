"""Which source a loss wants at each place before it has learned anything: the brighter, sharper or better exposed."""

from __future__ import annotations

import torch

from ..utils.enums import Preference
from ..utils.filters import box_kernel, filter_same

__all__ = ["preferred_shares"]

SALIENCY = 8.0  # log-odds for the brighter source in the target intensity, for each unit of brightness
DETAIL_WINDOWS = (7, 15)  # pixels, in which the energy of details is compared
DETAIL_NOISE = 3e-5  # variance of details below which nothing is sharp: 1.4 gray levels, the noise of a camera
SHARPNESS_POWER = 3.0  # log-odds for the sharper source, for each unit of the logarithm of the energy
EXPOSURE_WIDTH = 0.2  # standard deviation of the well-exposed brightnesses around one half, as in the reference
EXPOSURE_WINDOW = 7  # pixels


def preferred_shares(image: torch.Tensor, preference: Preference) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Shares of both sources in the target intensity and in the structure that is to be kept.

    - ``brighter``: in intensity :math:`\mathrm{softmax}_S(8 S)`, in structure one half.
    - ``sharper``: both by the energy E of the details, :math:`\mathrm{softmax}_S(3 \log(E_S + \epsilon))`.
    - ``better-exposed``: both by :math:`e^{-(\bar S - 0.5)^2 / (2 \cdot 0.2^2)}` times the local contrast.

    Args:
        image: (B, 2, H, W) in [0, 1], both sources.
        preference: which source is wanted.

    Returns:
        Two tensors (B, 2, H, W), each of sum 1 over the sources.

    Reference: Mertens, Kautz and Van Reeth, "Exposure fusion", Pacific Graphics 2007, doi 10.1109/PG.2007.17 (the
    measure of exposure). The others are ours.
    """
    if preference is Preference.BRIGHTER:
        return torch.softmax(SALIENCY * image, dim=1), torch.full_like(image, 0.5)
    shares = torch.softmax(_sharpness(image) if preference is Preference.SHARPER else _exposure(image), dim=1)
    return shares, shares


def _mean(image: torch.Tensor, window: int) -> torch.Tensor:
    return filter_same(image, box_kernel(window))


def _sharpness(image: torch.Tensor) -> torch.Tensor:
    """Log-odds by the energy of what a 3x3 mean takes away, in two windows."""
    energy = (image - _mean(image, 3)).square()
    logs = [(_mean(energy, window) + DETAIL_NOISE).log() for window in DETAIL_WINDOWS]
    return SHARPNESS_POWER * torch.stack(logs).mean(dim=0)


def _exposure(image: torch.Tensor) -> torch.Tensor:
    """Log-odds by how near the local mean is to one half, and by the local standard deviation."""
    mean = _mean(image, EXPOSURE_WINDOW)
    variance = (_mean(image.square(), EXPOSURE_WINDOW) - mean.square()).clamp_min(0.0)
    return -((mean - 0.5) / EXPOSURE_WIDTH).square() / 2 + (variance.sqrt() + 1 / 255).log()
