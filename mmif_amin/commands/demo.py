"""``mmif-amin demo``: a short training, its evaluation and fusions, all on the embedded sample."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from .. import BUNDLE
from ..options import OUTPUT, Command, Option, whole

__all__ = ["COMMAND", "run"]

CONFIGS = BUNDLE / "configs"
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
    import shutil
    import subprocess
    import sys

    from ..reports.study_view import write_study_view
    from ..scripts.data.study_report import REPORT_NAME

    root = Path(args.output)
    if (root / "study" / REPORT_NAME).is_file():
        shutil.rmtree(root / "study")  # of an earlier demo
    for words in _steps(root, args.epochs):
        print("\n$ python -m monai.bundle run " + " ".join(words), flush=True)
        subprocess.run([sys.executable, "-m", "monai.bundle", "run", *words], check=True)
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
    """The words after ``python -m monai.bundle run`` of each step."""
    train, evaluate = str(CONFIGS / "train.json"), str([str(CONFIGS / n) for n in ("train.json", "evaluate.json")])
    images, volumes = str(CONFIGS / "inference.json"), str(CONFIGS / "inference_volume.json")
    return [
        ["training", "--config_file", train, "--output_dir", str(root / "train")]
        + ["--epochs", str(epochs), "--val_interval", "1"],
        ["evaluating", "--config_file", evaluate, "--output_dir", str(root / "evaluate"), "--examples", "4"],
        ["inference", "--config_file", images, "--output_dir", str(root / "fused")],
        ["inference", "--config_file", volumes, "--register", "rigid", "--output_dir", str(root / "study")],
    ]
