"""What compressed frames say of their own size, which decoders believe rather than the DICOM header.

A JPEG-LS or JPEG 2000 frame of a kilobyte that says it has 60000 x 60000 pixels would take 7 GB, or end the process.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from ..utils.checks import InputError

__all__ = ["check_frames", "size_of_frame"]

START_OF_SCAN = 0xDA
SIZES_OF_JPEG = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}  # markers SOF0 to SOF15, and of JPEG-LS
ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
START_OF_JPEG, START_OF_JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"


def check_frames(path: Path, dataset: Any) -> None:
    """Refuse compressed frames that say another size, or other samples a pixel, than the header.

    Args:
        path: the file, for messages.
        dataset: of the whole file; its pixels are encapsulated.

    Raises:
        InputError: When a frame does.
    """
    from pydicom.encaps import generate_frames

    expected = (int(dataset.Columns), int(dataset.Rows), int(dataset.get("SamplesPerPixel") or 1))
    count = int(dataset.get("NumberOfFrames") or 1)
    for number, frame in enumerate(generate_frames(dataset.PixelData, number_of_frames=count)):
        told = size_of_frame(frame)
        if told is not None and told != expected:
            raise InputError(
                f"{path}: expected frames of {_words(expected)}, as the header says, frame {number + 1} has "
                f"{_words(told)}. Copy the file again, or take it away."
            )


def size_of_frame(data: bytes) -> tuple[int, int, int] | None:
    """Columns, rows and samples a pixel that a frame of JPEG, JPEG-LS or JPEG 2000 says it has; else None.

    Args:
        data: of the frame.

    Raises:
        struct.error: When it ends too early.

    Reference: ITU-T T.81 B.2.2, T.87 C.2.2 and T.800 A.5.1.
    """
    if data.startswith(START_OF_JPEG):
        return _size_of_jpeg(data)
    start = data.find(START_OF_JPEG_2000)  # after boxes, where it is a file and not a codestream alone
    if start < 0:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    (samples,) = struct.unpack_from(">H", data, start + 40)
    return right - left, bottom - top, samples


def _size_of_jpeg(data: bytes) -> tuple[int, int, int] | None:
    at = 2
    while at + 4 <= len(data):
        start, marker, length = struct.unpack_from(">BBH", data, at)
        if start != 0xFF or marker == START_OF_SCAN:
            return None
        if marker in SIZES_OF_JPEG:
            rows, columns, samples = struct.unpack_from(">HHB", data, at + 5)
            return columns, rows, samples
        at += 1 if marker == 0xFF else 2 if marker in ALONE else 2 + length
    return None


def _words(size: tuple[int, int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels of {size[2]} sample{'s' if size[2] != 1 else ''}"
