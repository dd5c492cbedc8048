"""The fixed words of the bundle."""

from __future__ import annotations

from enum import Enum

__all__ = [
    "CTWindow",
    "ColorMap",
    "FusionGrid",
    "LossTeaching",
    "Modality",
    "Precision",
    "RegistrationKind",
    "RegistrationStart",
    "Runtime",
    "SourceKeys",
]


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


class RegistrationKind(str, Enum):
    """Family of transforms among which a registration looks."""

    RIGID = "rigid"
    AFFINE = "affine"

    def __str__(self) -> str:
        return self.value


class RegistrationStart(str, Enum):
    """Where a registration starts: the files' geometry, matching centres, or the best of them."""

    BEST = "best"
    GEOMETRY = "geometry"
    CENTER_OF_MASS = "center_of_mass"
    CENTER = "center"

    def __str__(self) -> str:
        return self.value


class ColorMap(str, Enum):
    """Colours of a functional volume: two that rise in luminance with the value, and the traditional one of PET."""

    HOT = "hot"
    INFERNO = "inferno"
    PET_RAINBOW = "pet-rainbow"

    def __str__(self) -> str:
        return self.value


class CTWindow(str, Enum):
    """What of a CT's range becomes black to white."""

    HEAD = "head"
    BRAIN = "brain"
    SOFT = "soft"
    BONE = "bone"

    def __str__(self) -> str:
        return self.value


class FusionGrid(str, Enum):
    """Voxel grid on which two volumes are fused: that of source A, or its axes at the finer of both voxel sizes."""

    REFERENCE = "reference"
    FINEST = "finest"

    def __str__(self) -> str:
        return self.value


class Precision(str, Enum):
    """Precision of the network's weights and features; the fusion rule is always computed in single precision."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    def __str__(self) -> str:
        return self.value


class Runtime(str, Enum):
    """What runs the network."""

    TORCH = "torch"
    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"

    def __str__(self) -> str:
        return self.value
