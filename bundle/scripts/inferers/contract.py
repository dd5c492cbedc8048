"""What the network takes and returns, which files hold it, and which runtime runs a file. Imports no torch."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import BUNDLE_ROOT
from ..data.tasks import MEDICAL_WEIGHTS
from ..utils.checks import InputError, first_line
from ..utils.enums import Keep, Precision, Runtime

__all__ = [
    "INPUT_NAME",
    "KEEP_NAME",
    "LARGEST_WHOLE_SIDE",
    "OUTPUT_NAME",
    "SHIPPED",
    "SMALLEST_SIDE",
    "check_exported",
    "check_keep",
    "choose_runtime",
    "shipped",
]

INPUT_NAME, OUTPUT_NAME = "image", "pred"  # as in configs/metadata.json
KEEP_NAME = "keep"  # the second input of an exported network: one number, see scripts.utils.enums.Keep
SMALLEST_SIDE = 16  # pixels; the network's filters need as many
LARGEST_WHOLE_SIDE = 768  # pixels; a larger image is fused in tiles
SHIPPED = {
    Runtime.TORCH: Path(BUNDLE_ROOT) / "models" / "model.pt",
    Runtime.TORCHSCRIPT: Path(BUNDLE_ROOT) / "models" / "model.ts",
    Runtime.ONNX: Path(BUNDLE_ROOT) / "models" / "model.onnx",
}


def shipped(runtime: Runtime, stem: str = MEDICAL_WEIGHTS) -> Path:
    """The shipped file of a runtime.

    Args:
        runtime: which one, not ``auto``.
        stem: name of the weights, see :class:`~scripts.data.tasks.FusionTask`. Defaults to ``"model"``, the medical.
    """
    return SHIPPED[runtime].with_stem(stem)


def choose_runtime(
    weights: str | os.PathLike | None = None,
    device: object = "cpu",
    runtime: Runtime | str = Runtime.AUTO,
    precision: Precision | str = Precision.FLOAT32,
    stem: str = MEDICAL_WEIGHTS,
) -> tuple[Runtime, Path]:
    """Choose what runs the network, and check that the file is for it.

    ``"auto"`` takes the runtime that the suffix of ``weights`` names. For the shipped weights it takes ONNX Runtime on
    the CPU, because it starts without torch, and TorchScript on CUDA; PyTorch for bfloat16 and for other devices.

    Args:
        weights: a state dict (.pt), TorchScript (.ts) or ONNX (.onnx). Defaults to None: the shipped file.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``, or a ``torch.device``. Defaults to ``"cpu"``.
        runtime: ``"auto"``, ``"torch"``, ``"torchscript"`` or ``"onnx"``. Defaults to ``"auto"``.
        precision: ``"float32"`` or, for the runtime torch, ``"bfloat16"``. Defaults to ``"float32"``.
        stem: name of the shipped weights, see :func:`shipped`. Defaults to ``"model"``.

    Returns:
        The runtime, never ``auto``, and the file that it runs.

    Raises:
        ValueError: When the runtime or the precision is not known.
        InputError: When the file is missing or of another runtime, or the runtime does not have the precision.

    Example:
        >>> runtime, path = choose_runtime(runtime="torchscript")
        >>> str(runtime), path.name
        ('torchscript', 'model.ts')
    """
    runtime, precision = Runtime(runtime), Precision(precision)
    named = {path.suffix: kind for kind, path in SHIPPED.items()}.get(Path(weights or "").suffix)
    if runtime is Runtime.AUTO:
        runtime = (named or Runtime.TORCH) if weights else _fastest(str(device), precision, stem)
    if precision is Precision.BFLOAT16 and runtime is not Runtime.TORCH:
        raise InputError(f"--precision {precision}: is for the runtime torch, got {runtime}. Leave one of them out.")
    path = Path(weights or shipped(runtime, stem))
    if not path.is_file():
        raise InputError(f"{path}: expected a weights file, found nothing there. Name one with --weights.")
    if named not in (None, runtime) and (runtime, named) != (Runtime.TORCHSCRIPT, Runtime.TORCH):
        raise InputError(
            f"{path}: expected a {SHIPPED[runtime].suffix} file for the runtime {runtime}, got one for {named}. Choose "
            "that runtime, or write the file with mmif-amin export."
        )
    return runtime, path


def check_keep(keep: Keep | str, refine: int) -> Keep:
    """Check what a fused image is to keep above all.

    Args:
        keep: ``"both"`` or ``"lesions"``.
        refine: steps of the loss that come after the network.

    Returns:
        The member of :class:`~scripts.utils.enums.Keep`.

    Raises:
        ValueError: When the word is not known.
        InputError: When an image that keeps lesions is to be refined: the loss of the refinement does not ask for them.
    """
    if Keep(keep) is Keep.LESIONS and refine:
        raise InputError(f"--refine {refine}: is for --keep {Keep.BOTH}, got {keep}. Leave one of them out.")
    return Keep(keep)


def check_exported(path: Path, fuse: Callable[[np.ndarray], Any]) -> None:
    """Check that an exported network makes one image of two, unlike any other file of its format.

    Args:
        path: the file, for the message.
        fuse: runs the network; takes (1, 2, 16, 16) and returns something with a shape.

    Raises:
        InputError: When the network fails, or returns another shape than (1, 1, 16, 16).
    """
    image = np.zeros((1, 2, SMALLEST_SIDE, SMALLEST_SIDE), np.float32)
    try:
        shape = list(fuse(image).shape)
    except Exception as error:  # a foreign network may raise anything
        raise InputError(
            f"{path}: expected a network that mmif-amin export wrote, got one that fails: {first_line(error)}"
        ) from error
    expected = [1, 1, SMALLEST_SIDE, SMALLEST_SIDE]
    if shape != expected:
        raise InputError(
            f"{path}: expected a network that makes {expected} of {list(image.shape)}, got {shape}. "
            "Write the file with mmif-amin export."
        )


def _fastest(device: str, precision: Precision, stem: str) -> Runtime:
    """The runtime of the shipped weights that starts first on a device; not all weights are shipped as TorchScript."""
    script = Runtime.TORCHSCRIPT if shipped(Runtime.TORCHSCRIPT, stem).is_file() else Runtime.TORCH
    if precision is Precision.BFLOAT16:
        return Runtime.TORCH
    if device == "cpu":
        return Runtime.ONNX if importlib.util.find_spec("onnxruntime") else script
    return script if device.startswith("cuda") else Runtime.TORCH
