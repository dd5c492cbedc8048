"""``mmif-amin export``: the network for other runtimes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..declarations import Command, Option
from ..options import OUTPUT, WEIGHTS
from ..scripts.data.tasks import MEDICAL_WEIGHTS, PHOTOGRAPHIC_TASKS, task_of
from ..scripts.utils.enums import ExportFormat

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "export",
    "write the network as TorchScript, ONNX and torch.export",
    options=(
        replace(OUTPUT, help="folder for the files and manifest.json"),
        WEIGHTS,
        Option(
            "task",
            "whose network",
            metavar="TASK",
            default_text="that of all medical tasks",
            choices=tuple(PHOTOGRAPHIC_TASKS),
        ),
        Option(
            "format", "only this one; may be repeated", repeat=True, default_text="all", choices=tuple(ExportFormat)
        ),
    ),
)


def run(args: argparse.Namespace) -> int:
    """Export, and say how far each file differs from PyTorch."""
    from ..export import export_network, manifest_name

    manifest = export_network(args.output, args.weights, args.task, args.format or tuple(ExportFormat))
    for name, facts in manifest["files"].items():
        print(
            f"{Path(args.output) / name}: {facts['format']}, {facts['bytes'] / 1e6:.1f} MB, differs from PyTorch by "
            f"{facts['largest_difference']:.1e} at most"
        )
    name = manifest_name(task_of(args.task).weights if args.task else MEDICAL_WEIGHTS)
    print(f"hashes, input and versions: {Path(args.output) / name}")
    return 0
