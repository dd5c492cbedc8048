"""Two sites of different modalities train one network in NVFlare's simulator."""

from __future__ import annotations

import csv
import re
import shutil

import pytest
import torch

from benchmarks.federated import simulate, write_job

pytest.importorskip("monai_nvflare", reason="monai-nvflare is not installed; make test-federated installs it")

OPTIONS = {
    "batch_size": 4,
    "patch_size": 64,
    "network_def#channels": 16,
    "meta_interval": 1,
    "teacher#warmup": 0,
    "optimum_steps": 0,
}
ROUNDS = 3


@pytest.fixture
def sites(tmp_path, harvard_like):
    """The two tasks of the made-up collection, each at a site of its own."""
    found = {}
    for site, task in (("ct", "CT-MRI"), ("pet", "PET-MRI")):
        found[site] = tmp_path / f"data_{site}"
        shutil.copytree(harvard_like / task, found[site] / task)
    return found


@pytest.mark.slow
def test_three_rounds_at_two_sites(tmp_path, sites):
    from scripts.networks.nets.mmif_amin import MMIFAMIN

    torch.manual_seed(0)
    network = MMIFAMIN(2, 2, 1, channels=16)
    torch.save(network.state_dict(), tmp_path / "start.pt")
    job = write_job(tmp_path / "job", sites, ROUNDS, 1, tmp_path / "sites", OPTIONS, tmp_path / "start.pt")
    weights = torch.load(simulate(job, tmp_path / "workspace", sites), weights_only=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(weights)
    assert any(not torch.equal(before[name], value) for name, value in network.state_dict().items())
    for site, task in (("ct", "CT-MRI"), ("pet", "PET-MRI")):
        with (tmp_path / "sites" / site / "loss_weights.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["epoch"] for row in rows] == ["1", "2", "3"]
        assert f"weight_{task}/local" in rows[0], "the site saw its own task"
        assert sum(name.startswith("weight_") and name.endswith("/local") for name in rows[0]) == 1, "and no other"
    log = (tmp_path / "workspace" / "server" / "log.txt").read_text()
    assert len(re.findall(r"Round \d+ finished", log)) == ROUNDS
    scores = re.findall(r"(ct|pet) reported key metric score: (\d\.\d+)", _logs(tmp_path / "workspace"))
    assert len(scores) == ROUNDS * len(sites)


def _logs(workspace) -> str:
    return "\n".join((workspace / site / "log.txt").read_text() for site in ("ct", "pet"))
