"""The seal of a weights file: its last bytes are the SHA-256 of all bytes before them. Imports no torch.

Every program that reads such files goes on reading them: in a zip archive, which all of PyTorch's formats are, the seal
is the archive's comment; in ONNX it is one more entry of the model's metadata. It travels with the file wherever the
file is copied, and a kill cannot come between the contents and their hash, as it can with two files.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

from .. import BUNDLE_ROOT
from .checks import InputError
from .files import write_atomically

__all__ = ["read_sealed", "seal_file", "sealed"]

PREFIX = b"sha256:"
SEAL_BYTES = len(PREFIX) + 64  # hexadecimal digits
ZIP_START, ZIP_END = b"PK\3\4", b"PK\5\6"
ZIP_END_BYTES = 22  # of the record that ends an archive without a comment
# An entry of ONNX's metadata_props: field 14; its key, field 1, is "sha256"; its value, field 2, is the seal.
ONNX_KEY_AND_VALUE = b"\x0a\x06sha256" + b"\x12" + bytes([SEAL_BYTES])
ONNX_ENTRY = b"\x72" + bytes([len(ONNX_KEY_AND_VALUE) + SEAL_BYTES]) + ONNX_KEY_AND_VALUE


def sealed(data: bytes) -> bytes:
    """Put the seal at the end of a weights file's contents; sealed contents are returned as they are.

    Args:
        data: what ``torch.save``, ``torch.jit.save``, ``torch.export.save`` or an ONNX export wrote.

    Raises:
        ValueError: When they are a zip archive with a comment, whose place the seal would take.
    """
    if _seal_of(data):
        return data
    if data.startswith(ZIP_START):
        if data[-ZIP_END_BYTES:][:4] != ZIP_END or not data.endswith(b"\0\0"):
            raise ValueError("`data` must be a whole zip archive without a comment, as torch.save writes it.")
        data = data[:-2] + SEAL_BYTES.to_bytes(2, "little")
    else:
        data += ONNX_ENTRY
    return data + _seal(data)


def seal_file(path: str | os.PathLike) -> Path:
    """Seal a weights file, whole or not at all.

    Args:
        path: a file of PyTorch, TorchScript, torch.export or ONNX.

    Returns:
        The path.

    Raises:
        ValueError: When it is a zip archive with a comment.
    """
    data = sealed(Path(path).read_bytes())
    return write_atomically(path, lambda temporary: temporary.write_bytes(data))


def read_sealed(path: str | os.PathLike) -> bytes:
    """Read a weights file whose contents are what was written.

    A file without a seal is read with a warning: MMIF-AMIN up to 0.6 wrote none, nor do other programs. The shipped
    files need no warning, because a test holds them sealed.

    Args:
        path: the file.

    Raises:
        InputError: When the contents do not match the seal, or the file cannot be read.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}. Name a weights file.") from error
    seal = _seal_of(data)
    if not seal:
        if path.resolve().parent != Path(BUNDLE_ROOT).resolve() / "models":
            warnings.warn(
                f"{path}: holds no SHA-256 of its contents, so nobody can see whether it is damaged. "
                "Weights that mmif-amin train writes hold one.",
                stacklevel=2,
            )
    elif seal != _seal(data[:-SEAL_BYTES]):
        raise InputError(
            f"{path}: is damaged: its contents do not match the SHA-256 at its end. Restore it from a copy, or make it "
            "again."
        )
    return data


def _seal(data: bytes) -> bytes:
    return PREFIX + hashlib.sha256(data).hexdigest().encode()


def _seal_of(data: bytes) -> bytes:
    """The seal at the end of a file's contents; empty where there is none."""
    end = data[-SEAL_BYTES:]
    return end if len(end) == SEAL_BYTES and end.startswith(PREFIX) else b""
