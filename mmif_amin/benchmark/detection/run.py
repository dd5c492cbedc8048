"""Detectability alone: plants, fuses with every method that can be called, and writes tables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ...scripts.classical.probes import PROBES
from ...scripts.data.datalist import tasks_of
from ...scripts.transforms.pairs import LoadSourced
from ...scripts.utils.checks import InputError
from ...scripts.utils.enums import ColorMap, SourceKeys
from ...scripts.utils.files import check_writable, write_atomically
from ...scripts.utils.tables import write_csv
from ..folders import find_fused
from ..methods import benchmark_methods, with_lesions_kept
from ..tracking import log_detection
from .collect import Detection
from .planting import Planting, load_pair, planted_items
from .result import CSV_HEADER, TaskDetection
from .tables import EXPLANATION, markdown_detection

__all__ = ["check_planted", "detect", "has_planted", "write_detection_csv"]


def detect(
    dataset_dir: str | os.PathLike | Sequence[str],
    output_dir: str | os.PathLike,
    methods: Mapping[str, str | os.PathLike] | None = None,
    planting: Planting | None = None,
    split: str | None = "validation",
    tasks: Sequence[str] | None = None,
    weights: str | os.PathLike | None = None,
    classical: bool = True,
    colormap: ColorMap | str = ColorMap.HOT,
    tracking_uri: str | None = None,
    split_file: str | os.PathLike | None = None,
) -> dict[str, TaskDetection]:
    """Measure how well lesions are found; writes ``detectability.md``, ``.json`` and ``.csv``.

    Args:
        dataset_dir: the pairs; see :func:`fusion_datalist`.
        output_dir: folder of the result.
        methods: name to folder of fused images of the planted pairs, ``TASK/NAME.png`` or ``NAME.png``; see
            :func:`~.planting.write_planted`. Defaults to none.
        planting: which lesions. Defaults to all kinds, two sets, seed 0.
        split: which pairs. Defaults to ``"validation"``.
        tasks: which tasks. Defaults to None: all.
        weights: of this bundle's network. Defaults to the shipped ones.
        classical: compare with all classical rules; the average is always there. Defaults to True.
        colormap: of PET and SPECT. Defaults to ``"hot"``.
        tracking_uri: MLflow store to log to. Defaults to None: none.
        split_file: see :func:`fusion_datalist`. Defaults to None.

    Returns:
        Task to figures.

    Raises:
        InputError: When the data set cannot be used, a method has a name of the benchmark's own, or an image of a
            method is missing; nothing is written then.
    """
    items = planted_items(dataset_dir, split, tasks, split_file)
    planting, output = planting or Planting(), Path(output_dir)
    check_writable(output / "detectability.json")
    folders = {name: Path(folder) for name, folder in (methods or {}).items()}
    loader = LoadSourced()
    functions = {
        task: with_lesions_kept(benchmark_methods(folders, weights, classical, task), weights, task)
        for task in tasks_of(items)
    }
    check_planted(items, folders, planting, loader)
    detection = {task: Detection(own, planting, folders, colormap) for task, own in functions.items()}
    for item in tqdm(items, desc="detectability", unit="pair"):
        detection[item[SourceKeys.TASK.value]].add(load_pair(loader, item), item)
    results = {task: found for each in detection.values() for task, found in each.results().items()}
    files = _write(output, results)
    if tracking_uri is not None:
        log_detection(results, files, tracking_uri)
    return results


def check_planted(items: Sequence[dict], folders: Mapping[str, Path], planting: Planting, loader: LoadSourced) -> None:
    """Check that each folder holds an image of each planted pair.

    Raises:
        InputError: When one is missing.
    """
    for item in tqdm(items, desc="checking", unit="pair") if folders else ():
        for pair in planting.pairs_of(load_pair(loader, item)[0].numpy(), item):
            for name, folder in folders.items():
                try:
                    find_fused(folder, pair.item)
                except InputError as error:
                    raise InputError(
                        f"--method {name}: {error} The planted pairs to fuse are those that `mmif-amin plant` writes "
                        "with the same data, seed, sets and lesions."
                    ) from None


def has_planted(folder: Path, item: dict, planting: Planting, loader: LoadSourced) -> bool:
    """Whether a folder holds an image of the first planted pair of ``item``."""
    try:
        find_fused(folder, planting.pairs_of(load_pair(loader, item)[0].numpy(), item)[0].item)
    except InputError:
        return False
    return True


def write_detection_csv(path: Path, results: Mapping[str, TaskDetection]) -> Path:
    """Write one row a task, method, way of showing, kind of lesion and part."""
    return write_csv(path, CSV_HEADER, [row for task, found in results.items() for row in found.csv_rows(task)])


def _write(output: Path, results: Mapping[str, TaskDetection]) -> list[Path]:
    lines = ["# Detectability", "", EXPLANATION, ""]
    for task, found in results.items():
        lines += [f"## {task}", "", markdown_detection(found, PROBES)]
    texts = {
        "detectability.md": "\n".join(lines),
        "detectability.json": json.dumps({task: found.to_dict() for task, found in results.items()}, indent=4),
    }
    return [
        write_detection_csv(output / "detectability.csv", results),
        *(
            write_atomically(output / name, partial(Path.write_text, data=text, encoding="utf-8"))
            for name, text in texts.items()
        ),
    ]
