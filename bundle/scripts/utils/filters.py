"""Separable local filters as products with band matrices: exact, twice differentiable, fast on CPU and CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch

__all__ = ["box_kernel", "filter_same", "filter_valid", "gaussian_kernel"]

BLOCK = 32  # windows filtered by one product


@lru_cache(maxsize=64)
def gaussian_kernel(size: int, sigma: float) -> tuple[float, ...]:
    """Normalized 1-D Gaussian of odd ``size`` and standard deviation ``sigma``, both in pixels."""
    positions = [i - (size - 1) / 2 for i in range(size)]
    weights = torch.tensor([-(p * p) / (2 * sigma * sigma) for p in positions], dtype=torch.float64).exp()
    return tuple((weights / weights.sum()).tolist())


@lru_cache(maxsize=64)
def box_kernel(size: int) -> tuple[float, ...]:
    """Normalized 1-D box of ``size`` pixels."""
    return (1.0 / size,) * size


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # kept for later calls, which may want gradients
def _band_matrix(
    kernel: tuple[float, ...], length: int, stride: int, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    size = len(kernel)
    rows = torch.arange(0, length - size + 1, stride)
    matrix = torch.zeros(len(rows), length, dtype=torch.float64)
    for offset, weight in enumerate(kernel):
        matrix[torch.arange(len(rows)), rows + offset] = weight
    return matrix.to(dtype=dtype, device=device)


def _filter_axis(image: torch.Tensor, kernel: tuple[float, ...], stride: int, axis: int) -> torch.Tensor:
    """Filter axis -1 or -2 block by block: far fewer products than with one band matrix for the whole axis."""
    outputs = (image.shape[axis] - len(kernel)) // stride + 1
    blocks = []
    for start in range(0, outputs, BLOCK):
        inputs = (min(BLOCK, outputs - start) - 1) * stride + len(kernel)
        matrix = _band_matrix(kernel, inputs, stride, image.dtype, image.device)
        part = image.narrow(axis, start * stride, inputs)
        blocks.append(part @ matrix.T if axis == -1 else matrix @ part)
    return torch.cat(blocks, dim=axis)


def filter_valid(image: torch.Tensor, kernel: Sequence[float], spatial_dims: int = 2, stride: int = 1) -> torch.Tensor:
    """Filter the last ``spatial_dims`` axes with one 1-D kernel, keeping only full windows.

    Args:
        image: tensor of shape (..., *spatial).
        kernel: odd number of weights, applied along each axis (correlation).
        spatial_dims: number of trailing axes to filter. Defaults to 2.
        stride: keep each ``stride``-th window along each axis. Defaults to 1.

    Returns:
        Tensor of shape (..., ceil((L - len(kernel) + 1) / stride), ...).

    Raises:
        ValueError: When an axis is shorter than the kernel.

    Example:
        >>> filter_valid(torch.arange(5.0).repeat(5, 1), box_kernel(3))[0]
        tensor([1., 2., 3.])
    """
    kernel = tuple(kernel)
    for axis in range(-spatial_dims, 0):
        if image.shape[axis] < len(kernel):
            raise ValueError(f"Images must have at least {len(kernel)} pixels on each side, got {image.shape[axis]}.")
    if spatial_dims == 3:
        image = _filter_axis(image.movedim(-3, -1), kernel, stride, -1).movedim(-1, -3)
    return _filter_axis(_filter_axis(image, kernel, stride, -1), kernel, stride, -2)


def filter_same(image: torch.Tensor, kernel: Sequence[float], spatial_dims: int = 2) -> torch.Tensor:
    """Like :func:`filter_valid`, with the border pixels repeated so that the size stays.

    Args:
        image: tensor of shape (B, C, *spatial).
        kernel: odd number of weights.
        spatial_dims: 2 or 3. Defaults to 2.
    """
    half = len(tuple(kernel)) // 2
    padded = torch.nn.functional.pad(image, (half, half) * spatial_dims, mode="replicate")
    return filter_valid(padded, kernel, spatial_dims)
