"""The fixed words of the bundle."""

from __future__ import annotations

from enum import StrEnum

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


class SourceKeys(StrEnum):
    """Keys of one pair in a data list: the structural image, the other one, and what is known of them."""

    SOURCE_A = "source_a"
    SOURCE_B = "source_b"
    TASK = "task"
    NAME = "name"
    SLICE = "slice"


class Modality(StrEnum):
    """Imaging modality of one source; it decides the intensity normalization."""

    MRI = "MRI"
    CT = "CT"
    PET = "PET"
    SPECT = "SPECT"


class LossTeaching(StrEnum):
    """What teaches the adaptive loss: what the fused image keeps least, or what can be rebuilt from it."""

    REGRET = "regret"
    RECONSTRUCTION = "reconstruction"


class RegistrationKind(StrEnum):
    """Family of transforms among which a registration looks."""

    RIGID = "rigid"
    AFFINE = "affine"


class RegistrationStart(StrEnum):
    """Where a registration starts: the files' geometry, matching centres, or the best of them."""

    BEST = "best"
    GEOMETRY = "geometry"
    CENTER_OF_MASS = "center_of_mass"
    CENTER = "center"


class ColorMap(StrEnum):
    """Colours of a functional volume: two that rise in luminance with the value, and the traditional one of PET."""

    HOT = "hot"
    INFERNO = "inferno"
    PET_RAINBOW = "pet-rainbow"


class CTWindow(StrEnum):
    """What of a CT's range becomes black to white."""

    HEAD = "head"
    BRAIN = "brain"
    SOFT = "soft"
    BONE = "bone"


class FusionGrid(StrEnum):
    """Voxel grid on which two volumes are fused: that of source A, or its axes at the finer of both voxel sizes."""

    REFERENCE = "reference"
    FINEST = "finest"


class Precision(StrEnum):
    """Precision of the network's weights and features; the fusion rule is always computed in single precision."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Runtime(StrEnum):
    """What runs the network."""

    TORCH = "torch"
    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"
