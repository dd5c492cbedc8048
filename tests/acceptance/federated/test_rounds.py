"""The bundle as MONAI's federated client runs it; needs no NVFlare."""

from __future__ import annotations

import pytest
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.exchange_object import ExchangeObject

from benchmarks.federated import EVALUATE, TRAIN
from tests.conftest import BUNDLE

KEYS = {
    "batch_size": 4,
    "patch_size": 64,
    "network_def#channels": 16,
    "learning_rate": 0.0,
    "epochs": 2,
    "optimum_steps": 0,
}


@pytest.mark.slow
@pytest.mark.parametrize("configs", [TRAIN, TRAIN[:1]], ids=["overlay", "train.json"])
def test_each_round_starts_from_the_averaged_weights(tmp_path, harvard_like, configs):
    """With a learning rate of 0 a site returns what it was given: the difference is nothing, in each round."""
    keys = {**KEYS, "dataset_dir": str(harvard_like), "output_dir": str(tmp_path), "device": "$torch.device('cpu')"}
    site = MonaiAlgo(
        str(BUNDLE),
        config_train_filename=configs,
        train_kwargs=keys,
        config_evaluate_filename=EVALUATE,
        eval_kwargs=keys,
    )
    site.initialize(extra={"CLIENT_NAME": "site"})
    own = {name: value.clone() for name, value in site.trainer.network.state_dict().items()}
    scores = []
    for factor in (1.0, 0.5):
        averaged = {name: value * factor for name, value in own.items()}
        scores.append(site.evaluate(ExchangeObject(weights=averaged)).metrics["score"])
        site.train(ExchangeObject(weights=averaged))
        difference = site.get_weights().weights
        assert difference.keys() == own.keys()
        assert all(not value.any() for value in difference.values())
        assert torch.equal(site.trainer.network.state_dict()[next(iter(own))], averaged[next(iter(own))])
    assert scores[0] != scores[1]
    site.finalize()
