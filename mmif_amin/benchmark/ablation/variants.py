"""What is left out of each training of the ablation, and the command that trains it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["FULL", "VARIANTS", "command_of", "network_options"]

FULL = "full"
NETWORK = "network_def#"
# All are trained with the fixed loss, so that it says nothing but what the network can do; the adaptive one is a
# variant. Each is written as what differs from train.json.
BASE: dict[str, Any] = {"adaptive": False}
VARIANTS: dict[str, dict[str, Any]] = {
    FULL: {},
    "plain dense network for the IDN": {f"{NETWORK}feature_extractor": "plain_dense"},
    "no MCFEM": {f"{NETWORK}num_complementary_blocks": 0},
    "one size of convolution": {f"{NETWORK}kernel_sizes": [3]},
    "with channel attention": {f"{NETWORK}channel_attention": True},
    "no spatial attention": {f"{NETWORK}spatial_attention": False},
    "no Transformer": {f"{NETWORK}transformer": False},
    "no condition": {f"{NETWORK}conditional": False, "lesson_share": 0.0},
    "adaptive loss": {"adaptive": True},
}


def network_options(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the network that differ, of a variant's changes."""
    return {key.removeprefix(NETWORK): value for key, value in changes.items() if key.startswith(NETWORK)}


def command_of(
    changes: Mapping[str, Any], dataset_dir: str | os.PathLike, folder: Path, epochs: int, seed: int
) -> list[str]:
    """The ``mmif-amin train`` of one variant, in which no name of a folder is read as an expression of a config.

    Args:
        changes: what differs from the full network; an entry of :data:`VARIANTS`.
        dataset_dir: data set to train and validate on.
        folder: output of the training.
        epochs: its budget.
        seed: of the training.
    """
    places = [f"--dataset-dir={dataset_dir}", f"--output={folder}"]
    keys = {"epochs": epochs, "val-interval": epochs, "optimum-steps": 0, "seed": seed, **BASE, **changes}
    # -P: what lies in the folder where this is started is no module
    return [sys.executable, "-P", "-m", "mmif_amin", "train", *places, *(f"--{k}={v}" for k, v in keys.items())]
