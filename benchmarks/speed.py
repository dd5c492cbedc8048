"""The history of this product's speed: `make speed` measures again, warns of what has become slower, and adds a row.

Each figure is a ratio to a fixed reference that takes turns with it in the same run, so that rows of different and
busy machines can be compared; no seconds are kept. The table, docs/speed.csv, is under version control: a row stands
beside the commit that it measures, and is there in every checkout, whatever becomes of the machine that ran it.

- cold_start: a first `mmif-amin fuse` of two pictures, beside `python -c "import torch"`
- torch, onnx: the network on a pair of 256x256, beside plain 3x3 convolutions of the same GMAC
- step: forward and backward through the network, 2 patches of 64x64, beside the same of these convolutions
- metrics: all metrics of a batch of 4 pairs of 128x128, beside Fourier transforms and sorts in NumPy
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import csv
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bundle")]

from scripts.inferers.runtimes import load_network
from scripts.metrics.suite import fusion_metrics
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.utils.files import write_atomically

from benchmarks.bench import SIZE, alternating_seconds, cold_starts, gmac, plain_network, ratio_of
from mmif_amin import __version__
from tests.conftest import make_pair

TABLE = ROOT / "docs" / "speed.csv"
ABOUT = ("date", "version", "commit", "python", "torch_version")
FIGURES = ("cold_start", "torch", "onnx", "step", "metrics")
ROUNDS = 5
REMEMBERED = 10  # rows that a figure is compared with
SLOWER = 1.5  # times their median; one run on a busy machine differs from the next by up to 1.3
MOST_COLD_START = 0.5


def measured(rounds: int = ROUNDS) -> dict[str, float]:
    """All figures."""
    torch.set_num_threads(1)
    image = torch.rand(1, 2, *SIZE)
    networks = {
        runtime: load_network(partial(MMIFAMIN, spatial_dims=2), runtime=runtime) for runtime in ("torch", "onnx")
    }
    plain = plain_network(gmac(networks["torch"], image))
    figures = {"cold_start": ratio_of(cold_starts(rounds // 2 or 1))}
    with torch.inference_mode():
        for name, network in networks.items():
            figures[name] = _ratio(lambda n=network: n(image), lambda: plain(image), rounds)
    patches = torch.rand(2, 2, 64, 64)
    figures["step"] = _ratio(
        lambda: _step(networks["torch"].train(), patches), lambda: _step(plain.train(), patches), rounds
    )
    pairs = torch.cat([(make_pair((128, 128), seed) * 255).round() for seed in range(4)])
    fused = pairs.amax(dim=1, keepdim=True)
    figures["metrics"] = _ratio(lambda: fusion_metrics(fused, pairs[:, :1], pairs[:, 1:], 255), _numpy_loop, rounds)
    return figures


def _ratio(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> float:
    return ratio_of(alternating_seconds((ours, theirs), rounds + 1)[1:])  # the first round warms up


def _step(network: nn.Module, image: torch.Tensor) -> None:
    network.zero_grad()
    network(image).mean().backward()


def _numpy_loop() -> None:
    """A fixed amount of work in NumPy."""
    image = np.random.default_rng(0).random((256, 256))
    for _ in range(8):
        image = np.sort(np.abs(np.fft.ifft2(np.fft.fft2(image))), axis=1)


def slower(figures: dict[str, float], rows: Sequence[dict[str, str]]) -> list[str]:
    """A sentence for each figure that is worse than it was."""
    said = []
    if figures["cold_start"] > MOST_COLD_START:
        said.append(
            f"cold_start: expected at most {MOST_COLD_START} of importing torch, got {figures['cold_start']:.2f}"
        )
    for name, value in figures.items():
        before = [float(row[name]) for row in rows[-REMEMBERED:] if row.get(name)]
        if before and value > SLOWER * statistics.median(before):
            said.append(
                f"{name}: {value:.2f} of its reference, {statistics.median(before):.2f} in the last {len(before)} rows"
            )
    return said


def read_rows(table: Path) -> list[dict[str, str]]:
    """The rows of a history; none where there is no file."""
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def append(table: Path, figures: dict[str, float]) -> None:
    """Add a row to a history."""
    row = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "version": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch_version": torch.__version__,
        **{name: f"{value:.3f}" for name, value in figures.items()},
    }
    rows = [*read_rows(table), row]

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, (*ABOUT, *FIGURES), restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(table, write)


def _commit() -> str:
    """The commit that is checked out, with a plus where files differ from it; empty outside of Git."""
    try:
        words = ["git", "describe", "--always", "--abbrev=10", "--dirty=+", "--exclude=*"]
        return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure speed as ratios, compare them with the history, add a row.")
    parser.add_argument("--table", type=Path, default=TABLE, help=f"the history [{TABLE.relative_to(ROOT)}]")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"repeats [{ROUNDS}]")
    parser.add_argument("--compare-only", action="store_true", help="add no row")
    arguments = parser.parse_args()
    now = measured(arguments.rounds)
    print("speed, as ratios to a reference: " + ", ".join(f"{name} {value:.2f}" for name, value in now.items()))
    for sentence in slower(now, read_rows(arguments.table)):
        print(f"warning: slower: {sentence}", file=sys.stderr)
    if not arguments.compare_only:
        append(arguments.table, now)
