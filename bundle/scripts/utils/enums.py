"""The fixed words of the bundle."""

from __future__ import annotations

from enum import Enum

__all__ = ["LossTeaching", "Modality", "SourceKeys"]


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


class LossTeaching(str, Enum):
    """What teaches the adaptive loss: what the fused image keeps least, or what can be rebuilt from it."""

    REGRET = "regret"
    RECONSTRUCTION = "reconstruction"

    def __str__(self) -> str:
        return self.value
