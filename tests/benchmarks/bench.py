"""Speed, as ratios against references that run in the same process: `make bench`.

- the network beside a plain 3x3 convolution network of the same GMAC
- all metrics of a batch of 16 pairs beside the field's usual way, one image after the other in NumPy and SciPy
- a first `mmif-amin fuse` from a cold start beside `python -c "import torch"`
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "bundle")]

from scripts.inferers.fuser import load  # noqa: E402
from scripts.metrics.suite import fusion_metrics  # noqa: E402

from tests.conftest import make_pair, write_gray  # noqa: E402
from tests.metrics.reference import all_metrics  # noqa: E402

SIZE = (256, 256)


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call after one warm-up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def gmac(network: nn.Module, image: torch.Tensor) -> float:
    """Multiply-accumulates of one call, billions."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return counter.get_total_flops() / 2e9


def plain_network(target: float) -> nn.Module:
    """Five 3x3 convolutions at full resolution, as wide as the GMAC allow."""
    image = torch.rand(1, 2, *SIZE)
    for width in range(2, 64):
        layers = [nn.Conv2d(2, width, 3, padding=1), nn.ReLU()]
        for _ in range(3):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1)).eval()
        if gmac(network, image) >= target:
            return network
    raise ValueError(f"no plain network of {target} GMAC")


def bench_network() -> None:
    """Print seconds a pair and the ratio to a plain network."""
    network, image = load().network, torch.rand(1, 2, *SIZE)
    cost = gmac(network, image)
    plain = plain_network(cost)
    with torch.inference_mode():
        ours, theirs = (median_seconds(lambda n=n: n(image), 30) for n in (network, plain))
    parameters = sum(p.numel() for p in network.parameters())
    threads = torch.get_num_threads()
    print(f"network: {parameters} parameters, {cost:.2f} GMAC, {ours:.4f} s a 256x256 pair on {threads} threads")
    print(f"plain 3x3 convolutions of {gmac(plain, image):.2f} GMAC: {theirs:.4f} s; ratio {ours / theirs:.2f}")


def bench_metrics() -> None:
    """Print seconds a pair for all metrics and the ratio to single images in NumPy."""
    pairs = [(make_pair(SIZE, seed) * 255).round() for seed in range(16)]
    batch = torch.cat(pairs)
    fused = batch.amax(dim=1, keepdim=True)
    ours = median_seconds(lambda: fusion_metrics(fused, batch[:, :1], batch[:, 1:], 255), 5) / len(batch)
    single = [x[0, 0].double().numpy() for x in (fused[:1], batch[:1, :1], batch[:1, 1:])]
    theirs = median_seconds(lambda: all_metrics(*single), 3)
    print(f"metrics: {ours:.4f} s a pair in a batch of 16; NumPy and SciPy: {theirs:.3f} s; ratio {ours / theirs:.3f}")


def bench_cold_start() -> None:
    """Print the ratio of a first fuse to importing torch, both from a cold start, alternating."""
    with tempfile.TemporaryDirectory() as folder:
        files = [write_gray(Path(folder) / f"{k}.png", x) for k, x in enumerate(make_pair(SIZE)[0].numpy())]
        fuse = [str(Path(sys.executable).with_name("mmif-amin")), "fuse", *map(str, files), "-o", f"{folder}/out.png"]
        empty = [sys.executable, "-c", "import torch"]
        commands = [lambda c=c: subprocess.run(c, check=True, capture_output=True) for c in (fuse, empty)]
        ours, theirs = (median_seconds(command, 7) for command in commands)
    print(f"cold start: first fuse {ours:.2f} s, import torch {theirs:.2f} s; ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    bench_network()
    bench_metrics()
    bench_cold_start()
