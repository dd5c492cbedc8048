from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scripts.data.datalist import fusion_datalist, harvard_pairs
from scripts.transforms.pairs import LoadSourced, SaveFusedd
from scripts.utils.checks import InputError
from scripts.utils.color import luminance

from tests.conftest import BUNDLE


def test_load_a_color_pair(harvard_like):
    item = harvard_pairs(harvard_like, tasks=["PET-MRI"])[0]
    pair = LoadSourced(color_key="color")(item)
    assert pair["source_a"].shape == pair["source_b"].shape == (1, 64, 64)
    assert pair["color"].shape == (3, 64, 64)
    assert np.allclose(luminance(pair["color"].numpy()), pair["source_b"].numpy())


def test_gray_sources_get_gray_colors(harvard_like):
    pair = LoadSourced(color_key="color")(harvard_pairs(harvard_like, tasks=["CT-MRI"])[0])
    assert torch.equal(pair["color"], pair["source_b"].expand(3, -1, -1))


def test_load_a_slice_of_the_sample():
    item = fusion_datalist(BUNDLE / "sample_data", "validation")[0]
    pair = LoadSourced()(item)
    assert pair["source_a"].shape == pair["source_b"].shape == (1, 109, 91)


def test_different_sizes_are_refused(tmp_path, harvard_like):
    item = harvard_pairs(harvard_like, tasks=["CT-MRI"])[0]
    Image.fromarray(np.full((10, 10), 5, np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(InputError, match="same size"), pytest.warns(UserWarning, match="constant"):
        LoadSourced()({**item, "source_b": str(tmp_path / "small.png")})


def test_save(tmp_path):
    fused = torch.rand(1, 12, 10)
    SaveFusedd("pred", tmp_path)({"pred": fused, "task": "CT-MRI", "name": "7"})
    saved = np.asarray(Image.open(tmp_path / "CT-MRI" / "7.png"))
    assert np.array_equal(saved, np.rint(fused[0].numpy() * 255))


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "CT-MRI").touch()
    with pytest.raises(InputError, match="cannot write there"):
        SaveFusedd("pred", tmp_path)({"pred": torch.rand(1, 12, 10), "task": "CT-MRI", "name": "7"})
