"""Memory by headers alone: it grows with the grid, and odd files leave the smallest estimate."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from mmif_amin.scripts.data.study import Study
from mmif_amin.scripts.transforms.grid import BASE_BYTES, BYTES_PER_VOXEL

from mmif_amin.batch.estimate import study_bytes
from tests.mmif_amin.batch.test_run import write_pair
from tests.model.dicom.dicom_phantoms import write_series

SHAPE = (20, 24, 8)


@pytest.mark.parametrize(
    ("grid", "voxels"),
    [
        pytest.param("reference", 20 * 24 * 8, id="of A"),
        pytest.param("finest", 20 * 24 * 8, id="finest"),
        pytest.param(0.5, 40 * 48 * 16, id="finer"),
    ],
)
def test_nifti(tmp_path, grid, voxels):
    study = write_pair(tmp_path / "pair", SHAPE)
    assert study_bytes(
        study, {"grid": grid, "register": "none"}
    ) == BASE_BYTES + BYTES_PER_VOXEL * voxels + 4 * 2 * np.prod(SHAPE)


@pytest.mark.parametrize("register", ["auto", "rigid", "deformable", None])
def test_a_registration_needs_more_than_the_fusion_after_it(tmp_path, register):
    """Elastix has a process of its own beside the one that fuses; voxels of half a millimeter are averaged for it."""
    study, options = write_pair(tmp_path / "pair", SHAPE), {"register": register} if register else {}
    assert study_bytes(study, options) == BASE_BYTES + (8 + 28) * 2 * np.prod(SHAPE)
    for path in (study.source_a, study.source_b):
        nibabel.save(nibabel.Nifti1Image(nibabel.load(path).get_fdata(), np.diag([0.5, 0.5, 0.5, 1])), path)
    assert study_bytes(study, options) == BASE_BYTES + max(8 * 2 + 28 * 2 / 8, BYTES_PER_VOXEL + 8) * np.prod(SHAPE)


def test_dicom_takes_the_largest_series(tmp_path):
    common = {"shape": (16, 12, 4), "spacing": (2.0, 2.0, 3.0)}
    write_series(tmp_path / "both", modality="MR", **common)
    write_series(
        tmp_path / "both", modality="CT", prefix="ct", SeriesNumber=9, shape=(8, 8, 3), spacing=(2.0, 2.0, 3.0)
    )
    folder = str(tmp_path / "both")
    voxels = 16 * 12 * 4
    assert study_bytes(Study(folder, folder), {"register": "none"}) == BASE_BYTES + (BYTES_PER_VOXEL + 8) * voxels
    named = study_bytes(Study(folder, folder, series_b="9"), {"register": "none"})
    assert named == BASE_BYTES + (BYTES_PER_VOXEL + 4) * voxels + 4 * 8 * 8 * 3


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"no")
    assert study_bytes(Study(str(tmp_path / "a.nii.gz"), "nowhere.nii"), {}) == BASE_BYTES
