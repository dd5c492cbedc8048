"""``mmif-amin export``: the network for other runtimes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..options import OUTPUT, WEIGHTS, Command

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "export",
    "write the network as TorchScript, ONNX and torch.export",
    options=(replace(OUTPUT, help="folder for the files and manifest.json"), WEIGHTS),
)


def run(args: argparse.Namespace) -> int:
    """Export, and say how far each file differs from PyTorch."""
    from ..export import export_network

    manifest = export_network(args.output, args.weights)
    for name, facts in manifest["files"].items():
        print(
            f"{Path(args.output) / name}: {facts['format']}, {facts['bytes'] / 1e6:.1f} MB, differs from PyTorch by "
            f"{facts['largest_difference']:.1e} at most"
        )
    print(f"hashes, input and versions: {Path(args.output) / 'manifest.json'}")
    return 0
