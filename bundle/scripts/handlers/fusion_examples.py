"""Example pictures during training: sources, fused image, and the maps that the loss proposes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from ..losses.adaptive import FixedFusionLoss
from ..utils.color import colorize
from ..utils.contact_sheet import write_contact_sheet
from ..utils.enums import SourceKeys

__all__ = ["FusionExamplesHandler"]


class FusionExamplesHandler:
    """Writes a contact sheet of pairs of each task, spread over the data set, after each epoch of an evaluator.

    Args:
        output_dir: folder; of the sheets: ``examples/epoch_0001.png`` ..., without a trainer ``examples/sheet.png``.
        loss: the fusion loss, whose shares are shown as maps (white: source A alone). Defaults to None: no maps.
        examples: pairs a task. Defaults to 2.
        log_artifact: called with the path of each sheet, e.g. to log it to MLflow. Defaults to None.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        loss: FixedFusionLoss | None = None,
        examples: int = 2,
        log_artifact: Callable[[str], object] | None = None,
    ) -> None:
        self.folder = Path(output_dir) / "examples"
        self.loss = loss
        self.examples = examples
        self.log_artifact = log_artifact
        self._rows: list[list[np.ndarray]] = []
        self._names: list[str] = []
        self._chosen: set[tuple[str, str]] = set()

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)

    def collect(self, engine: Any) -> None:
        """Keep the pictures of a pair if it is one of the chosen."""
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            task, name = str(item[SourceKeys.TASK.value]), str(item[SourceKeys.NAME.value])
            if (task, name) not in self._choose(engine):
                continue
            image = output["image"].as_subclass(torch.Tensor).float().cpu()
            fused, color = output["pred"].detach().float().cpu().numpy(), np.asarray(item["color"].cpu())
            pictures = [image[:1].numpy(), color, fused, colorize(fused, color)]
            if self.loss is not None:
                pictures.extend(self._maps(image))
            self._rows.append(pictures)
            self._names.append(f"{task} {name}")

    def _choose(self, engine: Any) -> set[tuple[str, str]]:
        """Names of the pairs to show, evenly spread over each task."""
        if not self._chosen:
            by_task: dict[str, list[str]] = {}
            for item in engine.data_loader.dataset.data:
                by_task.setdefault(item[SourceKeys.TASK.value], []).append(item[SourceKeys.NAME.value])
            for task, names in by_task.items():
                count = min(self.examples, len(names))
                self._chosen.update((task, names[(2 * k + 1) * len(names) // (2 * count)]) for k in range(count))
        return self._chosen

    def _maps(self, image: torch.Tensor) -> list[np.ndarray]:
        even = image[None, :, : image.shape[1] // 2 * 2, : image.shape[2] // 2 * 2]
        device = next((p.device for p in self.loss.parameters()), even.device) if self.loss is not None else even.device
        with torch.no_grad():
            weights = self.loss.propose(even.to(device))  # type: ignore[union-attr]
        return [weights.intensity[0, :1].cpu().numpy(), weights.structure[0, :1].cpu().numpy()]

    def write(self, engine: Engine) -> None:
        """Write the sheet."""
        epoch = getattr(engine.state, "trainer_epoch", None)
        name = "sheet.png" if epoch is None else f"epoch_{epoch:04d}.png"
        columns = ["source A", "source B", "fused", "fused, colour of B"]
        if self.loss is not None:
            columns += ["share of A, intensity", "share of A, structure"]
        path = write_contact_sheet(self.folder / name, self._rows, columns, self._names)
        self._rows, self._names = [], []
        if self.log_artifact is not None:
            self.log_artifact(str(path))
