"""``mmif-amin info``: version, weights, size and device."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..declarations import Command, Option
from ..options import WEIGHTS

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "info",
    "version, weights, hash, size, device",
    options=(WEIGHTS, Option("json", "as JSON", False, flag=True)),
)


def run(args: argparse.Namespace) -> int:
    """Print the facts."""
    import platform

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from .. import __version__
    from ..device import choose_device
    from ..fuser import load_torch_network
    from ..scripts.inferers.contract import SHIPPED
    from ..scripts.utils.enums import Runtime
    from ..scripts.utils.files import sha256_of

    weights = Path(args.weights or SHIPPED[Runtime.TORCH])
    network = load_torch_network(weights)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.rand(1, 2, 256, 256))
    facts = {
        "version": __version__,
        "weights": str(weights),
        "sha256": sha256_of(weights),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "gmac_256x256": round(counter.get_total_flops() / 2e9, 3),
        "device": choose_device("auto"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if args.json:
        print(json.dumps(facts, indent=4))
    else:
        print("\n".join(f"{key:>13}: {value}" for key, value in facts.items()))
    return 0
