"""The Python API: load the network once, then fuse arrays or tensors. Imports torch only where it is needed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import BUNDLE
from .photographs.merge import check_count, fuse_photographs
from .scripts.data.photographs import photograph_of
from .scripts.data.source import Source
from .scripts.data.tasks import MEDICAL_WEIGHTS, PHOTOGRAPHIC_TASKS, FusionTask, task_of
from .scripts.inferers.contract import SMALLEST_SIDE, check_keep, choose_runtime, shipped
from .scripts.inferers.onnx_session import OnnxSession
from .scripts.inferers.tiles import fuse_in_tiles
from .scripts.utils.checks import InputError
from .scripts.utils.color import colorize, is_gray, luminance
from .scripts.utils.enums import Keep, Precision, Runtime
from .scripts.utils.photographs import canonical_order

if TYPE_CHECKING:
    import torch

    from .scripts.inferers.refinement import Refinement

__all__ = ["Fuser", "load", "load_torch_network"]

Image = TypeVar("Image", np.ndarray, "torch.Tensor")


class Fuser:
    """Fuses pairs of images, or volumes slice by slice, with a network.

    Args:
        network: a torch module that takes (B, 2, H, W) and returns (B, 1, H, W), both in [0, 1]; or a session of ONNX
            Runtime, which needs no torch.
        device: where a torch module runs; a session has its own. Defaults to ``"cpu"``.
        refine: steps of the loss on each very pair after the network, see
            :class:`~scripts.inferers.refinement.Refinement`; they need torch and run on ``device``. What they did is in
            ``refinement.report()``. Defaults to 0: none, and ``refinement`` is None.
        keep: what the image keeps above all, ``"both"`` or ``"lesions"``. Defaults to ``"both"``.
        task: what it fuses; it matters for photographs: ``"infrared-visible"``, ``"multi-focus"`` and
            ``"multi-exposure"``, which have neither ``refine`` nor ``keep``. Defaults to None: medical images.

    Raises:
        ValueError: When ``keep`` is neither.
        InputError: When ``refine`` is not a whole number from 0 to 10000, or not 0 where lesions are kept; when there
            is no such task; when photographs are to be refined or to keep lesions.

    Example:
        >>> fuser = load()
        >>> fuser(np.zeros((20, 30), np.uint8), np.full((20, 30), 200, np.uint8)).max().item() > 0
        True
    """

    def __init__(
        self,
        network: torch.nn.Module | OnnxSession,
        device: str | torch.device = "cpu",
        refine: int = 0,
        keep: Keep | str = Keep.BOTH,
        task: FusionTask | str | None = None,
    ) -> None:
        self.task = _photographic(task, refine, keep)
        self.network = network if isinstance(network, OnnxSession) else network.to(device).eval()
        self.device = device
        self.refinement = _refinement(refine)
        self.keep = check_keep(keep, refine)

    def __call__(self, source_a: Image, source_b: Image, color: bool = True) -> Image:
        """Fuse one pair.

        Args:
            source_a: structural image (MRI), or the infrared one: (H, W), (1, H, W), (3, H, W) or (H, W, 3); uint8, or
                float in [0, 1]; photographs also uint16.
            source_b: the other image, of the same size.
            color: give the result the colors of source B where that is a color image; for several focus settings or
                exposures those of both. Defaults to True.

        Returns:
            The fused image, array or tensor and 8 bit or float as source A; (H, W), or (H, W, 3) in color.

        Raises:
            ValueError: When shapes, sizes or value ranges are wrong, or a value is not finite.
        """
        if self.task:
            return self.fuse_many([source_a, source_b], color)
        arrays = [_as_array(source_a), _as_array(source_b)]
        a, b = _as_planes(arrays[0], "source_a"), _as_planes(arrays[1], "source_b")
        in_color = color and b.shape[0] == 3 and not is_gray(b)
        gray = [luminance(x) if x.shape[0] == 3 else x for x in (a, b)]
        fused = self.fuse_stack(gray[0], gray[1])
        fused = colorize(fused, b).transpose(1, 2, 0) if in_color else fused[0]
        if arrays[0].dtype == np.uint8:
            fused = np.rint(fused * 255).astype(np.uint8)
        if _is_tensor(source_a):
            return sys.modules["torch"].from_numpy(np.ascontiguousarray(fused))
        return fused  # type: ignore[return-value]

    def fuse_many(self, images: Sequence[Image], color: bool = True) -> Image:
        """Fuse photographs: two, or a whole focus stack or bracket of exposures.

        Args:
            images: arrays or tensors as in :meth:`__call__`, in any order unless one is infrared, which comes first.
            color: keep colors. Defaults to True.

        Returns:
            The fused image, array or tensor as the first one; float if one is float, else of the most bits of all;
            (H, W), or (H, W, 3) in color.

        Raises:
            ValueError: When shapes, sizes or value ranges are wrong, or a value is not finite.
            InputError: When the task is a medical one, or there are too few or too many images.
        """
        if self.task is None:
            raise InputError(f"Several images: expected one of {', '.join(PHOTOGRAPHIC_TASKS)}, got no such task.")
        check_count(len(images), self.task)
        arrays = [_as_array(image) for image in images]
        photographs = [_as_photograph(array, f"images[{k}]") for k, array in enumerate(arrays)]
        result = fuse_photographs(self.fuse_stack, photographs, self.task, color)
        fused = result.gray[0] if result.rgb is None else result.rgb.transpose(1, 2, 0)
        if all(array.dtype.kind == "u" for array in arrays):
            full, kind = (255, np.uint8) if result.bits == 8 else (65535, np.uint16)
            fused = np.rint(fused.clip(0, 1) * full).astype(kind)
        if _is_tensor(images[0]):
            return sys.modules["torch"].from_numpy(np.ascontiguousarray(fused))
        return fused  # type: ignore[return-value]

    def fuse_stack(self, source_a: np.ndarray, source_b: np.ndarray, progress: bool = False) -> np.ndarray:
        """Fuse two stacks of gray images; images above 768 pixels a side are fused in overlapping tiles.

        Where the sources of the task have no order, each pair is put into one by its content, as a whole.

        Args:
            source_a: structural images, (B, H, W) in [0, 1].
            source_b: the other images, of the same shape.
            progress: show a bar of the tiles where they take long. Defaults to False.

        Returns:
            (B, H, W) float32 in [0, 1].

        Raises:
            ValueError: When the shapes differ or a side is below 16 pixels.
        """
        if source_a.shape != source_b.shape:
            raise ValueError(
                f"Both sources must have the same size, got {source_a.shape[1:]} and {source_b.shape[1:]}. "
                "Register and resample them first."
            )
        if min(source_a.shape[1:]) < SMALLEST_SIDE:
            raise ValueError(f"Images must have at least 16x16 pixels, got {source_a.shape[1]}x{source_a.shape[2]}.")
        images = np.stack([source_a, source_b], axis=1).astype(np.float32, copy=False)
        if self.task and not self.task.ordered:
            for k, pair in enumerate(images):
                if canonical_order(pair) != [0, 1]:
                    images[k] = pair[::-1].copy()
        return fuse_in_tiles(images, self._fuse_arrays, progress=progress)[:, 0]

    def fuse_volume(
        self, source_a: np.ndarray, source_b: np.ndarray, affine: np.ndarray | None = None, progress: bool = False
    ) -> np.ndarray:
        """Fuse two volumes slice by slice; see :class:`~scripts.inferers.slices.SliceFusionInferer`.

        Args:
            source_a: structural volume, (X, Y, Z) in [0, 1].
            source_b: the other volume, same shape.
            affine: (4, 4), voxel to world, mm; decides across which axis, and whether slices are near enough to share
                corrections. Defaults to None: across the last one, and they share none.
            progress: show a bar with the time left. Defaults to False.

        Returns:
            (X, Y, Z) float32 in [0, 1].

        Raises:
            ValueError: When the shapes differ.
            InputError: When no axis leaves slices of 16 x 16 voxels.
        """
        if source_a.shape != source_b.shape:
            raise ValueError(f"Both sources must have the same size, got {source_a.shape} and {source_b.shape}.")
        import torch

        from .scripts.inferers.runtimes import OnnxNetwork
        from .scripts.inferers.slices import SliceFusionInferer

        network = OnnxNetwork(self.network) if isinstance(self.network, OnnxSession) else self.network
        volume = torch.from_numpy(np.stack([source_a, source_b])).to(self.device, torch.float32)
        with torch.inference_mode():
            inferer = SliceFusionInferer(progress=progress, refinement=self.refinement, keep=self.keep)
            fused = inferer.fuse_slices(volume, network, affine)
        return fused[0].cpu().numpy()

    def _fuse_arrays(self, images: np.ndarray) -> np.ndarray:
        """Run the network and the refinement on (B, 2, H, W) float32; returns (B, 1, H, W) float32."""
        if isinstance(self.network, OnnxSession) and self.refinement is None:
            return self.network(images, self.keep.condition)
        import torch

        with torch.inference_mode():
            image = torch.from_numpy(images).to(self.device)
            if isinstance(self.network, OnnxSession):
                fused = torch.from_numpy(self.network(images, self.keep.condition)).to(self.device)
            elif self.keep is Keep.BOTH:
                fused = self.network(image).float()
            else:
                fused = self.network(image, torch.tensor([self.keep.condition], device=self.device)).float()
            return (self.refinement(fused, image) if self.refinement else fused).cpu().numpy()


def load(
    weights: str | os.PathLike | None = None,
    device: str | torch.device = "cpu",
    runtime: Runtime | str = Runtime.AUTO,
    precision: Precision | str = Precision.FLOAT32,
    refine: int = 0,
    keep: Keep | str = Keep.BOTH,
    task: FusionTask | str | None = None,
) -> Fuser:
    """Load the trained fusion network.

    Args:
        weights: state dict of the network in ``configs/inference.json``, or what ``mmif-amin export`` wrote for another
            runtime. Defaults to None: the shipped weights.
        device: where it runs. Defaults to ``"cpu"``.
        runtime: ``"auto"``, ``"torch"``, ``"torchscript"`` or ``"onnx"``. Defaults to ``"auto"``: the shipped weights
            run in ONNX Runtime on the CPU, without torch, and other weights in the runtime of their suffix; see
            :func:`~scripts.inferers.contract.choose_runtime`. ``"torch"`` makes ``network`` the Python network.
        precision: ``"float32"`` or ``"bfloat16"``; see :func:`~scripts.inferers.runtimes.load_network`. Defaults to
            ``"float32"``.
        refine: steps of the loss on each very pair after the network, whatever its runtime; see :class:`Fuser`. 20 of
            them take about 1.3 s for 256x256 pixels on one core. Defaults to 0: none.
        keep: what the image keeps above all: ``"both"`` sources' structure at the same place, or ``"lesions"``, small
            bright and dark spots of either source. Defaults to ``"both"``.
        task: what it fuses, with weights of its own for photographs: ``"infrared-visible"``, ``"multi-focus"`` or
            ``"multi-exposure"``. Defaults to None: medical images.

    Raises:
        ValueError: When the runtime, the precision or ``keep`` is not known.
        InputError: When the file is missing, damaged, of another runtime or architecture, the device is not there, or
            ``refine`` is not a whole number from 0 to 10000, or not 0 where lesions are kept; when there is no such
            task, or photographs are to be refined or to keep lesions.
    """
    found = _photographic(task, refine, keep)
    chosen, path = choose_runtime(weights, device, runtime, precision, found.weights if found else MEDICAL_WEIGHTS)
    if chosen is Runtime.ONNX:
        return Fuser(OnnxSession(path, str(device)), device, refine, keep, found)
    from .scripts.inferers.runtimes import load_network

    return Fuser(load_network(lambda: _network(found), path, device, chosen, precision), device, refine, keep, found)


def load_torch_network(weights: str | os.PathLike | None = None, task: str | None = None) -> torch.nn.Module:
    """Load the Python network with its weights, on the CPU; imports MONAI.

    Args:
        weights: state dict of the task's network. Defaults to None: the shipped one.
        task: whose network. Defaults to None: that of ``configs/inference.json``, for all medical tasks.

    Raises:
        InputError: When the file is missing, damaged or of another architecture.
    """
    from .scripts.inferers.runtimes import load_network

    found = _photographic(task)
    path = weights or shipped(Runtime.TORCH, found.weights if found else MEDICAL_WEIGHTS)
    return load_network(lambda: _network(found), path, runtime=Runtime.TORCH)


def _network(task: FusionTask | None = None) -> torch.nn.Module:
    """The Python network as ``configs/inference.json`` defines it, without its weights; imports MONAI.

    That of photographs has the rule of its task, no condition, and channel attention.
    """
    from .scripts.networks.nets.mmif_amin import MMIFAMIN

    definition = json.loads((BUNDLE / "configs" / "inference.json").read_text(encoding="utf-8"))["network_def"]
    of_task: dict[str, Any] = {"rule": task.rule, "conditional": False, "channel_attention": True} if task else {}
    return MMIFAMIN(**{key: value for key, value in definition.items() if key != "_target_"}, **of_task)


def _photographic(task: FusionTask | str | None, refine: int = 0, keep: Keep | str = Keep.BOTH) -> FusionTask | None:
    """The task of photographs, or None for medical images."""
    found = task if isinstance(task, FusionTask) or task is None else task_of(task)
    if found is None or not found.photographic:
        return None
    if refine or Keep(keep) is not Keep.BOTH:
        given = f"--refine {refine}" if refine else f"--keep {keep}"
        raise InputError(f"{given}: is for medical images, got the task {found.name}. Leave it out.")
    return found


def _refinement(steps: int) -> Refinement | None:
    """What refines, or None for 0 steps: torch is imported only where it is needed."""
    if isinstance(steps, int) and steps == 0:
        return None
    from .scripts.inferers.refinement import Refinement

    return Refinement(steps)


def _is_tensor(image: object) -> bool:
    """Whether an image is a torch tensor; torch is imported already where it is one."""
    return "torch" in sys.modules and isinstance(image, sys.modules["torch"].Tensor)


def _as_array(image: Any) -> np.ndarray:
    return image.detach().cpu().numpy() if _is_tensor(image) else image


def _as_photograph(image: np.ndarray, name: str) -> Source:
    """A photograph from (H, W), (1, H, W), (3, H, W) or (H, W, 3), uint8, uint16 or float in [0, 1]."""
    deep = image.dtype == np.uint16
    planes = _as_planes(image.astype(np.float32) / 65535 if deep else image, name)
    return replace(photograph_of(planes.transpose(1, 2, 0)), bits=16 if deep else 8)


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
