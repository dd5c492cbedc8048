"""State in a file: whole or not at all, the same bytes for the same state, and no code in it."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
from scripts.utils.checks import InputError
from scripts.utils.weights import load_state, load_weights, save_state

from tests.model.full_disk import full_disk


def test_the_same_state_makes_the_same_bytes(tmp_path):
    state = {"weight": torch.arange(5.0), "epoch": 3}
    first, second = (save_state(state, tmp_path / name).read_bytes() for name in ("a.pt", "another_name.pt"))
    assert first == second
    assert torch.equal(load_state(tmp_path / "a.pt")["weight"], state["weight"])


def test_a_full_disk_leaves_the_file_before(tmp_path):
    path = save_state(torch.nn.Linear(3, 3).state_dict(), tmp_path / "last.pt")
    before = path.read_bytes()
    for room in (0, 100, 4096, 30000):
        with full_disk(room), pytest.raises(InputError, match=r"last.pt: could not be written: File too large"):
            save_state(torch.nn.Linear(100, 100).state_dict(), path)
        assert path.read_bytes() == before
        assert [item.name for item in tmp_path.iterdir()] == ["last.pt"]


class Harm:
    def __reduce__(self):
        return os.system, ("touch harm",)


def test_code_in_a_file_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Harm()}, "as_torch.pt")
    (tmp_path / "as_pickle.pt").write_bytes(pickle.dumps(Harm()))
    save_state({"weight": Harm()}, "sealed.pt")
    for name in ("as_torch.pt", "as_pickle.pt", "sealed.pt"):
        with pytest.raises(InputError, match="expected weights of the network"):
            load_weights(torch.nn.Linear(1, 1), name)
    assert not (tmp_path / "harm").exists()


def test_weights_of_another_network_are_refused(tmp_path):
    save_state(torch.nn.Linear(2, 2).state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match="expected weights of the network.*Use weights of this version"):
        load_weights(torch.nn.Linear(3, 2), tmp_path / "w.pt")
    network = torch.nn.Linear(2, 2)
    assert load_weights(network, tmp_path / "w.pt") is network
