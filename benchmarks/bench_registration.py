"""Registration against known truth: ``python benchmarks/bench_registration.py [--volumes DIR] [--case CASE]``.

Each moving volume is turned and shifted about its center at random, resampled once (linear), and registered back to the
fixed one from its old geometry. Target registration error: mean distance, over the fixed body's voxels that the
moving volume shows, between where they should and do go. The cases:

- ``near``: up to 15 degrees and 20 mm.
- ``far``: 30 to 180 degrees and up to 80 mm; most must be refused or right.
- ``partial``: near, and the moving volume holds only a third of its slices.
- ``neck``: near, and the moving volume has a made-up neck, 120 mm long, below the head.
- ``body``: near, and the moving volume, a CT, is a whole body in a frame of its own: made up, 900 mm long, below the
  head.
- ``deformed``: 5 degrees and 5 mm at most, and a smooth deformation of up to 8 mm; only with ``--register deformable``
  or to see what a rigid registration leaves.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from scipy import ndimage
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bundle"))

from scripts.data.nifti import read_nifti_volume
from scripts.data.volume import Volume
from scripts.transforms.registration.transform import RegisterToMatch
from scripts.utils.checks import InputError
from tqdm import tqdm

SHARED_PAIRS = {
    "T1-T2": ("mr_same_subject/stroke_T1.nii.gz", "mr_same_subject/stroke_T2.nii.gz"),
    "T1-FLAIR": ("mr_same_subject/stroke_T1.nii.gz", "mr_same_subject/stroke_FLAIR.nii.gz"),
    "T1-PET": ("pet_mr_brainweb06/brainweb06_T1_2mm.nii.gz", "pet_mr_brainweb06/brainweb06_PET_2mm.nii.gz"),
    "T1-CT": ("embed_candidates/t1_icbm152_2mm.nii.gz", "embed_candidates/ct_ts_atlas_affine_to_icbm_2mm_u8.nii.gz"),
    "T1-CT skull": ("embed_candidates/t1_icbm152_2mm.nii.gz", "embed_candidates/ct_scct_2mm_hu.nii.gz"),
    "CT-PET": (
        "embed_candidates/ct_scct_2mm_hu.nii.gz",
        "embed_candidates/pet_simulated_from_icbm_gm_wm_2mm.nii.gz",
    ),
}
SAMPLE_PAIRS = {
    "T1-CT skull": ("t1.nii.gz", "ct.nii.gz"),
    "T1-PET": ("t1.nii.gz", "pet.nii.gz"),
    "CT-PET": ("ct.nii.gz", "pet.nii.gz"),
}
CASES = {  # degrees and millimeters, at least and at most
    "near": ((0, 15), (0, 20)),
    "far": ((30, 180), (0, 80)),
    "partial": ((0, 15), (0, 20)),
    "neck": ((0, 15), (0, 20)),
    "body": ((0, 15), (0, 20)),
    "deformed": ((0, 5), (0, 5)),
}
SUCCESS = 2.0  # mm
NECK = 120.0  # mm
BODY, BESIDE = 900.0, 90.0  # mm; below the head, and on each side of it
ELSEWHERE = (40.0, -60.0, 500.0)  # mm; where the frame of a whole body has the head
BEND = 8.0  # mm

Truth = Callable[[np.ndarray], np.ndarray]


def displace(volume: Volume, rng: np.random.Generator, case: str) -> tuple[MetaTensor, Truth]:
    """A displaced copy in the old geometry, and the true map of points (N, 4) from the old world to its own."""
    (low, high), (near, away) = CASES[case]
    axis, shift = rng.normal(size=3), rng.normal(size=3)
    shift *= rng.uniform(near, away) / np.linalg.norm(shift)
    center = (volume.affine @ np.r_[(np.array(volume.values.shape) - 1) / 2, 1])[:3]
    turn = np.deg2rad(rng.uniform(low, high)) * axis / np.linalg.norm(axis)
    if case in WITH_MORE:
        volume = WITH_MORE[case](volume)
    back = np.eye(4)
    back[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    back[:3, 3] = center - back[:3, :3] @ center + shift
    there = np.linalg.inv(back)
    index = np.indices(volume.values.shape).reshape(3, -1)
    old = volume.affine @ np.r_[index, np.ones((1, index.shape[1]))]
    bend = bending(center, rng) if case == "deformed" else np.zeros_like
    source = back @ old
    source[:3] += bend(source.T[:, :3]).T
    where = (np.linalg.inv(volume.affine) @ source)[:3]
    lowest = float(volume.values.min())
    values = ndimage.map_coordinates(volume.values, where, order=1, cval=lowest).reshape(volume.values.shape)
    if case == "partial":
        third = values.shape[2] // 3
        first = int(rng.integers(third // 2, values.shape[2] - third - third // 2))
        values = values[:, :, first : first + third]
        volume = replace(volume, affine=volume.affine @ shift_of([0, 0, first]))
    if case == "body":
        volume = replace(volume, affine=shift_of(ELSEWHERE) @ volume.affine)
        there = shift_of(ELSEWHERE) @ there

    def truth(points: np.ndarray) -> np.ndarray:
        unbent = points.copy()
        for _ in range(20):  # the inverse of the deformation, by its fixed point
            unbent[:, :3] = points[:, :3] - bend(unbent[:, :3])
        return unbent @ there.T

    return MetaTensor(torch.from_numpy(values[None].copy()), affine=torch.tensor(volume.affine)), truth


def shift_of(offset: list) -> np.ndarray:
    """The matrix (4, 4) of a translation."""
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def with_neck(volume: Volume) -> Volume:
    """The volume with a made-up neck below: tissue with a spine, off the middle."""
    slices = int(NECK / volume.spacing[2])
    values = np.pad(volume.values, ((0, 0), (0, 0), (slices, 0)), constant_values=float(volume.values.min()))
    inside = volume.values > np.percentile(volume.values, 70)
    x, y, _ = ndimage.center_of_mass(inside)
    i, j = np.ogrid[: values.shape[0], : values.shape[1]]
    bottom = slices + int(np.argwhere(inside.any(axis=(0, 1))).min()) + 2
    tissue, spine = (float(np.percentile(volume.values[inside], p)) for p in (40, 95))
    for radius, back, value in ((55.0, 0.0, tissue), (14.0, 20.0, spine)):
        distance = np.hypot((i - x) * volume.spacing[0], (j - y) * volume.spacing[1] + back)
        values[distance < radius, :bottom] = np.maximum(values[distance < radius, :bottom], value)
    return replace(volume, values=values, affine=volume.affine @ shift_of([0, 0, -slices]))


def with_body(volume: Volume) -> Volume:
    """A CT of a head with a made-up body below: neck, trunk with lungs and spine, legs with bones."""
    below, (beside, front) = int(BODY / volume.spacing[2]), (int(BESIDE / size) for size in volume.spacing[:2])
    values = np.pad(volume.values, ((beside, beside), (front, front), (below, 0)), constant_values=-1000.0)
    affine = volume.affine @ shift_of([-beside, -front, -below])
    x, y, _ = ndimage.center_of_mass(values > 0)
    bottom = int(np.argwhere((values > 0).any(axis=(0, 1))).min()) + 5
    i, j, k = np.indices(values.shape, dtype=np.float32)
    x, y, z = (
        (i - x) * volume.spacing[0],
        (j - y) * volume.spacing[1],
        (bottom - k) * volume.spacing[2],
    )  # z downwards
    made = np.full(values.shape, -1000.0, np.float32)
    trunk = np.hypot(x / (160 + 10 * np.sin(z / 80)), y / (100 + 8 * np.cos(z / 60)))
    parts = (
        ((np.hypot(x, y) < 58) & (z < 120), 45),
        ((trunk < 1) & (z > 90) & (z < 600), -90),
        ((trunk < 0.8) & (z > 90) & (z < 600), 45),
        ((np.hypot(np.hypot((abs(x) - 70) / 50, y / 70), (z - 230) / 110) < 1), -820),
        ((np.hypot(np.hypot((x + 40) / 80, (y - 10) / 60), (z - 380) / 60) < 1), 110),
        ((np.hypot(x, y + 60) < 18) & (z < 600), 400),
        ((np.hypot(abs(x) - 80, y) < 70) & (z >= 600), 55),
        ((np.hypot(abs(x) - 80, y) < 14) & (z >= 600), 900),
    )
    for where, hounsfield in parts:
        made[where & (z >= 0)] = hounsfield
    made[made > -1000] += np.random.default_rng(0).normal(0, 8, int((made > -1000).sum())).astype(np.float32)
    return replace(volume, values=np.where(values < -500, made, values), affine=affine)


WITH_MORE = {"neck": with_neck, "body": with_body}


def bending(center: np.ndarray, rng: np.random.Generator) -> Truth:
    """A smooth deformation: displacements in mm (N, 3) of points (N, 3), waves of 150 mm, up to 8 mm long."""
    phases, axes = rng.uniform(0, 2 * np.pi, 3), rng.permutation(3)
    amplitude = BEND / np.sqrt(3)
    return lambda points: amplitude * np.sin(2 * np.pi * (points - center)[:, axes] / 150.0 + phases)


def main() -> None:
    """Print one line of the table for each pair."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=Path, help="the project's development volumes [the embedded sample]")
    parser.add_argument("--count", type=int, default=25, help="displacements of each pair [25]")
    parser.add_argument("--case", choices=tuple(CASES), default="near", help="what is done to the moving volume [near]")
    parser.add_argument("--register", choices=("rigid", "affine", "deformable"), default="rigid", help="[rigid]")
    parser.add_argument("--pair", action="append", help="only this pair; may be repeated [all]")
    args = parser.parse_args()
    root = args.volumes or Path(__file__).resolve().parents[1] / "bundle" / "sample_data"
    register = RegisterToMatch(args.register)
    print(
        "pair | n | error mean mm | p95 | max | success | refused | let through wrong | s median | s max | methods\n"
        + "--|" * 10
        + "--"
    )
    for name, files in (SHARED_PAIRS if args.volumes else SAMPLE_PAIRS).items():
        if args.pair and name not in args.pair:
            continue
        fixed_volume, moving_volume = (read_nifti_volume(root / file) for file in files)
        fixed = MetaTensor(torch.from_numpy(fixed_volume.values[None]), affine=torch.tensor(fixed_volume.affine))
        head = np.argwhere(fixed_volume.values > np.percentile(fixed_volume.values, 70))[::50]
        points = np.c_[head, np.ones(len(head))] @ fixed_volume.affine.T
        errors, seconds, refused, methods = [], [], 0, Counter()
        for seed in tqdm(range(args.count), desc=name, leave=False):
            moving, truth = displace(moving_volume, np.random.default_rng(seed), args.case)
            began = time.perf_counter()
            try:
                found = register.estimate(moving, fixed)
            except InputError as error:
                refused += 1
                tqdm.write(f"  {name} {seed}: {error}")
            else:
                there = truth(points)
                index = (there @ np.linalg.inv(moving.affine.numpy()).T)[:, :3]
                shown = np.all((index >= 0) & (index <= np.array(moving.shape[1:]) - 1), axis=1)
                errors.append(np.linalg.norm((found.map(points) - there)[shown], axis=1).mean())
                methods[found.method] += 1
            seconds.append(time.perf_counter() - began)
        e = np.array(errors or [np.nan])
        wrong = int((e >= SUCCESS).sum())
        success = (e < SUCCESS).sum() / args.count
        figures = [f"{x:.2f}" for x in (e.mean(), np.percentile(e, 95), e.max())]
        times = [f"{np.median(seconds):.1f}", f"{max(seconds):.1f}"]
        told = ", ".join(f"{method} {count}" for method, count in methods.most_common())
        print(
            " | ".join([name, str(args.count), *figures, f"{success:.0%}", str(refused), str(wrong), *times, told]),
            flush=True,
        )


if __name__ == "__main__":
    main()
