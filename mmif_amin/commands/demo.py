"""``mmif-amin demo``: a short training, its evaluation and fusions, all on the embedded sample."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from .. import BUNDLE
from ..declarations import Command, Option, whole
from ..options import OUTPUT, SAMPLE

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "demo",
    "train, evaluate and fuse on the embedded sample",
    options=(
        replace(OUTPUT, required=False, default="runs/demo"),
        Option("epochs", "epochs of the short training", 3, parse=whole),
    ),
)


def run(args: argparse.Namespace) -> int:
    """Train shortly, evaluate, and fuse slices and volumes with the shipped weights, as the docs show it."""
    import shlex
    import shutil
    import subprocess
    import sys

    from ..reports.study_view import write_study_view
    from ..scripts.data.study_report import REPORT_NAME
    from ..workflow import run_config

    root = Path(args.output)
    if (root / "study" / REPORT_NAME).is_file():
        shutil.rmtree(root / "study")  # of an earlier demo
    for words in _steps(root, args.epochs):
        print(f"\n$ mmif-amin {shlex.join(words)}", flush=True)
        done = subprocess.run([sys.executable, "-P", "-m", "mmif_amin", *words], check=False)
        if done.returncode:
            return done.returncode
    print("\nthe pairs of the sample, fused with inference.json", flush=True)
    run_config([BUNDLE / "configs" / "inference.json"], "run", {"output_dir": str(root / "fused")})
    print((root / "evaluate" / "metrics.md").read_text(encoding="utf-8"))
    for what, where in (
        ("pictures, sources beside fused", root / "evaluate" / "examples"),
        ("fused images", root / "fused"),
        ("fused T1 and PET volumes, to look at in a browser", write_study_view(root / "study")),
        ("metrics of the shipped weights, one row an image", root / "evaluate" / "metrics.csv"),
        ("what the loss decided during the short training", root / "train" / "loss_weights.png"),
        ("MLflow store (mlflow ui --backend-store-uri sqlite:///FILE)", root / "train" / "mlruns.db"),
    ):
        print(f"{what}: {where}")
    return 0


def _steps(root: Path, epochs: int) -> list[list[str]]:
    """The words after ``mmif-amin`` of each step."""
    return [
        ["train", f"--output={root / 'train'}", f"--epochs={epochs}", "--val-interval=1"],
        ["evaluate", f"--output={root / 'evaluate'}", "--examples=4"],
        [
            "fuse",
            f"{SAMPLE}/t1.nii.gz",
            f"{SAMPLE}/pet.nii.gz",
            "--task=PET-MRI",
            "--register=rigid",
            f"--output={root / 'study'}",
        ],
    ]
