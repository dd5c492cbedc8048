"""The benchmark: any number of methods on any paired data set, with the cheats shown for what they are."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ..output_links import check_links
from ..scripts.classical.probes import PROBES
from ..scripts.data.datalist import fusion_datalist, spread_over_tasks, tasks_of
from ..scripts.data.pictures import write_image
from ..scripts.metrics.suite import fusion_metrics
from ..scripts.transforms.pairs import LoadSourced
from ..scripts.utils.checks import InputError
from ..scripts.utils.enums import SourceKeys
from ..scripts.utils.files import write_atomically
from ..scripts.utils.tables import write_csv
from .columns import names_of
from .detection.collect import Detection
from .detection.planting import Planting, takes_lesions
from .detection.run import check_planted, has_planted, write_detection_csv
from .folders import find_fused, fused_file, read_fused
from .methods import Method, benchmark_methods, with_lesions_kept
from .report import markdown_report, write_html_report
from .result import BenchmarkResult, ShownPair, summarize
from .tracking import log_benchmark

__all__ = ["benchmark"]

WHITE = 254.5 / 255


@dataclass
class _Measured:
    """What was measured so far on one task: method to one row of metrics, or one fraction, an image."""

    task: str
    names: list[str] = field(default_factory=list)
    rows: dict[str, list[list[float]]] = field(default_factory=dict)
    white: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, image: torch.Tensor, fused: Mapping[str, torch.Tensor]) -> None:
        """Measure one pair (1, 2, H, W): method to fused image (1, 1, H, W)."""
        source_a, source_b = (image[:, i : i + 1].expand(len(fused), -1, -1, -1) for i in range(2))
        values = fusion_metrics(torch.cat(list(fused.values())), source_a, source_b, task=self.task)
        table = torch.stack([v[:, 0] for v in values.values()], dim=1).tolist()
        sources_white = (image >= WHITE).any(dim=1, keepdim=True)
        self.names.append(name)
        for (method, picture), row in zip(fused.items(), table, strict=True):
            self.rows.setdefault(method, []).append(row)
            clipped = ((picture >= WHITE) & ~sources_white).float().mean().item()
            self.white.setdefault(method, []).append(clipped)


def benchmark(
    dataset_dir: str | os.PathLike | Sequence[str],
    output_dir: str | os.PathLike,
    methods: Mapping[str, str | os.PathLike] | None = None,
    split: str | None = "validation",
    tasks: Sequence[str] | None = None,
    weights: str | os.PathLike | None = None,
    classical: bool = True,
    pairs: int = 3,
    planting: Planting | None = None,
    tracking_uri: str | None = None,
    split_file: str | os.PathLike | None = None,
) -> BenchmarkResult:
    """Compare methods; writes ``metrics.csv``, ``benchmark.md``, ``.json`` and ``.html``, and the fused images.

    With ``planting`` it also measures how well planted lesions are found, and writes ``detectability.csv``. Of the
    methods in ``methods``, those whose folder holds images of the planted pairs take part in that. Several focus
    settings or exposures show the same things, so nothing is planted there.

    Args:
        dataset_dir: the pairs; see :func:`fusion_datalist`.
        output_dir: folder of the result.
        methods: name to folder of fused images, ``TASK/NAME.png`` or ``NAME.png``. Defaults to none: this bundle's
            network and the built-in ones alone.
        split: which pairs. Defaults to ``"validation"``.
        tasks: which tasks. Defaults to None: all.
        weights: of this bundle's network. Defaults to the shipped ones of each task.
        classical: compare with all classical rules; the average is always there, as yardstick. Defaults to True.
        pairs: how many pairs of each task the HTML report shows. Defaults to 3.
        planting: which lesions are planted and looked for. Defaults to None: none.
        tracking_uri: MLflow store to log means, tables and report to. Defaults to None: none.
        split_file: see :func:`fusion_datalist`. Defaults to None.

    Raises:
        InputError: When the data set cannot be used, a link in the output folder leads out of it, a method has a name
            of the benchmark's own, or a method's image is missing or of another size; nothing is written then.
    """
    items = fusion_datalist(dataset_dir, split, tasks, split_file=split_file)
    output, folders = Path(output_dir), {name: Path(folder) for name, folder in (methods or {}).items()}
    check_links(output)
    _check_files(items, folders)
    functions = {task: benchmark_methods(folders, weights, classical, task) for task in tasks_of(items)}
    loader = LoadSourced(color_key="color")
    _check_sizes(items, folders, loader)
    detection = {
        task: _detection(_of_task(items, task), with_lesions_kept(own, weights, task), folders, planting, loader)
        for task, own in functions.items()
        if planting is not None and takes_lesions(task)
    }
    shown = set(spread_over_tasks(items, pairs))
    measured = {task: _Measured(task) for task in functions}
    pictures: list[ShownPair] = []
    for number, item in enumerate(tqdm(items, desc="benchmark", unit="pair")):
        pair = loader(item)
        task, name = item[SourceKeys.TASK.value], item[SourceKeys.NAME.value]
        image = torch.cat([pair[SourceKeys.SOURCE_A.value], pair[SourceKeys.SOURCE_B.value]])[None]
        fused = {method: function(image, [item]) for method, function in functions[task].items()}
        measured[task].add(name, image, fused)
        if task in detection:
            detection[task].add(image, item)
        for method in set(fused) - set(folders):
            write_image(fused_file(_images_of(output, method), item), fused[method][0].numpy())
        if number in shown:
            gray = {method: picture[0, 0].numpy() for method, picture in fused.items()}
            pictures.append(ShownPair(task, name, image[0].numpy(), np.asarray(pair["color"]), gray))
    lesions = {task: found for each in detection.values() for task, found in each.results().items()}
    result = BenchmarkResult(
        list(PROBES),
        {
            task: summarize(found.names, found.rows, found.white, lesions.get(task), task)
            for task, found in measured.items()
        },
    )
    files = _write(output, result, pictures)
    if tracking_uri is not None:
        log_benchmark(result, files, tracking_uri)
    return result


def _of_task(items: Sequence[dict], task: str) -> list[dict]:
    return [item for item in items if item[SourceKeys.TASK.value] == task]


def _images_of(output: Path, method: str) -> Path:
    """Folder of the fused images of one method."""
    return output / "fused" / method.replace(" ", "_")


def _check_files(items: Sequence[dict], folders: Mapping[str, Path]) -> None:
    """Check that each method has its images."""
    for name, folder in folders.items():
        if not folder.is_dir():
            raise InputError(f"--method {name}={folder}: expected a folder of fused images, found none.")
        for item in items:
            find_fused(folder, item)


def _detection(
    items: Sequence[dict],
    functions: Mapping[str, Method],
    folders: Mapping[str, Path],
    planting: Planting,
    loader: LoadSourced,
) -> Detection:
    """What looks for lesions: in the images of all methods but those whose folder holds no planted pair."""
    planted = {name: folder for name, folder in folders.items() if has_planted(folder, items[0], planting, loader)}
    check_planted(items, planted, planting, loader)
    chosen = {name: function for name, function in functions.items() if name not in set(folders) - set(planted)}
    return Detection(chosen, planting, planted)


def _check_sizes(items: Sequence[dict], folders: Mapping[str, Path], loader: LoadSourced) -> None:
    """Check that each image of each method has the size of its sources."""
    for item in items if folders else ():
        size = loader(item)[SourceKeys.SOURCE_A.value].shape[1:]
        for folder in folders.values():
            read_fused(folder, item, size)


def _cells(task: str, row: np.ndarray, columns: Sequence[str]) -> list[float | str]:
    """The values of an image under the columns of all tasks; empty where a metric is not for its task."""
    values = dict(zip(names_of(task), row.tolist(), strict=True))
    return [values.get(name, "") for name in columns]


def _write(output: Path, result: BenchmarkResult, pictures: Sequence[ShownPair]) -> list[Path]:
    """Write tables and reports; returns their files."""
    columns = names_of(*result.tasks)
    rows = [
        [task, name, method, *_cells(task, row, columns)]
        for task, found in result.tasks.items()
        for method, values in found.values.items()
        for name, row in zip(found.names, values, strict=True)
    ]
    lesions = {task: found.detection for task, found in result.tasks.items() if found.detection is not None}
    texts = {
        "benchmark.md": markdown_report(result),
        "benchmark.json": json.dumps(result.to_dict(), indent=4),
    }
    return [
        write_csv(output / "metrics.csv", ["task", "name", "method", *columns], rows),
        *(
            write_atomically(output / name, partial(Path.write_text, data=text, encoding="utf-8"))
            for name, text in texts.items()
        ),
        write_html_report(output / "benchmark.html", result, pictures),
        *([write_detection_csv(output / "detectability.csv", lesions)] if lesions else []),
    ]
