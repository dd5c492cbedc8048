from __future__ import annotations

import sys

import pytest
from monai.utils import OptionalImportError
from scripts.handlers.figures import new_figure


def test_a_figure_can_be_saved(tmp_path):
    figure = new_figure((2, 1))
    figure.subplots(1, 1).plot([1, 2])
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 0
    assert figure.get_size_inches().tolist() == [2, 1]


def test_what_to_install_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(OptionalImportError, match="pip install matplotlib"):
        new_figure((2, 1))
