"""The fusion network as a torch module in one of three runtimes: PyTorch, TorchScript, ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from ..utils.checks import InputError, first_line
from ..utils.enums import Precision, Runtime
from ..utils.seal import read_sealed
from ..utils.weights import load_weights
from .contract import check_exported, choose_runtime
from .onnx_session import OnnxSession
from .script_program import checked_script

__all__ = ["OnnxNetwork", "load_network"]


class OnnxNetwork(nn.Module):
    """An ONNX Runtime session, used like the network itself.

    Args:
        session: see :class:`~scripts.inferers.onnx_session.OnnxSession`.

    Shape:
        image: (B, 2, H, W) in [0, 1], any size from 16 up; keep: (1,) in [0, 1], the condition, by default 0.
        Returns (B, 1, H, W) in [0, 1] on the input's device.
    """

    def __init__(self, session: OnnxSession) -> None:
        super().__init__()
        self.session = session

    def forward(self, image: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Fuse both channels of ``image``."""
        values = image.detach().to("cpu", torch.float32).numpy()
        return torch.from_numpy(self.session(values, 0.0 if keep is None else keep.item())).to(image.device)


def load_network(
    network: nn.Module | Callable[[], nn.Module],
    weights: str | os.PathLike | None = None,
    device: str | torch.device = "cpu",
    runtime: Runtime | str = Runtime.TORCH,
    precision: Precision | str = Precision.FLOAT32,
) -> nn.Module:
    """Load the trained network in a runtime.

    Args:
        network: the network as its config defines it, or a function that makes it. PyTorch's weights go in there; the
            files of the other runtimes bring their own network.
        weights: file for that runtime: a state dict (.pt), TorchScript (.ts) or ONNX (.onnx). Defaults to None: the
            shipped one.
        device: where it runs. Defaults to ``"cpu"``.
        runtime: ``"auto"``, ``"torch"``, ``"torchscript"`` or ``"onnx"``; see :func:`choose_runtime`. Defaults to
            ``"torch"``.
        precision: ``"float32"`` or, for the runtime torch, ``"bfloat16"``: 1.1 to 1.5 times as fast on processors
            with instructions for it (AVX-512 BF16, AMX), slower on others. Defaults to ``"float32"``.

    Returns:
        The network in evaluation mode.

    Raises:
        ValueError: When the runtime or the precision is not known.
        InputError: When the file is missing, damaged, of another runtime or architecture, or the device is not there.
    """
    runtime, path = choose_runtime(weights, device, runtime, precision)
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:  # torch raises either for a device that is not there
        raise InputError(f"--device {device}: expected cpu, cuda or cuda:N, got: {first_line(error)}") from error
    if runtime is Runtime.TORCH:
        loaded = load_weights(network if isinstance(network, nn.Module) else network(), path)
    elif runtime is Runtime.TORCHSCRIPT:
        loaded = _read_script(path)
    else:
        loaded = OnnxNetwork(OnnxSession(path, str(device)))
    loaded = loaded.to(device, torch.bfloat16 if precision == Precision.BFLOAT16 else None)
    return loaded.eval()


def _read_script(path: Path) -> nn.Module:
    archive = checked_script(path, read_sealed(path))
    try:
        network = torch.jit.load(archive, map_location="cpu")
    except Exception as error:  # torch raises many types for damaged files
        raise InputError(
            f"{path}: expected TorchScript that mmif-amin export wrote, got: {first_line(error)}"
        ) from error
    with torch.inference_mode():
        check_exported(path, lambda image: network(torch.from_numpy(image)))
    return network
