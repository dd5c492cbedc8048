"""The law of fusion by itself: what it leaves alone, its range, and the closed form."""

from __future__ import annotations

import math

import pytest
import torch
from scripts.networks.layers.fusion_law import corrected, disagreement

from tests.conftest import make_pair


@pytest.mark.parametrize(
    ("base", "delta", "expected"),
    [
        pytest.param(0.5, 0.0, 0.5, id="nothing"),
        pytest.param(0.5, 0.1, 0.5 + 0.5 * (1 - math.exp(-0.1 / 0.5001)), id="up"),
        pytest.param(0.25, -0.1, 0.25 * math.exp(-0.1 / 0.2501), id="down"),
        pytest.param(0.0, -5.0, 0.0, id="below black"),
        pytest.param(1.0, 5.0, 1.0, id="above white"),
        pytest.param(0.3, 1e6, 1.0, id="far up"),
        pytest.param(0.3, -1e6, 0.0, id="far down"),
    ],
)
def test_closed_form(base, delta, expected):
    found = corrected(torch.tensor(base, dtype=torch.float64), torch.tensor(delta, dtype=torch.float64))
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_in_range_in_single_precision():
    base, delta = torch.rand(2, 200_000, generator=torch.Generator().manual_seed(0))
    for scale in (0.01, 1.0, 100.0):
        result = corrected(base, scale * (2 * delta - 1))
        assert 0 <= result.min() <= result.max() <= 1
    assert torch.equal(corrected(base, torch.zeros_like(base)), base)


@pytest.mark.parametrize("size", [(20, 24), (12, 9, 10)])
def test_disagreement_is_the_mean_over_the_window(size):
    image = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(1))
    found = disagreement(image, tau=0.05)
    window = tuple(slice(side // 2 - 3, side // 2 + 4) for side in size)
    mean = (image[0, 0] - image[0, 1]).abs()[window].mean().item()
    assert found[(0, 0, *(side // 2 for side in size))].item() == pytest.approx(mean / (mean + 0.05), rel=1e-5)


def test_no_disagreement_in_equal_windows():
    image = make_pair((40, 40))
    image[:, 1, :20] = image[:, 0, :20]
    found = disagreement(image)
    assert (found[..., :17, :] == 0).all()
    assert found[..., 20:, :].max() > 0.5
