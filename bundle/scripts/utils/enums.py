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


class NamedOption(str, Enum):
    """An enum whose members print as their values, as in configs and on the command line.

    MONAI's ``StrEnum`` does the same, but what starts fast must not import MONAI.
    """

    def __str__(self) -> str:
        return self.value


class SourceKeys(NamedOption):
    """Keys of one pair in a data list: the structural image, the other one, and what is known of them."""

    SOURCE_A = "source_a"
    SOURCE_B = "source_b"
    TASK = "task"
    NAME = "name"
    SLICE = "slice"


class Modality(NamedOption):
    """Imaging modality of one source; it decides the intensity normalization."""

    MRI = "MRI"
    CT = "CT"
    PET = "PET"
    SPECT = "SPECT"


class LossTeaching(NamedOption):
    """What teaches the adaptive loss: what the fused image keeps least, or what can be rebuilt from it."""

    REGRET = "regret"
    RECONSTRUCTION = "reconstruction"


class RegistrationKind(NamedOption):
    """Family of transforms among which a registration looks."""

    RIGID = "rigid"
    AFFINE = "affine"


class RegistrationStart(NamedOption):
    """Where a registration starts: the files' geometry, matching centres, or the best of them."""

    BEST = "best"
    GEOMETRY = "geometry"
    CENTER_OF_MASS = "center_of_mass"
    CENTER = "center"


class ColorMap(NamedOption):
    """Colours of a functional volume: two that rise in luminance with the value, and the traditional one of PET."""

    HOT = "hot"
    INFERNO = "inferno"
    PET_RAINBOW = "pet-rainbow"


class CTWindow(NamedOption):
    """What of a CT's range becomes black to white."""

    HEAD = "head"
    BRAIN = "brain"
    SOFT = "soft"
    BONE = "bone"


class FusionGrid(NamedOption):
    """Voxel grid on which two volumes are fused: that of source A, or its axes at the finer of both voxel sizes."""

    REFERENCE = "reference"
    FINEST = "finest"


class Precision(NamedOption):
    """Precision of the network's weights and features; the fusion rule is always computed in single precision."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Runtime(NamedOption):
    """What runs the network."""

    TORCH = "torch"
    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"
