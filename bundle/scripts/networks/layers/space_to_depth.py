"""Exactly invertible downsampling: space-to-depth and the Haar transform, 2-D and 3-D."""

import torch
from monai.networks.utils import pixelshuffle
from torch import nn

from ..utils import check_spatial_dims

__all__ = ["HaarDownsample", "space_to_depth"]


def space_to_depth(x: torch.Tensor) -> torch.Tensor:
    """Move each 2x2 (2x2x2) block of pixels into channels; MONAI's ``pixelshuffle`` undoes it.

    MONAI's ``pixelunshuffle`` is the same, but ``torch.jit.script`` cannot compile it (MONAI 1.6.1).

    Shape:
        (B, C, H, W[, D]) with even sides; returns (B, C * 2**spatial_dims, H/2, W/2[, D/2]).
    """
    if x.dim() == 4:
        return nn.functional.pixel_unshuffle(x, 2)
    b, c, h, w, d = x.shape
    x = x.reshape(b, c, h // 2, 2, w // 2, 2, d // 2, 2).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(b, c * 8, h // 2, w // 2, d // 2)


class HaarDownsample(nn.Module):
    """Orthonormal Haar transform by a factor of 2: one low-pass and ``2**spatial_dims - 1`` detail bands a channel.

    ``inverse(forward(x)) == x`` to rounding, and energy is kept.

    Args:
        spatial_dims: 2 or 3.

    Shape:
        (B, C, H, W[, D]) with even sides; returns (B, C * 2**spatial_dims, H/2, W/2[, D/2]).

    Raises:
        ValueError: When ``spatial_dims`` is neither 2 nor 3.

    Reference: Haar, "Zur Theorie der orthogonalen Funktionensysteme", Math. Annalen 1910, doi:10.1007/BF01456326.

    Example:
        >>> haar = HaarDownsample(2)
        >>> haar(torch.ones(1, 1, 2, 2)).flatten()
        tensor([2., 0., 0., 0.])
    """

    signs: torch.Tensor

    def __init__(self, spatial_dims: int) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
        matrix = pair
        for _ in range(spatial_dims - 1):
            matrix = torch.kron(matrix, pair)
        self.spatial_dims = spatial_dims
        self.scale = 2 ** (-spatial_dims / 2)
        self.register_buffer("signs", matrix.to(torch.float32), persistent=False)

    def _mix(self, x: torch.Tensor) -> torch.Tensor:
        bands = self.signs.shape[0]
        flat = x.reshape(x.shape[0], x.shape[1] // bands, bands, -1)
        return (self.scale * torch.matmul(self.signs.to(x.dtype), flat)).reshape(x.shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Split each 2x2 (2x2x2) block into its Haar bands."""
        return self._mix(space_to_depth(x))

    @torch.jit.export
    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        """Rebuild the image from its bands; the transform is symmetric and orthogonal, so it is its own inverse."""
        return pixelshuffle(self._mix(z), self.spatial_dims, 2)
