"""Teachers of the adaptive loss: regret against classical fusion rules, and rebuilding both sources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from torch import nn
from torch.func import functional_call
from torch.optim import Optimizer

from ..classical.rules import average, laplacian_pyramid, maximum
from .adaptive import AdaptiveFusionLoss
from .reconstruction import SourceReconstructionLoss
from .terms.base import LossWeights
from .terms.table import fusion_terms

__all__ = ["LossTeacher", "ReconstructionTeacher", "RegretTeacher", "fusion_regrets"]

REGRET_BOUND = 0.25  # a single patch with hardly any structure in one source must not decide for all


def fusion_regrets(
    fused: torch.Tensor, image: torch.Tensor, weights: LossWeights, names: Sequence[str] | None = None
) -> torch.Tensor:
    """How far each term is above the best that pixel maximum, average and Laplacian pyramid reach on the same pair.

    Below 0 where the fused image is better than all three. Within +-:data:`REGRET_BOUND`.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        image: (B, 2, H, W) in [0, 1], both sources; H and W at least 48.
        weights: what the loss decides.
        names: which terms. Defaults to None: all of them.

    Returns:
        (B, K), in the order of ``names``.
    """
    candidates = torch.cat([fused, maximum(image), average(image), laplacian_pyramid(image)], dim=0)
    terms = fusion_terms(candidates, image.repeat(4, 1, 1, 1), weights.repeat(4), names)
    own, *rules = terms.chunk(4)
    return (own - torch.stack(rules).amin(dim=0)).clamp(-REGRET_BOUND, REGRET_BOUND)


class LossTeacher(ABC):
    r"""Trains the proposal of an adaptive loss; a subclass says by what.

    With :math:`\phi` the proposal and :math:`\lambda` the anchor, each lesson takes one step of the optimizer on

    .. math::
        \min_\phi\; \pm\, \mathrm{value}(\phi) + \lambda\, \mathrm{departure}(\phi).

    Args:
        loss: the loss that is taught.
        optimizer: optimizer of its proposal's parameters.
        interval: iterations from one lesson to the next. Defaults to 4.
        warmup: iterations before the first lesson. Defaults to 100.
        anchor: lambda, weight of the proposal's departure from the hand-made weights. Defaults to 0.125.

    Raises:
        TypeError: When ``loss`` is not an AdaptiveFusionLoss.
        ValueError: When ``interval`` is below 1.
    """

    sign: ClassVar[float]  # -1: the proposal makes the value larger; 1: smaller

    def __init__(
        self,
        loss: AdaptiveFusionLoss,
        optimizer: Optimizer,
        interval: int = 4,
        warmup: int = 100,
        anchor: float = 0.125,
    ) -> None:
        if not isinstance(loss, AdaptiveFusionLoss):
            raise TypeError(f"`loss` must be an AdaptiveFusionLoss, got {type(loss).__name__}: nothing else learns.")
        if interval < 1:
            raise ValueError(f"`interval` must be at least 1, got {interval}.")
        self.loss = loss
        self.optimizer = optimizer
        self.interval = interval
        self.warmup = warmup
        self.anchor = anchor

    def check(self, network: nn.Module) -> None:  # noqa: B027 - most teachers take any network
        """Check before the training that this teacher can work with the fusion network.

        Raises:
            ValueError: When it cannot.
        """

    def is_due(self, iteration: int) -> bool:
        """Whether there is a lesson in this iteration of the trainer, which counts from 1."""
        return iteration > self.warmup and iteration % self.interval == 0

    def teach(self, network: nn.Module, optimizer: Optimizer, image: torch.Tensor) -> dict[str, float]:
        """Give one lesson on a batch: the proposal changes, the fusion network does not.

        Args:
            network: the fusion network.
            optimizer: its optimizer.
            image: (B, 2, H, W) in [0, 1], both sources.

        Returns:
            Figures for the log: ``outer/teaching``, the value, and ``outer/departure``.
        """
        network.train()
        value, departure = self.judge(network, optimizer, image)
        _step(self.optimizer, self.loss.proposal, self.sign * value + self.anchor * departure)
        return {"outer/teaching": value.item(), "outer/departure": departure.item()}

    @abstractmethod
    def judge(self, network: nn.Module, optimizer: Optimizer, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the value that teaches and the proposal's departure, both differentiable in the proposal.

        Args:
            network: the fusion network.
            optimizer: its optimizer.
            image: (B, 2, H, W) in [0, 1], both sources.

        Returns:
            Two scalars.
        """

    def observe(self, fused: torch.Tensor, image: torch.Tensor) -> dict[str, float]:
        """See what the fusion network has just made, in every iteration.

        Args:
            fused: (B, 1, H, W).
            image: (B, 2, H, W) in [0, 1], both sources.

        Returns:
            Figures for the log. Here: none.
        """
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training must know beside the loss."""
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.optimizer.load_state_dict(state["optimizer"])


class RegretTeacher(LossTeacher):
    r"""Teaches by regret: loss and network play against each other.

    The network lowers the loss; the loss asks most for what the fused image keeps least,

    .. math::
        \max_\phi \sum_k w_k(\phi, x) \bigl(T_k(f_\theta(x)) - \min_r T_k(r(x))\bigr)
        - \lambda\, \mathrm{departure}(\phi)

    with :math:`\theta` the fusion network, T the terms and r the classical fusion rules of :func:`fusion_regrets`: each
    pair sets its own bars. The shipped weights were made this way. Arguments as in :class:`LossTeacher`.
    """

    sign = -1.0

    def judge(self, network: nn.Module, optimizer: Optimizer, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the weighted regret and the proposal's departure."""
        with torch.no_grad():
            fused = network(image)
        weights = self.loss.propose(image)
        regrets = fusion_regrets(fused, image, weights, self.loss.terms)
        return (weights.terms * regrets).sum(dim=1).mean(), weights.departure


class ReconstructionTeacher(LossTeacher):
    r"""Teaches by reconstruction, as in ReFusion: a loss is good if more can be rebuilt after a step on it.

    With :math:`\theta` the fusion network and :math:`\psi` the source reconstruction,

    .. math::
        \theta' = \theta - \alpha \frac{\eta}{\sqrt{\overline{g^2}}} \nabla_\theta L_\phi(f_\theta(x), x),\qquad
        \min_\phi R_\psi(f_{\theta'}(x), x) + \lambda\, \mathrm{departure}(\phi),\qquad
        \min_\psi R_\psi(f_\theta(x), x)

    R is :class:`~scripts.losses.reconstruction.SourceReconstructionLoss`. The virtual step has the learning rate
    :math:`\eta` and the mean squared gradients :math:`\overline{g^2}` of the network's own Adam. The reconstruction
    learns in every iteration, the proposal in its lessons.

    Args:
        loss: the loss that is taught.
        optimizer: optimizer of its proposal's parameters.
        reconstruction: source-reconstruction network.
        reconstruction_optimizer: its optimizer.
        virtual_step: alpha, length of the virtual step in steps of the network's optimizer. Defaults to 0.5.
        kwargs: other arguments of :class:`LossTeacher`.

    Raises:
        TypeError: When ``loss`` is not an AdaptiveFusionLoss.
        ValueError: When ``interval`` is below 1.

    Reference: Bai et al., "ReFusion: learning image fusion from reconstruction with learnable loss via meta-learning",
    IJCV 2024, arXiv 2312.07943.
    """

    sign = 1.0

    def __init__(
        self,
        loss: AdaptiveFusionLoss,
        optimizer: Optimizer,
        reconstruction: nn.Module,
        reconstruction_optimizer: Optimizer,
        virtual_step: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(loss, optimizer, **kwargs)
        self.reconstruction = reconstruction
        self.reconstruction_optimizer = reconstruction_optimizer
        self.virtual_step = virtual_step
        self.rebuilding_loss = SourceReconstructionLoss()

    def check(self, network: nn.Module) -> None:
        """Check that the fusion network has second derivatives.

        Raises:
            ValueError: When it is reversible.
        """
        if any(getattr(module, "reversible", False) for module in network.modules()):
            raise ValueError(
                "Teaching by reconstruction needs second derivatives, which a reversible network lacks. Build it with "
                "`reversible=False`, or teach by regret."
            )

    def judge(self, network: nn.Module, optimizer: Optimizer, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the error of rebuilding both sources after a virtual step, and the proposal's departure."""
        weights = self.loss.propose(image)
        fused = self.virtual_fusion(network, optimizer, image, weights)
        return self.rebuilding_loss(self.reconstruction(fused), image), weights.departure

    def virtual_fusion(
        self, network: nn.Module, optimizer: Optimizer, image: torch.Tensor, weights: LossWeights
    ) -> torch.Tensor:
        """Fuse with the parameters that the network would have after one step on the loss with these weights.

        Args:
            network: the fusion network.
            optimizer: its optimizer, which gives the length of the step.
            image: (B, 2, H, W) in [0, 1], both sources.
            weights: the loss's, differentiable.

        Returns:
            (B, 1, H, W).
        """
        parameters: dict[str, Any] = {name: p for name, p in network.named_parameters() if p.requires_grad}
        loss = self.loss.evaluate(functional_call(network, parameters, (image,)), image, weights)
        gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=True, allow_unused=True)
        stepped = {  # what only the condition uses has no gradient
            name: p.detach() - self.virtual_step * _step_size(optimizer, p, g) * g
            for (name, p), g in zip(parameters.items(), gradients, strict=True)
            if g is not None
        }
        return functional_call(network, stepped, (image,))

    def observe(self, fused: torch.Tensor, image: torch.Tensor) -> dict[str, float]:
        """Train the reconstruction network on what the fusion network has just made.

        Returns:
            ``outer/reconstruction``, its error.
        """
        error = self.rebuilding_loss(self.reconstruction(fused.detach().float()), image.float())
        _step(self.reconstruction_optimizer, self.reconstruction, error)
        return {"outer/reconstruction": error.item()}

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training must know beside the loss."""
        return {
            **super().state_dict(),
            "reconstruction": self.reconstruction.state_dict(),
            "reconstruction_optimizer": self.reconstruction_optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        super().load_state_dict(state)
        self.reconstruction.load_state_dict(state["reconstruction"])
        self.reconstruction_optimizer.load_state_dict(state["reconstruction_optimizer"])


def _step_size(optimizer: Optimizer, parameter: nn.Parameter, gradient: torch.Tensor) -> torch.Tensor:
    """Step size of each weight: the learning rate over the root mean square of its gradients, as Adam has it."""
    group = optimizer.param_groups[0]
    state = optimizer.state.get(parameter, {})
    if "exp_avg_sq" in state:
        mean_square = state["exp_avg_sq"] / (1 - group["betas"][1] ** float(state["step"]))
    else:
        mean_square = gradient.detach().square().mean()
    return group["lr"] / (mean_square.sqrt() + 1e-8)


def _step(optimizer: Optimizer, network: nn.Module, error: torch.Tensor) -> None:
    """Minimize ``error`` over one network alone, gradients averaged over the processes of a distributed run."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    for parameter, gradient in zip(parameters, torch.autograd.grad(error, parameters), strict=True):
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(gradient)
            gradient = gradient / dist.get_world_size()
        parameter.grad = gradient
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
