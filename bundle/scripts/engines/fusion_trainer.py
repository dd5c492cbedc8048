"""The two-level trainer: the fusion network learns from the loss, the loss learns from what can be rebuilt."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from monai.engines import SupervisedTrainer
from torch import nn
from torch.func import functional_call
from torch.optim import Optimizer

from ..losses.adaptive_fusion import AdaptiveFusionLoss, FixedFusionLoss
from ..losses.source_reconstruction import SourceReconstructionLoss

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
    r"""Trains the fusion network, and each ``meta_interval`` iterations the loss that it is trained with.

    With :math:`\theta` the fusion network, :math:`\phi` the loss proposal and :math:`\psi` the source reconstruction:

    .. math::
        \theta' = \theta - \alpha \frac{\nabla_\theta L_\phi(f_\theta(x), x)}
            {\lVert \nabla_\theta L_\phi \rVert} \lVert \theta \rVert,\qquad
        \min_\phi R_\psi(f_{\theta'}(x), x) + \lambda\, \mathrm{departure}(\phi),\qquad
        \min_\psi R_\psi(f_\theta(x), x)

    R is :class:`SourceReconstructionLoss`. The step length is relative to the size of the weights, so that it means the
    same early and late. The proposal starts to learn after ``meta_warmup`` iterations; the reconstruction learns from the
    beginning. With :class:`FixedFusionLoss` there is no outer level and this is a plain ``SupervisedTrainer``.

    Args:
        reconstruction: source-reconstruction network.
        reconstruction_optimizer: its optimizer.
        proposal_optimizer: optimizer of the loss's parameters.
        meta_interval: iterations from one outer step to the next. Defaults to 4.
        meta_warmup: iterations before the proposal learns. Defaults to 200.
        virtual_step: alpha, length of the virtual step relative to the weights. Defaults to 0.01.
        anchor: lambda, weight of the proposal's departure from the hand-made weights. Defaults to 0.01.
        kwargs: arguments of ``SupervisedTrainer``; ``loss_function`` must be one of this bundle's fusion losses.

    Raises:
        TypeError: When ``loss_function`` is neither a FixedFusionLoss nor an AdaptiveFusionLoss.
        ValueError: When ``meta_interval`` is below 1.
    """

    def __init__(
        self,
        *,
        reconstruction: nn.Module,
        reconstruction_optimizer: Optimizer,
        proposal_optimizer: Optimizer | None = None,
        meta_interval: int = 4,
        meta_warmup: int = 200,
        virtual_step: float = 0.01,
        anchor: float = 0.01,
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
        self.reconstruction = reconstruction
        self.reconstruction_optimizer = reconstruction_optimizer
        self.proposal_optimizer = proposal_optimizer
        self.meta_interval = meta_interval
        self.meta_warmup = meta_warmup
        self.virtual_step = virtual_step
        self.anchor = anchor
        self.outer_loss = SourceReconstructionLoss()
        self.outer_values: dict[str, float] = {}

    def _iteration(self, engine: FusionTrainer, batchdata: dict[str, torch.Tensor]) -> dict:  # type: ignore[override]
        """Take an outer step if one is due, then the ordinary step."""
        adaptive = isinstance(engine.loss_function, AdaptiveFusionLoss)
        if adaptive and engine.state.iteration % engine.meta_interval == 0:
            image, _ = engine.prepare_batch(batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs)
            engine.outer_step(image.float(), teach=engine.state.iteration > engine.meta_warmup)
        return super()._iteration(engine, batchdata)

    def outer_step(self, image: torch.Tensor, teach: bool = True) -> None:
        """Train the reconstruction network and, if ``teach``, the loss proposal on one batch.

        Args:
            image: (B, 2, *spatial) in [0, 1], both sources.
            teach: whether the proposal learns too.
        """
        network = getattr(self.network, "module", self.network)
        network.train()
        with torch.set_grad_enabled(teach):
            fused, departure = self._virtual_fusion(network, image) if teach else (network(image), 0.0)
        if teach and self.proposal_optimizer is not None:
            parameters = [p for p in self.loss_function.parameters() if p.requires_grad]
            rebuilt_error = self.outer_loss(self.reconstruction(fused), image)
            gradients = torch.autograd.grad(rebuilt_error + self.anchor * departure, parameters)
            self._step(self.proposal_optimizer, parameters, gradients)
        error = self.outer_loss(self.reconstruction(fused.detach()), image)
        parameters = list(self.reconstruction.parameters())
        self._step(self.reconstruction_optimizer, parameters, torch.autograd.grad(error, parameters))
        self.outer_values = {"outer/reconstruction": error.item(), "outer/departure": float(departure)}

    def _virtual_fusion(self, network: nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Fuse with the weights that the network would have after one step on the proposed loss."""
        weights = self.loss_function.propose(image)
        parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        loss = self.loss_function.evaluate(functional_call(network, parameters, (image,)), image, weights)
        gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
        with torch.no_grad():
            size = torch.stack([p.square().sum() for p in parameters.values()]).sum().sqrt()
        length = torch.stack([g.square().sum() for g in gradients]).sum().sqrt().detach().clamp_min(1e-12)
        scale = self.virtual_step * size / length
        stepped = {
            name: p.detach() - scale * g for (name, p), g in zip(parameters.items(), gradients, strict=True)
        }
        return functional_call(network, stepped, (image,)), weights.departure

    @staticmethod
    def _step(optimizer: Optimizer, parameters: list[nn.Parameter], gradients: tuple[torch.Tensor, ...]) -> None:
        """Apply gradients, averaged over the processes of a distributed run."""
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if dist.is_available() and dist.is_initialized():
                dist.all_reduce(gradient)
                gradient = gradient / dist.get_world_size()
            parameter.grad = gradient
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
