"""Speed, as ratios against references that run in the same process: `make bench`.

- the network in every runtime beside a plain 3x3 convolution network of the same GMAC
- a pair of 2048x2048, which is fused in tiles, with its peak memory
- a volume of 256x256x180, with its peak memory, beside the plain network on its slices
- what bfloat16 changes of the metrics (`--dataset-dir DATA` for other pairs than the sample's)
- a training step with rebuilt beside one with stored activations of the invertible blocks
- all metrics of a batch of 16 pairs beside the field's usual way, one image after the other in NumPy and SciPy
- a first `mmif-amin fuse` from a cold start beside `python -c "import torch"`
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bundle")]

from scripts.data.datalist import fusion_datalist
from scripts.inferers.runtimes import load_network
from scripts.metrics.suite import fusion_metrics
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.transforms.pairs import LoadSourced

from mmif_amin.fuser import load
from mmif_amin.memory import keep_freed_memory
from tests.conftest import make_pair, write_gray
from tests.model.metrics.reference import all_metrics

SIZE = (256, 256)
BATCH = 8
SLICES = 180
THREADS = 2


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call after one warm-up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def alternating_seconds(functions: Sequence[Callable[[], object]], rounds: int) -> list[tuple[float, ...]]:
    """Wall times of calls that take turns, so that what else the machine does meets all of them; one row a round."""
    times = []
    for _ in range(rounds):
        row = []
        for function in functions:
            start = time.perf_counter()
            function()
            row.append(time.perf_counter() - start)
        times.append(tuple(row))
    return times


def ratio_of(times: Sequence[tuple[float, ...]]) -> float:
    """Median over the rounds of the ratio of the first call to the second."""
    return statistics.median(row[0] / row[1] for row in times)


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
    """Print seconds a pair and pairs a second of every runtime, and the ratio to a plain network."""
    image, batch = torch.rand(1, 2, *SIZE), torch.rand(BATCH, 2, *SIZE)
    networks = {
        f"{runtime}, {precision}": load_network(partial(MMIFAMIN, spatial_dims=2), runtime=runtime, precision=precision)
        for runtime, precision in (
            ("torch", "float32"),
            ("torch", "bfloat16"),
            ("torchscript", "float32"),
            ("onnx", "float32"),
        )
    }
    cost = gmac(networks["torch, float32"], image)
    plain = plain_network(cost)
    parameters = sum(p.numel() for p in networks["torch, float32"].parameters())
    threads = torch.get_num_threads()
    print(f"network: {parameters} parameters, {cost:.2f} GMAC a 256x256 pair, {threads} threads, batches of {BATCH}")
    with torch.inference_mode():
        theirs = median_seconds(lambda: plain(image), 30)
        print(f"  {'plain 3x3 convolutions':<22} {theirs:.4f} s a pair; {gmac(plain, image):.2f} GMAC")
        for name, network in networks.items():
            ours = median_seconds(lambda n=network: n(image), 30)
            throughput = BATCH / median_seconds(lambda n=network: n(batch), 8)
            print(f"  {name:<22} {ours:.4f} s a pair, {ours / theirs:.2f} of plain; {throughput:.0f} pairs/s")


def bench_large_picture() -> None:
    """Print time and memory of a large pair of pictures, fused in tiles."""
    for runtime in ("onnx", "torch"):
        facts = in_a_process(_large_picture, runtime)
        print(f"pictures 2048x2048, {runtime}: {facts['seconds']:.1f} s, {facts['peak']:.2f} GB more than before")


def _large_picture(runtime: str) -> dict[str, float]:
    fuser = load(runtime=runtime)
    a, b = (torch.rand(1, 2048, 2048).numpy() for _ in range(2))
    fuser.fuse_stack(a[:, :64, :64], b[:, :64, :64])
    forget_peak()
    before, start = memory_gb("VmRSS"), time.perf_counter()
    fuser.fuse_stack(a, b)
    return {"seconds": time.perf_counter() - start, "peak": memory_gb("VmHWM") - before}


def bench_volume() -> None:
    """Print time and peak memory of a volume, every slice of which shows something, beside the plain network."""
    for precision in ("float32", "bfloat16"):
        facts = in_a_process(_volume, precision)
        print(
            f"volume 256x256x180, torch, {precision}: {facts['seconds']:.1f} s, {facts['ratio']:.2f} of plain on its "
            f"slices; peak {facts['peak']:.2f} GB, of it {facts['before']:.2f} GB before: Python, torch, network, both "
            "volumes"
        )


def _volume(precision: str) -> dict[str, float]:
    fuser = load(runtime="torch", precision=precision)
    a, b = (torch.rand(*SIZE, SLICES).numpy() for _ in range(2))
    fuser.fuse_volume(a[..., :8], b[..., :8])
    forget_peak()
    before = memory_gb("VmRSS")
    start = time.perf_counter()
    fuser.fuse_volume(a, b)
    seconds, peak = time.perf_counter() - start, memory_gb("VmHWM")
    image = torch.rand(1, 2, *SIZE)
    plain = plain_network(gmac(fuser.network, image))
    with torch.inference_mode():
        one = median_seconds(lambda: plain(image), 30)
    return {"seconds": seconds, "ratio": seconds / (SLICES * one), "peak": peak, "before": before}


def bench_quality(dataset_dir: str) -> None:
    """Print what bfloat16 changes of the means on real pairs; it may cost .002 of VIF and SSIM."""
    exact, fast = (load(runtime="torch", precision=precision).network for precision in ("float32", "bfloat16"))
    items = fusion_datalist(dataset_dir, "validation")
    read, changes, largest = LoadSourced(), {}, 0.0
    for item in items:
        pair = read(item)
        image = torch.cat([torch.as_tensor(pair[key]) for key in ("source_a", "source_b")])[None]
        with torch.inference_mode():
            fused = [(network(image) * 255).round() for network in (exact, fast)]
        largest = max(largest, float((fused[0] - fused[1]).abs().max()))
        values = [fusion_metrics(each, image[:, :1] * 255, image[:, 1:] * 255, 255) for each in fused]
        for name in ("VIF", "ssim", "Qabf", "VIFmin", "VIFlocal"):
            changes.setdefault((item["task"], name), []).append(float(values[1][name] - values[0][name]))
    task, name = max(changes, key=lambda key: abs(statistics.mean(changes[key])))
    print(
        f"bfloat16 beside float32 on {len(items)} pairs: no mean moves by more than "
        f"{abs(statistics.mean(changes[task, name])):.5f} ({name}, {task}), no pixel by more than {largest:.0f} levels"
    )


def bench_training() -> None:
    """Print time, memory and gradients of a training step with rebuilt beside stored activations of the IDN."""
    print("training step of 6 patches of 128x128, rebuilt : stored activations of the invertible blocks")
    print("  blocks a level   seconds       ratio   peak MB       ratio   difference of gradients, double and single")
    for depth in (2, 8, 32):
        rebuilt, stored = (in_a_process(_training_step, (depth, kind)) for kind in (True, False))
        seconds, peak = (f"{rebuilt[k]:.{n}f} : {stored[k]:.{n}f}" for k, n in (("seconds", 2), ("peak", 0)))
        ratios = [f"{rebuilt[key] / stored[key]:.2f}" for key in ("seconds", "peak")]
        errors = [f"{gradient_difference(depth, dtype):.0e}" for dtype in (torch.float64, torch.float32)]
        print(
            f"  {depth:>14}   {seconds:<11}   {ratios[0]:>5}   {peak:<11}   {ratios[1]:>5}   {errors[0]}, {errors[1]}"
        )


def _deep_network(depth: int, reversible: bool) -> MMIFAMIN:
    """Couplings that all together are as strong as the two of the trained network; at the start they do nothing."""
    torch.manual_seed(0)
    network = MMIFAMIN(2, num_blocks=(depth, depth), reversible=reversible)
    for name, layer in network.idn.named_modules():
        if name.endswith(".last"):
            nn.init.normal_(layer.weight, std=(2 / depth / layer.weight[0].numel()) ** 0.5)
    return network


def _training_step(job: tuple[int, bool]) -> dict[str, float]:
    """One step of the whole network, fused image to gradients; memory above what was there before."""
    network, image = _deep_network(*job), torch.rand(6, 2, 128, 128)

    def step(image: torch.Tensor) -> None:
        network.zero_grad()
        network(image).mean().backward()

    step(torch.rand(1, 2, 16, 16))  # what the first call loads is not the step's
    before = memory_gb("VmRSS")
    forget_peak()
    step(image)
    peak = 1e3 * (memory_gb("VmHWM") - before)
    return {"peak": peak, "seconds": median_seconds(lambda: step(image), 5)}


def gradient_difference(depth: int, dtype: torch.dtype) -> float:
    """Relative difference (Euclidean) of the IDN's gradient, rebuilt from stored."""
    image = torch.rand(2, 2, 32, 32, generator=torch.Generator().manual_seed(1)).to(dtype)
    rebuilt, stored = (
        torch.cat([gradient.flatten() for gradient in torch.autograd.grad(network(image).mean(), weights)])
        for network in (_deep_network(depth, kind).to(dtype) for kind in (True, False))
        for weights in [list(network.idn.parameters())]
    )
    return float((rebuilt - stored).norm() / stored.norm())


def memory_gb(name: str) -> float:
    """Memory of this process now (VmRSS) or at most since :func:`forget_peak` (VmHWM); Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e9


def forget_peak() -> None:
    """Start the high-water mark anew (man proc, clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def in_a_process(function: Callable, argument: object) -> dict:
    """Call a function in a fresh process, whose memory is its own."""
    with ProcessPoolExecutor(1, get_context("spawn"), prepare) as pool:
        return pool.submit(function, argument).result()


def bench_metrics() -> None:
    """Print seconds a pair for all metrics and the ratio to single images in NumPy."""
    pairs = [(make_pair(SIZE, seed) * 255).round() for seed in range(16)]
    batch = torch.cat(pairs)
    fused = batch.amax(dim=1, keepdim=True)
    ours = median_seconds(lambda: fusion_metrics(fused, batch[:, :1], batch[:, 1:], 255), 5) / len(batch)
    single = [x[0, 0].double().numpy() for x in (fused[:1], batch[:1, :1], batch[:1, 1:])]
    theirs = median_seconds(lambda: all_metrics(*single), 3)
    print(f"metrics: {ours:.4f} s a pair in a batch of 16; NumPy and SciPy: {theirs:.3f} s; ratio {ours / theirs:.3f}")


def cold_starts(rounds: int) -> list[tuple[float, ...]]:
    """Seconds of a first fuse of two pictures and of importing torch, each as a process, by turns."""
    with tempfile.TemporaryDirectory() as folder:
        files = [write_gray(Path(folder) / f"{k}.png", x) for k, x in enumerate(make_pair(SIZE)[0].numpy())]
        fuse = [sys.executable, "-m", "mmif_amin", "fuse", *map(str, files), "-o", f"{folder}/out.png"]
        empty = [sys.executable, "-c", "import torch"]
        commands = [lambda c=c: subprocess.run(c, cwd=ROOT, check=True, capture_output=True) for c in (fuse, empty)]
        return alternating_seconds(commands, rounds)


def bench_cold_start(rounds: int = 9) -> None:
    """Print the ratio of a first fuse to importing torch, both from a cold start, alternating."""
    _, *times = cold_starts(rounds + 1)  # the first reads all files from the disk
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    ratios = [one / other for one, other in times]
    print(
        f"cold start: first fuse {ours:.2f} s, import torch {theirs:.2f} s; ratio {ratio_of(times):.2f} (median of "
        f"{rounds}, {min(ratios):.2f} to {max(ratios):.2f})"
    )


def prepare() -> None:
    """Two threads, and freed memory kept, as the command line does."""
    torch.set_num_threads(THREADS)
    keep_freed_memory()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Speed and memory as ratios to references in the same run.")
    parser.add_argument("--dataset-dir", default=str(ROOT / "bundle" / "sample_data"), help="for bfloat16 [the sample]")
    arguments = parser.parse_args()
    prepare()
    bench_network()
    bench_large_picture()
    bench_volume()
    bench_quality(arguments.dataset_dir)
    bench_training()
    bench_metrics()
    bench_cold_start()
