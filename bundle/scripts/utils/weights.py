"""Weights and other state in PyTorch's format, sealed and never half-written."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .checks import InputError, first_line
from .files import write_atomically
from .seal import read_sealed, sealed

__all__ = ["load_state", "load_weights", "save_state"]


def save_state(state: Any, path: str | os.PathLike) -> Path:
    """Write a state dict with its seal, whole or not at all.

    The same state makes the same bytes, and a full disk is an InputError: ``torch.save`` with a file name puts that
    name into the file and reports a full disk as an error of C++.

    Args:
        state: of tensors, numbers and text, so that it can be read without running code.
        path: the file.

    Returns:
        The path.

    Raises:
        InputError: When the folder cannot be written or the disk is full; what was there before stays.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = sealed(buffer.getvalue())

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the bytes are on the disk before the file gets its name

    return write_atomically(path, write)


def load_state(path: str | os.PathLike) -> Any:
    """Read what :func:`save_state` or ``torch.save`` wrote, on the CPU, without running code from it.

    Args:
        path: the file.

    Raises:
        InputError: When the file is damaged or cannot be read.
        Exception: Of many types from torch, when it is no such file.
    """
    return torch.load(io.BytesIO(read_sealed(path)), map_location="cpu", weights_only=True)


def load_weights(network: nn.Module, path: str | os.PathLike) -> nn.Module:
    """Read a state dict into a network.

    Args:
        network: the network as its config defines it.
        path: the file.

    Returns:
        The network.

    Raises:
        InputError: When the file is missing, damaged or of another architecture.
    """
    try:
        network.load_state_dict(load_state(path))
    except InputError:
        raise
    except Exception as error:  # torch raises many types for files of another kind
        raise InputError(
            f"{path}: expected weights of the network in configs/inference.json, got: {first_line(error)} "
            "Use weights of this version."
        ) from error
    return network
