"""Muon: against torch's own for matrices, AdamW for the rest, kernels as matrices, resume."""

import copy

import pytest
import torch
from scripts.optimizers.muon import Muon, orthogonalized
from torch import nn


def gradients(parameters: list[nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (16, 16)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before, after = torch.linalg.svdvals(matrix), torch.linalg.svdvals(orthogonalized(matrix))
    assert before.max() / before.min() > 3
    assert 0.6 < after.min()
    assert after.max() < 1.3


def test_the_directions_stay() -> None:
    matrix = torch.randn(6, 9, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ orthogonalized(matrix) @ right.T
    assert (turned - turned.diagonal().diag()).abs().max() < 1e-4


def test_matrices_move_as_with_torchs_muon() -> None:
    """torch.optim.Muon, which rounds to bfloat16 in the iteration, is the reference."""
    ours, theirs = (nn.Parameter(torch.ones(8, 20)) for _ in range(2))
    optimizers = [
        Muon([ours], lr=0.01, weight_decay=0.1),
        torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    ]
    for seed in range(4):
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            gradients([parameter], seed)
            optimizer.step()
    moved = (theirs - 1).norm()
    assert (ours - theirs).norm() < 0.02 * moved


def test_biases_move_as_with_adamw() -> None:
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2))
    optimizers = [Muon([ours], lr=0.01), torch.optim.AdamW([theirs], lr=0.01)]
    for seed in range(5):
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            gradients([parameter], seed)
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_a_kernel_moves_as_the_matrix_of_its_outputs() -> None:
    kernel, matrix = nn.Parameter(torch.zeros(6, 3, 3, 3)), nn.Parameter(torch.zeros(6, 27))
    gradients([kernel], 3)
    matrix.grad = kernel.grad.flatten(1)
    for parameter in (kernel, matrix):
        Muon([parameter], lr=0.01).step()
    torch.testing.assert_close(kernel.flatten(1), matrix)


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped() -> None:
    first = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Conv2d(4, 1, 1))
    optimizer = Muon(first.parameters(), lr=0.01)
    for seed in range(3):
        gradients(list(first.parameters()), seed)
        optimizer.step()
    second = copy.deepcopy(first)
    resumed = Muon(second.parameters(), lr=0.5)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for net, its in ((first, optimizer), (second, resumed)):
        gradients(list(net.parameters()), 9)
        its.step()
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_step_without_a_gradient_is_one_of_zeros_once_there_was_one():
    """Zeroed or missing, before or after a resume."""
    zeroed, missing, never = (nn.Parameter(torch.ones(3, 4)) for _ in range(3))
    optimizer = Muon([zeroed, missing, never], lr=0.01)
    gradients([zeroed], 1)
    missing.grad = zeroed.grad.clone()
    optimizer.step()
    zeroed.grad, missing.grad = torch.zeros(3, 4), None
    optimizer.step()
    assert torch.equal(zeroed, missing)
    assert torch.equal(never, torch.ones(3, 4))


@pytest.mark.parametrize("options", [{"lr": -1.0}, {"momentum": 1.0}])
def test_wrong_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        Muon([nn.Parameter(torch.zeros(2, 2))], **options)
