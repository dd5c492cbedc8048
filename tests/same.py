"""Whether two states are the same, bit by bit."""

from __future__ import annotations

from typing import Any

import torch


def assert_same(first: Any, second: Any, key: str = "") -> None:
    """Compare two resume files or other states."""
    assert type(first) is type(second), key
    if isinstance(first, dict | list | tuple):
        parts = first.keys() if isinstance(first, dict) else range(len(first))
        assert len(first) == len(second), key
        for part in parts:
            assert_same(first[part], second[part], f"{key}/{part}")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), key
    else:
        assert first == second, key
