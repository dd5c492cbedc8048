from __future__ import annotations

import numpy as np
from ignite.engine import Engine, Events
from PIL import Image
from scripts.handlers.training_curves import TrainingCurvesHandler, write_training_curves


def train(handler: TrainingCurvesHandler, first: int, last: int) -> None:
    engine = Engine(lambda engine, batch: None)
    engine.add_event_handler(Events.STARTED, lambda e: setattr(e.state, "epoch", first - 1))
    engine.add_event_handler(
        Events.EPOCH_COMPLETED, lambda e: e.state.metrics.update({"loss": 1.0 / e.state.epoch, "weight/edges": 1.0})
    )
    handler.attach(engine)
    engine.run([0], max_epochs=last)


def test_a_resumed_training_is_one_curve(tmp_path):
    handler = TrainingCurvesHandler(tmp_path / "curves.png")
    train(handler, 1, 2)
    resumed = TrainingCurvesHandler(tmp_path / "curves.png")
    resumed.load_state_dict(handler.state_dict())
    train(resumed, 3, 4)
    assert resumed.histories == {"loss": [(epoch, 1 / epoch) for epoch in (1, 2, 3, 4)]}


def test_other_processes_do_not_write(tmp_path):
    handler = TrainingCurvesHandler(tmp_path / "curves.png", save=False)
    train(handler, 1, 1)
    assert handler.histories
    assert not list(tmp_path.iterdir())


def test_the_figure_shows_what_there_is(tmp_path):
    histories = {"loss": [(1, 2.0), (2, 1.0)], "val/score": [(2, 0.5)], "val/CT-MRI/score": [(2, 0.4)]}
    histories["val/CT-MRI/VIF"] = [(1, 0.5), (2, 0.6)]
    image = np.asarray(Image.open(write_training_curves(histories, tmp_path / "curves.png")).convert("RGB"))
    image = image[: int(0.9 * len(image))]  # without the legend
    height, width = len(image) // 2, image.shape[1] // 3
    colored = (np.ptp(image.astype(int), axis=2) > 50)[: 2 * height, : 3 * width]
    panels = colored.reshape(2, height, 3, width).sum(axis=(1, 3)) > 20
    assert panels.tolist() == [[True] * 3, [False] * 3]  # Qabf and the rest were not measured
