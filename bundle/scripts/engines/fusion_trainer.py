"""The two-level trainer: the fusion network learns from the loss, the loss learns from its teacher."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys
from torch import nn
from torch.optim import Optimizer

from ..handlers.bad_batches import BadBatchError, BadBatches
from ..handlers.processes import gather
from ..losses.base import FusionLoss
from ..losses.lessons import Lesson, Lessons
from ..losses.teachers import LossTeacher
from ..utils.checks import InputError
from ..utils.enums import SourceKeys
from ..utils.run_folder import RunFolder

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
    ordinary step on the loss. In an iteration with a lesson of its own, see :class:`~scripts.losses.lessons.Lessons`,
    the step is taken on images that are made from the batch. Where the fused image, the loss or a gradient is not
    finite no optimizer takes a step, and the batch is left out; see :class:`~scripts.handlers.bad_batches.BadBatches`.
    Under CUDA's mixed precision the gradients are left to the scaler, for which infinite ones are ordinary.

    Args:
        loss_function: one of this bundle's fusion losses.
        teacher: the teacher of ``loss_function``. Defaults to None: the loss stays as it is.
        lessons: the network's own lessons. Defaults to None: none, and this is a plain ``SupervisedTrainer`` with
            clipped gradients.
        max_grad_norm: the network's gradients are scaled down to this norm. Defaults to 1.
        prepare_batch: as in ``SupervisedTrainer``; must return the pairs twice. Defaults to
            :func:`prepare_fusion_batch`.
        bad_batches: keeps account of the batches that are left out. Defaults to None: at most 3 an epoch, not saved.
        folders: no other training may write to these while this one runs. Defaults to (): none are locked.
        kwargs: further arguments of ``SupervisedTrainer``.

    Raises:
        TypeError: When ``loss_function`` is not a FusionLoss.
        ValueError: When ``teacher`` teaches another loss, or cannot work with the network.
        InputError: When another training writes to one of ``folders`` as the run begins, or too many batches are bad.
    """

    def __init__(
        self,
        *,
        loss_function: FusionLoss,
        teacher: LossTeacher | None = None,
        lessons: Lessons | None = None,
        max_grad_norm: float = 1.0,
        prepare_batch: Callable = prepare_fusion_batch,
        bad_batches: BadBatches | None = None,
        folders: Sequence[str | os.PathLike] = (),
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
        self.lessons = lessons
        self.prepare_pairs = prepare_batch
        self.max_grad_norm = max_grad_norm
        self.bad_batches = BadBatches() if bad_batches is None else bad_batches
        self.bad_batches.attach(self)
        self.folders = folders
        self.outer_values: dict[str, float] = {}
        self._lesson: Lesson | None = None
        self.add_event_handler(IterationEvents.LOSS_COMPLETED, self.check_loss)
        self.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self.clip_gradients)
        self.add_event_handler(IterationEvents.LOSS_COMPLETED, self.show_teacher)
        if teacher is not None:
            if teacher.loss is not loss_function:
                raise ValueError("`teacher` must teach `loss_function`, got a teacher of another loss.")
            teacher.check(self._plain_network())
            for optimizer in self._teachers_optimizers():
                optimizer.register_step_pre_hook(_check_gradients)

    def summary(self, tasks: Sequence[str]) -> dict[str, float]:
        """What the latest iteration has to say in the log: loss and terms, or what a lesson's images have lost.

        Args:
            tasks: the task of each image of the batch.
        """
        if self.lessons is not None and self._lesson is not None:
            return {f"outer/{self.lessons.name}": self._lost}
        return {"loss": float(self._fusion_loss), **self.fusion_loss.summary(tasks)}

    def run(self) -> None:  # type: ignore[override]
        """Train, alone in its folders."""
        with ExitStack() as stack:
            for folder in dict.fromkeys(Path(folder).resolve() for folder in self.folders):
                stack.enter_context(RunFolder(folder))
            stack.callback(self._plain_network().register_forward_hook(_check_fused).remove)
            super().run()

    def _plain_network(self) -> nn.Module:
        """The fusion network, without DistributedDataParallel."""
        return getattr(self.network, "module", self.network)

    def _teachers_optimizers(self) -> Iterator[Optimizer]:
        """The optimizers of what the teacher trains."""
        return (value for value in vars(self.teacher).values() if isinstance(value, Optimizer))

    def _iteration(self, engine: FusionTrainer, batchdata: dict[str, torch.Tensor]) -> dict:  # type: ignore[override]
        """Give a lesson if one is due, then take the ordinary step; leave out a batch that allows none."""
        engine.outer_values = {}  # else those of the last lesson are logged again, but not after a restart
        try:
            if engine.teacher is not None and engine.teacher.is_due(engine.state.iteration):
                self._give_lesson(engine, engine.teacher, batchdata)
            return super()._iteration(engine, batchdata)
        except BadBatchError as reason:
            self.bad_batches.add(engine, batchdata, reason)
            return self._left_out(engine, batchdata)

    @staticmethod
    def _give_lesson(engine: FusionTrainer, teacher: LossTeacher, batchdata: dict[str, torch.Tensor]) -> None:
        image, _ = engine.prepare_pairs(batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs)
        engine.outer_values.update(teacher.teach(engine._plain_network(), engine.optimizer, image.float()))

    def _left_out(self, engine: FusionTrainer, batchdata: dict[str, torch.Tensor]) -> dict:
        """Forget the gradients, and give the handlers an iteration whose loss is NaN and whose image is source A."""
        for optimizer in (engine.optimizer, *(self._teachers_optimizers() if self.teacher is not None else ())):
            optimizer.zero_grad(set_to_none=True)
        image, target = engine.prepare_pairs(batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs)
        engine.state.output = {
            CommonKeys.IMAGE: image,
            CommonKeys.LABEL: target,
            CommonKeys.PRED: image[:, :1],
            CommonKeys.LOSS: torch.tensor(math.nan),
        }
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output

    def check_loss(self, engine: FusionTrainer) -> None:
        """Stop the iteration before its step where the loss of any process is not finite.

        Raises:
            BadBatchError: When it is not.
        """
        losses = gather(engine.state.output[CommonKeys.LOSS].item())
        if not all(map(math.isfinite, losses)):
            raise BadBatchError(f"the loss is {next(loss for loss in losses if not math.isfinite(loss))}")

    def _prepare(self, batchdata: dict[str, Any], *args: Any, **kwargs: Any) -> tuple:
        """The batch, or what takes its place in a lesson: what is fused, the pairs, and further arguments."""
        image, target = self.prepare_pairs(batchdata, *args, **kwargs)
        self._lesson = None if self.lessons is None else self.lessons.draw(image, batchdata.get(SourceKeys.TASK, ()))
        if self._lesson is None:
            return image, target
        return self._lesson.inputs, self._lesson.pairs, (), self._lesson.condition

    def _weigh(self, fused: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """The loss of what the network made, in a lesson with what that one asks for."""
        loss = self.fusion_loss(fused[: len(image)], image)
        if self.lessons is None or self._lesson is None:
            self._fusion_loss = loss.detach()
            return loss
        lost = self.lessons.lost(fused, self._lesson)
        self._lost = lost.item()
        return self.lessons.total(loss, lost, self._lesson)

    def clip_gradients(self, engine: FusionTrainer) -> None:
        """Scale the network's gradients down to ``max_grad_norm``.

        Raises:
            BadBatchError: When they are not finite; never under mixed precision.
        """
        scaler = engine.scaler if engine.amp else None
        if scaler is not None:
            scaler.unscale_(engine.optimizer)
        norm = float(torch.nn.utils.clip_grad_norm_(engine.network.parameters(), engine.max_grad_norm))
        if scaler is None and not math.isfinite(norm):
            raise BadBatchError(f"the norm of the gradients is {norm}")

    def show_teacher(self, engine: FusionTrainer) -> None:
        """Show the teacher, and all handlers after it, what the network has just made of the pairs."""
        output = engine.state.output
        image = output[CommonKeys.LABEL]
        output.update({CommonKeys.IMAGE: image, CommonKeys.PRED: output[CommonKeys.PRED][: len(image)]})
        if engine.teacher is not None:
            engine.outer_values.update(engine.teacher.observe(output[CommonKeys.PRED], image))


def _check_fused(network: nn.Module, _: Any, fused: torch.Tensor) -> None:
    """Stop an iteration whose fused image is not finite, on any process; called after each pass through the network.

    The loss cannot say it: a term that sorts pixels into bins fails at a pixel that is no number, and on CUDA that ends
    the process. In validation, where the processes have different numbers of images, nothing is checked.

    Raises:
        BadBatchError: When it is not.
    """
    if network.training and not all(gather(bool(torch.isfinite(fused).all()))):
        raise BadBatchError("the fused image is not finite")


def _check_gradients(optimizer: Optimizer, *_: Any) -> None:
    """Stop a step of the teacher on gradients that are not finite; called by the optimizer before each step.

    Raises:
        BadBatchError: When they are not.
    """
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = float(torch.nn.utils.get_total_norm(gradients))
    if not math.isfinite(norm):
        raise BadBatchError(f"the norm of the gradients of the teacher's lesson is {norm}")
