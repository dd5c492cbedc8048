"""The fusion network in one of three runtimes: PyTorch, TorchScript, ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import BUNDLE_ROOT
from ..utils.checks import InputError, first_line
from ..utils.enums import Precision, Runtime
from .slices import MIN_SIZE

__all__ = ["INPUT_NAME", "OUTPUT_NAME", "SHIPPED", "OnnxNetwork", "load_network"]

SHIPPED = {
    Runtime.TORCH: Path(BUNDLE_ROOT) / "models" / "model.pt",
    Runtime.TORCHSCRIPT: Path(BUNDLE_ROOT) / "models" / "model.ts",
    Runtime.ONNX: Path(BUNDLE_ROOT) / "models" / "model.onnx",
}
INPUT_NAME, OUTPUT_NAME = "image", "pred"  # as in configs/metadata.json


class OnnxNetwork(nn.Module):
    """An exported network in ONNX Runtime, used like the network itself.

    It runs on as many threads as PyTorch would (``torch.get_num_threads()``).

    Args:
        path: file that ``mmif-amin export`` wrote.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; CUDA needs the package onnxruntime-gpu. Defaults to ``"cpu"``.

    Shape:
        (B, 2, H, W) in [0, 1], any size from 16 up; returns (B, 1, H, W) in [0, 1] on the input's device.

    Raises:
        InputError: When onnxruntime is not installed or lacks the device, or the file is not such a network.
    """

    def __init__(self, path: str | os.PathLike, device: str | torch.device = "cpu") -> None:
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(
                "--runtime onnx needs onnxruntime, which is not installed: pip install onnxruntime."
            ) from error
        device = torch.device(device)
        provider = "CUDAExecutionProvider" if device.type == "cuda" else "CPUExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            raise InputError(
                f"--device {device}: ONNX Runtime has {', '.join(onnxruntime.get_available_providers())}. "
                "Install onnxruntime-gpu, or use --device cpu."
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        where = {"device_id": device.index or 0} if device.type == "cuda" else {}
        try:
            self.session = onnxruntime.InferenceSession(os.fspath(path), options, [(provider, where)])
        except Exception as error:  # its errors have no common class
            raise InputError(
                f"{path}: expected a network that mmif-amin export wrote, got: {first_line(error)}"
            ) from error
        if provider not in self.session.get_providers():  # it falls back without a word
            raise InputError(f"--device {device}: ONNX Runtime cannot start CUDA here. Use --device cpu.")
        names = [[value.name for value in values] for values in (self.session.get_inputs(), self.session.get_outputs())]
        if names != [[INPUT_NAME], [OUTPUT_NAME]]:
            raise InputError(
                f"{path}: expected the input '{INPUT_NAME}' and the output '{OUTPUT_NAME}', got {names[0]} and "
                f"{names[1]}. Write the file with mmif-amin export."
            )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Fuse both channels of ``image``."""
        values = image.detach().to("cpu", torch.float32).contiguous().numpy()
        return torch.from_numpy(self.session.run(None, {INPUT_NAME: values})[0]).to(image.device)


def load_network(
    network: nn.Module,
    weights: str | os.PathLike | None = None,
    device: str | torch.device = "cpu",
    runtime: Runtime | str = Runtime.TORCH,
    precision: Precision | str = Precision.FLOAT32,
) -> nn.Module:
    """Load the trained network in a runtime.

    Args:
        network: the network as its config defines it; PyTorch's weights go in there, the other runtimes' files bring
            their own.
        weights: file for that runtime: a state dict (.pt), TorchScript (.ts) or ONNX (.onnx). Defaults to None: the
            shipped one, see :data:`SHIPPED`.
        device: where it runs. Defaults to ``"cpu"``.
        runtime: ``"torch"``, ``"torchscript"`` or ``"onnx"``. Defaults to ``"torch"``.
        precision: ``"float32"`` or, for the runtime torch, ``"bfloat16"``: 1.1 to 1.5 times as fast on processors
            with instructions for it (AVX-512 BF16, AMX), slower on others. Defaults to ``"float32"``.

    Returns:
        The network in evaluation mode.

    Raises:
        ValueError: When the runtime or the precision is not known.
        InputError: When the file is missing, damaged, of another runtime or architecture, or the device is not there.
    """
    runtime, precision = Runtime(runtime), Precision(precision)
    if precision is Precision.BFLOAT16 and runtime is not Runtime.TORCH:
        raise InputError(f"--precision {precision}: is for the runtime torch, got {runtime}. Leave one of them out.")
    path = Path(weights or SHIPPED[runtime])
    if not path.is_file():
        raise InputError(f"{path}: expected a weights file, found nothing there. Name one with --weights.")
    other = next((kind for kind, shipped in SHIPPED.items() if shipped.suffix == path.suffix), runtime)
    if other is not runtime and not (runtime is Runtime.TORCHSCRIPT and other is Runtime.TORCH):
        raise InputError(
            f"{path}: expected a {SHIPPED[runtime].suffix} file for the runtime {runtime}, got one for {other}. Choose "
            "that runtime, or write the file with mmif-amin export."
        )
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:  # torch raises either for a device that is not there
        raise InputError(f"--device {device}: expected cpu, cuda or cuda:N, got: {first_line(error)}") from error
    loaded = _READERS[runtime](network, path, device).eval()
    if runtime is not Runtime.TORCH:
        _check_shape(loaded, path)
    return loaded.to(device, torch.bfloat16) if precision is Precision.BFLOAT16 else loaded.to(device)


def _check_shape(network: nn.Module, path: Path) -> None:
    """Refuse a network that does not make one image of two, such as any TorchScript."""
    image = torch.zeros(1, 2, MIN_SIZE, MIN_SIZE)
    try:
        with torch.inference_mode():
            shape = list(network(image).shape)
    except Exception as error:  # a foreign network may raise anything
        raise InputError(
            f"{path}: expected a network that mmif-amin export wrote, got one that fails: {first_line(error)}"
        ) from error
    if shape != [1, 1, MIN_SIZE, MIN_SIZE]:
        raise InputError(
            f"{path}: expected a network that makes {[1, 1, MIN_SIZE, MIN_SIZE]} of {list(image.shape)}, got {shape}. "
            "Write the file with mmif-amin export."
        )


def _read_state(network: nn.Module, path: Path, device: Any) -> nn.Module:
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many types for damaged files
        raise InputError(
            f"{path}: expected weights of the network in configs/inference.json, got: {first_line(error)} "
            "Use weights of this version."
        ) from error
    return network


def _read_script(network: nn.Module, path: Path, device: Any) -> nn.Module:
    try:
        return torch.jit.load(path, map_location="cpu")
    except Exception as error:  # torch raises many types for damaged files
        raise InputError(
            f"{path}: expected TorchScript that mmif-amin export wrote, got: {first_line(error)}"
        ) from error


def _read_onnx(network: nn.Module, path: Path, device: Any) -> nn.Module:
    return OnnxNetwork(path, device)


_READERS: dict[Runtime, Callable[[nn.Module, Path, Any], nn.Module]] = {
    Runtime.TORCH: _read_state,
    Runtime.TORCHSCRIPT: _read_script,
    Runtime.ONNX: _read_onnx,
}
