"""The folder of a made-up fused study."""

from __future__ import annotations

import json

import nibabel
import numpy as np

from tests.model.data.study_reports import FULL

SHAPE = FULL.grid.shape


def oblique_affine() -> np.ndarray:
    """Anisotropic, turned about two axes, first voxel axis from left to right reversed."""
    x, z = np.deg2rad(9), np.deg2rad(-14)
    turn_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    turn_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn_z @ turn_x @ np.diag([-1.2, 0.9, 3.0])
    affine[:3, 3] = [14, -11, -35]
    return affine


def made_up_volumes() -> dict[str, np.ndarray]:
    """A textured ball in two modalities, what could be fused of it, and what that would have lost."""
    rng = np.random.default_rng(0)
    x, y, z = (np.linspace(-1, 1, n) for n in SHAPE)
    ball = np.sqrt(x[:, None, None] ** 2 + y[:, None] ** 2 + z**2) < 0.85
    a = np.where(ball, 500 + 300 * np.sin(4 * x)[:, None, None] + rng.normal(0, 40, SHAPE), 0).clip(0, 1000)
    b = np.where(ball, 4 + 3 * np.cos(3 * y)[:, None] + rng.normal(0, 0.3, SHAPE), 0).clip(0)
    fused = np.maximum(a / 1000, b / 10)
    color = np.stack([fused, fused**2, fused**3], axis=-1)
    volumes = {
        "source_a": a,
        "source_b": b,
        "source_b_unregistered": np.roll(b, 6, axis=0),
        "fused": fused,
        "loss_a": np.abs(fused - a / 1000),
        "loss_b": np.abs(fused - b / 10),
    }
    volumes = {name: values.astype(np.float32) for name, values in volumes.items()}
    rgb24 = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    volumes["fused_color"] = np.rint(color * 255).astype(np.uint8).view(rgb24)[..., 0]
    return volumes


def made_up_labels() -> np.ndarray:
    """Two blocks, 3 and 7, in the middle of the ball."""
    labels = np.zeros(SHAPE, np.uint8)
    x, y, z = (size // 2 for size in SHAPE)
    labels[x - 6 : x, y - 5 : y + 5, z - 4 : z + 4] = 3
    labels[x : x + 6, y - 5 : y + 5, z - 4 : z + 4] = 7
    return labels


VOLUMES = made_up_volumes()
LABELS = made_up_labels()


def write_labels(folder, name="carried/01_tumor", labels=LABELS):
    path = folder / f"{name}.nii.gz"
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(labels, oblique_affine()), path)
    return path


def write_study(folder, names=tuple(VOLUMES), report=FULL):
    for name in names:
        image = nibabel.Nifti1Image(VOLUMES[name], oblique_affine())
        image.header["descrip"] = b"Roe^Marianne"
        nibabel.save(image, folder / f"{name}.nii.gz")
    facts = {**report.to_dict(), "patient": "Roe^Marianne", "inputs": [str(folder)]}  # a key of somebody else
    (folder / "report.json").write_text(json.dumps(facts))
    return folder
