"""What the network should get of a scalar PET: ``python benchmarks/bench_luminance.py [--mri FILE --pet FILE]``.

The scalar itself, or the luminance of its colors; both sources are judged as scalars, on axial slices.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bundle")]

from scripts.data.nifti import read_nifti_volume
from scripts.metrics.suite import fusion_metrics
from scripts.utils.color import apply_colormap, luminance
from scripts.utils.enums import ColorMap, Modality
from scripts.utils.intensity import normalize_intensity

from mmif_amin.fuser import load

SAMPLE = ROOT / "bundle" / "sample_data"
SHOWN = ("VIFlocal", "VIFmin", "VIF", "Qabf", "ssim", "background")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mri", type=Path, default=SAMPLE / "t1.nii.gz", help="[the embedded sample]")
    parser.add_argument("--pet", type=Path, default=SAMPLE / "pet.nii.gz", help="on the MRI's grid [embedded sample]")
    args = parser.parse_args()
    mri, pet = (
        normalize_intensity(read_nifti_volume(path).values, modality)
        for path, modality in ((args.mri, Modality.MRI), (args.pet, Modality.PET))
    )
    middle = slice(mri.shape[2] // 4, 3 * mri.shape[2] // 4, 4)
    mri, pet = (np.ascontiguousarray(np.moveaxis(volume[:, :, middle], 2, 0)) for volume in (mri, pet))
    fuser = load()
    print(" | ".join(["input", *SHOWN]) + "\n" + "--|" * len(SHOWN) + "--")
    for name in ("scalar", *ColorMap):
        shown = pet if name == "scalar" else luminance(apply_colormap(pet, name))[0]
        fused = fuser.fuse_stack(mri, shown)
        values = fusion_metrics(*(torch.from_numpy(stack)[:, None] for stack in (fused, mri, pet)), 1.0)
        print(" | ".join([str(name), *(f"{values[metric].mean():.3f}" for metric in SHOWN)]))


if __name__ == "__main__":
    main()
