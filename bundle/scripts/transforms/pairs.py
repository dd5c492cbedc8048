"""Pairs of pictures or slices: loading the two sources, saving the fused image."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..data.pictures import read_source, write_image
from ..data.tasks import task_of
from ..utils.checks import InputError
from ..utils.enums import SourceKeys

__all__ = ["LoadSourced", "SaveFusedd"]


class LoadSourced(MapTransform):
    """Load the sources of a pair as gray images in [0, 1], normalized by their modality.

    Its array version is the function ``data.pictures.read_source``, with which the command line reads the same way
    without importing MONAI. Own code instead of ``LoadImaged``, which has no rule for palettes, alpha and 16 bit.

    Args:
        keys: keys of the paths. Defaults to both sources.
        color_key: also keep the colors of source B, (3, H, W) in [0, 1] (gray three times where it has none), under
            this key. Defaults to None.
        allow_missing_keys: skip missing keys. Defaults to False.

    Shape:
        each key: (1, H, W), or (1, X, Y, Z) for volumes.

    Raises:
        InputError: When a file cannot be used, or the two sources differ in size.
    """

    def __init__(
        self,
        keys: KeysCollection = (SourceKeys.SOURCE_A.value, SourceKeys.SOURCE_B.value),
        color_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.color_key = color_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Load the pair."""
        d = dict(data)
        task = task_of(str(d[SourceKeys.TASK.value]))
        index = int(d.get(SourceKeys.SLICE.value, -1))
        shapes = {}
        for key in self.key_iterator(d):
            path = str(d[key])
            modality = task.source_a if key == SourceKeys.SOURCE_A.value else task.source_b
            source = read_source(path, modality, index if index >= 0 else None)
            d[key] = torch.from_numpy(source.gray)
            shapes[path] = source.gray.shape[1:]
            if self.color_key and key == SourceKeys.SOURCE_B.value:
                rgb = source.rgb if source.rgb is not None else np.repeat(source.gray, 3, axis=0)
                d[self.color_key] = torch.from_numpy(rgb)
        if len(set(shapes.values())) > 1:
            raise InputError(f"Expected sources of the same size, got {shapes}. Register and resample them first.")
        return d


class SaveFusedd(MapTransform):
    """Save fused images as ``<output_dir>/<task>/<name>.png``, 8 bit, gray or color, never half-written.

    Its array version is the function ``data.pictures.write_image``, with which the command line writes the same way.
    Own code instead of ``SaveImaged``, which writes in place and transposes 2-D images.

    Args:
        keys: keys of fused images, (1, H, W) or (3, H, W) in [0, 1].
        output_dir: folder.
        allow_missing_keys: skip missing keys. Defaults to False.

    Raises:
        InputError: When the folder cannot be written.
    """

    def __init__(self, keys: KeysCollection, output_dir: str | os.PathLike, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir = Path(output_dir)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Save each fused image."""
        d = dict(data)
        folder = self.output_dir / str(d[SourceKeys.TASK.value])
        for key in self.key_iterator(d):
            write_image(folder / f"{d[SourceKeys.NAME.value]}.png", np.asarray(d[key].cpu()))
        return d


LoadSourceD = LoadSourceDict = LoadSourced
SaveFusedD = SaveFusedDict = SaveFusedd
