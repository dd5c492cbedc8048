"""Colour of the fused image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from ..utils.color import colorize

__all__ = ["ColorizeFused", "ColorizeFusedd"]


class ColorizeFused(Transform):
    """Give a fused luminance (1, H, W) the chroma of a colour image (3, H, W); see ``utils.color.colorize``."""

    def __call__(self, fused: torch.Tensor, rgb: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Return (3, H, W) in [0, 1]."""
        return torch.from_numpy(colorize(np.asarray(fused.cpu()), np.asarray(rgb.cpu())))


class ColorizeFusedd(MapTransform):
    """Dictionary version of :class:`ColorizeFused`.

    Args:
        keys: keys of fused images.
        color_key: key of the colour source, (3, H, W).
        allow_missing_keys: skip missing keys. Defaults to False.
    """

    def __init__(self, keys: KeysCollection, color_key: str, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.color_key = color_key
        self.colorize = ColorizeFused()

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Colour each fused image."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.colorize(d[key], d[self.color_key])
        return d


ColorizeFusedD = ColorizeFusedDict = ColorizeFusedd
