"""Volumes as they are registered: averaged down, clipped, without the scanner's table, and read at any place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...utils.checks import InputError
from ...utils.intensity import otsu_threshold
from .settings import SearchSettings

if TYPE_CHECKING:  # elastix's process imports this module, and starts faster without torch and MONAI
    from monai.data.meta_tensor import MetaTensor

__all__ = ["PreparedVolume", "block_sizes", "prepare"]

MIN_SIDE = 4  # voxels
PART = 2 / 3  # of the largest connected part; what is as large belongs to the body too
TABLE = 3.0  # mm; a table's shell is thinner than twice this, a head is thicker


@dataclass(frozen=True)
class PreparedVolume:
    """A volume as it is registered.

    Args:
        values: (X, Y, Z), float32 in [0, 1].
        affine: (4, 4), voxel indices to the world, RAS, millimeters.
        foreground: (X, Y, Z), where the body is.
        mask: (X, Y, Z), the foreground and a margin around it: what counts for the metric.
    """

    values: np.ndarray
    affine: np.ndarray
    foreground: np.ndarray
    mask: np.ndarray

    def size_of(self, mask: np.ndarray) -> float:
        """Volume of a mask, cubic millimeters."""
        return float(mask.sum() * abs(np.linalg.det(self.affine[:3, :3])))

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Whether world coordinates (N, 4) lie in the field of view, (N,)."""
        index = (points @ np.linalg.inv(self.affine).T)[:, :3]
        return np.all((index >= -0.5) & (index <= np.array(self.values.shape) - 0.5), axis=1)

    def within(self, other: PreparedVolume, matrix: np.ndarray, margin: float) -> PreparedVolume:
        """The part of this volume that may lie in another one's field of view.

        Args:
            other: the other volume.
            matrix: (4, 4), this world to the other one, RAS.
            margin: mm that are kept on all sides.

        Returns:
            The part, or this volume where nothing of use would be left.
        """
        corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(other.values.shape) - 1)
        there = other.affine @ np.c_[corners, np.ones(8)].T
        index = (np.linalg.inv(matrix @ self.affine) @ there)[:3]
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        first = np.maximum(0, np.floor(index.min(axis=1) - margin / spacing)).astype(int)
        last = np.minimum(self.values.shape, np.ceil(index.max(axis=1) + margin / spacing) + 1).astype(int)
        part = tuple(map(slice, first, last))
        if (last - first).min() < MIN_SIDE or not self.foreground[part].any():
            return self
        affine = self.affine.copy()
        affine[:3, 3] = (self.affine @ np.r_[first, 1.0])[:3]
        return PreparedVolume(self.values[part], affine, self.foreground[part], self.mask[part])

    def center(self, of_mass: bool) -> np.ndarray:
        """Center of the foreground, or of the field of view, RAS, (3,)."""
        from scipy import ndimage

        index = ndimage.center_of_mass(self.foreground) if of_mass else (np.array(self.values.shape) - 1) / 2
        return (self.affine @ np.r_[index, 1.0])[:3]

    def points(self, mask: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Random voxels of a mask, ``count`` at most: their world coordinates (N, 4), and their values (N,)."""
        index = np.flatnonzero(mask)
        index = np.random.default_rng(seed).choice(index, min(count, len(index)), replace=False)
        where = np.stack([*np.unravel_index(index, mask.shape), np.ones(len(index))], axis=1)
        return where @ self.affine.T, self.values.ravel()[index]

    def at(self, points: np.ndarray, foreground: bool = False) -> np.ndarray:
        """Values, or foreground, at world coordinates (N, 4); 0 outside."""
        from scipy import ndimage

        index = (points @ np.linalg.inv(self.affine).T)[:, :3].T
        source = self.foreground.astype(np.uint8) if foreground else self.values
        return ndimage.map_coordinates(source, index, order=0 if foreground else 1, cval=0.0)


def prepare(image: MetaTensor, name: str, voxel: float, settings: SearchSettings) -> PreparedVolume:
    """Make a volume ready for registration.

    Args:
        image: (1, X, Y, Z), in any units; ``unit`` of its meta data says ``"HU"`` for a CT. Where it says nothing,
            values below the threshold of the body do.
        name: ``"fixed"`` or ``"moving"``, for messages.
        voxel: mm; finer voxels are averaged down to about this size.
        settings: the range of a CT, the threshold of its body, and the margin of the mask.

    Raises:
        ValueError: When the shape is not (1, X, Y, Z).
        InputError: When the volume has less than 4 voxels along an axis, is constant, or shows only air.
    """
    if image.ndim != 4 or image.shape[0] != 1:
        raise ValueError(f"`{name}` must have shape (1, X, Y, Z), got {tuple(image.shape)}.")
    if min(image.shape[1:]) < MIN_SIDE:
        raise InputError(
            f"Registration: expected at least {MIN_SIDE} voxels along each axis, got {tuple(image.shape[1:])} for "
            f"the {name} image. Use registered images with --register none."
        )
    values = np.asarray(image[0].detach().cpu().numpy(), dtype=np.float32)
    affine = image.affine.cpu().numpy().astype(np.float64)
    values, affine = _average(values, affine, voxel)
    unit = image.meta.get("unit")
    hounsfield = unit == "HU" if unit else bool(values.min() < settings.body)
    values = values.clip(*(settings.ct_range if hounsfield else np.percentile(values, settings.percentiles)))
    if values.min() == values.max():
        raise InputError(f"Registration: expected structure, the {name} image is constant. Choose another series.")
    foreground = _body(values, affine, settings.body if hounsfield else None)
    if not foreground.any():
        raise InputError(f"Registration: expected a body, the {name} image shows only air. Choose another series.")
    mask = _grown(foreground, affine, settings.margin)
    values = ((values - values.min()) / np.ptp(values)).astype(np.float32)
    if hounsfield:
        values[~mask] = 0.0
    return PreparedVolume(values, affine, foreground, mask)


def block_sizes(shape: Sequence[int], affine: np.ndarray, voxel: float) -> list[int]:
    """How many voxels along each axis are averaged into one for a registration.

    Args:
        shape: of the volume, (3,).
        affine: (4, 4), voxel indices to the world, millimeters.
        voxel: mm; the size that is wanted.

    Example:
        >>> block_sizes((512, 512, 100), np.diag([0.45, 0.45, 1.5, 1.0]), 1.0)
        [2, 2, 1]
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return np.clip((voxel / spacing + 0.25).astype(int), 1, np.array(shape) // MIN_SIDE).tolist()


def _average(values: np.ndarray, affine: np.ndarray, voxel: float) -> tuple[np.ndarray, np.ndarray]:
    """Average blocks of voxels to about ``voxel`` mm, and move the affine to the centers of the blocks."""
    factors = block_sizes(values.shape, affine, voxel)
    if max(factors) == 1:
        return values, affine
    shape = [n // f for n, f in zip(values.shape, factors, strict=True)]
    values = values[tuple(slice(0, n * f) for n, f in zip(shape, factors, strict=True))]
    blocks = values.reshape([x for n, f in zip(shape, factors, strict=True) for x in (n, f)])
    step = np.diag([*factors, 1.0])
    step[:3, 3] = (np.array(factors) - 1) / 2
    return blocks.mean(axis=(1, 3, 5)), affine @ step


def _odd_size(affine: np.ndarray, millimeters: float) -> Sequence[int]:
    """Voxels along each axis of a window that reaches so far to both sides."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return [2 * int(millimeters / size) + 1 for size in spacing]


def _body(values: np.ndarray, affine: np.ndarray, threshold: float | None) -> np.ndarray:
    """The largest connected part above the background, and those two thirds as large, as a second leg; holes filled.

    Above a threshold in HU, the thin shell of a table is opened away first. Without one, the background is what lies
    below half of Otsu's threshold, so that dark tissue counts too.
    """
    from scipy import ndimage

    if threshold is not None:
        above = values > threshold
        opened = ndimage.binary_opening(above, np.ones(_odd_size(affine, TABLE), bool))
        above = opened if opened.any() else above
    else:
        above = values > values.min() + (otsu_threshold(values) - values.min()) / 2
    labels, count = ndimage.label(above)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        above = (sizes >= PART * sizes.max())[labels]
    return ndimage.binary_fill_holes(above)


def _grown(mask: np.ndarray, affine: np.ndarray, margin: float) -> np.ndarray:
    """The mask with a margin, millimeters, on all sides."""
    from scipy import ndimage

    return ndimage.maximum_filter(mask.astype(np.uint8), size=_odd_size(affine, margin)).astype(bool)
