"""Example pictures during training: sources, fused image, and the maps that the loss proposes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from ..data.datalist import spread_over_tasks
from ..losses.base import FusionLoss
from ..utils.color import colorize
from ..utils.contact_sheet import write_contact_sheet
from ..utils.enums import SourceKeys
from .processes import gather

if TYPE_CHECKING:
    from .tracking import FusionTrackingHandler

__all__ = ["FusionExamplesHandler"]


class FusionExamplesHandler:
    """Writes a contact sheet of pairs of each task, spread over the data set, after each epoch of an evaluator.

    Args:
        output_dir: folder; of the sheets: ``examples/epoch_0001.png`` ..., without a trainer ``examples/sheet.png``.
        loss: the fusion loss, whose shares are shown as maps (white: source A alone). Defaults to None: no maps.
        examples: pairs a task. Defaults to 2.
        tracking: the MLflow handler that each sheet is logged to. Defaults to None: none.
        save: whether this process writes the sheets; each process of a run must have this handler, because each has
            some of the pairs. Defaults to True.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        loss: FusionLoss | None = None,
        examples: int = 2,
        tracking: FusionTrackingHandler | None = None,
        save: bool = True,
    ) -> None:
        self.folder = Path(output_dir) / "examples"
        self.loss = loss
        self.examples = examples
        self.tracking = tracking
        self.save = save
        self._rows: dict[tuple[str, str], list[np.ndarray]] = {}
        self._chosen: list[tuple[str, str]] = []

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
                pictures.extend(self._maps(self.loss, image))
            self._rows[task, name] = pictures

    def _choose(self, engine: Any) -> list[tuple[str, str]]:
        """Task and name of the pairs to show."""
        if not self._chosen:
            items = engine.data_loader.dataset.data
            chosen = [items[index] for index in spread_over_tasks(items, self.examples)]
            self._chosen = [(item[SourceKeys.TASK.value], item[SourceKeys.NAME.value]) for item in chosen]
        return self._chosen

    @staticmethod
    def _maps(loss: FusionLoss, image: torch.Tensor) -> list[np.ndarray]:
        """Shares of source A in intensity and in structure, (1, H, W) each, H and W even."""
        even = image[None, :, : image.shape[1] // 2 * 2, : image.shape[2] // 2 * 2]
        device = next((p.device for p in loss.parameters()), even.device)
        with torch.no_grad():
            weights = loss.propose(even.to(device))
        return [weights.intensity[0, :1].cpu().numpy(), weights.structure[0, :1].cpu().numpy()]

    def write(self, engine: Engine) -> None:
        """Write the sheet."""
        found = {key: pictures for part in gather(self._rows) for key, pictures in part.items()}
        self._rows = {}
        if not self.save:
            return
        rows = {" ".join(key): found[key] for key in self._choose(engine) if key in found}
        epoch = getattr(engine.state, "trainer_epoch", None)
        name = "sheet.png" if epoch is None else f"epoch_{epoch:04d}.png"
        columns = ["source A", "source B", "fused", "fused, color of B"]
        if self.loss is not None:
            columns += ["share of A, intensity", "share of A, structure"]
        path = write_contact_sheet(self.folder / name, list(rows.values()), columns, list(rows))
        if self.tracking is not None:
            self.tracking.log_artifact(path, "examples")
