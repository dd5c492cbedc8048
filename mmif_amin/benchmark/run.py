"""The benchmark: any number of methods on any paired data set, with the cheats shown for what they are."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.utils import optional_import
from tqdm import tqdm

from ..fuser import load
from ..scripts.classical.rules import DEGENERATE_RULES, FUSION_RULES
from ..scripts.data.datalist import case_of, fusion_datalist, tasks_of
from ..scripts.data.pictures import write_image
from ..scripts.metrics.suite import METRIC_NAMES, fusion_metrics
from ..scripts.transforms.pairs import LoadSourced
from ..scripts.utils.checks import InputError
from ..scripts.utils.enums import SourceKeys
from ..scripts.utils.files import write_atomically
from .folders import find_fused, read_fused
from .report import (
    OURS,
    BenchmarkResult,
    ShownPair,
    TaskResult,
    markdown_report,
    write_html_report,
)
from .statistics import bootstrap_interval, mean_ranks, paired_tests, probe_warnings

mlflow, _ = optional_import("mlflow", descriptor="{}: install it with `pip install mlflow`.")

__all__ = ["benchmark"]

EXPERIMENT = "mmif_amin"
WHITE = 254.5 / 255

Method = Callable[[torch.Tensor, dict], torch.Tensor]


def _methods(
    folders: Mapping[str, str | os.PathLike], weights: str | os.PathLike | None, classical: bool
) -> dict[str, Method]:
    """Name to a function of the pair (1, 2, H, W) and its entry in the data list that returns (1, 1, H, W)."""
    fuser = load(weights)
    rules = {**(FUSION_RULES if classical else {"Average": FUSION_RULES["Average"]}), **DEGENERATE_RULES}
    taken = {OURS, *FUSION_RULES, *DEGENERATE_RULES} & set(folders)
    if taken:
        raise InputError(f"--method {sorted(taken)[0]}=...: this name is the benchmark's own. Choose another one.")

    def ours(image: torch.Tensor, item: dict) -> torch.Tensor:
        return torch.from_numpy(fuser.run(image[:, 0].numpy(), image[:, 1].numpy()))[:, None]

    methods: dict[str, Method] = {OURS: ours}
    methods.update({name: _from_folder(Path(folder)) for name, folder in folders.items()})
    methods.update({name: _from_rule(rule) for name, rule in rules.items()})
    return methods


def _from_folder(folder: Path) -> Method:
    return lambda image, item: read_fused(folder, item, image.shape[2:])[None]


def _from_rule(rule: Callable[[torch.Tensor], torch.Tensor]) -> Method:
    return lambda image, item: rule(image)


def benchmark(
    dataset_dir: str | os.PathLike | Sequence[str],
    output_dir: str | os.PathLike,
    methods: Mapping[str, str | os.PathLike] | None = None,
    split: str | None = "validation",
    tasks: Sequence[str] | None = None,
    weights: str | os.PathLike | None = None,
    classical: bool = True,
    pairs: int = 3,
    tracking_uri: str | None = None,
) -> BenchmarkResult:
    """Compare methods; writes ``metrics.csv``, ``benchmark.md``, ``.json`` and ``.html``, and the fused images.

    Args:
        dataset_dir: the pairs; see :func:`fusion_datalist`.
        output_dir: folder of the result.
        methods: name to folder of fused images, ``TASK/NAME.png`` or ``NAME.png``. Defaults to none: this bundle's
            network and the built-in ones alone.
        split: which pairs. Defaults to ``"validation"``.
        tasks: which tasks. Defaults to None: all.
        weights: of this bundle's network. Defaults to the shipped ones.
        classical: compare with all classical rules; the average is always there, as yardstick. Defaults to True.
        pairs: how many pairs of each task the HTML report shows. Defaults to 3.
        tracking_uri: MLflow store to log means, tables and report to. Defaults to None: none.

    Raises:
        InputError: When the data set cannot be used, or a method's image is missing or of another size; nothing is
            written then.
    """
    items = fusion_datalist(dataset_dir, split, tasks)
    folders = dict(methods or {})
    for name, folder in folders.items():
        if not Path(folder).is_dir():
            raise InputError(f"--method {name}={folder}: expected a folder of fused images, found none.")
        for item in items:
            find_fused(folder, item)
    functions = _methods(folders, weights, classical)
    output = Path(output_dir)
    loader = LoadSourced(color_key="color")
    for item in items if folders else ():
        size = loader(item)[SourceKeys.SOURCE_A.value].shape[1:]
        for folder in folders.values():
            read_fused(folder, item, size)
    shown = _shown(items, pairs)
    rows: dict[str, dict[str, list[list[float]]]] = {}
    white: dict[str, dict[str, list[float]]] = {}
    pictures: list[ShownPair] = []
    for number, item in enumerate(tqdm(items, desc="benchmark", unit="pair")):
        pair = loader(item)
        task = item[SourceKeys.TASK.value]
        image = torch.cat([pair[SourceKeys.SOURCE_A.value], pair[SourceKeys.SOURCE_B.value]])[None]
        fused = {name: function(image, item) for name, function in functions.items()}
        source_a, source_b = (image[:, i : i + 1].expand(len(fused), -1, -1, -1) for i in range(2))
        values = fusion_metrics(torch.cat(list(fused.values())), source_a, source_b)
        table = torch.stack([v[:, 0] for v in values.values()], dim=1).tolist()
        sources_white = (image >= WHITE).any(dim=1, keepdim=True)
        for (name, picture), row in zip(fused.items(), table, strict=True):
            rows.setdefault(task, {}).setdefault(name, []).append(row)
            clipped = ((picture >= WHITE) & ~sources_white).float().mean().item()
            white.setdefault(task, {}).setdefault(name, []).append(clipped)
            if name not in folders:
                target = output / "fused" / name.replace(" ", "_") / task
                write_image(target / f"{item[SourceKeys.NAME.value]}.png", picture[0].numpy())
        if number in shown:
            gray = {name: picture[0, 0].numpy() for name, picture in fused.items()}
            color = np.asarray(pair["color"])
            pictures.append(ShownPair(task, item[SourceKeys.NAME.value], image[0].numpy(), color, gray))
    result = BenchmarkResult(
        [name for name in functions if name in DEGENERATE_RULES],
        {task: _summarize(task, items, rows[task], white[task]) for task in tasks_of(items)},
    )
    _write_csv(output / "metrics.csv", result)
    write_atomically(output / "benchmark.md", lambda path: path.write_text(markdown_report(result)))
    write_atomically(output / "benchmark.json", lambda path: path.write_text(json.dumps(_as_json(result), indent=4)))
    write_html_report(output / "benchmark.html", result, pictures)
    if tracking_uri is not None:
        _log(result, output, tracking_uri)
    return result


def _shown(items: Sequence[dict], pairs: int) -> set[int]:
    """Indices of the pairs to show: spread evenly over each task."""
    chosen: set[int] = set()
    for task in tasks_of(items):
        index = [i for i, item in enumerate(items) if item[SourceKeys.TASK.value] == task]
        count = min(pairs, len(index))
        chosen.update(index[(2 * k + 1) * len(index) // (2 * count)] for k in range(count))
    return chosen


def _summarize(
    task: str, items: Sequence[dict], rows: Mapping[str, list[list[float]]], white: Mapping[str, list[float]]
) -> TaskResult:
    names = [item[SourceKeys.NAME.value] for item in items if item[SourceKeys.TASK.value] == task]
    result = TaskResult(names, {name: np.array(table) for name, table in rows.items()})
    cases = [case_of(name) for name in names]
    for name, values in result.values.items():
        result.means[name] = dict(zip(METRIC_NAMES, values.mean(axis=0).tolist(), strict=True))
        low, high = bootstrap_interval(values, cases)
        result.intervals[name] = dict(zip(METRIC_NAMES, zip(low.tolist(), high.tolist(), strict=True), strict=True))
    result.ranks = mean_ranks(result.means, [name for name in rows if name in DEGENERATE_RULES])
    result.tests = paired_tests(result.values, OURS)
    copies = [result.means[name] for name in ("Copy of A", "Copy of B")]
    clipped = {name: float(np.mean(fractions)) for name, fractions in white.items()}
    for name in rows:
        found = probe_warnings(
            result.means[name], result.means["Average"], copies, clipped[name], clipped["Clipped sum"]
        )
        if found:
            result.warnings[name] = found
    return result


def _write_csv(path: Path, result: BenchmarkResult) -> None:
    """Write one row an image and method."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["task", "name", "method", *METRIC_NAMES])
            for task, found in result.tasks.items():
                for method, values in found.values.items():
                    for name, row in zip(found.names, values, strict=True):
                        writer.writerow([task, name, method, *(f"{value:.6f}" for value in row)])

    write_atomically(path, write)


def _as_json(result: BenchmarkResult) -> dict:
    """Everything but the single images' values."""
    return {
        task: {
            "images": len(found.names),
            "methods": {
                name: {
                    "probe": name in result.probes,
                    "mean_rank": found.ranks[name],
                    "means": found.means[name],
                    "interval_95": found.intervals[name],
                    "against_mmif_amin": found.tests.get(name),
                    "warnings": found.warnings.get(name, []),
                }
                for name in found.by_rank()
            },
        }
        for task, found in result.tasks.items()
    }


def _log(result: BenchmarkResult, output: Path, tracking_uri: str) -> None:
    """Log means, ranks, tables and report to MLflow, one run; artifacts go beside an SQLite store."""
    mlflow.set_tracking_uri(tracking_uri)
    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        database = tracking_uri.removeprefix("sqlite:///")
        beside = (Path(database).resolve().parent / "mlruns").as_uri() if database != tracking_uri else None
        mlflow.create_experiment(EXPERIMENT, artifact_location=beside)
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name="benchmark"):
        for task, found in result.tasks.items():
            for name, means in found.means.items():
                prefix = f"{task}/{name.replace(' ', '_')}"
                mlflow.log_metrics({f"{prefix}/{metric}": value for metric, value in means.items()})
                mlflow.log_metric(f"{prefix}/mean_rank", found.ranks[name])
        for name in ("metrics.csv", "benchmark.md", "benchmark.json", "benchmark.html"):
            mlflow.log_artifact(str(output / name))
