"""The table of the ablation: means over the seeds, and which differences are more than the seeds' spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ...scripts.metrics import qabf, vif_local, vif_min
from ...scripts.utils.enums import Keep
from ...scripts.utils.tables import markdown_table
from ..columns import DEFECTS, SHOWN
from .measure import KEPT, WAY
from .variants import FULL

__all__ = ["COLUMNS", "SPREAD", "ablation_table", "seed_spread"]

SPREAD = "spread of the seeds"
KEPT_OF_WISHES = tuple(f"{KEPT}/{wish}" for wish in Keep)
COLUMNS = (WAY, *KEPT_OF_WISHES, *(name for name in SHOWN if name not in DEFECTS))
DIFFERENCES = (WAY, *KEPT_OF_WISHES, *(metric.DECLARATION.name for metric in (qabf, vif_min, vif_local)))
BEYOND = 2.0  # standard errors
NONE = "–"

# Variant to the figures of each seed.
Results = Mapping[str, Sequence[Mapping[str, float]]]


def seed_spread(results: Results, column: str) -> float:
    """Standard deviation of a figure between trainings that differ in their seed alone, pooled over the variants.

    Args:
        results: variant to the figures of each seed.
        column: which figure.

    Returns:
        The square root of the mean of the variants' variances; NaN where no variant has two seeds.
    """
    variances = [np.var(found, ddof=1) for name in results if len(found := _values(results, name, column)) > 1]
    return float(np.sqrt(np.mean(variances))) if variances else math.nan


def ablation_table(results: Results) -> str:
    r"""Render the results as Markdown, with the differences from the full network in brackets.

    A star marks a difference of more than two standard errors, :math:`2 s \sqrt{1/n + 1/m}` with the pooled spread s
    of the seeds and the numbers of seeds of both variants: that is more than the seeds explain.

    Args:
        results: variant to the figures of each seed; must hold ``"full"``.
    """
    spreads = {column: seed_spread(results, column) for column in COLUMNS}
    rows = [[name, *(_cell(results, name, column, spreads[column]) for column in COLUMNS)] for name in results]
    rows.append([SPREAD, *(NONE if math.isnan(spread) else f"{spread:.3f}" for spread in spreads.values())])
    return markdown_table(["variant", *COLUMNS], rows)


def _values(results: Results, name: str, column: str) -> list[float]:
    return [found[column] for found in results[name] if column in found]


def _cell(results: Results, name: str, column: str, spread: float) -> str:
    """Mean of the seeds, with the difference and the star where there are any."""
    own, full = _values(results, name, column), _values(results, FULL, column)
    if not own:
        return NONE
    cell = f"{np.mean(own):.3f}"
    if name == FULL or not full:
        return cell
    difference = float(np.mean(own) - np.mean(full))
    if column in DIFFERENCES:
        cell += f" ({difference:+.3f})"
    return cell + "*" * (abs(difference) > BEYOND * spread * math.sqrt(1 / len(own) + 1 / len(full)))
