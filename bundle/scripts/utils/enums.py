"""The fixed words of the model: keys of data, modalities, and the choices of options."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "Better",
    "BodyRegion",
    "CTWindow",
    "ColorMap",
    "ExportFormat",
    "FusionGrid",
    "FusionRule",
    "Keep",
    "LesionShape",
    "Lightness",
    "Modality",
    "PhotographRegistration",
    "Precision",
    "Preference",
    "RegistrationKind",
    "RegistrationMethod",
    "RegistrationStart",
    "Runtime",
    "ShardBy",
    "SourceKeys",
    "StudyKeys",
]


class SourceKeys(StrEnum):
    """Keys of one pair in a data list: the structural image, the other one, and what is known of them."""

    SOURCE_A = "source_a"
    SOURCE_B = "source_b"
    TASK = "task"
    NAME = "name"
    SLICE = "slice"


class StudyKeys(StrEnum):
    """Keys that the transforms of a study add to those of :class:`SourceKeys`, for later transforms and the writer.

    The members name what the volume config exchanges; ``image`` and ``pred`` are MONAI's ``CommonKeys``. Transforms
    that work on any key build their keys with the static methods: ``StudyKeys.file("source_a")`` is
    ``StudyKeys.SOURCE_A_FILE``.
    """

    SOURCE_A_FILE = "source_a_file"  # the Volume as it was read: headers, notes and unit, no values
    SOURCE_B_FILE = "source_b_file"
    SOURCE_A_WINDOW = "source_a_window"  # the two values that became 0 and 1
    SOURCE_B_WINDOW = "source_b_window"
    SOURCE_B_UNREGISTERED = "source_b_unregistered"  # source B before the registration; missing where there was none
    SOURCE_B_REGISTRATION = "source_b_registration"  # the Registration, or None
    SOURCE_B_ALIGNMENT = "source_b_alignment"  # the Alignment: why the two lie as they do, and the metric
    PATIENT_DIFFERS_IN = "patient_differs_in"  # tags in which the sources' patients differ, accepted by the user
    GRID = "grid"  # an empty volume with the shape and the affine of the fused one
    PRED_COLOR = "pred_color"  # the fused volume in colors; missing where source B has none

    @staticmethod
    def file(key: str) -> str:
        """Key of the file's description of one source."""
        return f"{key}_file"

    @staticmethod
    def window(key: str) -> str:
        """Key of the intensity window of one source."""
        return f"{key}_window"

    @staticmethod
    def unregistered(key: str) -> str:
        """Key of a moving volume as it was before its registration."""
        return f"{key}_unregistered"

    @staticmethod
    def registration(key: str) -> str:
        """Key of the registration that was found for a moving volume."""
        return f"{key}_registration"

    @staticmethod
    def alignment(key: str) -> str:
        """Key of what is known of a volume's alignment, registered or not."""
        return f"{key}_alignment"

    @staticmethod
    def color(key: str) -> str:
        """Key of a fused volume in colors."""
        return f"{key}_color"


class Modality(StrEnum):
    """Imaging modality of one source; it decides the intensity normalization. The last three are photographs."""

    MRI = "MRI"
    CT = "CT"
    PET = "PET"
    SPECT = "SPECT"
    INFRARED = "infrared"
    VISIBLE = "visible"
    PHOTOGRAPH = "photograph"


class BodyRegion(StrEnum):
    """Part of the body that a study shows; it decides the default CT window and the limits of a registration."""

    HEAD = "head"
    NECK = "neck"
    CHEST = "chest"
    ABDOMEN = "abdomen"
    PELVIS = "pelvis"
    SPINE = "spine"
    EXTREMITY = "extremity"
    WHOLE_BODY = "whole-body"


class RegistrationKind(StrEnum):
    """Family of transforms among which a registration looks; deformable is rigid, then a B-spline."""

    RIGID = "rigid"
    AFFINE = "affine"
    DEFORMABLE = "deformable"


class PhotographRegistration(StrEnum):
    """What is done about photographs that do not lie on each other: refuse them, nothing, or align them."""

    AUTO = "auto"
    NONE = "none"
    HOMOGRAPHY = "homography"


class RegistrationMethod(StrEnum):
    """One way to search: whole volumes from the usual starts; and from a scanned start, whole, cropped, winsorized."""

    WHOLE = "whole"
    SCANNED = "scanned"
    CROPPED = "cropped"
    WINSORIZED = "winsorized"


class RegistrationStart(StrEnum):
    """Where a registration starts: the files' geometry, matching centers, or the best of them."""

    BEST = "best"
    GEOMETRY = "geometry"
    CENTER_OF_MASS = "center_of_mass"
    CENTER = "center"


class ColorMap(StrEnum):
    """Colors of a functional volume: two whose hue alone holds the value, gold also for the color-blind; and classics.

    Hot and inferno rise in luminance with the value, pet-rainbow is the traditional map of PET.
    """

    EMBER = "ember"
    GOLD = "gold"
    HOT = "hot"
    INFERNO = "inferno"
    PET_RAINBOW = "pet-rainbow"


class Lightness(StrEnum):
    """What the lightness under the colors is; ``auto``: the structural image under ember and gold, else the fused."""

    AUTO = "auto"
    STRUCTURAL = "structural"
    FUSED = "fused"


class CTWindow(StrEnum):
    """Which range of a CT, in HU, is shown from black to white; ``auto`` goes by the body region and the pair."""

    AUTO = "auto"
    HEAD = "head"
    BRAIN = "brain"
    SOFT = "soft"
    BONE = "bone"
    LUNG = "lung"


class FusionGrid(StrEnum):
    """Voxel grid on which two volumes are fused: that of source A, or its axes at the finer of both voxel sizes."""

    REFERENCE = "reference"
    FINEST = "finest"


class FusionRule(StrEnum):
    """How a network puts the fused image together."""

    CORRECTION = "correction"  # the pixel-wise maximum and a correction
    BLEND = "blend"  # each source in a share, and a correction


class Preference(StrEnum):
    """Which source a loss wants at each place."""

    BRIGHTER = "brighter"
    SHARPER = "sharper"
    BETTER_EXPOSED = "better-exposed"


class Keep(StrEnum):
    """What the fused image keeps above all."""

    BOTH = "both"  # the structure of both sources at the same place
    LESIONS = "lesions"  # small bright and dark spots of either source

    @property
    def condition(self) -> float:
        """The network's condition, from 0 to 1."""
        return {Keep.BOTH: 0.0, Keep.LESIONS: 1.0}[self]


class Precision(StrEnum):
    """Precision of the network's weights and features; the fusion rule is always computed in single precision."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Runtime(StrEnum):
    """What runs the network; ``auto`` takes the fastest one that is there and suits the options."""

    AUTO = "auto"
    TORCH = "torch"
    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"


class ExportFormat(StrEnum):
    """Suffix of an exported network."""

    TORCHSCRIPT = "ts"
    ONNX = "onnx"
    TORCH_EXPORT = "pt2"


class ShardBy(StrEnum):
    """How the training pairs are dealt out to the processes of a training: each epoch anew, or patient by patient."""

    IMAGE = "image"
    PATIENT = "patient"


class LesionShape(StrEnum):
    """Shape of a planted lesion: a Gaussian, a ring, or a streak, which is four times as long as it is wide."""

    GAUSSIAN = "gaussian"
    RING = "ring"
    STREAK = "streak"


class Better(StrEnum):
    """Which values of a metric are the better ones."""

    HIGHER = "higher"
    LOWER = "lower"
