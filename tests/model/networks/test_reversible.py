"""The reversible backward pass: the same gradients, with memory that does not grow with the number of couplings."""

from __future__ import annotations

import pytest
import torch
from scripts.networks.blocks.invertible import InvertibleLevel
from scripts.networks.nets.mmif_amin import MMIFAMIN
from torch.func import functional_call

from tests.model.networks.test_invertible import randomized


def level(depth: int, reversible: bool, spatial_dims: int = 2) -> InvertibleLevel:
    return randomized(InvertibleLevel(spatial_dims, 1, growth=4, num_blocks=depth, reversible=reversible))


def gradients(module: torch.nn.Module, x: torch.Tensor, *further: torch.Tensor) -> list[torch.Tensor]:
    """With respect to the input and every parameter."""
    x = x.detach().requires_grad_()
    return list(torch.autograd.grad(module(x, *further).sin().sum(), [x, *module.parameters()]))


def relative_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    """In the Euclidean norm."""
    return float((got - expected).norm() / expected.norm())


def stored_bytes(module: torch.nn.Module, x: torch.Tensor) -> int:
    """Memory that autograd keeps between forward and backward pass, parameters aside."""
    parameters = {parameter.data_ptr() for parameter in module.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in parameters:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = module(x)
    assert result.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize(
    ("depth", "dtype"),
    [(2, torch.float32), (8, torch.float32), (2, torch.float64), (8, torch.float64), (32, torch.float64)],
)
def test_gradients_are_the_stored_ones(depth, dtype):
    x = torch.rand(2, 1, 16, 12, dtype=dtype)
    stored, rebuilt = (gradients(level(depth, reversible).to(dtype), x) for reversible in (False, True))
    for expected, got in zip(stored, rebuilt, strict=True):
        assert relative_error(got, expected) <= 1e-6


def test_32_couplings_in_single_precision():
    """Rounding through 32 strong couplings was 7e-6; the stored gradients were 3e-6 off those in double precision."""
    x = torch.rand(2, 1, 16, 12, generator=torch.Generator().manual_seed(0))
    stored, rebuilt = (gradients(level(32, reversible), x) for reversible in (False, True))
    assert max(map(relative_error, rebuilt, stored)) < 2e-5


def test_gradients_in_3d():
    x = torch.rand(1, 1, 4, 6, 8)
    stored, rebuilt = (gradients(level(2, reversible, spatial_dims=3), x) for reversible in (False, True))
    for expected, got in zip(stored, rebuilt, strict=True):
        assert relative_error(got, expected) <= 1e-6


def test_memory_does_not_grow_with_depth():
    x = torch.rand(1, 1, 32, 32)
    stored, rebuilt = ([stored_bytes(level(depth, kind), x) for depth in (2, 8)] for kind in (False, True))
    assert stored[1] > 3.5 * stored[0]
    assert rebuilt[1] == rebuilt[0] < stored[0] / 4


def test_whole_network():
    """Gradients of the fused image with respect to all of MMIFAMIN, deep in the IDN."""
    torch.manual_seed(0)
    options = {"spatial_dims": 2, "num_blocks": (6, 6), "growth": (4, 4), "channels": 16}
    stored, rebuilt = MMIFAMIN(**options), MMIFAMIN(**options, reversible=True)
    keep = torch.full([1], 0.5)
    randomized(stored.idn)
    rebuilt.load_state_dict(stored.state_dict())
    image = torch.rand(2, 2, 21, 30)
    assert torch.equal(stored(image, keep), rebuilt(image, keep))
    for expected, got in zip(gradients(stored, image, keep), gradients(rebuilt, image, keep), strict=True):
        assert expected.norm() > 0
        assert relative_error(got, expected) <= 1e-5


def test_frozen_couplings_pass_the_gradient_on():
    frozen = level(2, reversible=True)
    x = torch.rand(1, 1, 8, 8, requires_grad=True)
    expected = gradients(level(2, reversible=False), x)[0]
    for parameter in frozen.blocks[0].parameters():
        parameter.requires_grad_(False)
    frozen(x).sin().sum().backward()
    assert relative_error(x.grad, expected) <= 1e-6
    assert all(parameter.grad is None for parameter in frozen.blocks[0].parameters())
    assert all(parameter.grad is not None for parameter in frozen.blocks[1].parameters())


@pytest.mark.parametrize("kind", ["autocast", "weights"])
def test_half_precision_stores(kind):
    """It could not rebuild its input; the stored pass takes over and gradients stay the same."""
    results = []
    for reversible in (False, True):
        module, x = level(8, reversible), torch.ones(1, 1, 8, 8)
        if kind == "weights":
            module, x = module.bfloat16(), x.bfloat16()
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast"):
            results.append(gradients(module, x))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_works_under_hooks_of_saved_tensors():
    """As ``save_on_cpu`` and checkpointing set them."""
    x = torch.rand(1, 1, 8, 8)
    expected = gradients(level(2, reversible=True), x)
    with torch.autograd.graph.save_on_cpu():
        found = gradients(level(2, reversible=True), x)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_what_it_cannot_do_is_said():
    module, x = level(2, reversible=True), torch.rand(1, 1, 8, 8, requires_grad=True)
    (first,) = torch.autograd.grad(module(x).sin().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
    replaced = {name: parameter.detach().clone().requires_grad_() for name, parameter in module.named_parameters()}
    with pytest.raises(RuntimeError, match="reversible=False"):
        functional_call(module, replaced, (x,)).sum().backward()
    result = module(x).sum()
    with torch.no_grad():
        next(module.parameters()).mul_(2)
    with pytest.raises(RuntimeError, match="changed since"):
        result.backward()
    with pytest.raises(ValueError, match="`reversible` needs a feature extractor that can do it, .* got 'plain_dense'"):
        MMIFAMIN(2, feature_extractor="plain_dense", reversible=True)
