"""The law of fusion: corrections that keep black, an image fused with itself, and the range [0, 1]; and its inverse."""

import torch
from torch import nn

__all__ = ["corrected", "correction_of", "disagreement"]


def disagreement(image: torch.Tensor, tau: float = 0.01) -> torch.Tensor:
    r"""Compute how much the two sources differ near each pixel, from 0 to 1.

    .. math::
        \frac{D}{D + \tau}, \qquad D = \text{mean of } |A - B| \text{ over 7x7 (7x7x7) pixels}

    Where both sources are the same in the whole window it is exactly 0: a correction that is multiplied by it leaves
    an image that is fused with itself as it is.

    Args:
        image: both sources.
        tau: mean difference at which the result is one half, fraction of white. Defaults to 0.01.

    Shape:
        image: (B, 2, *spatial) in [0, 1]; returns (B, 1, *spatial).
    """
    source_a, source_b = image[:, :1], image[:, 1:]
    mean = torch.maximum(source_a, source_b) - torch.minimum(source_a, source_b)
    spatial_dims = image.dim() - 2
    for axis in range(spatial_dims):  # one axis after the other is the mean over the window, and cheaper
        size, padding = [1] * spatial_dims, [0] * spatial_dims
        size[axis], padding[axis] = 7, 3
        if spatial_dims == 2:
            mean = nn.functional.avg_pool2d(mean, size, 1, padding, count_include_pad=False)
        else:
            mean = nn.functional.avg_pool3d(mean, size, 1, padding, count_include_pad=False)
    return mean / (mean + tau)


def corrected(base: torch.Tensor, delta: torch.Tensor, room: float = 1e-4) -> torch.Tensor:
    r"""Add a correction to an image; as it comes near white or black it is compressed, never clipped.

    .. math::
        x + (1 - x) \bigl(1 - e^{-\max(\Delta, 0) / (1 - x)}\bigr) - x \bigl(1 - e^{\min(\Delta, 0) / x}\bigr)

    Args:
        base: the image x.
        delta: the correction; where it is 0 the image stays exactly as it is.
        room: added to the two denominators, so that the quotients are finite at black and at white. Defaults to 1e-4.

    Shape:
        base: any, in [0, 1]; delta: the same; returns the same, in [0, 1].

    Example:
        >>> corrected(torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0.0, 0.1, 9.0]))
        tensor([0.5000, 0.5906, 1.0000])
    """
    above = 1.0 - base
    up = above * (1.0 - torch.exp(-delta.clamp_min(0.0) / (above + room)))
    down = base * (1.0 - torch.exp(delta.clamp_max(0.0) / (base + room)))
    return base + up - down


def correction_of(base: torch.Tensor, image: torch.Tensor, room: float = 1e-4) -> torch.Tensor:
    r"""Find the correction that :func:`corrected` was given: its inverse.

    .. math::
        -(1 - x) \ln\Bigl(1 - \frac{\max(F - x, 0)}{1 - x}\Bigr) + x \ln\Bigl(1 - \frac{\max(x - F, 0)}{x}\Bigr)

    Args:
        base: the image x.
        image: what the correction made of it, F.
        room: as of :func:`corrected`. Defaults to 1e-4.

    Shape:
        base: any, in [0, 1]; image: the same; returns the same, finite, also where F is exactly black or white.

    Example:
        >>> base = torch.tensor([0.5, 0.5, 0.5])
        >>> correction_of(base, corrected(base, torch.tensor([0.0, 0.1, -0.2])))
        tensor([ 0.0000,  0.1000, -0.2000])
    """
    above = 1.0 - base
    smallest = torch.finfo(base.dtype).eps
    up = ((image - base).clamp_min(0.0) / above.clamp_min(smallest)).clamp_max(1.0 - smallest)
    down = ((base - image).clamp_min(0.0) / base.clamp_min(smallest)).clamp_max(1.0 - smallest)
    return (base + room) * torch.log1p(-down) - (above + room) * torch.log1p(-up)
