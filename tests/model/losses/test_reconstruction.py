from __future__ import annotations

import pytest
import torch
from scripts.losses.reconstruction import SourceReconstructionLoss

from tests.conftest import make_pair


def test_value_is_that_of_version_0_4_0():
    """scripts.losses.source_reconstruction.SourceReconstructionLoss of version 0.4.0 on the same images, in float64."""
    image = make_pair((64, 72)).double()
    rebuilt = (0.7 * image.amax(1, keepdim=True) + 0.1 * image[:, 1:]).expand(-1, 2, -1, -1)
    assert SourceReconstructionLoss()(rebuilt, image).item() == pytest.approx(0.9142885592, rel=1e-9)


def test_the_worse_source_counts(pair):
    loss = SourceReconstructionLoss()
    assert loss(pair, pair).item() == pytest.approx(0, abs=1e-5)
    lost_b = torch.cat([pair[:, :1], pair[:, 1:].mean().expand_as(pair[:, 1:])], dim=1)
    half_each = pair + 0.02 * torch.randn(pair.shape, generator=torch.Generator().manual_seed(0))
    assert loss(lost_b, pair) > loss(half_each, pair)


def test_error_is_relative_to_each_sources_variance():
    """The same relative error costs the same in a faint source as in a strong one."""
    texture, noise = (torch.randn(2, 1, 2, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.1).unbind()
    loss = SourceReconstructionLoss(noise=1e-3)
    strong, faint = (loss(0.5 + c * (texture + noise), 0.5 + c * texture).item() for c in (1.0, 0.1))
    assert strong == pytest.approx(faint, rel=0.05)


def test_noise_is_checked():
    with pytest.raises(ValueError, match="must be positive"):
        SourceReconstructionLoss(noise=0)
