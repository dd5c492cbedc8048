"""TorchScript files are programs: which operators one calls is looked at before PyTorch runs any of it."""

from __future__ import annotations

import io
import re
import zipfile
from functools import cache
from pathlib import Path

import torch

from ..utils.checks import InputError, first_line
from ..utils.enums import Runtime
from .contract import SHIPPED

__all__ = ["checked_script"]

LARGEST = 2**29  # bytes of all that is packed in an archive; the shipped network has 1 MB
WORD = re.compile(rb"[A-Za-z_]\w*", re.ASCII)
CLASSES = b"classes"  # of C++, which do what no operator's name says


def checked_script(path: Path, data: bytes) -> io.BytesIO:
    """Check that a TorchScript program calls no operator that the shipped network does not call.

    TorchScript has operators that write files (``torch.save``), map them or talk to other machines, and it runs while
    it is loaded. Every word of the program that is an operator's name must be in the shipped one.

    Args:
        path: the file, for the message.
        data: its contents.

    Returns:
        The archive, packed anew from what was looked at, because two readers may see a crafted archive differently.

    Raises:
        InputError: When it is no archive, holds a name twice, unpacks to more than 512 MB, or calls another operator.
    """
    try:
        records = _records(data)
    except Exception as error:  # zipfile, zlib and the other packers raise many types for damaged files
        raise InputError(
            f"{path}: expected TorchScript that mmif-amin export wrote, got: {first_line(error)}"
        ) from error
    foreign = _words(records) & _operators() - _words(_records(SHIPPED[Runtime.TORCHSCRIPT].read_bytes()))
    if foreign:
        names = ", ".join(sorted(word.decode() for word in foreign)[:3])
        raise InputError(
            f"{path}: expected a network that mmif-amin export wrote, got a program that calls {names}, which could "
            "change files. Do not use this file; write the network with mmif-amin export."
        )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for name, content in records.items():
            target.writestr(zipfile.ZipInfo(name), content)
    archive.seek(0)
    return archive


def _records(data: bytes) -> dict[str, bytes]:
    """Name to content of all that an archive holds."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        members = source.infolist()
        if len({member.filename.lower() for member in members}) < len(members):  # PyTorch ignores the case
            raise ValueError("an archive that holds a name twice")
        if sum(member.file_size for member in members) > LARGEST:
            raise ValueError(f"an archive that unpacks to more than {LARGEST >> 20} MB")
        return {member.filename: source.read(member) for member in members}


def _words(records: dict[str, bytes]) -> set[bytes]:
    """All words of a program."""
    return {word for name, content in records.items() if name.lower().endswith(".py") for word in WORD.findall(content)}


@cache
def _operators() -> frozenset[bytes]:
    """Names of all operators that PyTorch knows in this process."""
    names = (schema.name.rpartition("::")[2] for schema in torch._C._jit_get_all_schemas())
    return frozenset([CLASSES, *(name.encode() for name in names)])
