from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.transforms.color import ColorizeFused, ColorizeFusedd, ColormapFused, ColormapFusedd
from scripts.utils.color import luminance


def test_colorize_array_and_dictionary_agree():
    fused, rgb = torch.rand(1, 8, 8), torch.rand(3, 8, 8)
    expected = ColorizeFused()(fused, rgb)
    assert expected.shape == (3, 8, 8)
    assert torch.equal(ColorizeFusedd("pred", "color")({"pred": fused, "color": rgb})["pred"], expected)


@pytest.mark.parametrize("colormap", ["hot", "inferno", "pet-rainbow"])
def test_colors_have_the_fused_luminance(colormap):
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((1, 2, 12, 10, 8)).astype(np.float32))
    image[..., 0] = 0
    fused = image.amax(1, keepdim=True)
    done = ColormapFusedd("pred", colormap=colormap)({"task": "PET-MRI", "image": image, "pred": fused})
    color = done["pred_color"]
    assert color.shape == (3, 12, 10, 8)
    assert color.dtype == torch.uint8
    assert color.meta["colormap"] == colormap
    gray = luminance(color.numpy() / 255)
    assert np.abs(gray - fused[0].numpy()).max() < 1.5 / 255
    assert (color[..., 0] == 0).all()
    assert torch.equal(ColormapFused(colormap)(fused[0], image[0, 1:]), color)


def test_no_colors_for_ct():
    data = {"task": "CT-MRI", "image": torch.rand(1, 2, 4, 4, 4), "pred": torch.rand(1, 1, 4, 4, 4)}
    assert "pred_color" not in ColormapFusedd("pred")(data)


def test_bad_colormap():
    with pytest.raises(ValueError, match="'jet' is not a valid"):
        ColormapFusedd("pred", colormap="jet")


def test_missing_keys():
    rgb = torch.rand(3, 8, 8)
    assert ColorizeFusedd("pred", "color", allow_missing_keys=True)({"color": rgb}) == {"color": rgb}
    with pytest.raises(KeyError, match="pred"):
        ColorizeFusedd("pred", "color")({"color": rgb})
