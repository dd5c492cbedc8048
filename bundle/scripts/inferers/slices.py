"""Fusion of volumes slice by slice with a network for images: the choice of the axis, and the inferer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..utils.checks import InputError
from ..utils.enums import Keep
from .contract import LARGEST_WHOLE_SIDE, SMALLEST_SIDE, check_keep
from .neighbors import SMOOTHING, share_corrections
from .tiles import OVERLAP, fuse_in_tiles

if TYPE_CHECKING:
    from .refinement import Refinement

__all__ = ["SliceFusionInferer", "best_axis"]

PIXELS_AT_ONCE = 4 * 256 * 256
ANISOTROPIC = 1.25  # a slice spacing above this many times the pixel spacing decides the axis

Network = Callable[..., torch.Tensor]  # (B, 2, H, W), and the condition if it is not 0, to (B, 1, H, W)


def best_axis(shape: Iterable[int], affine: np.ndarray) -> int:
    """Axis across which a volume is cut into slices.

    The axis of thick slices where there is one, so that images are cut as they were measured; else the one nearest to
    the long axis of the body, for axial images as in training; in both cases slices must have 16 pixels a side.

    Args:
        shape: of the volume, 3 sizes.
        affine: (4, 4), voxel to world.

    Raises:
        InputError: When no axis leaves slices of 16 x 16 pixels.

    Example:
        >>> best_axis((64, 64, 20), np.diag([1.0, 1.0, 5.0, 1.0]))
        2
    """
    shape = tuple(shape)
    axes = [axis for axis in range(3) if min(np.delete(shape, axis)) >= SMALLEST_SIDE]
    if not axes:
        raise InputError(f"Expected a volume with slices of at least 16 x 16 pixels, got {shape}.")
    linear = np.asarray(affine, dtype=np.float64)[:3, :3]
    spacing = np.linalg.norm(linear, axis=0)
    thickest = max(axes, key=lambda axis: spacing[axis])
    if spacing[thickest] > ANISOTROPIC * min(spacing):
        return thickest
    return max(axes, key=lambda axis: abs(linear[2, axis]) / spacing[axis])


class SliceFusionInferer:
    """Fuses volumes with a 2-D network, slice by slice, and images at once; an inferer for MONAI's engines.

    Slices that are black in both sources are left out: the network's law makes them black. Slices above ``patch_size``
    are fused in overlapping tiles; see :func:`~scripts.inferers.tiles.fuse_in_tiles`. Each slice, or tile, can be
    refined after the network; before a volume, a line then says about how long that will take.

    Args:
        axes: ``"best"`` cuts across one axis; ``"all"`` across all three and takes the mean, which is smoother from
            slice to slice and takes three times as long. Defaults to ``"best"``.
        patch_size: largest slice that is fused whole, pixels a side. Defaults to 768.
        overlap: of neighboring tiles, fraction of their side. Defaults to 0.25.
        progress: show a bar with the time left. Defaults to False.
        refinement: refines what the network made. Defaults to None: nothing does.
        keep: what the fused image keeps above all, ``"both"`` or ``"lesions"``. Defaults to ``"both"``, which asks
            nothing of the network but to take images.
        smoothing: how far neighbor slices of a volume share their corrections, mm; see
            :func:`~scripts.inferers.neighbors.share_corrections`. The mean of three axes needs none, and where their
            distance is not known they share nothing. Defaults to 1.

    Shape:
        (B, 2, X, Y, Z) or (B, 2, H, W) in [0, 1]; returns (B, 1, ...) in [0, 1].

    Raises:
        ValueError: When ``axes`` is neither, or the input is not of that shape.
        InputError: When a volume has no slices of 16 x 16 pixels, or what keeps lesions is to be refined.
    """

    def __init__(
        self,
        axes: str = "best",
        patch_size: int = LARGEST_WHOLE_SIDE,
        overlap: float = OVERLAP,
        progress: bool = False,
        refinement: Refinement | None = None,
        keep: Keep | str = Keep.BOTH,
        smoothing: float = SMOOTHING,
    ) -> None:
        if axes not in ("best", "all"):
            raise ValueError(f"`axes` must be 'best' or 'all', got '{axes}'.")
        self.axes = axes
        self.patch_size = patch_size
        self.overlap = overlap
        self.progress = progress
        self.refinement = refinement if refinement is not None and refinement.steps > 0 else None
        self.keep = Keep(keep)
        self.smoothing = smoothing
        check_keep(self.keep, 0 if self.refinement is None else self.refinement.steps)

    def __call__(self, inputs: torch.Tensor, network: Network, *args: object, **kwargs: object) -> torch.Tensor:
        """Fuse a batch."""
        if inputs.ndim not in (4, 5) or inputs.shape[1] != 2:
            raise ValueError(f"`inputs` must have shape (B, 2, H, W) or (B, 2, X, Y, Z), got {tuple(inputs.shape)}.")
        image = inputs.as_tensor() if hasattr(inputs, "as_tensor") else inputs
        if self.refinement:
            self.refinement.restart()
        if inputs.ndim == 4:
            return fuse_in_tiles(image, self._refined(self._asked(network)), self.patch_size, self.overlap)
        affine = inputs.affine.reshape(-1, 4, 4)[0].numpy() if hasattr(inputs, "affine") else None
        return torch.stack([self.fuse_slices(volume, network, affine) for volume in image])

    def _asked(self, network: Network) -> Network:
        """The network, asked for what the image is to keep."""
        if self.keep is Keep.BOTH:
            return network
        condition = torch.tensor([self.keep.condition])
        return lambda image: network(image, condition.to(image.device))

    def _refined(self, network: Network) -> Network:
        """The network with what refines its images."""
        refinement = self.refinement
        return network if refinement is None else lambda image: refinement(network(image), image)

    def fuse_slices(self, volume: torch.Tensor, network: Network, affine: np.ndarray | None) -> torch.Tensor:
        """Fuse the slices of one volume.

        Args:
            volume: (2, X, Y, Z) in [0, 1].
            network: takes (B, 2, H, W), and the condition where lesions are to be kept, and returns (B, 1, H, W).
            affine: (4, 4), voxel to world, mm. None: not known; the last axis is cut where its slices are large enough,
                and neighbors share nothing.

        Returns:
            (1, X, Y, Z) in [0, 1].
        """
        from tqdm import tqdm

        shape, network = volume.shape[1:], self._asked(network)
        best = best_axis(shape, np.eye(4) if affine is None else affine)
        axes = list(range(3)) if self.axes == "all" else [best]
        axes = [axis for axis in axes if axis == best or min(np.delete(shape, axis)) >= SMALLEST_SIDE]
        if self.refinement and self.progress:
            tqdm.write(self._cost(self.refinement, volume, network, axes), file=sys.stderr)
        refined = self._refined(network)
        result = torch.zeros((1, *shape), dtype=torch.float32, device=volume.device)
        with tqdm(
            total=sum(shape[axis] for axis in axes), desc="fusing", unit="slice", disable=not self.progress
        ) as bar:
            for axis in axes:
                planes, out = volume.movedim(axis + 1, 0), result.movedim(axis + 1, 0)
                count = 1 if self.refinement else max(1, PIXELS_AT_ONCE // planes[0, 0].numel())
                for start in range(0, len(planes), count):
                    part = planes[start : start + count]
                    shown = part.flatten(1).amax(1) > 0
                    if bool(shown.any()):
                        fused = fuse_in_tiles(part[shown].contiguous(), refined, self.patch_size, self.overlap)
                        index = torch.arange(start, start + len(part), device=volume.device)[shown]
                        out[index] += fused.float() / len(axes)
                    bar.update(len(part))
        if len(axes) == 1 and affine is not None:
            spacing = float(np.linalg.norm(np.asarray(affine, dtype=np.float64)[:3, best]))
            share_corrections(result.movedim(best + 1, 0), volume.movedim(best + 1, 0).float(), spacing, self.smoothing)
        return result

    def _cost(self, refinement: Refinement, volume: torch.Tensor, network: Network, axes: list[int]) -> str:
        """What the refinement of a volume will take, measured on its first slice that shows something."""
        slices, pixels, pair = 0, 0, None
        for axis in axes:
            planes = volume.movedim(axis + 1, 0)
            shown = planes.flatten(1).amax(1).nonzero()[:, 0].tolist()
            slices, pixels = slices + len(shown), pixels + len(shown) * planes[0, 0].numel()
            if pair is None and shown:
                pair = planes[shown[0]][None, :, : self.patch_size, : self.patch_size].contiguous()
        seconds = 0.0 if pair is None else pixels * refinement.seconds_per_pixel(network(pair), pair)
        return f"refining {slices} slices with {refinement.steps} steps each will take about {_duration(seconds)}"


def _duration(seconds: float) -> str:
    """Seconds as a person says them."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
