"""The fixed words of the bundle."""

from __future__ import annotations

from enum import Enum

__all__ = ["Modality", "SourceKeys"]


class SourceKeys(str, Enum):
    """Keys of one pair in a data list: the structural image, the other one, and what is known of them."""

    SOURCE_A = "source_a"
    SOURCE_B = "source_b"
    TASK = "task"
    NAME = "name"
    SLICE = "slice"

    def __str__(self) -> str:
        return self.value


class Modality(str, Enum):
    """Imaging modality of one source; it decides the intensity normalization."""

    MRI = "MRI"
    CT = "CT"
    PET = "PET"
    SPECT = "SPECT"

    def __str__(self) -> str:
        return self.value
