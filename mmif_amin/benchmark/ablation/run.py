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
from ..scripts.utils.checks import InputError
from ..scripts.utils.files import write_atomically
from ..scripts.utils.json_files import read_json
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
    "no lesions": {"lesson_share": 0.0},
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
        InputError: When a training fails, or a file of an earlier run is damaged.
    """
    output = Path(output_dir)
    results: dict[str, dict[str, float]] = {}
    for number, (name, changes) in enumerate(VARIANTS.items(), start=1):
        folder = output / name.replace(" ", "_")
        done = folder / f"done_{epochs}_{seed}.json"
        if not done.is_file():
            print(f"[{number}/{len(VARIANTS)}] {name}", flush=True)
            ended = subprocess.run(_command(changes, dataset_dir, folder, epochs, seed), check=False)
            if ended.returncode:
                raise InputError(
                    f"{folder}: this training ended with exit code {ended.returncode}. Mend what it says above, and "
                    "start the same command again: it goes on where it was."
                )
            best = read_json(folder / "best.json", "the metrics of a training")
            parts = read_json(folder / "way_closed.json", "the way that a training closed")
            _write(done, json.dumps({**best["metrics"], WAY: sum(parts.values()) / len(parts)}, indent=4))
        results[name] = _means(done)
        _write(output / "ablation.md", ablation_table(results))
        _write(output / "ablation.json", json.dumps({"epochs": epochs, "seed": seed, "results": results}, indent=4))
    return results


def _means(path: Path) -> dict[str, float]:
    """Metric to mean of a variant that was trained."""
    means = read_json(path, "the metrics of a trained variant")
    if not isinstance(means, dict) or not all(isinstance(means.get(metric), int | float) for metric in COLUMNS):
        raise InputError(f"{path}: expected a number for each of {', '.join(COLUMNS)}. Remove it to train this again.")
    return means


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text))


def _command(
    changes: Mapping[str, Any], dataset_dir: str | os.PathLike, folder: Path, epochs: int, seed: int
) -> list[str]:
    """The ``mmif-amin train`` of one variant, in which no name of a folder is read as an expression of a config."""
    words = dict(changes)
    overlay = words.pop("config_file", None)
    files = [f"--config-file={CONFIGS / overlay}"] if overlay else []
    places = [f"--dataset-dir={dataset_dir}", f"--output={folder}"]
    keys = {"epochs": epochs, "val-interval": epochs, "seed": seed, **words}
    # -P: what lies in the folder where this is started is no module
    return [sys.executable, "-P", "-m", "mmif_amin", "train", *places, *files, *(f"--{k}={v}" for k, v in keys.items())]
