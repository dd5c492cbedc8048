from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.transforms.color import ColorizeFused, ColorizeFusedd, ColormapFused, ColormapFusedd
from scripts.utils.color import luminance
from scripts.utils.enums import ColorMap
from scripts.utils.perceptual import SHAPES, read_values


def test_colorize_array_and_dictionary_agree():
    fused, rgb = torch.rand(1, 8, 8), torch.rand(3, 8, 8)
    expected = ColorizeFused()(fused, rgb)
    assert expected.shape == (3, 8, 8)
    assert torch.equal(ColorizeFusedd("pred", "color")({"pred": fused, "color": rgb})["pred"], expected)


def made_up_study() -> dict:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((1, 2, 12, 10, 8)).astype(np.float32))
    image[..., 0] = 0
    return {"task": "PET-MRI", "image": image, "pred": image.amax(1, keepdim=True)}


@pytest.mark.parametrize("colormap", list(ColorMap))
def test_colors_of_a_study(colormap):
    """Classical maps have the luminance of the fused volume; the array version does the same; black stays black."""
    study = made_up_study()
    color = ColormapFusedd("pred", colormap=colormap)(study)["pred_color"]
    assert color.shape == (3, 12, 10, 8)
    assert color.dtype == torch.uint8
    assert color.meta["colormap"] == colormap
    assert (color[..., 0] == 0).all()
    assert torch.equal(ColormapFused(colormap)(study["pred"][0], study["image"][0, :1], study["image"][0, 1:]), color)
    if colormap not in SHAPES:
        assert np.abs(luminance(color.numpy() / 255) - study["pred"][0].numpy()).max() < 1.5 / 255


@pytest.mark.parametrize("colormap", list(SHAPES))
def test_the_anatomy_alone_stays_as_it_is(colormap):
    """Without function the colors are the grays of the structural volume; with it they say the value."""
    study = made_up_study()
    study["image"][0, 1, :6] = 0
    color = ColormapFusedd("pred", colormap=colormap)(study)["pred_color"]
    gray = np.rint(study["image"][0, 0, :6].numpy() * 255)
    assert (color[:, :6].numpy() == gray).all()
    read = read_values(color.numpy(), colormap)
    assert np.nanmedian(np.abs(read - study["image"][0, 1].numpy())) < 0.03


def test_no_colors_for_ct():
    data = {"task": "CT-MRI", "image": torch.rand(1, 2, 4, 4, 4), "pred": torch.rand(1, 1, 4, 4, 4)}
    assert "pred_color" not in ColormapFusedd("pred")(data)


def test_bad_colormap():
    with pytest.raises(ValueError, match="'jet' is not a valid"):
        ColormapFusedd("pred", colormap="jet")
    with pytest.raises(ValueError, match="Unsupported option 'dark'"):
        ColormapFused(lightness="dark")


def test_missing_keys():
    rgb = torch.rand(3, 8, 8)
    assert ColorizeFusedd("pred", "color", allow_missing_keys=True)({"color": rgb}) == {"color": rgb}
    with pytest.raises(KeyError, match="pred"):
        ColorizeFusedd("pred", "color")({"color": rgb})
