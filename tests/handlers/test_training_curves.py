from __future__ import annotations

import mlflow
import numpy as np
import pytest
from PIL import Image
from scripts.handlers.training_curves import training_histories, write_training_curves


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    """Two runs: a training that was stopped in its third epoch, and the one that resumed it."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlruns.db"
    client = mlflow.MlflowClient(uri)
    experiment = client.create_experiment("mmif_amin")
    for epochs, scale in (((1, 2, 3), 1.0), ((3, 4), 10.0)):
        run = client.create_run(experiment)
        for epoch in epochs:
            client.log_metric(run.info.run_id, "loss", scale * epoch, step=epoch)
        for name in ("val/score", "val/CT-MRI/score", "val/CT-MRI/VIF"):
            client.log_metric(run.info.run_id, name, 0.5, step=epochs[-1])
    return uri


def test_a_resumed_training_is_one_curve(store):
    histories = training_histories(store, "mmif_amin")
    assert histories["loss"] == [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0)]
    assert histories["val/CT-MRI/VIF"] == [(3, 0.5), (4, 0.5)]


def test_the_figure_shows_them(store, tmp_path):
    image = np.asarray(Image.open(write_training_curves(store, "mmif_amin", tmp_path / "curves.png")).convert("RGB"))
    image = image[: int(0.9 * len(image))]  # without the legend
    height, width = len(image) // 2, image.shape[1] // 3
    colored = (np.ptp(image.astype(int), axis=2) > 50)[: 2 * height, : 3 * width]
    panels = colored.reshape(2, height, 3, width).sum(axis=(1, 3)) > 50
    assert panels.tolist() == [[True] * 3, [False] * 3]  # Qabf and the rest were not logged


def test_an_unknown_experiment_is_an_error(store, tmp_path):
    with pytest.raises(ValueError, match="'other'"):
        write_training_curves(store, "other", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
