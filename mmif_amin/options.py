"""Every option of the command line, once: its name, type, default, help, and what it applies to.

The parser, the refusal of options that mean nothing for an input, the overrides of the configs and the page
``docs/command-line.md`` are made from these declarations. A test compares the defaults with those of the configs.
"""

from __future__ import annotations

from dataclasses import replace

from . import BUNDLE
from .declarations import Option, grid, positive, whole
from .scripts.utils.enums import (
    BodyRegion,
    ColorMap,
    CTWindow,
    FusionGrid,
    Keep,
    Lightness,
    PhotographRegistration,
    Precision,
    RegistrationKind,
    RegistrationStart,
    Runtime,
)

__all__ = ["ARCHIVE_OPTIONS", "STUDY_OPTIONS"]

SAMPLE = str(BUNDLE / "sample_data")


OUTPUT = Option("output", "where the result goes", short="-o", metavar="OUT", required=True)
WEIGHTS = Option("weights", "other weights than the shipped ones", metavar="FILE", key="ckpt_path")
DEVICE = Option("device", "auto, cpu, cuda or cuda:N; auto takes CUDA where there is one", "auto")
SEED = Option("seed", "seed of all random numbers", 0, parse=whole)
TASK = Option(
    "task",
    "modalities of B and A, such as PET-MRI; or infrared-visible, multi-focus, multi-exposure",
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
REGISTER_ANY = replace(
    REGISTER,
    help="auto: rigid if not yet aligned; photographs: auto refuses what is not aligned, homography aligns it",
    choices=(*REGISTER.choices, PhotographRegistration.HOMOGRAPHY),
)
COLORMAP = Option(
    "colormap",
    "of PET, SPECT; pictures keep theirs unless one is named",
    str(ColorMap.EMBER),
    choices=tuple(ColorMap),
    medical=True,
)
NETWORK_OPTIONS = (
    DEVICE,
    Option("runtime", "what runs the network, see export", str(Runtime.AUTO), choices=tuple(Runtime)),
    Option("precision", "bfloat16 is faster where it is built in", str(Precision.FLOAT32), choices=tuple(Precision)),
    Option(
        "refine",
        "N steps of the loss on this very pair, in torch: slower and better",
        0,
        parse=whole,
        metavar="N",
        medical=True,
    ),
    Option(
        "keep",
        "above all: both sources' structure, or lesions of either",
        str(Keep.BOTH),
        choices=tuple(Keep),
        medical=True,
    ),
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
    Option(
        "lightness",
        "image whose lightness is under the colors",
        str(Lightness.AUTO),
        choices=tuple(Lightness),
        medical=True,
    ),
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
LOSS_MAP = Option(
    "loss-map", "also map what of each source the fused image does not hold", False, flag=True, medical=True
)
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
    medical=True,
)
DEIDENTIFY = Option("deidentify", "with --dicom: by the basic profile of PS3.15", False, flag=True, pictures=False)
GRAY = Option("gray", "luminance only, also where B is a color image", False, flag=True, volumes=False)
VOLUMES = (
    Option(
        "volume-a",
        "which volume of a 4-D source A: a number, b=1000, echo=2, phase=3, time=1, or mean",
        metavar="VOLUME",
        default_text="the only one",
        pictures=False,
    ),
    Option("volume-b", "the same for B", metavar="VOLUME", default_text="the only one", pictures=False),
)
SERIES = (
    Option(
        "series-a",
        "DICOM: SeriesInstanceUID or number of A",
        metavar="UID",
        default_text="the MR series",
        pictures=False,
    ),
    Option("series-b", "the same for B", metavar="UID", default_text="the series of its modality", pictures=False),
    *VOLUMES,
)
TRANSFORM = Option(
    "transform",
    "ITK transform file or DICOM Spatial Registration, A to B, instead of a registration",
    metavar="FILE",
    pictures=False,
)
STUDY_OPTIONS = (TASK, LOSS_MAP, *VOLUME_OPTIONS, DEIDENTIFY, WEIGHTS, *NETWORK_OPTIONS)
FROM = Option("from", "archive: where the study is, the same as A", metavar="URL", pictures=False)
ARCHIVE_OPTIONS = (
    FROM,
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
