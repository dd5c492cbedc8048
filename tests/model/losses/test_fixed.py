from __future__ import annotations

import pytest
import torch
from scripts.losses.fixed import FixedFusionLoss

from tests.conftest import make_pair


def test_value_is_that_of_version_0_4_0():
    """scripts.losses.adaptive_fusion.FixedFusionLoss of version 0.4.0 on the same images."""
    image = make_pair((64, 72))
    fused = 0.7 * image.amax(1, keepdim=True) + 0.1 * image[:, 1:]
    assert FixedFusionLoss()(fused, image).item() == pytest.approx(0.8051318526, rel=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_finite_on_constant_images(level):
    image = torch.full((1, 2, 64, 64), level)
    fused = torch.full((1, 1, 64, 64), level, requires_grad=True)
    loss = FixedFusionLoss()(fused, image)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(fused.grad).all()
