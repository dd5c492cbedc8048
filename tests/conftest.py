"""Made-up pairs and paths that all tests share; nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "bundle"
SHARED = ROOT.parent / "shared"


def make_pair(size: tuple[int, int] = (96, 96), seed: int = 0) -> torch.Tensor:
    """A head-like pair (1, 2, H, W) on black: a textured "MRI" and a "CT" with a bright ring and a lesion."""
    rng = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[:height, :width]
    radius = np.hypot((y - height / 2) / height, (x - width / 2) / width) * 2
    head = radius < 0.8
    texture = np.sin(x / 3.0) * np.cos(y / 4.0) * 0.2 + rng.normal(0, 0.03, size)
    mri = np.where(head, 0.5 + texture, 0.0)
    ct = np.where(head, 0.25, 0.0) + np.where((radius > 0.68) & head, 0.7, 0.0)
    ct += 0.5 * np.exp(-((y - height * 0.6) ** 2 + (x - width * 0.4) ** 2) / (0.06 * height) ** 2) * head
    return torch.from_numpy(np.stack([mri, ct]).clip(0, 1).astype(np.float32))[None]


@pytest.fixture
def pair() -> torch.Tensor:
    return make_pair()


@pytest.fixture
def shared_harvard() -> Path:
    """The real data set beside the checkout; it may not be redistributed, so tests that need it skip without it."""
    path = SHARED / "data" / "harvard"
    if not path.is_dir():
        pytest.skip("the Harvard pairs may not be redistributed and are not beside this checkout")
    return path


@pytest.fixture
def reference_values() -> dict:
    path = SHARED / "reference" / "metric_values.json"
    if not path.is_file():
        pytest.skip("reference/metric_values.json is not beside this checkout")
    return json.loads(path.read_text())


def write_gray(path: Path, image: np.ndarray) -> Path:
    """Write a float image in [0, 1] as 8-bit PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def harvard_like(tmp_path: Path) -> Path:
    """A folder in the Harvard layout: two tasks, PET in colour, five cases each, no split.json."""
    root = tmp_path / "collection"
    for case in range(1, 6):
        mri, other = make_pair((64, 64), seed=case)[0].numpy()
        write_gray(root / "CT-MRI" / "MRI" / f"{case}001.png", mri)
        write_gray(root / "CT-MRI" / "CT" / f"{case}001.png", other)
        write_gray(root / "PET-MRI" / "MRI" / f"{case}001.png", mri)
        color = np.stack([other, other**2, 1 - other], axis=-1) * (other > 0)[..., None]
        (root / "PET-MRI" / "PET").mkdir(parents=True, exist_ok=True)
        Image.fromarray((color * 255).astype(np.uint8)).save(root / "PET-MRI" / "PET" / f"{case}001.png")
    return root
