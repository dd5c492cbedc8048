"""How a fused volume flickers from slice to slice, and what smoother ways cost: ``python benchmarks/bench_flicker.py``.

Flicker is the mean, over all neighbors along an axis where both sources show something, of what the fused volume
changes by beyond the larger change of its two sources, in gray levels of 255. It is given across the slices, the axis
along which they were cut, and within them (mean of the other two axes), where the network sees all neighbors.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bundle")]

from scripts.classical.rules import laplacian_pyramid
from scripts.inferers.slices import SliceFusionInferer, best_axis

from mmif_amin.fuser import load_torch_network

SAMPLE = ROOT / "bundle" / "sample_data"
PAIRS = {
    "T1 + CT": (SAMPLE / "t1.nii.gz", SAMPLE / "ct.nii.gz"),
    "T1 + PET": (SAMPLE / "t1.nii.gz", SAMPLE / "pet.nii.gz"),
}
SHOWS = 0.05  # fraction of white


def flicker(fused: np.ndarray, sources: np.ndarray, axis: int) -> float:
    """Flicker along one axis, gray levels; fused (X, Y, Z), sources (2, X, Y, Z), all in [0, 1]."""
    own, others = np.abs(np.diff(fused, axis=axis)), np.abs(np.diff(sources, axis=axis + 1)).max(axis=0)
    shows = (sources > SHOWS).all(axis=0)
    inside = np.take(shows, range(1, shows.shape[axis]), axis) & np.take(shows, range(shows.shape[axis] - 1), axis)
    return 255 * float(np.maximum(own - others, 0)[inside].mean())


def read_pair(paths: tuple[Path, Path]) -> tuple[np.ndarray, np.ndarray]:
    """Both volumes, (2, X, Y, Z), the middle 99 % of their values in [0, 1], and the affine of the first."""
    images = [nibabel.load(path) for path in paths]
    values = np.stack([np.asarray(image.dataobj, dtype=np.float32) for image in images])
    low, high = (np.percentile(values, q, axis=(1, 2, 3), keepdims=True) for q in (0.5, 99.5))
    return np.clip((values - low) / (high - low), 0, 1).astype(np.float32), images[0].affine


def main() -> None:
    """Print the table, one row for each pair and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", nargs=2, type=Path, action="append", default=[], help="two volumes on one grid")
    args = parser.parse_args()
    torch.set_num_threads(1)
    network = load_torch_network()
    print("pair | way | flicker across | flicker within | seconds\n--|--|--|--|--")
    for name, paths in {**PAIRS, **{" + ".join(p.name for p in pair): tuple(pair) for pair in args.pair}}.items():
        sources, affine = read_pair(paths)
        cut = best_axis(sources.shape[1:], affine)
        volume = torch.from_numpy(sources)
        ways = {
            "each slice alone": SliceFusionInferer(smoothing=0),
            "neighbors share, the default": SliceFusionInferer(),
            "--axes all": SliceFusionInferer(axes="all"),
        }
        for way, inferer in ways.items():
            began = time.perf_counter()
            with torch.inference_mode():
                fused = inferer.fuse_slices(volume, network, affine)[0].numpy()
            print_row(name, way, fused, sources, cut, time.perf_counter() - began)
        slices = volume.movedim(cut + 1, 0)
        print_row(name, "Laplacian pyramid", laplacian_pyramid(slices)[:, 0].movedim(0, cut).numpy(), sources, cut)


def print_row(name: str, way: str, fused: np.ndarray, sources: np.ndarray, cut: int, seconds: float = np.nan) -> None:
    """Print one row."""
    within = np.mean([flicker(fused, sources, axis) for axis in range(3) if axis != cut])
    print(f"{name} | {way} | {flicker(fused, sources, cut):.2f} | {within:.2f} | {seconds:.1f}", flush=True)


if __name__ == "__main__":
    main()
