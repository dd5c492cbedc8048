from __future__ import annotations

import pytest
import torch
from scripts.classical.probes import CLIPPED_SUM, COPIES, PROBES
from scripts.metrics.suite import fusion_metrics

CHEATED = [  # probe and a metric in which it beats the plain average
    pytest.param(CLIPPED_SUM, "SD", id="sum lifts SD"),
    pytest.param(CLIPPED_SUM, "SCD", id="sum lifts SCD"),
    pytest.param(COPIES[0], "VIF", id="copy lifts VIF"),
    pytest.param(COPIES[0], "MI", id="copy lifts MI"),
    pytest.param(COPIES[1], "Qabf", id="other copy lifts Qabf"),
]


def test_probes_are_what_their_names_say(pair):
    fused = {name: probe(pair) for name, probe in PROBES.items()}
    black = (pair == 0).all(dim=1, keepdim=True)
    assert torch.equal(fused["Copy of A"], pair[:, :1])
    assert torch.equal(fused["Copy of B"], pair[:, 1:])
    assert fused["Clipped sum"].max() == 1
    assert fused["Gray background"][black].min() > 0.05


@pytest.mark.parametrize(("probe", "metric"), CHEATED)
def test_probes_cheat_the_metrics_that_they_are_said_to(pair, probe, metric):
    value, average = (
        fusion_metrics(fused, pair[:, :1], pair[:, 1:])[metric].item()
        for fused in (PROBES[probe](pair), pair.mean(dim=1, keepdim=True))
    )
    assert value > average
