"""Fuses very many pictures, then volumes, in one process by the Python API, and writes down what the process holds.

    python -m tests.acceptance.load.steady FOLDER --pictures 2000 --volumes 50 --registered 5

FOLDER/held.csv then says after how many of each the memory (resident, and of this process alone), open files, threads
and files in the folder for temporary files were what.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import nibabel
import numpy as np
import psutil
from PIL import Image

from mmif_amin import load
from mmif_amin.memory import keep_freed_memory
from mmif_amin.pictures import PictureJob, fuse_picture

SIZES = ((128, 128), (120, 136), (96, 128))
SHAPES = ((40, 44, 12), (36, 40, 14), (44, 36, 10))
SAMPLES = 50  # of each kind
COLUMNS = ("kind", "number", "resident", "own", "files", "threads", "temporary", "children")


def made_up(folder: Path) -> tuple[list[tuple[Path, Path]], list[tuple[Path, Path]]]:
    """Pairs of pictures, gray and in color, and of volumes, each in several sizes. PyTorch is not imported for them."""
    pictures, volumes = [], []
    for number, size in enumerate(SIZES):
        a, b = (np.rint(255 * image).astype(np.uint8) for image in balls(size, number))
        names = [folder / f"{letter}{number}.png" for letter in "abc"]
        for name, levels in zip(names, (a, b, np.dstack([b, b // 2, 255 * (b > 0) - b])), strict=True):
            Image.fromarray(levels.astype(np.uint8)).save(name)
        pictures += [(names[0], names[1]), (names[0], names[2])]
    for number, shape in enumerate(SHAPES):
        files = [folder / f"{letter}{number}.nii.gz" for letter in "ab"]
        for file, values in zip(files, balls(shape, number), strict=True):
            nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.diag([4.0, 4.0, 8.0, 1.0])), file)
        volumes.append((files[0], files[1]))
    return pictures, volumes


def balls(shape: Sequence[int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A noisy and a wavy ball on black, in [0, 1]."""
    places = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    ball = sum(place**2 for place in places) < 0.7
    noise = np.random.default_rng(seed).random(tuple(shape))
    return ball * (0.3 + 0.7 * noise), ball * (np.sin(4 * places[0]) + 2) / 3


def held(temporary: Path) -> dict[str, int]:
    """What this process holds."""
    process = psutil.Process()
    memory = process.memory_full_info()
    return {
        "resident": memory.rss,
        "own": memory.uss,
        "files": process.num_fds(),
        "threads": process.num_threads(),
        "temporary": sum(1 for _ in temporary.rglob("*")),
        "children": len(process.children(recursive=True)),
    }


def repeat(kind: str, count: int, fuse: Callable[[int], None], temporary: Path, file: TextIO) -> None:
    """Fuse so many, and write down what is held every so often."""
    writer = csv.DictWriter(file, COLUMNS)
    for number in range(count):
        fuse(number)
        if (number + 1) % max(1, count // SAMPLES) == 0:
            writer.writerow({"kind": kind, "number": number + 1, **held(temporary)})
            file.flush()  # it can be looked at while this goes on


def run(folder: Path, pictures: int, mapped: int, volumes: int, registered: int) -> None:
    """Fuse them all.

    Args:
        folder: where sources, outputs and the table go.
        pictures: how many pairs of pictures.
        mapped: how many of them, spread over all, get a loss map, which imports PyTorch.
        volumes: how many pairs of volumes.
        registered: how many of the first of these are registered, rigidly.
    """
    temporary = folder / "temporary"
    temporary.mkdir(parents=True)
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
    keep_freed_memory()
    picture_pairs, volume_pairs = made_up(folder)
    with (folder / "held.csv").open("w", newline="") as file:
        csv.DictWriter(file, COLUMNS).writeheader()
        fuser = load()

        def fuse_pair(number: int) -> None:
            a, b = picture_pairs[number % len(picture_pairs)]
            fuse_picture(
                fuser,
                PictureJob(a, b, folder / f"out{number % 7}.png", "PET-MRI"),
                loss_map=number * mapped % pictures < mapped,
            )

        repeat("picture", pictures, fuse_pair, temporary, file)
        if not volumes:
            return
        from mmif_amin.scripts.data.study import Study

        from mmif_amin.studies import fuse_study, with_network

        options = with_network({"inferer#progress": False})

        def fuse_volumes(number: int) -> None:
            a, b = volume_pairs[number % len(volume_pairs)]
            study = Study(str(a), str(b), task="PET-MRI")
            settings = {**options, "register": "rigid" if number < registered else "none", "loss_map": number % 2 == 0}
            fuse_study(study, folder / "study", settings)
            shutil.rmtree(folder / "study")

        repeat("volume", volumes, fuse_volumes, temporary, file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fuse very many in one process, and write down what it holds.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--mapped", type=int, default=400)
    parser.add_argument("--volumes", type=int, default=50)
    parser.add_argument("--registered", type=int, default=5)
    arguments = parser.parse_args()
    run(arguments.folder, arguments.pictures, arguments.mapped, arguments.volumes, arguments.registered)
