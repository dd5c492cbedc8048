"""The two-level trainer: the fusion network learns from the loss, the loss learns from its teacher."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys
from torch import nn

from ..losses.base import FusionLoss
from ..losses.teachers import LossTeacher
from ..utils.checks import InputError

__all__ = ["FusionTrainer", "prepare_fusion_batch", "share_of_batch"]


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


def share_of_batch(batch_size: int, processes: int) -> int:
    """Return how many images of each batch one of several processes takes: the batch is that of the whole training.

    Args:
        batch_size: images of a batch.
        processes: how many processes train.

    Raises:
        InputError: When the batch cannot be shared out evenly.

    Example:
        >>> share_of_batch(6, 2)
        3
    """
    if batch_size < processes or batch_size % processes:
        raise InputError(
            f"batch_size: expected a multiple of the {processes} processes, got {batch_size}. It counts the images of "
            f"all processes together: choose e.g. {max(1, batch_size // processes) * processes}."
        )
    return batch_size // processes


class FusionTrainer(SupervisedTrainer):
    """Trains the fusion network, and, where there is a teacher, the loss that it learns from.

    In an iteration with a lesson the teacher first trains the loss's proposal on the batch; then the network takes its
    ordinary step on the loss.

    Args:
        teacher: the teacher of ``loss_function``. Defaults to None: the loss stays as it is, and this is a plain
            ``SupervisedTrainer`` with clipped gradients.
        max_grad_norm: the network's gradients are scaled down to this norm. Defaults to 1.
        kwargs: arguments of ``SupervisedTrainer``; ``loss_function`` must be one of this bundle's fusion losses.

    Raises:
        TypeError: When ``loss_function`` is not a FusionLoss.
        ValueError: When ``teacher`` teaches another loss, or cannot work with the network.
    """

    def __init__(self, *, teacher: LossTeacher | None = None, max_grad_norm: float = 1.0, **kwargs: Any) -> None:
        kwargs.setdefault("prepare_batch", prepare_fusion_batch)
        super().__init__(**kwargs)
        if not isinstance(self.loss_function, FusionLoss):
            raise TypeError(
                "`loss_function` must be a FusionLoss, e.g. FixedFusionLoss or AdaptiveFusionLoss, got "
                f"{type(self.loss_function).__name__}."
            )
        self.loss_function: FusionLoss = self.loss_function
        self.teacher = teacher
        self.max_grad_norm = max_grad_norm
        self.outer_values: dict[str, float] = {}
        self.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self.clip_gradients)
        if teacher is not None:
            if teacher.loss is not self.loss_function:
                raise ValueError("`teacher` must teach `loss_function`, got a teacher of another loss.")
            teacher.check(self._plain_network())
            self.add_event_handler(IterationEvents.LOSS_COMPLETED, self.show_teacher)

    def _plain_network(self) -> nn.Module:
        """The fusion network, without DistributedDataParallel."""
        return getattr(self.network, "module", self.network)

    def _iteration(self, engine: FusionTrainer, batchdata: dict[str, torch.Tensor]) -> dict:  # type: ignore[override]
        """Give a lesson if one is due, then take the ordinary step."""
        if engine.teacher is not None and engine.teacher.is_due(engine.state.iteration):
            image, _ = engine.prepare_batch(batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs)
            engine.outer_values.update(engine.teacher.teach(engine._plain_network(), engine.optimizer, image.float()))
        return super()._iteration(engine, batchdata)

    def clip_gradients(self, engine: FusionTrainer) -> None:
        """Scale the network's gradients down to ``max_grad_norm``."""
        if engine.amp and engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        torch.nn.utils.clip_grad_norm_(engine.network.parameters(), engine.max_grad_norm)

    def show_teacher(self, engine: FusionTrainer) -> None:
        """Show the teacher what the network has just made."""
        if engine.teacher is not None:
            output = engine.state.output
            engine.outer_values.update(engine.teacher.observe(output[CommonKeys.PRED], output[CommonKeys.IMAGE]))
