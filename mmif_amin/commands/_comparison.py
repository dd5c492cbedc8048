"""Options that several of ``benchmark``, ``detect`` and ``plant`` have, and what is made of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..declarations import Option, whole
from ..options import SAMPLE
from ..scripts.utils.checks import InputError

if TYPE_CHECKING:
    from ..benchmark.detection.planting import Planting

__all__ = ["LESIONS", "METHOD", "NO_CLASSICAL", "SPLIT", "SPLIT_FILE", "data_of", "methods_of", "planting_of"]

METHOD = Option("method", "another method's images: TASK/NAME.png", metavar="NAME=DIR", repeat=True)
SPLIT = Option("split", "which pairs", "validation", choices=("training", "validation", "all"))
SPLIT_FILE = Option("split-file", "the split of --dataset-dir: JSON of task to split to names", default_text="its own")
NO_CLASSICAL = Option("no-classical", "leave the classical rules out, but the average", False, flag=True)
LESIONS = (
    Option(
        "lesion",
        "only this kind, SHAPE-SIGMA-CONTRAST (pixels, percent of white); may be repeated",
        repeat=True,
        default_text="seven kinds",
        metavar="KIND",
    ),
    Option("sets", "images of each kind and source of a pair, up to 8 lesions in each", 2, parse=whole),
)


def data_of(args: argparse.Namespace) -> dict:
    """The data set, the split and the tasks, as the functions of the benchmark take them."""
    data = args.dataset_dir or [SAMPLE]
    return {
        "dataset_dir": data[0] if len(data) == 1 else data,
        "split": None if args.split == "all" else args.split,
        "tasks": args.task or None,
        "split_file": args.split_file,
    }


def methods_of(words: list[str]) -> dict[str, str]:
    """Folders of the methods by name.

    Raises:
        InputError: When a word is not ``NAME=FOLDER``, or a name is given twice.
    """
    methods: dict[str, str] = {}
    for word in words:
        name, _, folder = word.partition("=")
        if not (name and folder):
            raise InputError(f"--method {word}: expected NAME=FOLDER, such as CDDFuse=results/cddfuse.")
        if name in methods:
            raise InputError(f"--method {word}: the name {name} is given twice. Choose another one.")
        methods[name] = folder
    return methods


def planting_of(args: argparse.Namespace) -> Planting:
    """Which lesions are planted.

    Raises:
        InputError: When a word is no kind of lesion, or no set is asked for.
    """
    from ..benchmark.detection.planting import Planting
    from ..scripts.metrics.detection.lesions import KINDS, lesion_kind

    if args.sets < 1:
        raise InputError("--sets: expected at least 1, got 0.")
    return Planting(tuple(dict.fromkeys(map(lesion_kind, args.lesion))) or KINDS, args.sets, args.seed)
