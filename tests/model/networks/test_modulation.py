from __future__ import annotations

import pytest
import torch
from scripts.networks.layers.modulation import FeatureModulation


@pytest.mark.parametrize("size", [(5, 4), (3, 4, 2)], ids=["2d", "3d"])
@pytest.mark.parametrize("condition", [[0.0], [0.4], [0.0, 0.7, 1.0]], ids=["off", "one for all", "one each"])
def test_each_channel_is_scaled_and_shifted_in_proportion(size, condition):
    """y = x (1 + k scale) + k shift, by loops; at k = 0 bit by bit as it was."""
    layer, x = FeatureModulation(4).double(), torch.rand(3, 4, *size, dtype=torch.float64) - 0.5
    with torch.no_grad():
        layer.scale.copy_(torch.tensor([0.5, -0.3, 0.0, 2.0]))
        layer.shift.copy_(torch.tensor([0.1, 0.0, -0.4, 1.0]))
        found = layer(x, torch.tensor(condition))
    for k, strength in enumerate(condition * (3 // len(condition))):
        for channel, (scale, shift) in enumerate(zip([0.5, -0.3, 0.0, 2.0], [0.1, 0.0, -0.4, 1.0], strict=True)):
            expected = x[k, channel] * (1 + strength * scale) + strength * shift
            assert torch.allclose(found[k, channel], expected, rtol=1e-6)
            assert strength or torch.equal(found[k, channel], x[k, channel])


def test_starts_without_effect():
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(FeatureModulation(3)(x, torch.ones(2)), x)
