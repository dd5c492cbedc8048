"""How steep the fused image's gradients are: the term ``sharpness``, after AG and SF."""

from __future__ import annotations

from .base import LossTerm
from .edges import edges_and_sharpness

__all__ = ["TERMS"]

TERMS = (LossTerm("sharpness", 6.0, lambda inputs: inputs.once(edges_and_sharpness)[2]),)
