"""Colors of the fused image: the chroma of a color picture, or the colors of a map for a functional volume."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import look_up_option
from monai.utils.enums import CommonKeys

from ..utils.color import color_fused, colorize
from ..utils.enums import ColorMap, Lightness, Modality, SourceKeys, StudyKeys

__all__ = ["ColorizeFused", "ColorizeFusedd", "ColormapFused", "ColormapFusedd"]


class ColorizeFused(Transform):
    """Give a fused luminance (1, H, W) the chroma of a color image (3, H, W); see ``utils.color.colorize``."""

    def __call__(self, fused: torch.Tensor, rgb: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Return (3, H, W) in [0, 1]."""
        return torch.from_numpy(colorize(np.asarray(fused.cpu()), np.asarray(rgb.cpu())))


class ColorizeFusedd(MapTransform):
    """Dictionary version of :class:`ColorizeFused`.

    Args:
        keys: keys of fused images.
        color_key: key of the color source, (3, H, W).
        allow_missing_keys: skip missing keys. Defaults to False.
    """

    def __init__(self, keys: KeysCollection, color_key: str, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.color_key = color_key
        self.colorize = ColorizeFused()

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Color each fused image."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.colorize(d[key], d[self.color_key])
        return d


class ColormapFused(Transform):
    """Show a fused volume and its functional source in one color volume; see ``utils.color.color_fused``.

    Args:
        colormap: ``"ember"``, ``"gold"``, ``"hot"``, ``"inferno"`` or ``"pet-rainbow"``. Defaults to ``"ember"``.
        lightness: ``"auto"``, ``"structural"`` or ``"fused"``: which volume the lightness under the colors is.
            Defaults to ``"auto"``: the structural one under ember and gold, the fused one under the others.

    Shape:
        fused, structural, functional: (1, X, Y, Z) in [0, 1]; returns (3, X, Y, Z) uint8, whose ``meta`` has
        ``colormap``.

    Raises:
        ValueError: When ``colormap`` or ``lightness`` is not known.
    """

    def __init__(self, colormap: ColorMap | str = ColorMap.EMBER, lightness: Lightness | str = Lightness.AUTO) -> None:
        self.colormap = ColorMap(look_up_option(colormap, ColorMap))
        self.lightness = Lightness(look_up_option(lightness, Lightness))

    def __call__(  # type: ignore[override]
        self, fused: torch.Tensor, structural: torch.Tensor, functional: torch.Tensor
    ) -> MetaTensor:
        """Color the volume slice by slice."""
        gray, anatomy, values = (np.asarray(volume.cpu()) for volume in (fused, structural, functional))
        colored = np.empty((3, *gray.shape[1:]), dtype=np.uint8)
        for k in range(gray.shape[3]):
            colored[..., k] = color_fused(gray[..., k], anatomy[..., k], values[..., k], self.colormap, self.lightness)
        return MetaTensor(torch.from_numpy(colored), meta={"colormap": str(self.colormap)})


class ColormapFusedd(MapTransform):
    """Dictionary version of :class:`ColormapFused`, for batches of one study; the colors go under ``<key>_color``.

    Where source B is neither PET nor SPECT, nothing is added.

    Args:
        keys: keys of fused volumes, (1, 1, X, Y, Z).
        image_key: key of the network's input, (1, 2, X, Y, Z). Defaults to ``"image"``.
        colormap: see :class:`ColormapFused`.
        lightness: see :class:`ColormapFused`.
        allow_missing_keys: skip missing keys. Defaults to False.
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = CommonKeys.IMAGE.value,
        colormap: ColorMap | str = ColorMap.EMBER,
        lightness: Lightness | str = Lightness.AUTO,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key
        self.colormap = ColormapFused(colormap, lightness)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Color each fused volume."""
        d = dict(data)
        if Modality(str(d[SourceKeys.TASK.value]).partition("-")[0]) not in (Modality.PET, Modality.SPECT):
            return d
        for key in self.key_iterator(d):
            d[StudyKeys.color(str(key))] = self.colormap(d[key][0], *d[self.image_key][0].split(1))
        return d


ColorizeFusedD = ColorizeFusedDict = ColorizeFusedd
ColormapFusedD = ColormapFusedDict = ColormapFusedd
