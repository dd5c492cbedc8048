"""What ``--refine`` brings and costs: ``python benchmarks/bench_refinement.py --dataset-dir DATA``, on one thread."""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bundle")]

from scripts.data.datalist import fusion_datalist, spread_over_tasks, tasks_of
from scripts.metrics.suite import fusion_metrics
from scripts.transforms.pairs import LoadSourced

from mmif_amin.fuser import Fuser, load

SHOWN = ("VIF", "Qabf", "VIFmin", "Qabf_min", "VIFlocal", "ssim", "SCD", "SF", "background")
COLUMNS = ("steps", "task", "loss before", "loss after", *SHOWN, "seconds")


def measured(fuser: Fuser, item: dict) -> list[float]:
    """Loss before and after the refinement, metrics and seconds of one pair."""
    a, b = (np.asarray(item[f"source_{letter}"]) for letter in "ab")
    if fuser.refinement:
        fuser.refinement.restart()
    began = time.perf_counter()
    fused = fuser.fuse_stack(a, b)
    seconds = time.perf_counter() - began
    values = fusion_metrics(*(torch.from_numpy(image)[:, None] for image in (fused, a, b)))
    report = fuser.refinement.report() if fuser.refinement else None
    losses = (report.loss_before, report.loss_after) if report else (np.nan, np.nan)
    return [*losses, *(values[name].item() for name in SHOWN), seconds]


def main() -> None:
    """Print the table, one row for each number of steps and task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset-dir", default=str(ROOT / "bundle" / "sample_data"), help="[the embedded sample]")
    parser.add_argument("--pairs", type=int, default=12, help="validation pairs of each task [12]")
    parser.add_argument("--steps", type=int, nargs="+", default=[0, 5, 20, 60])
    args = parser.parse_args()
    torch.set_num_threads(1)
    items = fusion_datalist(args.dataset_dir, split="validation")
    items = [LoadSourced()(items[index]) for index in spread_over_tasks(items, args.pairs)]
    print(" | ".join(COLUMNS) + "\n" + "--|" * (len(COLUMNS) - 1) + "--")
    for steps in args.steps:
        fuser = load(runtime="torch", refine=steps)
        fuser.fuse_stack(*np.random.default_rng(0).random((2, 1, 64, 64), np.float32))  # the first one starts threads
        for task in tasks_of(items):
            pairs = [item for item in items if item["task"] == task]
            rows = [measured(fuser, item) for item in tqdm(pairs, desc=f"{steps} steps, {task}", leave=False)]
            print(" | ".join([str(steps), task, *(f"{value:.3f}" for value in np.mean(rows, axis=0))]), flush=True)


if __name__ == "__main__":
    main()
