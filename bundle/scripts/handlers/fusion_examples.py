"""Example pictures during training: sources, fused image, and the maps that the loss proposes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine, Events

from ..losses.adaptive_fusion import FixedFusionLoss
from ..utils.contact_sheet import write_contact_sheet
from ..utils.enums import SourceKeys

__all__ = ["FusionExamplesHandler"]


class FusionExamplesHandler:
    """Writes a contact sheet of the first pairs of each task after each epoch of an evaluator, and logs it.

    Args:
        output_dir: folder; the sheets are ``examples/epoch_0001.png`` ... in it.
        loss: the fusion loss, whose shares are shown as maps (white: source A alone).
        examples: pairs a task. Defaults to 2.
        log_artifact: called with the path of each sheet, e.g. to log it to MLflow. Defaults to None.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        loss: FixedFusionLoss,
        examples: int = 2,
        log_artifact: Callable[[str], object] | None = None,
    ) -> None:
        self.folder = Path(output_dir) / "examples"
        self.loss = loss
        self.examples = examples
        self.log_artifact = log_artifact
        self._rows: dict[str, list[list[np.ndarray]]] = {}
        self._names: dict[str, list[str]] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)

    def collect(self, engine: Engine) -> None:
        """Keep the pictures of the first pairs of each task."""
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            task = str(item[SourceKeys.TASK.value])
            rows = self._rows.setdefault(task, [])
            if len(rows) >= self.examples:
                continue
            image = output["image"].as_subclass(torch.Tensor).float()
            even = image[None, :, : image.shape[1] // 2 * 2, : image.shape[2] // 2 * 2]
            with torch.no_grad():
                weights = self.loss.propose(even)
            pictures = [image[:1], image[1:], output["pred"], weights.intensity[0, :1], weights.structure[0, :1]]
            rows.append([np.asarray(picture.detach().cpu().float()) for picture in pictures])
            self._names.setdefault(task, []).append(f"{task} {item[SourceKeys.NAME.value]}")

    def write(self, engine: Engine) -> None:
        """Write the sheet."""
        epoch = getattr(engine.state, "trainer_epoch", engine.state.epoch)
        path = write_contact_sheet(
            self.folder / f"epoch_{epoch:04d}.png",
            [row for rows in self._rows.values() for row in rows],
            ("source A", "source B", "fused", "share of A, intensity", "share of A, structure"),
            [name for names in self._names.values() for name in names],
        )
        self._rows, self._names = {}, {}
        if self.log_artifact is not None:
            self.log_artifact(str(path))
