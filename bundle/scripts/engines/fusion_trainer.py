"""The two-level trainer: the fusion network learns from the loss, the loss learns from what the fusion lost."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils import look_up_option
from monai.utils.enums import CommonKeys
from torch import nn
from torch.func import functional_call
from torch.optim import Optimizer

from ..losses.adaptive import AdaptiveFusionLoss, FixedFusionLoss
from ..losses.source_reconstruction import SourceReconstructionLoss
from ..utils.enums import LossTeaching

__all__ = ["FusionTrainer", "prepare_fusion_batch"]


def prepare_fusion_batch(
    batchdata: dict[str, torch.Tensor], device: str | torch.device | None = None, non_blocking: bool = False, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``image`` twice, as the network's input and as the loss's target: fusion has no label.

    Args:
        batchdata: batch with ``image``, (B, 2, *spatial) in [0, 1].
        device: where to put it.
        non_blocking: as in ``Tensor.to``.

    Raises:
        KeyError: When ``image`` is missing.
    """
    if "image" not in batchdata:
        raise KeyError(f"The batch must hold `image`, both sources as channels, got keys {sorted(batchdata)}.")
    image = batchdata["image"].as_subclass(torch.Tensor).to(device=device, non_blocking=non_blocking)
    return image, image


class FusionTrainer(SupervisedTrainer):
    r"""Trains the fusion network, and each ``meta_interval`` iterations the loss that it learns from.

    With :math:`\theta` the fusion network, :math:`\phi` the loss proposal and :math:`\lambda` the anchor, the loss is
    taught in one of two ways. By *regret* (the way the shipped weights were made), both play against each other: the
    network lowers the loss, the loss asks most for what the fused image keeps least,

    .. math::
        \max_\phi \sum_k w_k(\phi, x) \bigl(T_k(f_\theta(x)) - \min_r T_k(r(x))\bigr)
        - \lambda\, \mathrm{departure}(\phi)

    with T the terms and r the classical fusion rules of :func:`~scripts.losses.fusion_terms.fusion_regrets`: each pair
    sets its own bars. By *reconstruction*, as in ReFusion, with :math:`\psi` the source reconstruction:

    .. math::
        \theta' = \theta - \alpha \frac{\eta}{\sqrt{\overline{g^2}}} \nabla_\theta L_\phi(f_\theta(x), x),\qquad
        \min_\phi R_\psi(f_{\theta'}(x), x) + \lambda\, \mathrm{departure}(\phi),\qquad
        \min_\psi R_\psi(f_\theta(x), x)

    R is :class:`SourceReconstructionLoss`. The virtual step has the learning rate :math:`\eta` and the mean squared
    gradients :math:`\overline{g^2}` of the network's own Adam: a plain gradient step of the same length went so far
    along the steep directions that it made the fusion worse, and taught nothing. The reconstruction learns each time;
    the proposal, which it teaches, after ``meta_warmup`` of them. With :class:`FixedFusionLoss` there is no outer level
    and this is a plain ``SupervisedTrainer``.

    Args:
        reconstruction: source-reconstruction network; teaching by regret leaves it as it is.
        reconstruction_optimizer: its optimizer.
        proposal_optimizer: optimizer of the loss's parameters.
        teaching: ``"regret"`` or ``"reconstruction"``. Defaults to ``"regret"``.
        meta_interval: iterations from one outer step to the next. Defaults to 4.
        meta_warmup: iterations before the proposal learns. Defaults to 100.
        virtual_step: alpha, length of the virtual step in steps of the optimizer. Defaults to 0.5.
        max_grad_norm: the network's gradients are scaled down to this norm. Defaults to 1.
        anchor: lambda, weight of the proposal's departure from the hand-made weights. Defaults to 0.125.
        kwargs: arguments of ``SupervisedTrainer``; ``loss_function`` must be one of this bundle's fusion losses.

    Raises:
        TypeError: When ``loss_function`` is neither a FixedFusionLoss nor an AdaptiveFusionLoss.
        ValueError: When ``meta_interval`` is below 1, ``teaching`` is unknown, or a reversible network is to be taught
            by reconstruction.
    """

    def __init__(
        self,
        *,
        reconstruction: nn.Module,
        reconstruction_optimizer: Optimizer,
        proposal_optimizer: Optimizer,
        teaching: LossTeaching | str = LossTeaching.REGRET,
        meta_interval: int = 4,
        meta_warmup: int = 100,
        virtual_step: float = 0.5,
        anchor: float = 0.125,
        max_grad_norm: float = 1.0,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("prepare_batch", prepare_fusion_batch)
        super().__init__(**kwargs)
        if not isinstance(self.loss_function, FixedFusionLoss):
            raise TypeError(
                "`loss_function` must be a FixedFusionLoss or an AdaptiveFusionLoss, got "
                f"{type(self.loss_function).__name__}."
            )
        if meta_interval < 1:
            raise ValueError(f"`meta_interval` must be at least 1, got {meta_interval}.")
        self.loss_function: FixedFusionLoss = self.loss_function
        self.reconstruction = reconstruction
        self.reconstruction_optimizer = reconstruction_optimizer
        self.proposal_optimizer = proposal_optimizer
        self.teaching = look_up_option(teaching, LossTeaching)
        self.meta_interval = meta_interval
        self.meta_warmup = meta_warmup
        self.virtual_step = virtual_step
        self.anchor = anchor
        self.max_grad_norm = max_grad_norm
        self.outer_loss = SourceReconstructionLoss()
        self.outer_values: dict[str, float] = {}
        self.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self.clip_gradients)
        if isinstance(self.loss_function, AdaptiveFusionLoss) and self.teaching == LossTeaching.RECONSTRUCTION:
            if any(getattr(module, "reversible", False) for module in self.network.modules()):
                raise ValueError(
                    "`teaching` by reconstruction needs second derivatives, which a reversible network lacks. Build it "
                    "with `reversible=False`, or teach by regret."
                )
            self.add_event_handler(IterationEvents.LOSS_COMPLETED, self.train_reconstruction)

    def _iteration(self, engine: FusionTrainer, batchdata: dict[str, torch.Tensor]) -> dict:  # type: ignore[override]
        """Take an outer step if one is due, then the ordinary step."""
        state = engine.state
        if state.iteration > engine.meta_warmup and state.iteration % engine.meta_interval == 0:
            image, _ = engine.prepare_batch(batchdata, state.device, engine.non_blocking, **engine.to_kwargs)
            engine.teach_loss(image.float())
        return super()._iteration(engine, batchdata)

    def clip_gradients(self, engine: FusionTrainer) -> None:
        """Scale the network's gradients down to ``max_grad_norm``."""
        if engine.amp and engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        torch.nn.utils.clip_grad_norm_(engine.network.parameters(), engine.max_grad_norm)

    def teach_loss(self, image: torch.Tensor) -> None:
        """Take one outer step on a batch: train the loss proposal; nothing happens where the loss is fixed.

        Args:
            image: (B, 2, *spatial) in [0, 1], both sources.
        """
        if not isinstance(self.loss_function, AdaptiveFusionLoss):
            return
        network = getattr(self.network, "module", self.network)
        network.train()
        if self.teaching == LossTeaching.REGRET:
            with torch.no_grad():
                fused = network(image)
            weights = self.loss_function.propose(image)
            regret, departure = self.loss_function.regret(fused, image, weights), weights.departure
            objective, value = self.anchor * departure - regret, regret
        else:
            fused, departure = self._virtual_fusion(network, image)
            value = self.outer_loss(self.reconstruction(fused), image)
            objective = value + self.anchor * departure
        self._step(self.proposal_optimizer, self.loss_function.proposal, objective)
        self.outer_values.update({"outer/teaching": value.item(), "outer/departure": departure.item()})

    def train_reconstruction(self, engine: FusionTrainer) -> None:
        """Train the reconstruction network on what the fusion network has just made."""
        fused, image = engine.state.output[CommonKeys.PRED].detach().float(), engine.state.output[CommonKeys.IMAGE]
        error = self.outer_loss(self.reconstruction(fused), image.float())
        self._step(self.reconstruction_optimizer, self.reconstruction, error)
        self.outer_values["outer/reconstruction"] = error.item()

    def _virtual_fusion(self, network: nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Fuse with the weights that the network would have after one step on the proposed loss."""
        weights = self.loss_function.propose(image)
        parameters: dict[str, Any] = {name: p for name, p in network.named_parameters() if p.requires_grad}
        loss = self.loss_function.evaluate(functional_call(network, parameters, (image,)), image, weights)
        gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
        stepped = {
            name: p.detach() - self.virtual_step * self._step_size(p, g) * g
            for (name, p), g in zip(parameters.items(), gradients, strict=True)
        }
        return functional_call(network, stepped, (image,)), weights.departure

    def _step_size(self, parameter: nn.Parameter, gradient: torch.Tensor) -> torch.Tensor:
        """Step size of each weight: the learning rate over the root mean square of its gradients, as Adam has it."""
        group = self.optimizer.param_groups[0]
        state = self.optimizer.state.get(parameter, {})
        if "exp_avg_sq" in state:
            mean_square = state["exp_avg_sq"] / (1 - group["betas"][1] ** float(state["step"]))
        else:
            mean_square = gradient.detach().square().mean()
        return group["lr"] / (mean_square.sqrt() + 1e-8)

    @staticmethod
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
