"""Every option of the command line, once: its name, type, default, help, and what it applies to.

The parser, the refusal of options that mean nothing for an input, the overrides of the configs and the page
``docs/command-line.md`` are made from these declarations. A test compares the defaults with those of the configs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from . import BUNDLE
from .scripts.utils.enums import (
    BodyRegion,
    ColorMap,
    CTWindow,
    FusionGrid,
    Keep,
    Lightness,
    Precision,
    RegistrationKind,
    RegistrationStart,
    Runtime,
)

__all__ = ["ARCHIVE_OPTIONS", "STUDY_OPTIONS", "Argument", "Command", "Option", "add_to_parser", "overrides_of"]

SAMPLE = str(BUNDLE / "sample_data")


def positive(word: str) -> float:
    """Read a positive, finite number.

    Raises:
        ArgumentTypeError: When it is none.
    """
    value = float(word)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {word}")
    return value


def whole(word: str) -> int:
    """Read a whole number from 0 up.

    Raises:
        ArgumentTypeError: When it is none.
    """
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, got {word}")
    return int(word)


def grid(word: str) -> str | float:
    """Read a fusion grid: the name of one, or the size of its voxels in millimeters.

    Raises:
        ArgumentTypeError: When it is neither.
    """
    if word in list(FusionGrid):
        return word
    try:
        return positive(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected reference, finest or a size in mm, got {word}") from None


@dataclass(frozen=True)
class Argument:
    """A word that a command takes by its place.

    Args:
        name: as the program calls it.
        metavar: as the help shows it.
        help: what it is.
        optional: whether it may be left out. Defaults to False.
    """

    name: str
    metavar: str
    help: str
    optional: bool = False


@dataclass(frozen=True)
class Option:
    """An option of the command line.

    Args:
        name: what is typed after the two dashes.
        help: what it does, one phrase.
        default: its value where it is not given. Defaults to None.
        default_text: how the help shows the default. Defaults to "": as it is, nothing for None and for flags.
        parse: reads the word; raises ArgumentTypeError or ValueError. Defaults to ``str``.
        choices: the words that are allowed. Defaults to (): any.
        metavar: how the help shows the value. Defaults to None: the name.
        short: a short spelling, such as ``-o``. Defaults to None.
        flag: whether it takes no value and is True where it is given. Defaults to False.
        many: whether it takes several values at once. Defaults to False.
        repeat: whether it may be given several times. Defaults to False.
        required: whether it must be given. Defaults to False.
        pictures: whether it means something for pictures. Defaults to True.
        volumes: whether it means something for volumes. Defaults to True.
        key: the config key that it sets. Defaults to "": its name with underscores.
    """

    name: str
    help: str
    default: Any = None
    default_text: str = ""
    parse: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    short: str | None = None
    flag: bool = False
    many: bool = False
    repeat: bool = False
    required: bool = False
    pictures: bool = True
    volumes: bool = True
    key: str = ""

    @property
    def attribute(self) -> str:
        """Name of its value among the parsed arguments."""
        return self.name.replace("-", "_")

    @property
    def shown_default(self) -> str:
        """The default as the help and the documentation show it; empty where there is nothing to show."""
        if self.default_text or self.flag or self.required or self.default is None:
            return self.default_text
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)


@dataclass(frozen=True)
class Command:
    """One command of ``mmif-amin``.

    Args:
        name: what is typed.
        help: what it does, one phrase.
        arguments: words that it takes by their place. Defaults to none.
        options: its options. Defaults to none.
        takes_config_keys: whether any further ``--key value`` overrides the config. Defaults to False.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    takes_config_keys: bool = False


def add_to_parser(parser: argparse.ArgumentParser, options: Iterable[Option]) -> None:
    """Add options to a parser; those that are not given leave no attribute behind."""
    for option in options:
        words = [f"--{option.name}", *([option.short] if option.short else [])]
        text = option.help + (f" [{option.shown_default}]" if option.shown_default else "")
        settings: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text, "required": option.required}
        if option.flag:
            settings["action"] = "store_true"
        else:
            settings.update(
                type=option.parse, metavar=option.metavar, choices=[str(word) for word in option.choices] or None
            )
            settings.update({"nargs": "+"} if option.many else {}, **({"action": "append"} if option.repeat else {}))
        parser.add_argument(*words, **settings)


def overrides_of(values: Any, options: Iterable[Option]) -> dict[str, Any]:
    """Config keys to values, for the options that set one.

    Args:
        values: the parsed arguments.
        options: which options.
    """
    return {option.key or option.attribute: getattr(values, option.attribute) for option in options}


OUTPUT = Option("output", "where the result goes", short="-o", metavar="OUT", required=True)
WEIGHTS = Option("weights", "other weights than the shipped ones", metavar="FILE", key="ckpt_path")
DEVICE = Option("device", "auto, cpu, cuda or cuda:N; auto takes CUDA where there is one", "auto")
SEED = Option("seed", "seed of all random numbers", 0, parse=whole)
TASK = Option(
    "task",
    "modalities of B and A, such as PET-MRI",
    metavar="TASK",
    default_text="what DICOM and HU say; pictures: CT-MRI",
)
TASKS = Option(
    "task",
    "only this task, such as PET-MRI; may be repeated",
    repeat=True,
    default_text="all",
    metavar="TASK",
    key="tasks",
)
DATASET_DIR = Option(
    "dataset-dir",
    "datalist JSON, folder in the Harvard layout, or two folders (MRI first) with --task",
    many=True,
    metavar="PATH",
    default_text="embedded sample",
)
TRACKING_URI = Option("tracking-uri", "MLflow store to log to, such as sqlite:///mlruns.db", metavar="URI")
CONFIG_FILE = Option("config-file", "further config, merged over the bundle's", repeat=True, metavar="FILE")

REGISTER = Option(
    "register",
    "auto: rigid if not yet aligned",
    "auto",
    choices=("auto", "none", *RegistrationKind),
    pictures=False,
)
COLORMAP = Option(
    "colormap", "of PET, SPECT; pictures keep theirs unless one is named", str(ColorMap.EMBER), choices=tuple(ColorMap)
)
NETWORK_OPTIONS = (
    DEVICE,
    Option("runtime", "what runs the network, see export", str(Runtime.AUTO), choices=tuple(Runtime)),
    Option("precision", "bfloat16 is faster where it is built in", str(Precision.FLOAT32), choices=tuple(Precision)),
    Option("refine", "N steps of the loss on this very pair, in torch: slower and better", 0, parse=whole, metavar="N"),
    Option("keep", "above all: both sources' structure, or lesions of either", str(Keep.BOTH), choices=tuple(Keep)),
)
VOLUME_OPTIONS = (
    REGISTER,
    Option(
        "start",
        "where the registration starts: the files' geometry, centers, or what is best of them",
        str(RegistrationStart.BEST),
        choices=tuple(RegistrationStart),
        pictures=False,
    ),
    Option("time-limit", "of the registration, seconds", 300.0, parse=positive, metavar="S", pictures=False),
    Option(
        "grid",
        "voxels: reference (A's), finest (of both), or a size in mm",
        str(FusionGrid.REFERENCE),
        parse=grid,
        pictures=False,
    ),
    Option(
        "ct-window",
        "head is -20 to 180 HU; auto goes by the region and the pair",
        str(CTWindow.AUTO),
        choices=tuple(CTWindow),
        pictures=False,
    ),
    Option(
        "region",
        "part of the body: default CT window, limits of the registration",
        choices=tuple(BodyRegion),
        default_text="what DICOM says",
        pictures=False,
    ),
    Option(
        "accept-registration",
        "take a registration beyond the limits, and mark every output",
        False,
        flag=True,
        pictures=False,
    ),
    Option(
        "functional-max",
        "PET, SPECT: value that is white",
        parse=positive,
        metavar="VALUE",
        default_text="99.5th percentile",
        pictures=False,
    ),
    COLORMAP,
    Option("lightness", "image whose lightness is under the colors", str(Lightness.AUTO), choices=tuple(Lightness)),
    Option("axes", "cut across one axis or all three", "best", choices=("best", "all"), pictures=False),
    Option(
        "same-patient",
        "DICOM: the headers name two patients, but it is one person with two ids",
        False,
        flag=True,
        pictures=False,
    ),
    Option("dicom", "also write DICOM series; A must be DICOM", False, flag=True, pictures=False),
)
LOSS_MAP = Option("loss-map", "also map what of each source the fused image does not hold", False, flag=True)
CARRY = Option(
    "carry",
    "RTSTRUCT or DICOM SEG of a source, to be carried to the fusion grid; may be repeated",
    repeat=True,
    metavar="FILE",
    pictures=False,
)
SCALE_BAR = Option(
    "scale-bar",
    "draw the scale of the colors: beside a color picture; for volumes, in preview.png",
    False,
    flag=True,
)
DEIDENTIFY = Option("deidentify", "with --dicom: by the basic profile of PS3.15", False, flag=True, pictures=False)
GRAY = Option("gray", "luminance only, also where B is a color image", False, flag=True, volumes=False)
SERIES = (
    Option(
        "series-a",
        "DICOM: SeriesInstanceUID or number of A",
        metavar="UID",
        default_text="the MR series",
        pictures=False,
    ),
    Option("series-b", "the same for B", metavar="UID", default_text="the series of its modality", pictures=False),
    Option(
        "volume-a",
        "which volume of a 4-D source A: a number, b=1000, echo=2, phase=3, time=1, or mean",
        metavar="VOLUME",
        default_text="the only one",
        pictures=False,
    ),
    Option("volume-b", "the same for B", metavar="VOLUME", default_text="the only one", pictures=False),
)
TRANSFORM = Option(
    "transform",
    "ITK transform file or DICOM Spatial Registration, A to B, instead of a registration",
    metavar="FILE",
    pictures=False,
)
STUDY_OPTIONS = (TASK, LOSS_MAP, *VOLUME_OPTIONS, DEIDENTIFY, WEIGHTS, *NETWORK_OPTIONS)
ARCHIVE_OPTIONS = (
    Option(
        "study",
        "archive: StudyInstanceUID; two, if the series lie in two studies",
        repeat=True,
        metavar="UID",
        pictures=False,
    ),
    Option("to", "archive: where the DICOM of the result goes", metavar="URL", pictures=False),
    Option(
        "rules",
        "archive: series_rules.json, which says what A and B are",
        metavar="FILE",
        default_text="the MR, and the CT, PET or SPECT",
        pictures=False,
    ),
    Option("login", "archive: file with token or password", metavar="FILE", default_text="environment", pictures=False),
    Option("ca", "archive: who signed its certificate, PEM", metavar="FILE", default_text="system", pictures=False),
)
