"""How well photographs are fused whose right fusion is known: ``python benchmarks/bench_photographs.py --task TASK``.

``--weights FILE`` judges other weights than the shipped ones. ``--table`` instead measures the field's metrics on the
validation pairs of ``--dataset-dir``, with the split in ``bundle/docs/photographs_split.json``.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bundle")]

from scripts.classical.photographs import rules_of
from scripts.data.datalist import fusion_datalist
from scripts.data.tasks import PHOTOGRAPHIC_TASKS
from scripts.metrics.detection.lesions import STANDARD
from scripts.metrics.suite import fusion_metrics
from scripts.transforms.pairs import LoadSourced
from scripts.utils.tables import markdown_table

from benchmarks import truth_photographs as truths
from mmif_amin.benchmark.columns import ranked
from mmif_amin.benchmark.detection.collect import Detection
from mmif_amin.benchmark.detection.planting import Planting
from mmif_amin.benchmark.detection.result import TaskDetection
from mmif_amin.fuser import load

SPLIT = ROOT / "bundle" / "docs" / "photographs_split.json"
OURS = "MMIF-AMIN"
TRUTHS = {
    "multi-focus": (truths.focus_truths, truths.focus_figures),
    "multi-exposure": (truths.exposure_truths, truths.exposure_figures),
}
WORST = {"PSNR": min, "halo mean": max, "halo max": max, "band": max}


def network(task: str, weights: str | None = None, medical: bool = False) -> truths.Fuse:
    """This project's network for a task, as a callable: with these weights, the shipped ones, or the medical ones."""
    fuser = load(weights, task=None if medical else task)
    return lambda image: torch.from_numpy(fuser.fuse_stack(*image.numpy().swapaxes(0, 1)))[:, None]


def truth_rows(task: str, fuse: truths.Fuse, size: int | None = None) -> dict[str, dict[str, float]]:
    """Figures of each pair of known truth, for focus and exposure; pair to figure to value."""
    pairs, figures = TRUTHS[task]
    return {truth.name: figures(fuse, truth) for truth in pairs(size=size)}


def truth_table(task: str, methods: Mapping[str, truths.Fuse], size: int | None = None) -> str:
    """Means over all pairs, and in brackets the worst pair, of each method."""
    rows = []
    for name, fuse in tqdm(methods.items(), desc=f"{task}, truth", unit="method"):
        found = truth_rows(task, fuse, size)
        cells = []
        for figure in next(iter(found.values())):
            values = [row[figure] for row in found.values() if not np.isnan(row[figure])]
            cells.append(f"{np.mean(values):.3f} ({WORST.get(figure, min)(values):.3f})")
        rows.append([name, *cells])
    return markdown_table(["method", *next(iter(found.values()))], rows)


def detection(methods: Mapping[str, truths.Fuse], sets: int = 2) -> TaskDetection:
    """How well planted targets are found in made-up infrared and in photographs."""
    functions = {name: lambda images, items, fuse=fuse: fuse(images) for name, fuse in methods.items()}
    found = Detection(functions, Planting((STANDARD,), sets))
    for pair in truths.infrared_pairs():
        found.add(torch.from_numpy(pair.image)[None], {"task": "infrared-visible", "name": pair.name})
    return found.results()["infrared-visible"]


def detection_table(methods: Mapping[str, truths.Fuse]) -> str:
    """D' in the fused image over d' in the source: targets in the infrared, in the visible, and the smaller."""
    found = detection(methods)
    rows = [[name, *(f"{part[0]:.2f}" for part in found.gray[name][-1])] for name in found.gray]
    return markdown_table(["method", "infrared", "visible", "smaller"], rows)


def metrics_table(task: str, methods: Mapping[str, truths.Fuse], dataset_dir: str, every: int = 1) -> str:
    """Means of the metrics by which the field ranks methods of the task, over validation pairs."""
    items = fusion_datalist(dataset_dir, "validation", [task], split_file=SPLIT)[::every]
    load_pair, sums = LoadSourced(), {name: np.zeros(len(ranked(task))) for name in methods}
    for item in tqdm(items, desc=f"{task}, validation", unit="pair"):
        pair = load_pair(item)
        image = torch.cat([pair["source_a"], pair["source_b"]])[None]
        for name, fuse in methods.items():
            with torch.no_grad():
                values = fusion_metrics(fuse(image), image[:, :1], image[:, 1:], task=task)
            sums[name] += [values[metric].item() for metric in ranked(task)]
    rows = [[name, *(f"{value:.3f}" for value in total / len(items))] for name, total in sums.items()]
    return f"{len(items)} pairs\n" + markdown_table(["method", *ranked(task)], rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=tuple(PHOTOGRAPHIC_TASKS), required=True)
    parser.add_argument("--weights", help="state dict to judge [the shipped one]")
    parser.add_argument("--medical", action="store_true", help="the network for medical images instead")
    parser.add_argument("--no-classical", action="store_true", help="only this network")
    parser.add_argument("--size", type=int, default=None, help="only the middle of each photograph, pixels [whole]")
    parser.add_argument("--table", action="store_true", help="the field's metrics on --dataset-dir")
    parser.add_argument("--dataset-dir", default=None, help="folder of pairs for --table")
    parser.add_argument("--every", type=int, default=1, help="only each n-th validation pair [1]")
    args = parser.parse_args()
    methods: dict[str, truths.Fuse] = {OURS: network(args.task, args.weights, args.medical)}
    if not args.no_classical:
        methods.update(rules_of(args.task))
    if args.table:
        print(metrics_table(args.task, methods, args.dataset_dir, args.every))
    elif args.task == "infrared-visible":
        print(detection_table(methods))
    else:
        print(truth_table(args.task, methods, args.size))


if __name__ == "__main__":
    main()
