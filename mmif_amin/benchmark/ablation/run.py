"""Runs the ablation: trains and measures each variant with each seed, resumable."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ...scripts.inferers.runtimes import load_network
from ...scripts.networks.nets.mmif_amin import MMIFAMIN
from ...scripts.utils.checks import InputError
from ...scripts.utils.enums import Runtime
from ...scripts.utils.files import write_atomically
from ...scripts.utils.json_files import read_json
from ..columns import SHOWN
from .measure import WAY, Measure
from .table import ablation_table
from .variants import VARIANTS, command_of, network_options

__all__ = ["ablation"]

NEEDED = (WAY, *SHOWN)


def ablation(
    dataset_dir: str | os.PathLike, output_dir: str | os.PathLike, epochs: int = 8, seeds: int = 2
) -> dict[str, list[dict[str, float]]]:
    """Train every variant with the same budget and each seed, and write ``ablation.md`` and ``ablation.json``.

    Each training has a folder of its own: started again, finished ones are read, and an interrupted one goes on. The
    table is written anew after each, all variants of the first seed first.

    Args:
        dataset_dir: data set to train and validate on.
        output_dir: folder of the result.
        epochs: budget of each training. Defaults to 8.
        seeds: how many, from 0 up. Defaults to 2.

    Returns:
        Variant to the figures of each seed: metric to mean over all validation pairs, and those of
        :class:`~.measure.Measure`.

    Raises:
        InputError: When there is no seed, a training fails, or a file of an earlier run is damaged.
    """
    if seeds < 1:
        raise InputError(f"--seeds: expected at least 1, got {seeds}.")
    output = Path(output_dir)
    measure = Measure(dataset_dir, output / "pixel_optima.json")
    results: dict[str, list[dict[str, float]]] = {}
    for seed in range(seeds):
        for number, (name, changes) in enumerate(VARIANTS.items(), start=1 + seed * len(VARIANTS)):
            folder = output / name.replace(" ", "_") / f"seed_{seed}"
            done = folder / f"done_{epochs}.json"
            if not done.is_file():
                print(f"[{number}/{seeds * len(VARIANTS)}] {name}, seed {seed}", flush=True)
                _train(command_of(changes, dataset_dir, folder, epochs, seed), folder)
                _write_json(done, _figures(folder, changes, measure))
            results.setdefault(name, []).append(_figures_of(done))
            write_atomically(output / "ablation.md", partial(Path.write_text, data=ablation_table(results)))
            _write_json(output / "ablation.json", {"epochs": epochs, "seeds": seeds, "results": results})
    return results


def _train(command: list[str], folder: Path) -> None:
    ended = subprocess.run(command, check=False)
    if ended.returncode:
        raise InputError(
            f"{folder}: this training ended with exit code {ended.returncode}. Mend what it says above, and start the "
            "same command again: it goes on where it was."
        )


def _figures(folder: Path, changes: Mapping[str, Any], measure: Measure) -> dict[str, float]:
    """Figures of a variant that has just been trained."""
    network = MMIFAMIN(spatial_dims=2, **network_options(changes))
    load_network(network, folder / "best.pt", runtime=Runtime.TORCH)
    best = read_json(folder / "best.json", "the metrics of a training")
    return {**best["metrics"], **measure(network)}


def _figures_of(path: Path) -> dict[str, float]:
    """Figures of a variant that was trained and measured."""
    found = read_json(path, "the figures of a trained variant")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), int | float) for name in NEEDED):
        raise InputError(f"{path}: expected a number for each of {', '.join(NEEDED)}. Remove it to measure this again.")
    return found


def _write_json(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=4)
    write_atomically(path, partial(Path.write_text, data=text))
