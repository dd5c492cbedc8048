"""The Python API: load the network once, then fuse arrays or tensors."""

from __future__ import annotations

import json
import os
from typing import TypeVar

import numpy as np
import torch

from . import BUNDLE
from .scripts.inferers.runtimes import load_network
from .scripts.inferers.slices import MIN_SIZE, SliceFusionInferer
from .scripts.networks.nets.mmif_amin import MMIFAMIN
from .scripts.utils.color import colorize, is_gray, luminance
from .scripts.utils.enums import Precision, Runtime

__all__ = ["Fuser", "load"]

Image = TypeVar("Image", np.ndarray, torch.Tensor)


def _as_planes(image: np.ndarray, name: str) -> np.ndarray:
    """(H, W), (1, H, W), (3, H, W) or (H, W, 3), 8 bit or float in [0, 1], as (C, H, W) float32 in [0, 1]."""
    values = image.astype(np.float32) / 255 if image.dtype == np.uint8 else image.astype(np.float32)
    if values.ndim == 3 and values.shape[-1] == 3 and values.shape[0] not in (1, 3):
        values = values.transpose(2, 0, 1)
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or values.shape[0] not in (1, 3):
        raise ValueError(
            f"`{name}` must have shape (H, W), (1, H, W), (3, H, W) or (H, W, 3), got {image.shape}. "
            "Use `fuse_volume` for volumes."
        )
    if not np.isfinite(values).all():
        raise ValueError(f"`{name}` must be finite, got NaN or infinite values. Replace them first.")
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"`{name}` must be 8 bit or lie in [0, 1], got {values.min():g} to {values.max():g} as {image.dtype}. "
            "Normalize it first, e.g. with `normalize_intensity`."
        )
    return values


class Fuser:
    """Fuses pairs of images, or volumes slice by slice, with a network.

    Args:
        network: takes (B, 2, H, W) and returns (B, 1, H, W), both in [0, 1].
        device: where it runs. Defaults to ``"cpu"``.

    Example:
        >>> fuser = Fuser(MMIFAMIN(spatial_dims=2))
        >>> fuser(np.zeros((20, 30), np.uint8), np.full((20, 30), 200, np.uint8)).max().item() > 0
        True
    """

    def __init__(self, network: torch.nn.Module, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()

    def run(self, source_a: np.ndarray, source_b: np.ndarray) -> np.ndarray:
        """Fuse (B, H, W) stacks in [0, 1]; returns (B, H, W) float32 in [0, 1].

        Raises:
            ValueError: When the shapes differ or a side is below 16 pixels.
        """
        if source_a.shape != source_b.shape:
            raise ValueError(
                f"Both sources must have the same size, got {source_a.shape[1:]} and {source_b.shape[1:]}. "
                "Register and resample them first."
            )
        if min(source_a.shape[1:]) < MIN_SIZE:
            raise ValueError(f"Images must have at least 16x16 pixels, got {source_a.shape[1]}x{source_a.shape[2]}.")
        image = torch.from_numpy(np.stack([source_a, source_b], axis=1)).to(self.device, torch.float32)
        with torch.inference_mode():
            return self.network(image)[:, 0].float().cpu().numpy()

    def __call__(self, source_a: Image, source_b: Image, color: bool = True) -> Image:
        """Fuse one pair.

        Args:
            source_a: structural image (MRI): (H, W), (1, H, W), (3, H, W) or (H, W, 3); uint8, or float in [0, 1].
            source_b: the other image, of the same size.
            color: give the result the colours of source B where that is a colour image. Defaults to True.

        Returns:
            The fused image, array or tensor and 8 bit or float as source A; (H, W), or (H, W, 3) in colour.

        Raises:
            ValueError: When shapes, sizes or value ranges are wrong, or a value is not finite.
        """
        as_tensor = isinstance(source_a, torch.Tensor)
        arrays = [x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else x for x in (source_a, source_b)]
        a, b = _as_planes(arrays[0], "source_a"), _as_planes(arrays[1], "source_b")
        in_color = color and b.shape[0] == 3 and not is_gray(b)
        gray = [luminance(x) if x.shape[0] == 3 else x for x in (a, b)]
        fused = self.run(gray[0], gray[1])
        if in_color:
            fused = colorize(fused, b).transpose(1, 2, 0)
        else:
            fused = fused[0]
        if arrays[0].dtype == np.uint8:
            fused = np.rint(fused * 255).astype(np.uint8)
        return torch.from_numpy(np.ascontiguousarray(fused)) if as_tensor else fused  # type: ignore[return-value]

    def fuse_volume(
        self, source_a: np.ndarray, source_b: np.ndarray, affine: np.ndarray | None = None, progress: bool = False
    ) -> np.ndarray:
        """Fuse two volumes slice by slice; see :class:`SliceFusionInferer`.

        Args:
            source_a: structural volume, (X, Y, Z) in [0, 1].
            source_b: the other volume, same shape.
            affine: (4, 4), voxel to world; decides across which axis. Defaults to None: across the last one.
            progress: show a bar with the time left. Defaults to False.

        Returns:
            (X, Y, Z) float32 in [0, 1].

        Raises:
            ValueError: When the shapes differ.
            InputError: When no axis leaves slices of 16 x 16 voxels.
        """
        if source_a.shape != source_b.shape:
            raise ValueError(f"Both sources must have the same size, got {source_a.shape} and {source_b.shape}.")
        volume = torch.from_numpy(np.stack([source_a, source_b])).to(self.device, torch.float32)
        inferer = SliceFusionInferer(progress=progress)
        with torch.inference_mode():
            fused = inferer.fuse_volume(volume, self.network, np.eye(4) if affine is None else affine)
        return fused[0].cpu().numpy()


def load(
    weights: str | os.PathLike | None = None,
    device: str | torch.device = "cpu",
    runtime: Runtime | str = Runtime.TORCH,
    precision: Precision | str = Precision.FLOAT32,
) -> Fuser:
    """Load the trained fusion network.

    Args:
        weights: state dict of the network in ``configs/inference.json``, or what ``mmif-amin export`` wrote for another
            runtime. Defaults to None: the shipped one.
        device: where it runs. Defaults to ``"cpu"``.
        runtime: ``"torch"``, ``"torchscript"`` or ``"onnx"``. Defaults to ``"torch"``.
        precision: ``"float32"`` or ``"bfloat16"``; see :func:`load_network`. Defaults to ``"float32"``.

    Raises:
        ValueError: When the runtime or the precision is not known.
        InputError: When the file is missing, damaged, of another runtime or architecture, or the device is not there.
    """
    definition = json.loads((BUNDLE / "configs" / "inference.json").read_text())["network_def"]
    network = MMIFAMIN(**{key: value for key, value in definition.items() if key != "_target_"})
    return Fuser(load_network(network, weights, device, runtime, precision), device)
