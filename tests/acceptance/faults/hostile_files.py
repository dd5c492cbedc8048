"""Image files that somebody has tampered with: small valid ones of each kind, and changes that go deep into readers."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from tests.model.dicom.dicom_phantoms import write_enhanced_mr, write_mosaic, write_nuclear, write_series

__all__ = ["CHANGES", "Seed", "changed", "dicom_seeds", "nifti_seeds", "picture_seeds"]

HEADER = 420  # bytes at the start of a file that are changed as often as all others
TELLING = (0, 1, 7, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


@dataclass(frozen=True)
class Seed:
    """A valid file.

    Args:
        name: with its suffix.
        data: its content.
        wrap: what makes a file of changed content, such as new check sums. Defaults to nothing.
    """

    name: str
    data: bytes
    wrap: Callable[[bytes], bytes] = bytes


# Each change: what it does, where (a share of the file, or of its header where negative), and with what value.
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["byte", "bit", "u16", "u32", "bit", "byte", "float", "delete", "insert", "repeat", "cut"]),
        st.floats(-1, 1, exclude_max=True),
        st.integers(0, 2**32 - 1) | st.sampled_from(TELLING),
    ),
    min_size=1,
    max_size=3,
)


def changed(seed: Seed, changes: Sequence[tuple[str, float, int]]) -> bytes:
    """The content of a file after all changes."""
    data = bytearray(seed.data)
    for kind, place, value in changes:
        if data:
            at = int(place * len(data)) if place >= 0 else int(-place * min(len(data) - 1, HEADER))
            _change(data, kind, at, value)
    return seed.wrap(bytes(data))


def _change(data: bytearray, kind: str, at: int, value: int) -> None:
    order = "<>"[value % 2]
    if kind == "byte":
        data[at] = value & 0xFF
    elif kind == "bit":
        data[at] ^= 1 << value % 8
    elif kind == "u16":
        data[at : at + 2] = struct.pack(f"{order}H", value & 0xFFFF)
    elif kind == "u32":
        data[at : at + 4] = struct.pack(f"{order}I", value)
    elif kind == "float":
        data[at : at + 4] = struct.pack(f"{order}f", (0.0, np.nan, np.inf, -1e30, 1e-30, 1e9, float(value))[value % 7])
    elif kind == "delete":
        del data[at : at + 1 + value % 64]
    elif kind == "insert":
        data[at:at] = bytes([value & 0xFF]) * (1 + value % 64)
    elif kind == "repeat":
        data[at:at] = data[at : at + 1 + value % 4096] * (1 + value % 5)
    else:
        del data[at:]


@cache
def picture_seeds() -> tuple[Seed, ...]:
    """PNG, JPEG, TIFF and BMP, of gray, of colors, of a palette and of 16 bits."""
    levels = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)
    gray, rgb = Image.fromarray(levels), Image.fromarray(np.dstack([levels, levels[::-1], levels]))
    deep = Image.fromarray(levels.astype(np.uint16) * 99)
    files: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("gray.png", gray, {}),
        ("rgb.png", rgb, {}),
        ("palette.png", gray.convert("P"), {"transparency": 3}),
        ("rgba.png", rgb.convert("RGBA"), {}),
        ("deep.png", deep, {}),
        ("gray.jpg", gray, {}),
        ("rgb.jpg", rgb, {"progressive": True}),
        ("gray.tif", gray, {}),
        ("rgb.tif", rgb, {"compression": "tiff_lzw"}),
        ("deep.tif", deep, {"compression": "tiff_deflate"}),
        ("jpeg.tif", rgb, {"compression": "jpeg"}),
        ("gray.bmp", gray, {}),
        ("rgb.bmp", rgb, {}),
    ]
    seeds = []
    for name, image, options in files:
        buffer = io.BytesIO()
        image.save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:], name[-3:].upper()), **options)
        seeds.append(Seed(name, buffer.getvalue(), _with_check_sums if name.endswith("png") else bytes))
    return tuple(seeds)


def _with_check_sums(data: bytes) -> bytes:
    """A PNG whose chunks have the right check sums, so that more than these are read."""
    result, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if at + 12 + length > len(data):
            break
        content = data[at + 4 : at + 8 + length]
        result += data[at : at + 4] + content + struct.pack(">I", zlib.crc32(content))
        at += 12 + length
    return bytes(result + data[at:])


@cache
def nifti_seeds() -> tuple[Seed, ...]:
    """NIfTI-1 and -2, scaled, sheared, of four dimensions, in color, and compressed around what is changed."""
    values = np.arange(8 * 7 * 6, dtype=np.int16).reshape(8, 7, 6)
    sheared = np.diag([1.0, 1.5, 3.0, 1.0])
    sheared[0, 2] = 0.8
    four = np.stack([values] * 3, axis=-1)
    scaled = nibabel.Nifti1Image(values, np.eye(4))
    scaled.header.set_slope_inter(0.5, -1000)
    images = {
        "scaled.nii": scaled,
        "sheared.nii": nibabel.Nifti1Image(values.astype(np.float32), sheared),
        "second.nii": nibabel.Nifti2Image(values, np.eye(4)),
        "four.nii": nibabel.Nifti1Image(four[..., :1], np.eye(4)),
    }
    seeds = [Seed(name, image.to_bytes()) for name, image in images.items()]
    return (
        *seeds,
        Seed("inside.nii.gz", images["scaled.nii"].to_bytes(), lambda data: gzip.compress(data, 1)),
        Seed("outside.nii.gz", gzip.compress(images["sheared.nii"].to_bytes())),
    )


@cache
def dicom_seeds(folder: Path) -> tuple[Seed, ...]:
    """Single slices of MR, CT and PET, enhanced MR, NM, deflated and compressed files.

    Args:
        folder: where they are made.
    """
    files: dict[str, Path] = {
        modality: write_series(folder / modality, (10, 9, 1), modality).files[0] for modality in ("MR", "CT", "PT")
    }
    for write in (write_enhanced_mr, write_nuclear, write_mosaic):
        files[write.__name__] = write(folder / write.__name__).files[0]
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        files[syntax.keyword] = write_series(folder / syntax.keyword, (40, 36, 1), "MR", syntax=syntax).files[0]
    seeds = [Seed(name, path.read_bytes()) for name, path in files.items()]
    deflated = pydicom.dcmread(files["MR"])
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    deflated.save_as(folder / "deflated")
    return (*seeds, Seed("deflated", (folder / "deflated").read_bytes()))
