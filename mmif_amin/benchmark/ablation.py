"""The ablation: the same short training without each part in turn, resumable, and its table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import BUNDLE
from ..scripts.metrics import qabf, vif_local, vif_min
from ..scripts.utils.files import write_atomically
from ..scripts.utils.tables import markdown_table
from .columns import DEFECTS, SHOWN

__all__ = ["VARIANTS", "ablation", "ablation_table"]

CONFIGS = BUNDLE / "configs"
WAY = "way_closed"  # mean over the tasks, of way_closed.json
COLUMNS = ("score", WAY, *(name for name in SHOWN if name not in DEFECTS))
DIFFERENCES = ("score", WAY, *(metric.DECLARATION.name for metric in (qabf, vif_min, vif_local)))

# What is left out, as overrides of train.json; "config_file" names an overlay.
VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "plain dense network for the IDN": {"network_def#feature_extractor": "plain_dense"},
    "one size of convolution": {"network_def#kernel_sizes": [3]},
    "no channel attention": {"network_def#channel_attention": False},
    "no spatial attention": {"network_def#spatial_attention": False},
    "no Transformer": {"network_def#transformer": False},
    "fixed loss": {"adaptive": False},
    "no lesions": {"lesion_share": 0.0},
    "AdamW for Muon": {"optimizer#_target_": "torch.optim.AdamW", "learning_rate": 0.001},
    "loss taught by reconstruction": {"config_file": "train_two_level.json", "teacher#warmup": 100},
}


def ablation_table(results: Mapping[str, Mapping[str, float]]) -> str:
    """Render variant to means over all tasks as Markdown, with the differences from the full network.

    Args:
        results: variant to metric to mean; must hold ``"full"``.
    """
    rows = []
    for name, means in results.items():
        cells = [f"{means[metric]:.3f}" for metric in COLUMNS]
        for metric in DIFFERENCES if name != "full" else ():
            cells[COLUMNS.index(metric)] += f" ({means[metric] - results['full'][metric]:+.3f})"
        rows.append([name, *cells])
    return markdown_table(["variant", *COLUMNS], rows)


def ablation(
    dataset_dir: str | os.PathLike, output_dir: str | os.PathLike, epochs: int = 8, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Train every variant with the same budget and write ``ablation.md`` and ``ablation.json``.

    Each variant has a folder of its own: started again, finished ones are read, and an interrupted one goes on. The
    table is written anew after each variant.

    Args:
        dataset_dir: data set to train and validate on.
        output_dir: folder of the result.
        epochs: budget of each variant. Defaults to 8.
        seed: of each training. Defaults to 0.

    Returns:
        Variant to metric to mean over the tasks, of its best epoch.

    Raises:
        subprocess.CalledProcessError: When a training fails.
    """
    output = Path(output_dir)
    results: dict[str, dict[str, float]] = {}
    for number, (name, changes) in enumerate(VARIANTS.items(), start=1):
        folder = output / name.replace(" ", "_")
        done = folder / f"done_{epochs}_{seed}.json"
        if not done.is_file():
            print(f"[{number}/{len(VARIANTS)}] {name}", flush=True)
            subprocess.run(_command(changes, dataset_dir, folder, epochs, seed), check=True)
            metrics = json.loads((folder / "best.json").read_text())["metrics"]
            parts = json.loads((folder / "way_closed.json").read_text())
            _write(done, json.dumps({**metrics, WAY: sum(parts.values()) / len(parts)}, indent=4))
        results[name] = json.loads(done.read_text())
        _write(output / "ablation.md", ablation_table(results))
        _write(output / "ablation.json", json.dumps({"epochs": epochs, "seed": seed, "results": results}, indent=4))
    return results


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text))


def _command(
    changes: Mapping[str, Any], dataset_dir: str | os.PathLike, folder: Path, epochs: int, seed: int
) -> list[str]:
    """The ``monai.bundle run`` of one variant."""
    words = dict(changes)
    overlay = words.pop("config_file", None)
    files = [str(CONFIGS / "train.json"), *([str(CONFIGS / overlay)] if overlay else [])]
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", str(files)]
    budget = {"dataset_dir": str(dataset_dir), "output_dir": str(folder), "epochs": epochs, "val_interval": epochs}
    for key, value in {**budget, "seed": seed, **words}.items():
        command += [f"--{key}", str(value)]
    return command
