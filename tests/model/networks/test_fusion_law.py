"""The law of fusion by itself: what it leaves alone, its range, and the closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scripts.networks.layers.fusion_law import corrected, correction_of, disagreement
from scripts.networks.nets.mmif_amin import MMIFAMIN

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


NEAR_BLACK = np.concatenate([[0.0], np.logspace(-7, np.log10(0.5), 40)])
LEVELS = np.concatenate([NEAR_BLACK, 1 - NEAR_BLACK])
DELTAS = np.concatenate([-np.logspace(0.3, -6, 30), [0.0], np.logspace(-6, 0.3, 30)])


def law(base: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """The formula of the docstring, written a second time, in NumPy."""
    white = 1 - base
    up = -white * np.expm1(-np.maximum(delta, 0) / (white + 1e-4))
    down = -base * np.expm1(np.minimum(delta, 0) / (base + 1e-4))
    return base + up - down


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-7)])
def test_closed_form_from_black_to_white(dtype, tolerance):
    """Densely near black and near white, where the compression sets in; black stays black."""
    base, delta = (torch.from_numpy(x).to(dtype) for x in np.meshgrid(LEVELS, DELTAS))
    found = corrected(base, delta).double().numpy()
    assert np.abs(found - law(base.double().numpy(), delta.double().numpy())).max() <= tolerance
    assert (found[:, 0][DELTAS <= 0] == 0).all()


def test_the_correction_is_found_again():
    """As long as it has not come within rounding of black or white; there it is finite."""
    base, delta = (torch.from_numpy(x) for x in np.meshgrid(np.linspace(0.001, 0.999, 50), np.linspace(-0.9, 0.9, 61)))
    image = corrected(base, delta)
    found = correction_of(base, image)
    inside = (image > 1e-9) & (image < 1 - 1e-9)
    assert (found - delta)[inside].abs().max() < 1e-6
    assert inside.double().mean() > 0.5
    ends = torch.tensor([0.0, 0.0, 0.5, 0.5, 1.0, 1.0])
    assert correction_of(ends, torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])).isfinite().all()


@pytest.mark.parametrize("scale", [1.0, 0.01, 1e-4], ids=["bright", "dim", "near black"])
def test_the_network_follows_the_law(scale):
    """With maps that are the same everywhere: what the paper of the docstring says, from the sources to the image."""
    network, image = MMIFAMIN(2).double().eval(), make_pair((33, 38)).double() * scale
    u, v = 0.3, -0.2
    with torch.no_grad():
        network.maps.weight.zero_()
        network.maps.bias.copy_(torch.atanh(torch.tensor([u] * 4 + [v] * 4, dtype=torch.float64)))
        found = network(image)[0, 0].numpy()
    a, b = image[0].numpy()
    larger, smaller = np.maximum(a, b), np.minimum(a, b)
    mean = window_mean(np.abs(a - b))
    assert np.abs(found - law(larger, mean / (mean + 0.01) * (larger * v + smaller * u))).max() <= 1e-12
    assert not np.array_equal(found, larger)


def window_mean(values: np.ndarray) -> np.ndarray:
    """Mean over 7x7 (7x7x7) pixels, at the border over those of them that are in the image; by loops."""
    result = np.empty(values.shape)
    for place in np.ndindex(*values.shape):
        result[place] = values[tuple(slice(max(0, k - 3), k + 4) for k in place)].mean()
    return result


def test_in_range_in_single_precision():
    base, delta = torch.rand(2, 200_000, generator=torch.Generator().manual_seed(0))
    for scale in (0.01, 1.0, 100.0):
        result = corrected(base, scale * (2 * delta - 1))
        assert 0 <= result.min() <= result.max() <= 1
    assert torch.equal(corrected(base, torch.zeros_like(base)), base)


@pytest.mark.parametrize("size", [(20, 24), (12, 9, 10)])
@pytest.mark.parametrize("options", [{}, {"tau": 0.05}], ids=["default", "tau"])
def test_disagreement_is_the_mean_over_the_window(size, options):
    """At the border too."""
    image = torch.rand(2, 2, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = disagreement(image, **options)
    assert found.shape == (2, 1, *size)
    for k in (0, 1):
        mean = window_mean((image[k, 0] - image[k, 1]).abs().numpy())
        assert np.abs(found[k, 0].numpy() - mean / (mean + options.get("tau", 0.01))).max() < 1e-12


def test_no_disagreement_in_equal_windows():
    image = make_pair((40, 40))
    image[:, 1, :20] = image[:, 0, :20]
    found = disagreement(image)
    assert (found[..., :17, :] == 0).all()
    assert found[..., 20:, :].max() > 0.5
