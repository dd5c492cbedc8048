from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import convolve
from scripts.utils.filters import box_kernel, filter_same, filter_valid, gaussian_kernel


@pytest.mark.parametrize("shape", [(20, 23), (9, 10, 11)], ids=["2d", "3d"])
@pytest.mark.parametrize("stride", [1, 2])
def test_agrees_with_scipy(shape, stride):
    image = np.random.default_rng(0).random(shape)
    kernel = np.array(gaussian_kernel(5, 1.0))
    full = kernel
    for _ in shape[1:]:
        full = np.multiply.outer(full, kernel)
    expected = convolve(image, full, mode="valid")[tuple(slice(None, None, stride) for _ in shape)]
    result = filter_valid(torch.from_numpy(image), tuple(kernel), len(shape), stride)
    assert np.allclose(result.numpy(), expected)


def test_same_keeps_size_and_constants():
    image = torch.full((1, 1, 9, 11), 0.3)
    assert torch.allclose(filter_same(image, box_kernel(7)), image)


def test_too_small():
    with pytest.raises(ValueError, match="at least 7 pixels on each side, got 5"):
        filter_valid(torch.zeros(5, 9), box_kernel(7))
