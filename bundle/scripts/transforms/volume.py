"""Volumes of one study: loading them in their own units, one grid for both, normalization, colours."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, SpatialResample, Transform
from monai.utils import look_up_option
from scipy import ndimage

from ..data.study import Study, read_study
from ..utils.checks import InputError
from ..utils.color import apply_colormap, colorize
from ..utils.enums import ColorMap, CTWindow, FusionGrid, Modality, SourceKeys
from ..utils.intensity import intensity_window, normalize_intensity

__all__ = [
    "ColormapFusedd",
    "FusionGridd",
    "LoadStudyd",
    "NormalizeStudyd",
    "ResampleVolume",
    "ResampleVolumed",
    "study_batch",
]

SOURCES = (SourceKeys.SOURCE_A.value, SourceKeys.SOURCE_B.value)
SMALLEST, LARGEST = 0.05, 50.0  # mm; voxels beyond are a slip of the pen
SLAB = 16  # slices that are resampled at once: bounds the memory of the sampling grid
BYTES_PER_VOXEL = 20  # measured peak of a fusion with colours and loss maps, beside the sources, grid voxels
BASE_BYTES = 1.0e9  # measured: Python, torch, MONAI and MLflow
SHOWN = 1e-3  # share of the grid that a source must show something on
COARSER = 1.2  # target voxels larger than this many source voxels: smooth before
FWHM = 2 * np.sqrt(2 * np.log(2))

logger = logging.getLogger("mmif_amin")


class LoadStudyd(Transform):
    """Load both volumes of a study, NIfTI or DICOM, in their own units; see ``data.study``.

    Own code instead of ``LoadImaged``: that one assumes regular slices, has no SUV, no MONOCHROME1, no choice among the
    series of a folder, and fails with another error for each way in which a file is damaged.

    Each source becomes a MetaTensor (1, X, Y, Z) whose ``meta`` has ``modality``, ``unit`` and ``frame_of_reference``;
    ``<key>_file`` keeps the :class:`Volume` with its headers and notes, but zeros without memory as values; ``task`` is
    settled.

    Raises:
        InputError: When a volume cannot be used.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:  # type: ignore[override]
        """Load the study: an entry with the fields of :class:`Study`."""
        d = dict(data)
        study = Study(**{name: d[name] for name in Study.__dataclass_fields__ if d.get(name) is not None})
        *volumes, task = read_study(study)
        d[SourceKeys.TASK.value] = task
        for key, volume, modality in zip(SOURCES, volumes, reversed(task.split("-")), strict=True):
            frame = volume.headers[0].get("FrameOfReferenceUID") if volume.headers else None
            meta = {"modality": modality, "unit": volume.unit, "frame_of_reference": frame and str(frame)}
            d[key] = MetaTensor(
                torch.from_numpy(volume.values[None]), affine=torch.from_numpy(volume.affine), meta=meta
            )
            d[f"{key}_file"] = replace(volume, values=np.broadcast_to(np.float32(0), volume.values.shape))
        return d


class FusionGridd(Transform):
    """Choose the voxel grid of the fused volume.

    It has the axes and the field of view of the first source; its voxels are that source's (``"reference"``), along
    each axis the smaller of both sources' (``"finest"``), or cubes of a given size. An empty volume with its shape and
    affine is kept under ``grid_key``, without memory of its own.

    Args:
        keys: keys of the sources, the reference first. Defaults to both.
        grid: ``"reference"``, ``"finest"`` or a voxel size, millimetres. Defaults to ``"reference"``.
        grid_key: where the grid goes. Defaults to ``"grid"``.

    Raises:
        ValueError: When ``grid`` is none of these, or a size below 0.05 or above 50 mm.
        InputError: When the fusion would need more memory than is free.
    """

    def __init__(
        self,
        keys: Sequence[str] = SOURCES,
        grid: FusionGrid | str | float = FusionGrid.REFERENCE,
        grid_key: str = "grid",
    ) -> None:
        self.keys = tuple(keys)
        try:
            self.millimetres: float | None = float(grid)
            self.grid = None
        except ValueError:
            self.millimetres, self.grid = None, FusionGrid(look_up_option(grid, FusionGrid))
        if self.millimetres is not None and not SMALLEST <= self.millimetres <= LARGEST:
            raise ValueError(
                f"`grid` must be 'reference', 'finest' or a size from {SMALLEST:g} to {LARGEST:g} mm, got {grid}."
            )
        self.grid_key = grid_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:  # type: ignore[override]
        """Make the grid."""
        d = dict(data)
        reference, other = (d[key] for key in self.keys)
        affine, shape = reference.affine.numpy().astype(np.float64), np.array(reference.shape[1:])
        own = np.linalg.norm(affine[:3, :3], axis=0)
        spacing = own
        if self.grid is FusionGrid.FINEST:
            linear = other.affine.numpy()[:3, :3]
            sizes = np.linalg.norm(linear, axis=0)
            along = np.abs((affine[:3, :3] / own).T @ (linear / sizes))
            spacing = np.minimum(own, sizes[along.argmax(axis=1)])
        elif self.millimetres is not None:
            spacing = np.full(3, self.millimetres)
        if not np.allclose(spacing, own):
            factor = spacing / own
            corner = affine @ np.r_[(factor - 1) / 2, 1.0]  # the field of view keeps its first corner
            affine = affine @ np.diag([*factor, 1.0])
            affine[:3, 3] = corner[:3]
            shape = np.maximum(1, np.rint(shape / factor)).astype(int)
        self._check_memory(shape, reference.numel() + other.numel())
        empty = torch.zeros(1).expand(1, *shape.tolist())
        d[self.grid_key] = MetaTensor(empty, affine=torch.from_numpy(affine))
        return d

    @staticmethod
    def _check_memory(shape: np.ndarray, source_voxels: int) -> None:
        import psutil

        needed = BASE_BYTES + BYTES_PER_VOXEL * float(shape.prod()) + 4.0 * source_voxels
        free = psutil.virtual_memory().available + psutil.Process().memory_info().rss
        logger.info("fusion grid %s: about %.1f GB of memory", "x".join(map(str, shape)), needed / 1e9)
        if needed > free:
            raise InputError(
                f"A fusion grid of {'x'.join(map(str, shape))} voxels needs about {needed / 1e9:.1f} GB of memory, "
                f"{free / 1e9:.1f} GB are free. Choose a coarser --grid."
            )


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
        source = image.as_tensor().to(torch.float32) - fill
        ratio = torch.linalg.norm((torch.linalg.inv(image.affine) @ affine)[:3, :3], dim=1).numpy()
        if ratio.max() > COARSER:
            sigma = np.sqrt(np.maximum(ratio**2 - 1, 0)) / FWHM
            source = torch.from_numpy(ndimage.gaussian_filter(source.numpy(), [0, *sigma], mode="nearest"))
        moved = MetaTensor(source, affine=image.affine)
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


class ResampleVolumed(MapTransform, InvertibleTransform):
    """Dictionary version of :class:`ResampleVolume`.

    Args:
        keys: keys of volumes.
        key_dst: key of the grid.
        allow_missing_keys: skip missing keys. Defaults to False.
    """

    def __init__(self, keys: KeysCollection, key_dst: str, allow_missing_keys: bool = False) -> None:
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


class NormalizeStudyd(Transform):
    """Normalize both volumes by their modality into the network's input; the volumes themselves stay in their units.

    Args:
        keys: keys of the sources, structural first. Defaults to both.
        name: key of the input, (2, X, Y, Z) in [0, 1]. Defaults to ``"image"``; the values that became 0 and 1 go under
            ``<key>_window``.
        ct_window: ``"head"``, ``"brain"``, ``"soft"`` or ``"bone"``. Defaults to ``"head"``.
        functional_max: value of PET and SPECT, in their unit, that becomes 1. Defaults to None: the 99.5th percentile.

    Raises:
        ValueError: When ``ct_window`` is not known or ``functional_max`` not positive.
        InputError: When a volume shows something on less than a thousandth of the fusion grid.
    """

    def __init__(
        self,
        keys: Sequence[str] = SOURCES,
        name: str = "image",
        ct_window: CTWindow | str = CTWindow.HEAD,
        functional_max: float | None = None,
    ) -> None:
        self.keys = tuple(keys)
        self.name = name
        self.ct_window = CTWindow(look_up_option(ct_window, CTWindow))
        self.functional_max = functional_max
        if functional_max is not None and not functional_max > 0:
            raise ValueError(f"`functional_max` must be positive, got {functional_max}.")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:  # type: ignore[override]
        """Make the input."""
        d = dict(data)
        volumes = [d[key] for key in self.keys]
        image = np.empty((len(volumes), *volumes[0].shape[1:]), dtype=np.float32)
        for number, (key, volume) in enumerate(zip(self.keys, volumes, strict=True)):
            modality, values = Modality(volume.meta["modality"]), volume.as_tensor().numpy()[0]
            low, high = intensity_window(values, modality, self.ct_window)
            if self.functional_max and modality in (Modality.PET, Modality.SPECT):
                low, high = 0.0, float(self.functional_max)
            if high <= low or values.min() == values.max() or (values > low).mean() < SHOWN:
                raise InputError(
                    f"Source {'AB'[number]}: expected structure, there is hardly any on the fusion grid (values from "
                    f"{float(values.min()):g} to {float(values.max()):g}). Do the volumes show the same region? Try "
                    "--register rigid."
                )
            image[number] = normalize_intensity(values, modality, (low, high))
            d[f"{key}_window"] = (low, high)
        d[self.name] = MetaTensor(torch.from_numpy(image), affine=volumes[0].affine)
        return d


class ColormapFusedd(MapTransform):
    """Give the fused volume the colours of a functional source B: ``<key>_color``, (3, X, Y, Z) uint8.

    The luminance of the colours is the fused volume; see ``utils.color.colorize``. Where B is not PET or SPECT nothing
    is added.

    Args:
        keys: keys of fused volumes, (1, 1, X, Y, Z).
        image_key: key of the network's input, (1, 2, X, Y, Z). Defaults to ``"image"``.
        colormap: ``"hot"``, ``"inferno"`` or ``"pet-rainbow"``. Defaults to ``"hot"``.
        allow_missing_keys: skip missing keys. Defaults to False.

    Raises:
        ValueError: When ``colormap`` is not known.
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = "image",
        colormap: ColorMap | str = ColorMap.HOT,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key
        self.colormap = ColorMap(look_up_option(colormap, ColorMap))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Colour each fused volume."""
        d = dict(data)
        if Modality(str(d[SourceKeys.TASK.value]).partition("-")[0]) not in (Modality.PET, Modality.SPECT):
            return d
        other = d[self.image_key][0, 1].cpu().numpy()
        for key in self.key_iterator(d):
            fused = d[key][0].cpu().numpy()
            colored = np.empty((3, *other.shape), dtype=np.uint8)
            for k in range(other.shape[2]):
                rgb = colorize(fused[..., k], apply_colormap(other[..., k], self.colormap))
                colored[..., k] = np.rint(rgb * 255)
            d[f"{key}_color"] = torch.from_numpy(colored)
        return d


def study_batch(items: Sequence[dict[Hashable, Any]]) -> dict[Hashable, Any]:
    """Batch of one study: the network's input gets a batch axis, all else stays as it is.

    MONAI's collation would copy all volumes and cannot take DICOM headers.

    Args:
        items: one entry of the data set.
    """
    (item,) = items
    return {**item, "image": item["image"][None]}


ResampleVolumeD = ResampleVolumeDict = ResampleVolumed
ColormapFusedD = ColormapFusedDict = ColormapFusedd
FusionGridD = FusionGridDict = FusionGridd
LoadStudyD = LoadStudyDict = LoadStudyd
NormalizeStudyD = NormalizeStudyDict = NormalizeStudyd
