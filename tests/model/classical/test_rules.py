from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.classical.rules import FUSION_RULES, laplacian_pyramid, wavelet


@pytest.mark.parametrize("name", FUSION_RULES)
def test_rules_keep_size_range_and_equal_sources(name, pair):
    odd = pair[..., :95, :93]
    fused = FUSION_RULES[name](odd)
    assert fused.shape == (1, 1, 95, 93)
    assert 0 <= fused.min() <= fused.max() <= 1
    same = odd[:, :1].repeat(1, 2, 1, 1)
    assert (FUSION_RULES[name](same) - same[:, :1]).abs().max() < 1e-5


@pytest.mark.parametrize("name", FUSION_RULES)
def test_rules_treat_both_sources_alike(name, pair):
    noise = torch.rand(pair.shape, generator=torch.Generator().manual_seed(0)) * 1e-3  # no ties
    image = (pair + noise).clamp(0, 1)
    assert torch.allclose(FUSION_RULES[name](image), FUSION_RULES[name](image.flip(1)), atol=2e-3)


@pytest.mark.parametrize("rule", [laplacian_pyramid, wavelet])
def test_multiscale_rules_take_the_detail_of_either_source(rule):
    """Stripes of A on the left and of B on the right both survive whole; the average halves them."""
    x = np.mgrid[:64, :64][1]
    stripes = 0.5 + 0.2 * (x % 2)
    image = np.stack([np.where(x < 32, stripes, 0.5), np.where(x < 32, 0.5, stripes)]).astype(np.float32)
    fused = rule(torch.from_numpy(image)[None])[0, 0]
    for part in (fused[8:56, 8:24], fused[8:56, 40:56]):
        assert part.max() - part.min() > 0.17
