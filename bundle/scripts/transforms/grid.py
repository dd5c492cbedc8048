"""The voxel grid of the fused volume: choosing it, and resampling volumes onto it."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, SpatialResample, Transform
from monai.utils import look_up_option

from ..utils.checks import InputError
from ..utils.enums import FusionGrid, SourceKeys, StudyKeys
from ..utils.limits import free_memory

__all__ = ["ChooseGrid", "ChooseGridd", "ResampleVolume", "ResampleVolumed", "smoothed_for"]

SMALLEST, LARGEST = 0.05, 50.0  # mm; a voxel size beyond is a typing error
SLAB = 16  # slices that are resampled at once: bounds the memory of the sampling grid
BYTES_PER_VOXEL = 20  # peak of a fusion with colors and loss maps, beside the sources, for each voxel of the grid
BASE_BYTES = 1.0e9  # Python, torch and MONAI
COARSER = 1.2  # where a target voxel spans more source voxels than this, the source is smoothed first
FWHM = 2 * np.sqrt(2 * np.log(2))  # full width at half maximum of a Gaussian with standard deviation 1

logger = logging.getLogger("mmif_amin")


class ChooseGrid(Transform):
    """Choose the voxel grid of the fused volume.

    It has the axes and the field of view of the first volume; its voxels are that volume's (``"reference"``), along
    each axis the smallest of all volumes' (``"finest"``), or cubes of a given size.

    Args:
        grid: ``"reference"``, ``"finest"`` or a voxel size, millimeters. Defaults to ``"reference"``.

    Shape:
        (1, X, Y, Z) each; returns an empty volume (1, X', Y', Z') with the grid's affine, without memory of its own.

    Raises:
        ValueError: When ``grid`` is none of these, or a size below 0.05 or above 50 mm.
        InputError: When the fusion would need more memory than is free.
    """

    def __init__(self, grid: FusionGrid | str | float = FusionGrid.REFERENCE) -> None:
        try:
            self.millimeters: float | None = float(grid)
            self.grid = None
        except ValueError:
            self.millimeters, self.grid = None, FusionGrid(look_up_option(grid, FusionGrid))
        if self.millimeters is not None and not SMALLEST <= self.millimeters <= LARGEST:
            raise ValueError(
                f"`grid` must be 'reference', 'finest' or a size from {SMALLEST:g} to {LARGEST:g} mm, got {grid}."
            )

    def __call__(self, reference: MetaTensor, *others: MetaTensor) -> MetaTensor:  # type: ignore[override]
        """Make the grid.

        Args:
            reference: gives the axes and the field of view.
            others: volumes that will be resampled onto the grid.
        """
        shape, affine = self._layout(reference, *others)
        self._check_memory(shape, self.bytes_needed(reference, *others))
        return MetaTensor(torch.zeros(1).expand(1, *shape.tolist()), affine=torch.from_numpy(affine))

    def bytes_needed(self, reference: MetaTensor, *others: MetaTensor) -> float:
        """Estimate the memory of a process that fuses these volumes, bytes; only shapes and affines are looked at."""
        shape, _ = self._layout(reference, *others)
        source_voxels = sum(volume.numel() for volume in (reference, *others))
        return BASE_BYTES + BYTES_PER_VOXEL * float(shape.prod()) + 4.0 * source_voxels

    def _layout(self, reference: MetaTensor, *others: MetaTensor) -> tuple[np.ndarray, np.ndarray]:
        """Number of voxels along each axis, (3,), and the affine, (4, 4)."""
        affine, shape = reference.affine.numpy().astype(np.float64), np.array(reference.shape[1:])
        own = np.linalg.norm(affine[:3, :3], axis=0)
        spacing = own
        if self.grid is FusionGrid.FINEST:
            for other in others:
                linear = other.affine.numpy()[:3, :3]
                sizes = np.linalg.norm(linear, axis=0)
                along = np.abs((affine[:3, :3] / own).T @ (linear / sizes))
                spacing = np.minimum(spacing, sizes[along.argmax(axis=1)])
        elif self.millimeters is not None:
            spacing = np.full(3, self.millimeters)
        if not np.allclose(spacing, own):
            factor = spacing / own
            corner = affine @ np.r_[(factor - 1) / 2, 1.0]  # the field of view keeps its first corner
            affine = affine @ np.diag([*factor, 1.0])
            affine[:3, 3] = corner[:3]
            shape = np.maximum(1, np.rint(shape / factor)).astype(int)
        return shape, affine

    @staticmethod
    def _check_memory(shape: np.ndarray, needed: float) -> None:
        import psutil

        free = free_memory() + psutil.Process().memory_info().rss
        logger.info("fusion grid %s: about %.1f GB of memory", "x".join(map(str, shape)), needed / 1e9)
        if needed > free:
            raise InputError(
                f"A fusion grid of {'x'.join(map(str, shape))} voxels needs about {needed / 1e9:.1f} GB of memory, "
                f"{free / 1e9:.1f} GB are free. Choose a coarser --grid."
            )


class ChooseGridd(MapTransform):
    """Dictionary version of :class:`ChooseGrid`.

    Args:
        keys: keys of the volumes, the reference first. Defaults to both sources.
        grid: see :class:`ChooseGrid`.
        grid_key: where the grid goes. Defaults to ``"grid"``.
        allow_missing_keys: skip missing keys. Defaults to False.
    """

    def __init__(
        self,
        keys: KeysCollection = (SourceKeys.SOURCE_A.value, SourceKeys.SOURCE_B.value),
        grid: FusionGrid | str | float = FusionGrid.REFERENCE,
        grid_key: str = StudyKeys.GRID.value,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.choose = ChooseGrid(grid)
        self.grid_key = grid_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make the grid of one study."""
        d = dict(data)
        d[self.grid_key] = self.choose(*(d[key] for key in self.key_iterator(d)))
        return d


class ResampleVolume(InvertibleTransform):
    """Resample a volume onto a grid: linear, in slabs, the outside filled with the volume's smallest value.

    MONAI's ``SpatialResample`` on slabs: at once it would need 2.2 GB more for a 512 x 512 x 300 grid, and it fills the
    outside with 0, which in a CT is water. Where target voxels are larger than the source's, the source is smoothed
    first (the Gaussian whose full width at half maximum makes up the difference).

    Shape:
        (1, X, Y, Z); returns float32 on the grid's shape.
    """

    def __call__(self, image: MetaTensor, grid: MetaTensor) -> MetaTensor:  # type: ignore[override]
        """Resample ``image`` onto the shape and affine of ``grid``."""
        before = {"affine": image.affine.tolist(), "shape": list(image.shape[1:])}
        result = self._onto(image, grid.affine, grid.shape[1:])
        self.push_transform(result, extra_info=before)
        return result

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Resample back onto the volume's own grid."""
        before = self.pop_transform(data)["extra_info"]
        return self._onto(data, torch.tensor(before["affine"], dtype=torch.float64), before["shape"])

    @staticmethod
    def _onto(image: MetaTensor, affine: torch.Tensor, shape: Sequence[int]) -> MetaTensor:
        affine = affine.to(torch.float64)
        if tuple(image.shape[1:]) == tuple(shape) and torch.allclose(image.affine, affine, atol=1e-4):
            values = image.as_tensor().to(torch.float32)
            return MetaTensor(values, meta=dict(image.meta), applied_operations=[*image.applied_operations])
        fill = float(image.min())
        moved = MetaTensor(smoothed_for(image, affine) - fill, affine=image.affine)
        resample = SpatialResample(mode="bilinear", padding_mode="zeros", align_corners=True, dtype=np.float32)
        values = torch.empty((1, *shape), dtype=torch.float32)
        for start in range(0, shape[2], SLAB):
            part = values[..., start : start + SLAB]
            size = [max(2, side) for side in part.shape[1:]]  # torch puts a single sample in the middle of its cell
            corner = affine.clone()
            corner[:, 3] = affine @ torch.tensor([0, 0, start, 1], dtype=torch.float64)
            x, y, z = part.shape[1:]
            part[:] = resample(moved, dst_affine=corner, spatial_size=size)[:, :x, :y, :z]
        values += fill
        meta = {**image.meta, "affine": affine}
        return MetaTensor(values, meta=meta, applied_operations=[*image.applied_operations])


def smoothed_for(image: MetaTensor, affine: torch.Tensor) -> torch.Tensor:
    """Values of a volume, float32, smoothed where the voxels of a grid are larger than its own.

    Args:
        image: (1, X, Y, Z).
        affine: (4, 4), of the grid, float64.
    """
    from scipy import ndimage

    values = image.as_tensor().to(torch.float32)
    ratio = torch.linalg.norm((torch.linalg.inv(image.affine) @ affine)[:3, :3], dim=1).numpy()
    if ratio.max() <= COARSER:
        return values
    sigma = np.sqrt(np.maximum(ratio**2 - 1, 0)) / FWHM
    return torch.from_numpy(ndimage.gaussian_filter(values.numpy(), [0, *sigma], mode="nearest"))


class ResampleVolumed(MapTransform, InvertibleTransform):
    """Dictionary version of :class:`ResampleVolume`.

    Args:
        keys: keys of volumes.
        key_dst: key of the grid. Defaults to ``"grid"``.
        allow_missing_keys: skip missing keys. Defaults to False.
    """

    def __init__(
        self, keys: KeysCollection, key_dst: str = StudyKeys.GRID.value, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.key_dst = key_dst
        self.resample = ResampleVolume()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resample each volume."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.resample(d[key], d[self.key_dst])
        return d

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resample each volume back."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.resample.inverse(d[key])
        return d


ChooseGridD = ChooseGridDict = ChooseGridd
ResampleVolumeD = ResampleVolumeDict = ResampleVolumed
