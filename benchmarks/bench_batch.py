"""Speed of a batch, as ratios in the same run: `python benchmarks/bench_batch.py`.

- studies an hour of two Dask workers with one thread each beside one of them
- seconds a study with the network loaded once beside once a study
- with `--json`, what one study takes, for `mmif-amin scale --measured`
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bundle")]

from mmif_amin.scripts.data.study import Study

from mmif_amin import BUNDLE
from mmif_amin.batch.cluster import DaskEngine, local_cluster
from mmif_amin.batch.run import fuse_studies
from mmif_amin.memory import keep_freed_memory
from mmif_amin.scale import measure
from mmif_amin.studies import fuse_study, with_network

QUIET = {"inferer#progress": False}


def copies(folder: Path, count: int) -> list[Study]:
    """Copies of the embedded MRI and PET."""
    studies = []
    for k in range(count):
        case = folder / f"case-{k}"
        case.mkdir(parents=True)
        for name in ("t1", "pet"):
            shutil.copyfile(BUNDLE / "sample_data" / f"{name}.nii.gz", case / f"{name}.nii.gz")
        studies.append(Study(str(case / "t1.nii.gz"), str(case / "pet.nii.gz"), case.name, "PET-MRI"))
    return studies


def bench_workers(studies: list[Study], options: dict, rounds: int) -> float:
    """Print the ratio of the throughput of two workers to that of one, and return its median.

    Both clusters stay up, warm, and take turns, so that what else the machine does meets both.
    """
    ratios = []
    with local_cluster(1) as one, local_cluster(2) as two, tempfile.TemporaryDirectory() as folder:
        for number in range(-1, rounds):  # the first round warms up
            seconds = []
            for cluster in (one, two):
                output = Path(folder) / f"{number}-{cluster.scheduler_address.rpartition(':')[2]}"
                engine = DaskEngine(scheduler=cluster.scheduler_address)
                start = time.perf_counter()
                failed, table = fuse_studies(studies, output, None, options, engine=engine)
                seconds.append(time.perf_counter() - start)
                if failed:
                    raise RuntimeError(table.read_text(encoding="utf-8"))
                shutil.rmtree(output)
            if number >= 0:
                ratios.append(seconds[0] / seconds[1])
                hourly = [3600 * len(studies) / each for each in seconds]
                print(f"  round {number + 1}: {hourly[0]:.0f} and {hourly[1]:.0f} studies/h, ratio {ratios[-1]:.2f}")
    print(
        f"two workers beside one: {statistics.median(ratios):.2f} (median of {rounds}, {min(ratios):.2f} to "
        f"{max(ratios):.2f})"
    )
    return statistics.median(ratios)


def bench_network(study: Study, options: dict, rounds: int) -> None:
    """Print seconds a study with the network loaded for each, and with one for all, alternating."""
    torch.set_num_threads(1)
    loaded, times = with_network(options), {"loaded for each study": [], "loaded once": []}
    for number in range(-1, rounds):
        for name, how in zip(times, (options, loaded), strict=True):
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                fuse_study(study, Path(folder) / "study", how)
                if number >= 0:
                    times[name].append(time.perf_counter() - start)
    for name, seconds in times.items():
        print(f"network {name}: {statistics.median(seconds):.3f} s a study ({min(seconds):.3f} to {max(seconds):.3f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Speed of a batch, as ratios in the same run.")
    parser.add_argument("--studies", type=int, default=6, help="copies of the sample in a batch [6]")
    parser.add_argument("--rounds", type=int, default=5, help="repeats [5]")
    parser.add_argument("--register", default="none", help="as the option of mmif-amin [none]")
    parser.add_argument("--json", help="file for mmif-amin scale --measured, of one study with a rigid registration")
    arguments = parser.parse_args()
    keep_freed_memory()
    settings = {**QUIET, "register": arguments.register}
    with tempfile.TemporaryDirectory() as place:
        sample = copies(Path(place), arguments.studies)
        bench_network(sample[0], settings, arguments.rounds)
        ratio = bench_workers(sample, settings, arguments.rounds)
    if arguments.json:
        one_study = replace(measure(), efficiency=round(min(1.0, ratio / 2), 3))
        Path(arguments.json).write_text(json.dumps(asdict(one_study), indent=4) + "\n", encoding="utf-8")
        print(f"what one study takes: {arguments.json}")
