from __future__ import annotations

import math

import pytest
import torch
from scripts.losses.focus import defocus
from scripts.losses.preferences import preferred_shares
from scripts.utils.enums import Preference


@pytest.fixture
def texture():
    return torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("preference", Preference)
def test_shares_add_up_and_do_not_depend_on_the_order(preference, texture):
    image = torch.cat([texture, texture.flip(2) ** 2], dim=1)
    for shares, turned in zip(
        preferred_shares(image, preference), preferred_shares(image.flip(1), preference), strict=True
    ):
        assert torch.allclose(shares.sum(dim=1), torch.ones(1, 64, 64), atol=1e-6)
        assert torch.allclose(shares, turned.flip(1), atol=1e-5)


def test_the_brighter_source_has_the_larger_share_of_the_intensity_alone():
    """By hand: 8 units of log-odds for each unit of brightness."""
    image = torch.tensor([0.5, 0.25]).reshape(1, 2, 1, 1).expand(1, 2, 48, 48)
    intensity, structure = preferred_shares(image, Preference.BRIGHTER)
    assert intensity[0, 0, 0, 0].item() == pytest.approx(1 / (1 + math.exp(-2)), rel=1e-5)
    assert (structure == 0.5).all()


def test_the_sharper_source_is_wanted_on_each_side_of_a_border(texture):
    blurred = defocus(texture, 2.0, disk=False)
    left = torch.arange(64) < 32
    image = torch.cat([torch.where(left, texture, blurred), torch.where(left, blurred, texture)], dim=1)
    for shares in preferred_shares(image, Preference.SHARPER):
        assert shares[0, 0, :, :24].min() > 0.95
        assert shares[0, 1, :, 40:].min() > 0.95


def test_where_nothing_is_sharp_neither_source_is_wanted():
    shares, _ = preferred_shares(torch.full((1, 2, 48, 48), 0.3), Preference.SHARPER)
    assert torch.allclose(shares, torch.full_like(shares, 0.5))


def test_a_saturated_exposure_is_not_wanted(texture):
    well, burnt = 0.3 + 0.4 * texture, (2.5 * texture + 0.8).clamp_max(1.0)
    shares, _ = preferred_shares(torch.cat([burnt, well], dim=1), Preference.BETTER_EXPOSED)
    assert shares[:, 1].min() > 0.9
