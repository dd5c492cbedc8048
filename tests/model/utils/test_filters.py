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


@pytest.mark.parametrize("stride", [1, 2])
def test_twice_differentiable(stride):
    image = torch.rand(1, 7, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def filtered(x):
        return filter_valid(x.square(), gaussian_kernel(3, 0.6), stride=stride)

    assert torch.autograd.gradcheck(filtered, image)
    assert torch.autograd.gradgradcheck(filtered, image)


@pytest.mark.parametrize("kernel", [gaussian_kernel(17, 3.4), box_kernel(7)], ids=["gaussian", "box"])
def test_kernels_are_symmetric_and_sum_to_one(kernel):
    assert sum(kernel) == pytest.approx(1, abs=1e-12)
    assert kernel == pytest.approx(kernel[::-1], abs=1e-15)


def test_gradients_after_a_first_use_in_inference_mode():
    """The kernel's matrix is kept; one that was made in inference mode could not take part in a backward pass."""
    kernel = gaussian_kernel(5, 1.2345)
    with torch.inference_mode():
        filter_valid(torch.rand(1, 1, 9, 9), kernel)
    image = torch.rand(1, 1, 9, 9, requires_grad=True)
    filter_valid(image, kernel).sum().backward()
    assert image.grad.sum() == pytest.approx(25.0)
