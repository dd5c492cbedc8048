"""Muon: momentum whose steps are orthogonalized, for the kernels of convolutions too."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

__all__ = ["Muon", "orthogonalized"]

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan's coefficients: steepest at 0, within 0.7 to 1.2 from there on
ROUNDS = 5
RMS = 0.2  # root mean square of an AdamW step relative to its learning rate


def orthogonalized(matrix: torch.Tensor) -> torch.Tensor:
    r"""Bring all singular values of a matrix near 1 by the Newton-Schulz iteration.

    .. math:: X \leftarrow a X + b (X X^T) X + c (X X^T)^2 X

    Args:
        matrix: (M, N), not all zeros if anything is to come of it.

    Returns:
        (M, N), with singular values between about 0.7 and 1.2, apart from those that were nearly 0.

    Reference: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024,
    https://kellerjordan.github.io/posts/muon.
    """
    a, b, c = NEWTON_SCHULZ
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-12)
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide is matrix else x.T


class Muon(Optimizer):
    r"""Muon for all weights that are matrices or kernels, AdamW for what is left (biases, norms, single outputs).

    A kernel of a convolution is taken as the matrix of its outputs by all its inputs. The orthogonalized step has the
    length that AdamW's would have, :math:`0.2 \sqrt{\max(M, N)}`, so both parts share the learning rate. torch's own
    ``Muon`` takes matrices only.

    A parameter without a gradient stays as it is until it has had its first one; from then on it moves with its
    momentum, as with a gradient of zero. So a training that was resumed from its state goes on as if it had not
    stopped, whether or not each step has a gradient for each parameter.

    Args:
        params: parameters or groups of them, as for any optimizer.
        lr: learning rate. Defaults to 0.003.
        momentum: share of the old direction in the new one; Nesterov's form. Defaults to 0.95.
        betas: of AdamW. Defaults to ``(0.9, 0.999)``.
        eps: of AdamW. Defaults to 1e-8.
        weight_decay: decoupled, times the learning rate. Defaults to 0.01.

    Raises:
        ValueError: When the learning rate is negative or the momentum is not in [0, 1).

    Reference: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon; Liu et al., "Muon is scalable for LLM
    training", arXiv 2502.16982 (the length of the step); Loshchilov and Hutter, "Decoupled weight decay
    regularization", ICLR 2019, arXiv 1711.05101 (AdamW).

    Example:
        >>> layer = nn.Conv2d(4, 8, 3)
        >>> optimizer = Muon(layer.parameters())
        >>> layer(torch.rand(1, 4, 9, 9)).square().mean().backward()
        >>> optimizer.step()
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.003,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        if lr < 0 or not 0 <= momentum < 1:
            raise ValueError(f"`lr` must not be negative and `momentum` in [0, 1), got {lr} and {momentum}.")
        options = {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take one step.

        Args:
            closure: computes the loss anew. Defaults to None.

        Returns:
            What the closure returns.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    if not self.state[parameter]:
                        continue
                    gradient = torch.zeros_like(parameter)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                take = self._step_of_matrix if _is_matrix(parameter) else self._step_of_adam
                take(parameter, gradient, group)
        return loss

    def _step_of_matrix(self, parameter: nn.Parameter, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(state["momentum"], group["momentum"]).flatten(1)
        length = RMS * math.sqrt(max(ahead.shape))
        parameter.add_(orthogonalized(ahead).view_as(parameter), alpha=-group["lr"] * length)

    def _step_of_adam(self, parameter: nn.Parameter, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        state["step"] += 1
        (beta, beta_square), count = group["betas"], state["step"].item()
        state["mean"].lerp_(gradient, 1 - beta)
        state["square"].mul_(beta_square).addcmul_(gradient, gradient, value=1 - beta_square)
        deviation = (state["square"] / (1 - beta_square**count)).sqrt_().add_(group["eps"])
        parameter.addcdiv_(state["mean"], deviation, value=-group["lr"] / (1 - beta**count))


def _is_matrix(parameter: torch.Tensor) -> bool:
    """Whether a parameter has several outputs, each with several inputs."""
    return parameter.dim() >= 2 and parameter.shape[0] > 1 and parameter[0].numel() > 1
