"""A batch that is left out is named and saved, and too many of them end the training."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from monai.data import MetaTensor
from scripts.handlers.bad_batches import BadBatchError, BadBatches
from scripts.utils.checks import InputError
from scripts.utils.weights import load_state

ENGINE = SimpleNamespace(state=SimpleNamespace(epoch=3, iteration=217))
BATCH = {
    "image": MetaTensor(torch.rand(2, 2, 4, 4), meta={"path": "/home/someone"}),
    "name": ["3001", "4001"],
    "task": ["CT-MRI", "PET-MRI"],
}
REASON = BadBatchError("the loss is nan")


def test_it_is_named_and_saved(tmp_path):
    text = r"epoch 3, iteration 217: the loss is nan on CT-MRI 3001, PET-MRI 4001. .* 1 of at most 2 in this epoch."
    with pytest.warns(RuntimeWarning, match=text):
        BadBatches(tmp_path, limit=2).add(ENGINE, BATCH, REASON)
    saved = load_state(tmp_path / "bad_batches" / "epoch_0003_iteration_000217.pt")
    assert torch.equal(saved["image"], BATCH["image"].as_tensor())
    assert (saved["name"], saved["task"]) == (BATCH["name"], BATCH["task"])
    assert (saved["epoch"], saved["iteration"], saved["reason"]) == (3, 217, "the loss is nan")


@pytest.mark.filterwarnings("ignore:epoch 3")
def test_one_more_than_the_limit_ends_the_training(tmp_path):
    kept = BadBatches(tmp_path, limit=2)
    kept.add(ENGINE, BATCH, REASON)
    kept.add(ENGINE, BATCH, REASON)
    with pytest.raises(InputError, match="CT-MRI 3001.*No more than 2 batches of an epoch may be left out"):
        kept.add(ENGINE, BATCH, REASON)
    kept.reset(ENGINE)
    kept.add(ENGINE, BATCH, REASON)


def test_images_without_names_and_other_processes(tmp_path, recwarn):
    BadBatches(tmp_path, save=False).add(ENGINE, BATCH, REASON)
    assert (list(tmp_path.iterdir()), len(recwarn)) == ([], 0)
    with pytest.warns(RuntimeWarning, match="on unnamed images. It is left out"):
        BadBatches().add(ENGINE, {"image": torch.zeros(1, 2, 4, 4)}, REASON)


def test_the_limit_is_checked():
    with pytest.raises(ValueError, match="`limit` must be 0 or more batches, got -1"):
        BadBatches(limit=-1)
