"""Evaluation of fused images that another method made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from ..scripts.data.datalist import fusion_datalist, tasks_of
from ..scripts.data.pictures import Source, read_source
from ..scripts.metrics.suite import FusionMetricSuite, write_means, write_rows
from ..scripts.transforms.pairs import LoadSourced
from ..scripts.utils.checks import InputError
from ..scripts.utils.enums import SourceKeys
from ..scripts.utils.files import IMAGE_SUFFIXES

__all__ = ["evaluate_fused", "find_fused", "fused_file", "read_fused", "read_fused_source"]


def fused_file(folder: str | os.PathLike, item: dict) -> Path:
    """File of the fused image of a pair, ``folder/TASK/NAME.png``."""
    return Path(folder) / item[SourceKeys.TASK.value] / f"{item[SourceKeys.NAME.value]}.png"


def find_fused(folder: str | os.PathLike, item: dict) -> Path:
    """Find a method's image of a pair, ``folder/TASK/NAME.*`` or ``folder/NAME.*``.

    Raises:
        InputError: When there is none.
    """
    task, name = item[SourceKeys.TASK.value], item[SourceKeys.NAME.value]
    for parent in (Path(folder) / task, Path(folder)):
        for suffix in IMAGE_SUFFIXES:
            if (parent / f"{name}{suffix}").is_file():
                return parent / f"{name}{suffix}"
    raise InputError(
        f"{folder}: expected a fused image {task}/{name}.png or {name}.png, found none. Name it like that."
    )


def read_fused_source(folder: str | os.PathLike, item: dict, size: Sequence[int]) -> Source:
    """Read a method's image of a pair, with its colors where it has some.

    Raises:
        InputError: When there is none, or it has not the ``size`` of its sources.
    """
    path = find_fused(folder, item)
    fused = read_source(path)
    if fused.gray.shape[1:] != tuple(size):
        raise InputError(f"{path}: expected the size of its sources {tuple(size)}, got {fused.gray.shape[1:]}.")
    return fused


def read_fused(folder: str | os.PathLike, item: dict, size: Sequence[int]) -> torch.Tensor:
    """Read a method's image of a pair as (1, H, W) in [0, 1]; of a color image the luminance.

    Raises:
        InputError: When there is none, or it has not the ``size`` of its sources.
    """
    return torch.from_numpy(read_fused_source(folder, item, size).gray)


def evaluate_fused(
    fused_dir: str | os.PathLike,
    dataset_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    split: str | None = "validation",
    tasks: Sequence[str] | None = None,
    split_file: str | os.PathLike | None = None,
) -> dict[str, float]:
    """Compute all metrics of a folder of fused images; writes ``metrics.csv`` and ``metrics.md``.

    Args:
        fused_dir: folder of fused images, gray or color (their luminance counts), ``TASK/NAME.png`` or ``NAME.png``.
        dataset_dir: the pairs; see :func:`fusion_datalist`.
        output_dir: folder of the result.
        split: which pairs. Defaults to ``"validation"``.
        tasks: which tasks. Defaults to None: all.
        split_file: see :func:`fusion_datalist`. Defaults to None.

    Returns:
        The means by task and over all.

    Raises:
        InputError: When a fused image is missing or not of its sources' size.
    """
    items = fusion_datalist(dataset_dir, split, tasks, split_file=split_file)
    folder = Path(fused_dir)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: expected a folder of fused images, found {'a file' if folder.exists() else 'nothing'}."
        )
    for item in items:
        find_fused(folder, item)
    suite = FusionMetricSuite(tasks_of(items))
    load = LoadSourced()
    for item in tqdm(items, desc="evaluation"):
        pair = load(item)
        image = torch.cat([pair[SourceKeys.SOURCE_A.value], pair[SourceKeys.SOURCE_B.value]])
        fused = read_fused(folder, item, image.shape[1:])
        suite(fused[None], image[None], tasks=[item[SourceKeys.TASK.value]])
    means = suite.aggregate()
    rows = suite.get_buffer()[:, 1:].tolist()
    names = [(item[SourceKeys.TASK.value], item[SourceKeys.NAME.value]) for item in items]
    write_rows(Path(output_dir) / "metrics.csv", names, rows)
    write_means(Path(output_dir) / "metrics.md", means)
    return means
