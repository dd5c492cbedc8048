"""The two-level trainer: the fusion network learns from the loss, the loss learns from its teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys
from torch import nn

from ..losses.base import FusionLoss
from ..losses.lesions import LesionLessons, PlantedPairs
from ..losses.teachers import LossTeacher
from ..utils.checks import InputError
from ..utils.enums import SourceKeys

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
    ordinary step on the loss. In an iteration with lesions the step is taken on some pairs of the batch with and
    without planted lesions, fused under the condition ``keep``.

    Args:
        loss_function: one of this bundle's fusion losses.
        teacher: the teacher of ``loss_function``. Defaults to None: the loss stays as it is.
        lesions: when lesions are planted. Defaults to None: never, and this is a plain ``SupervisedTrainer`` with
            clipped gradients.
        max_grad_norm: the network's gradients are scaled down to this norm. Defaults to 1.
        prepare_batch: as in ``SupervisedTrainer``; must return the pairs twice. Defaults to
            :func:`prepare_fusion_batch`.
        kwargs: further arguments of ``SupervisedTrainer``.

    Raises:
        TypeError: When ``loss_function`` is not a FusionLoss.
        ValueError: When ``teacher`` teaches another loss, or cannot work with the network.
    """

    def __init__(
        self,
        *,
        loss_function: FusionLoss,
        teacher: LossTeacher | None = None,
        lesions: LesionLessons | None = None,
        max_grad_norm: float = 1.0,
        prepare_batch: Callable = prepare_fusion_batch,
        **kwargs: Any,
    ) -> None:
        super().__init__(loss_function=self._weigh, prepare_batch=self._prepare, **kwargs)
        if not isinstance(loss_function, FusionLoss):
            raise TypeError(
                "`loss_function` must be a FusionLoss, e.g. FixedFusionLoss or AdaptiveFusionLoss, got "
                f"{type(loss_function).__name__}."
            )
        self.fusion_loss = loss_function
        self.teacher = teacher
        self.lesions = lesions
        self.prepare_pairs = prepare_batch
        self.max_grad_norm = max_grad_norm
        self.outer_values: dict[str, float] = {}
        self._planted: PlantedPairs | None = None
        self.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self.clip_gradients)
        self.add_event_handler(IterationEvents.LOSS_COMPLETED, self.show_teacher)
        if teacher is not None:
            if teacher.loss is not loss_function:
                raise ValueError("`teacher` must teach `loss_function`, got a teacher of another loss.")
            teacher.check(self._plain_network())

    def summary(self, tasks: Sequence[str]) -> dict[str, float]:
        """What the latest iteration has to say in the log: loss and terms, or the loss of the lesions.

        Args:
            tasks: the task of each image of the batch.
        """
        if self._planted is not None:
            return {"outer/lesions": self._lesion_loss}
        return {"loss": float(self._fusion_loss), **self.fusion_loss.summary(tasks)}

    def _plain_network(self) -> nn.Module:
        """The fusion network, without DistributedDataParallel."""
        return getattr(self.network, "module", self.network)

    def _iteration(self, engine: FusionTrainer, batchdata: dict[str, torch.Tensor]) -> dict:  # type: ignore[override]
        """Give a lesson if one is due, then take the ordinary step."""
        if engine.teacher is not None and engine.teacher.is_due(engine.state.iteration):
            image, _ = engine.prepare_pairs(batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs)
            engine.outer_values.update(engine.teacher.teach(engine._plain_network(), engine.optimizer, image.float()))
        return super()._iteration(engine, batchdata)

    def _prepare(self, batchdata: dict[str, Any], *args: Any, **kwargs: Any) -> tuple:
        """The batch, or what takes its place in an iteration with lesions: three images a pair, and the condition."""
        image, target = self.prepare_pairs(batchdata, *args, **kwargs)
        self._planted = None if self.lesions is None else self.lesions.plant(image, batchdata.get(SourceKeys.TASK, ()))
        if self._planted is None:
            return image, target
        stack = torch.cat([self._planted.image, self._planted.with_a, self._planted.with_b])
        return stack, self._planted.image, (), {"keep": torch.full([len(stack)], self._planted.keep).to(stack)}

    def _weigh(self, fused: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """The loss of what the network made, with that of the lesions where some were planted."""
        loss = self.fusion_loss(fused[: len(image)], image)
        if self.lesions is None or self._planted is None:
            self._fusion_loss = loss.detach()
            return loss
        lost = self.lesions.loss(fused, self._planted)
        self._lesion_loss = lost.item()
        return self.lesions.pace * (loss + self._planted.keep * self.lesions.weight * lost)

    def clip_gradients(self, engine: FusionTrainer) -> None:
        """Scale the network's gradients down to ``max_grad_norm``."""
        if engine.amp and engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        torch.nn.utils.clip_grad_norm_(engine.network.parameters(), engine.max_grad_norm)

    def show_teacher(self, engine: FusionTrainer) -> None:
        """Show the teacher, and all handlers after it, what the network has just made of the images without lesions."""
        output = engine.state.output
        image = output[CommonKeys.LABEL]
        output.update({CommonKeys.IMAGE: image, CommonKeys.PRED: output[CommonKeys.PRED][: len(image)]})
        if engine.teacher is not None:
            engine.outer_values.update(engine.teacher.observe(output[CommonKeys.PRED], image))
