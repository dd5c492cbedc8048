"""The preview, and the rules that the app comes with; needs no SDK."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from mmif_amin.scripts.utils.contact_sheet import GAP, HEADER
from PIL import Image

from mmif_amin.deploy.preview import SIDE, write_preview
from tests.conftest import ROOT
from tests.mmif_amin.reports.made_up_study import SHAPE, write_study
from tests.model.data.study_reports import BARE, FULL


@pytest.mark.parametrize(
    ("report", "colored"), [pytest.param(FULL, True, id="PET"), pytest.param(BARE, False, id="CT")]
)
def test_preview(tmp_path, report, colored):
    task = report.task if colored else "CT-MRI"
    path = write_preview(write_study(tmp_path, report=replace(report, task=task)), tmp_path / "preview.png")
    picture = np.asarray(Image.open(path)).astype(int)
    scale = -(-SIDE // max(SHAPE[:2]))
    height, width = SHAPE[1] * scale + GAP, SHAPE[0] * scale + GAP
    assert picture.shape == (HEADER + 4 * height, 3 * width, 3)
    slices = picture[HEADER + 20 :, : 3 * width]  # below the first titles
    mri, other, fused = (slices[:, k * width : (k + 1) * width - GAP] for k in range(3))
    assert np.ptp(mri, axis=2).max() <= 1 or (mri[..., 2] == 0).any()  # gray, but for the yellow names
    for image in (other, fused):
        assert ((np.ptp(image, axis=2) > 40).mean() > 0.05) == colored
    assert fused.std() > 20


def test_rules_name_both_roles():
    rules = json.loads((ROOT / "mmif_amin" / "deploy" / "series_rules.json").read_text())["selections"]
    patterns = {rule["name"]: rule["conditions"]["Modality"] for rule in rules}
    assert {role: [m for m in ("MR", "CT", "PT", "NM", "US") if re.search(p, m)] for role, p in patterns.items()} == {
        "structural": ["MR"],
        "functional": ["CT", "PT", "NM"],
    }


def test_no_version_is_written_into_the_instructions():
    """They ask the product for it, so that a release does not have to change them."""
    text = (ROOT / "mmif_amin" / "deploy" / "README.md").read_text()
    assert not re.search(r"mmif_amin[\w-]*:\d", text)
