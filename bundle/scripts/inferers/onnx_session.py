"""The exported network in ONNX Runtime, from NumPy array to NumPy array. Imports no torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from ..utils.checks import InputError, first_line
from ..utils.seal import read_sealed
from .contract import INPUT_NAME, KEEP_NAME, OUTPUT_NAME, check_exported

__all__ = ["OnnxSession"]


class OnnxSession:
    """An exported network in ONNX Runtime.

    It runs on as many threads as PyTorch would, without importing it.

    Args:
        path: file that ``mmif-amin export`` wrote.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; CUDA needs the package onnxruntime-gpu. Defaults to ``"cpu"``.

    Shape:
        image: (B, 2, H, W) in [0, 1], any size from 16 up; keep: the condition, one number in [0, 1], by default 0.
        Returns (B, 1, H, W) in [0, 1], a float32 array as ``image``.

    Raises:
        InputError: When onnxruntime is not installed or lacks the device, or the file is not such a network.
    """

    def __init__(self, path: str | os.PathLike, device: str = "cpu") -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(
                "--runtime onnx needs onnxruntime, which is not installed: pip install onnxruntime."
            ) from error
        kind, _, index = str(device).partition(":")
        if kind not in ("cpu", "cuda") or not (index or "0").isdecimal():
            raise InputError(f"--device {device}: expected cpu, cuda or cuda:N, got: one that ONNX Runtime lacks")
        provider = "CUDAExecutionProvider" if kind == "cuda" else "CPUExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            raise InputError(
                f"--device {device}: ONNX Runtime has {', '.join(onnxruntime.get_available_providers())}. "
                "Install onnxruntime-gpu, or use --device cpu."
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _thread_count()
        options.log_severity_level = 3
        where = {"device_id": int(index or 0)} if kind == "cuda" else {}
        network = read_sealed(path)
        try:
            self.session = onnxruntime.InferenceSession(network, options, [(provider, where)])
        except Exception as error:  # its errors have no common class
            raise InputError(
                f"{path}: expected a network that mmif-amin export wrote, got: {first_line(error)}"
            ) from error
        if provider not in self.session.get_providers():  # ONNX Runtime falls back to the CPU without a word
            raise InputError(f"--device {device}: ONNX Runtime cannot start CUDA here. Use --device cpu.")
        names = [[value.name for value in values] for values in (self.session.get_inputs(), self.session.get_outputs())]
        if names != [[INPUT_NAME], [OUTPUT_NAME]]:
            raise InputError(
                f"{path}: expected the input '{INPUT_NAME}' and the output '{OUTPUT_NAME}', got {names[0]} and "
                f"{names[1]}. Write the file with mmif-amin export."
            )
        self.has_condition = KEEP_NAME in [value.name for value in self.session.get_overridable_initializers()]

        check_exported(Path(path), self)

    def __call__(self, image: np.ndarray, keep: float = 0.0) -> np.ndarray:
        """Fuse both channels of ``image``.

        Raises:
            InputError: When the network has no condition and ``keep`` is not 0.
        """
        values = {INPUT_NAME: np.ascontiguousarray(image, dtype=np.float32)}
        if keep:
            if not self.has_condition:
                raise InputError("--keep lesions: this network cannot. Take one that mmif-amin 0.7 or later exported.")
            values[KEEP_NAME] = np.array([keep], np.float32)
        return self.session.run(None, values)[0]


def _thread_count() -> int:
    """Threads that PyTorch uses in this process, or would use if it were imported; 0 lets ONNX Runtime choose."""
    if "torch" in sys.modules:
        return sys.modules["torch"].get_num_threads()
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() else 0
