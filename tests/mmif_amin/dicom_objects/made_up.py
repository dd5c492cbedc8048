"""A study as the writer gets it, of made-up DICOM series: source A, source B on A's grid, and what moved B."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmif_amin.scripts.data.volume import Volume
from mmif_amin.scripts.dicom.read import read_dicom_volume
from mmif_amin.scripts.transforms.registration.result import Registration
from monai.data import MetaTensor
from scipy.spatial.transform import Rotation

from tests.model.dicom import dicom_phantoms as made

MATRIX = np.eye(4)  # a point of A to the same point of B, RAS+, mm
MATRIX[:3, :3] = Rotation.from_euler("xyz", [4, -7, 11], degrees=True).as_matrix()
A_TO_WORLD = np.column_stack([made.directions(made.OBLIQUE) * made.SPACING, made.ORIGIN]) * [[-1], [-1], [1]]
B_TO_WORLD = np.column_stack([np.diag(made.SPACING), made.ORIGIN]) * [[-1], [-1], [1]]
MIDDLE = np.array([*(np.array(made.SHAPE) - 1) / 2, 1])
MATRIX[:3, 3] = B_TO_WORLD @ MIDDLE - MATRIX[:3, :3] @ A_TO_WORLD @ MIDDLE + [1, -2, 0.7]  # both show one region
# PS3.3 C.12.2 wants ReferencedSeriesSequence where an object names images of its study, and an Advanced Blending state
# names them in AdvancedBlendingSequence (C.11.33). dciodvfy of 2022 looks only for sequences at the top level.
FALSE_ALARM = "ReferencedSeriesSequence present but Instance does not reference Instances"
OTHER_FRAME = "1.2.826.0.1.3680043.2.1.77"
MODALITIES = {"MR": "MRI", "CT": "CT", "PT": "PET", "NM": "SPECT"}


def registration(matrix: np.ndarray = MATRIX) -> Registration:
    """What a registration would have found."""
    figures = {"before": 1.0, "after": 1.1, "overlap": 1.0, "spread_mm": 0.1, "gain": 0.1, "seconds": 1.0}
    return Registration("rigid", matrix.tolist(), [0, 0, 0], [0, 0, 0], **figures, itk_text="")


def write_b(folder: Path, modality: str, **keywords: Any) -> Volume:
    """Write and read source B."""
    if modality == "NM":
        made.write_nuclear(folder / "b", **keywords)
    else:
        made.write_series(folder, modality=modality, **keywords)
    return read_dicom_volume(folder)


def study_of(folder: Path, modality: str = "PT", moved: bool = True, **keywords: Any) -> dict[str, Any]:
    """Batch and output of the evaluator; B lies in a frame of reference of its own where it was moved."""
    made.write_series(folder / "a", axes=made.OBLIQUE, SeriesNumber=7)
    a = read_dicom_volume(folder / "a")
    if moved:
        keywords = {"FrameOfReferenceUID": OTHER_FRAME, **keywords}
    b = write_b(folder / "b", modality, **keywords)
    values = np.random.default_rng(0).random(made.SHAPE, dtype=np.float32)[None] * 1000
    study: dict[str, Any] = {"source_b_registration": registration() if moved else None}
    for key, volume, name in (("source_a", a, "MRI"), ("source_b", b, MODALITIES[modality])):
        affine = torch.from_numpy(a.affine)
        study[key] = MetaTensor(torch.from_numpy(values), affine=affine, meta={"modality": name})
        study[f"{key}_file"] = replace(volume, values=np.broadcast_to(np.float32(0), volume.values.shape))
        study[f"{key}_window"] = (0.0, 1000.0)
    if modality in ("PT", "NM"):
        study["pred_color"] = MetaTensor(torch.zeros(3, *made.SHAPE), meta={"colormap": "inferno"})
    return study


def assert_valid(file: Path) -> None:
    """Check that dciodvfy, where it is installed, finds no error."""
    if shutil.which("dciodvfy"):
        result = subprocess.run(["dciodvfy", file], capture_output=True, text=True)
        lines = (result.stdout + result.stderr).splitlines()
        assert not [line for line in lines if "Error" in line and FALSE_ALARM not in line]
