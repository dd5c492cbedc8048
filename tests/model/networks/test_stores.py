"""Blocks and nets by name."""

from __future__ import annotations

import pytest
import torch
from scripts.networks.blocks.invertible import InvertibleDenseNetwork
from scripts.networks.blocks.store import Blocks, FeatureExtractors
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.networks.nets.store import Nets
from scripts.networks.stores import NetworkStore


@pytest.mark.parametrize("store", [Blocks, FeatureExtractors, Nets], ids=lambda store: store.name)
def test_every_component_is_a_module_with_a_description(store):
    for name, component in store:
        assert issubclass(component, torch.nn.Module)
        assert store[name] is component
        assert store.components[name].description
        assert store.components[name].description in str(store) or component.__doc__


@pytest.mark.parametrize(("store", "name", "near"), [(Nets, "mmif_amim", "mmif_amin"), (Blocks, "mcfen", "mcfem")])
def test_the_near_miss_is_suggested(store, name, near):
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        store[name]


@pytest.mark.parametrize("name", FeatureExtractors.names)
def test_the_network_takes_its_extractor_by_name(name):
    net = MMIFAMIN(2, feature_extractor=name)
    assert type(net.idn) is FeatureExtractors[name]
    assert net(torch.rand(1, 2, 16, 20)).shape == (1, 1, 16, 20)


def test_an_unknown_extractor_is_refused():
    with pytest.raises(ValueError, match="did you mean 'plain_dense'"):
        MMIFAMIN(2, feature_extractor="plain_dens")


def test_an_own_extractor_can_be_added(monkeypatch):
    class Shifted(InvertibleDenseNetwork):
        """The IDN of the negative."""

        def features(self, x):
            return super().features(1 - x)

    monkeypatch.setattr(FeatureExtractors, "components", dict(FeatureExtractors.components))
    FeatureExtractors.add("shifted", "the IDN of the negative", Shifted)
    assert type(MMIFAMIN(2, feature_extractor="shifted", reversible=True).idn) is Shifted


def test_names_must_be_identifiers():
    with pytest.raises(ValueError, match="identifier"):
        NetworkStore("Store", "of nothing").add("no name", "", torch.nn.Identity)
