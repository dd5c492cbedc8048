"""Made-up pairs for planted lesions: independent textures of the same kind in a disc."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tests.conftest import write_gray

SIZE = 144


def texture(rng: np.random.Generator) -> np.ndarray:
    """Smooth noise around a middle gray within a disc, black beside it."""
    noise = gaussian_filter(rng.normal(size=(SIZE, SIZE)), 2.0)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    return np.where(np.hypot(y, x) < 0.46 * SIZE, (0.5 + 0.1 * noise / noise.std()).clip(0.05, 0.95), 0.0)


@pytest.fixture(scope="session")
def textures(tmp_path_factory) -> Path:
    """A folder in the Harvard layout: two tasks, three patients with four slices each, all of them validation."""
    root, rng = tmp_path_factory.mktemp("textures"), np.random.default_rng(0)
    names = [f"{patient}00{number}" for patient in (1, 2, 3) for number in range(4)]
    for task, other in (("CT-MRI", "CT"), ("PET-MRI", "PET")):
        for name in names:
            write_gray(root / task / "MRI" / f"{name}.png", texture(rng))
            write_gray(root / task / other / f"{name}.png", texture(rng))
    split = '{"CT-MRI": {"val": %s}, "PET-MRI": {"val": %s}}' % ((str(names).replace("'", '"'),) * 2)
    (root / "split.json").write_text(split)
    return root
