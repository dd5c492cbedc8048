from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import Dataset
from PIL import Image
from scripts.handlers.fusion_examples import FusionExamplesHandler
from scripts.losses.adaptive import AdaptiveFusionLoss
from scripts.losses.terms.table import term_names
from scripts.networks.nets.loss_proposal import LossProposalNet

from tests.conftest import make_pair

SIZE = (65, 64)  # odd: the maps of the loss need even sides


class Evaluator(Engine):
    """Fuses made-up pairs of two tasks by their mean, as an evaluator that decollates."""

    def __init__(self) -> None:
        super().__init__(self.fuse)
        names = [("CT-MRI", f"{n}") for n in range(5)] + [("PET-MRI", "0")]
        self.data_loader = SimpleNamespace(dataset=Dataset([{"task": task, "name": name} for task, name in names]))

    @staticmethod
    def fuse(engine: Engine, batch: list[dict]) -> list[dict]:
        return [{"image": item["image"], "pred": item["image"].mean(dim=0, keepdim=True)} for item in batch]

    def evaluate(self, handler: FusionExamplesHandler) -> None:
        handler.attach(self)
        items = self.data_loader.dataset.data
        images = [make_pair(SIZE, seed)[0] for seed in range(len(items))]
        colors = [image[1:].expand(3, -1, -1) for image in images]
        batches = zip(items, images, colors, strict=True)
        self.run([[{**item, "image": image, "color": color}] for item, image, color in batches])


class Tracking:
    """Remembers what it is given."""

    def __init__(self) -> None:
        self.logged = []

    def log_artifact(self, path, folder):
        self.logged.append((path.name, folder, path.is_file()))


@pytest.mark.parametrize("with_loss", [False, True], ids=["pictures", "pictures-and-maps"])
def test_one_row_a_chosen_pair(tmp_path, with_loss):
    torch.manual_seed(0)
    loss = AdaptiveFusionLoss(LossProposalNet(2, term_names())) if with_loss else None
    tracking = Tracking()
    Evaluator().evaluate(FusionExamplesHandler(tmp_path, loss, examples=2, tracking=tracking))
    sheet = np.asarray(Image.open(tmp_path / "examples" / "sheet.png"))
    columns, rows = (6 if with_loss else 4), 3  # two of CT-MRI's five pairs, the only one of PET-MRI
    assert sheet.shape == (16 + rows * (SIZE[0] + 4), columns * (SIZE[1] + 4), 3)
    assert tracking.logged == [("sheet.png", "examples", True)]


def test_in_a_training_the_sheet_has_the_epochs_number(tmp_path):
    evaluator = Evaluator()
    evaluator.state.trainer_epoch = 7
    evaluator.evaluate(FusionExamplesHandler(tmp_path))
    assert [path.name for path in (tmp_path / "examples").iterdir()] == ["epoch_0007.png"]
