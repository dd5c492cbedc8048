"""Registration against known truth: ``python benchmarks/bench_registration.py [--volumes DIR]``.

Each moving volume is turned and shifted about its center at random, resampled once (linear), and registered back to the
fixed one from its old geometry. Target registration error: mean distance, over the fixed head's voxels, between where
they should and do go. ``far`` turns by 30 to 180 degrees and shifts by up to 80 mm: most must be refused or right.
"""

from __future__ import annotations

import argparse
import sys
import time
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
}
SAMPLE_PAIRS = {"T1-CT skull": ("t1.nii.gz", "ct.nii.gz"), "T1-PET": ("t1.nii.gz", "pet.nii.gz")}
SUCCESS = 2.0  # mm


def displace(volume: Volume, rng: np.random.Generator, far: bool) -> tuple[MetaTensor, np.ndarray]:
    """A displaced copy in the old geometry, and the true map from the old world to its own."""
    axis, shift = rng.normal(size=3), rng.normal(size=3)
    degrees = rng.uniform(30, 180) if far else rng.uniform(0, 15)
    shift *= rng.uniform(0, 80 if far else 20) / np.linalg.norm(shift)
    center = (volume.affine @ np.r_[(np.array(volume.values.shape) - 1) / 2, 1])[:3]
    back = np.eye(4)
    back[:3, :3] = Rotation.from_rotvec(np.deg2rad(degrees) * axis / np.linalg.norm(axis)).as_matrix()
    back[:3, 3] = center - back[:3, :3] @ center + shift
    index = np.linalg.inv(volume.affine) @ back @ volume.affine
    lowest = float(volume.values.min())
    values = ndimage.affine_transform(volume.values, index[:3, :3], index[:3, 3], order=1, cval=lowest)
    return MetaTensor(torch.from_numpy(values[None]), affine=torch.tensor(volume.affine)), np.linalg.inv(back)


def main() -> None:
    """Print one line of the table for each pair."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=Path, help="the project's development volumes [the embedded sample]")
    parser.add_argument("--count", type=int, default=25, help="displacements of each pair [25]")
    parser.add_argument("--far", action="store_true", help="displacements far outside the capture range")
    args = parser.parse_args()
    root = args.volumes or Path(__file__).resolve().parents[1] / "bundle" / "sample_data"
    register = RegisterToMatch()
    print(
        "pair | n | error mean mm | p95 | max | success | refused | let through wrong | s median | s max\n"
        + "--|" * 9
        + "--"
    )
    for name, files in (SHARED_PAIRS if args.volumes else SAMPLE_PAIRS).items():
        fixed_volume, moving_volume = (read_nifti_volume(root / file) for file in files)
        fixed = MetaTensor(torch.from_numpy(fixed_volume.values[None]), affine=torch.tensor(fixed_volume.affine))
        head = np.argwhere(fixed_volume.values > np.percentile(fixed_volume.values, 70))[::50]
        points = np.c_[head, np.ones(len(head))] @ fixed_volume.affine.T
        errors, seconds, refused = [], [], 0
        for seed in tqdm(range(args.count), desc=name, leave=False):
            moving, truth = displace(moving_volume, np.random.default_rng(seed), args.far)
            began = time.perf_counter()
            try:
                found = np.array(register.estimate(moving, fixed).matrix)
            except InputError as error:
                refused += 1
                tqdm.write(f"  {name} {seed}: {error}")
            else:
                errors.append(np.linalg.norm(points @ (found - truth).T, axis=1).mean())
            seconds.append(time.perf_counter() - began)
        e = np.array(errors or [np.nan])
        wrong = int((e >= SUCCESS).sum())
        success = (e < SUCCESS).sum() / args.count
        figures = [f"{x:.2f}" for x in (e.mean(), np.percentile(e, 95), e.max())]
        times = [f"{np.median(seconds):.1f}", f"{max(seconds):.1f}"]
        print(
            " | ".join([name, str(args.count), *figures, f"{success:.0%}", str(refused), str(wrong), *times]),
            flush=True,
        )


if __name__ == "__main__":
    main()
