"""Made-up studies for archives: small, of two series, each patient with a name that must not be seen anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.model.dicom.dicom_phantoms import generate_uid, write_series

__all__ = ["PATIENT_WORDS", "SHAPE", "picture", "write_study"]

SHAPE = (64, 64, 12)
PATIENT_WORDS = ("doe", "jane", "pid-4711", "19700101", "acc-0815")
LOCALIZER = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def picture(shape: tuple[int, int, int], seed: int, high: float) -> np.ndarray:
    """A head of noise in black, with one spot that is elsewhere in each slice."""
    x, y, z = (axis / n * 2 - 1 for axis, n in zip(np.mgrid[tuple(map(slice, shape))], shape, strict=True))
    inside = x**2 + y**2 < 0.6
    spot = (x - 0.4 * np.cos(3 * z + seed)) ** 2 + (y - 0.4 * np.sin(3 * z + seed)) ** 2 < 0.05
    noise = np.random.default_rng(seed).random(shape)
    return (np.where(inside, 0.3 + 0.1 * noise + 0.6 * spot, 0) * high).round().astype(np.int16)


def write_study(
    folder: Path,
    seed: int = 0,
    shape: tuple[int, int, int] = SHAPE,
    other: str = "CT",
    scout: bool = False,
    study: str | None = None,
    **keywords: Any,
) -> str:
    """Write an MR and another series on one grid; returns the StudyInstanceUID."""
    uid = study or generate_uid(entropy_srcs=["archive study", str(seed)])
    common = {
        "shape": shape,
        "spacing": (3.0, 3.0, 6.0),
        "StudyInstanceUID": uid,
        "FrameOfReferenceUID": generate_uid(entropy_srcs=["archive frame", str(seed)]),
        "Manufacturer": "made up",
        **keywords,
    }
    write_series(folder / "mr", stored=picture(shape, seed, 900), **common)
    ct = {"modality": other, "SeriesNumber": 2, "prefix": "ct", "stored": picture(shape, seed + 1, 1224)}
    write_series(folder / "other", **(common | ct))
    if scout:
        small = {"shape": (24, 20, 3), "prefix": "scout", "SeriesNumber": 9, "ImageType": LOCALIZER}
        write_series(folder / "scout", **(common | small))
    return uid
