"""The outer objective: how badly the worse source can be rebuilt from the fused image, place by place."""

from __future__ import annotations

import torch
from torch.nn.modules.loss import _Loss

from ..utils.filters import box_kernel, filter_same

__all__ = ["SourceReconstructionLoss"]


def _local_variance(image: torch.Tensor) -> torch.Tensor:
    """Variance of each channel in a box of 7 pixels around each pixel."""
    kernel = box_kernel(7)
    mean = filter_same(image, kernel)
    return (filter_same(image.square(), kernel) - mean.square()).clamp_min(0.0)


class SourceReconstructionLoss(_Loss):
    r"""Two-sided, local and relative error of rebuilding both sources.

    In each 7x7 window, with :math:`v_S` the source's own variance there and c the variance of noise,

    .. math::
        e_S = s_S \log\Bigl(1 + \frac{\overline{(\hat S - S)^2}}{v_S + c}\Bigr),\qquad
        s_S = \frac{v_S}{v_S + c},\qquad
        L = \overline{\sum_S \mathrm{softmax}_S(\beta e)\, e_S}

    The worse-rebuilt source counts; relative to its own variance, so a textured source does not outweigh a faint one;
    and where it has structure: :math:`s_S` vanishes in flat places, where the other source's texture shines through.
    Places where both sources are black do not count.

    Args:
        noise: square root of c, fraction of white. Defaults to 0.03.
        sharpness: beta; 0 is the mean of both sources, large is the maximum. Defaults to 4.

    Shape:
        rebuilt, image: (B, 2, H, W), H and W at least 7; returns a scalar, 0 at best.

    Raises:
        ValueError: When ``noise`` is not positive.
    """

    def __init__(self, noise: float = 0.03, sharpness: float = 4.0) -> None:
        super().__init__()
        if noise <= 0:
            raise ValueError(f"`noise` must be positive, got {noise}.")
        self.noise = noise
        self.sharpness = sharpness

    def forward(self, rebuilt: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Compute the loss."""
        variance, c = _local_variance(image), self.noise**2
        error = filter_same((rebuilt - image).square(), box_kernel(7)) / (variance + c)
        error = torch.log1p(error) * variance / (variance + c)
        worse = (torch.softmax(self.sharpness * error, dim=1) * error).sum(dim=1)
        shown = (filter_same(image.amax(dim=1, keepdim=True), box_kernel(7)) > 0.02).squeeze(1).to(worse.dtype)
        return (worse * shown).sum() / shown.sum().clamp_min(1.0)
