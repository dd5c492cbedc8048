"""What a table of means hides: confidence intervals, ranks, significance, and methods that win by a trick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from monai.utils import optional_import

from ..scripts.metrics import background, vif_local, vif_min
from ..scripts.metrics.base import MEDICAL
from .columns import DEFECTS, names_of, ranked, tested

scipy_stats, _ = optional_import("scipy.stats", descriptor="{}: install it with `pip install scipy`.")

__all__ = [
    "agreement",
    "bootstrap_interval",
    "draw_cases",
    "holm",
    "mean_ranks",
    "paired_tests",
    "probe_warnings",
]

RESAMPLES = 2000
BACKGROUND, VIF_LOCAL, VIF_MIN = (metric.DECLARATION.name for metric in (background, vif_local, vif_min))


def draw_cases(cases: Sequence[str], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw whole cases with replacement, for a bootstrap; single images where all are of one case.

    Args:
        cases: the patient of each image.
        seed: of the draws. Defaults to 0.

    Returns:
        The number of each image's case, (N,), and how often each case is in each draw, (2000, cases).
    """
    names, index = np.unique(np.asarray(cases), return_inverse=True)
    if len(names) == 1:
        names = index = np.arange(len(cases))
    drawn = np.random.default_rng(seed).integers(0, len(names), (RESAMPLES, len(names)))
    return index, np.stack([np.bincount(row, minlength=len(names)) for row in drawn])


def bootstrap_interval(
    values: np.ndarray, cases: Sequence[str], confidence: float = 0.95, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap interval of the mean, drawing whole cases: slices of one patient are not independent.

    Where all images are of one case, single images are drawn: such an interval says nothing about other patients.

    Args:
        values: one row an image, (N, K).
        cases: the patient of each image.
        confidence: coverage. Defaults to 0.95.
        seed: of the draws. Defaults to 0.

    Returns:
        Lower and upper ends, (K,) each.

    Reference: Davison and Hinkley, "Bootstrap methods and their application", 1997, section 3.8 (hierarchical data).
    """
    index, draws = draw_cases(cases, seed)
    sums = np.zeros((draws.shape[1], values.shape[1]))
    np.add.at(sums, index, values)
    means = draws @ sums / (draws @ np.bincount(index))[:, None]
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def mean_ranks(
    means: Mapping[str, Mapping[str, float]], probes: Sequence[str] = (), task: str = MEDICAL
) -> dict[str, float]:
    """Mean rank of each method over the metrics of :func:`~.columns.ranked`; 1 is best, equal values share a rank.

    Args:
        means: method to metric to mean.
        probes: methods that do not take part: each gets the mean rank that it would have alone among the others.
            Defaults to none.
        task: whose metrics rank. Defaults to any medical one.
    """
    others = [name for name in means if name not in probes]

    def ranks(names: Sequence[str]) -> dict[str, float]:
        table = np.array([[means[name][metric] for metric in ranked(task)] for name in names])
        signs = [1 if metric in DEFECTS else -1 for metric in ranked(task)]
        return dict(zip(names, scipy_stats.rankdata(table * signs, axis=0).mean(axis=1).tolist(), strict=True))

    return {**ranks(others), **{probe: ranks([*others, probe])[probe] for probe in probes if probe in means}}


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the number of tests.

    Reference: Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 1979.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    steps = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.tolist()


def paired_tests(
    values: Mapping[str, np.ndarray], reference: str, task: str = MEDICAL
) -> dict[str, dict[str, dict[str, float]]]:
    """Wilcoxon signed-rank tests of one method against each other one, Holm-adjusted over all of them.

    Args:
        values: method to (N, K) array, the same N images in the same order, K as
            :func:`~.columns.names_of` the task.
        reference: the method that is compared.
        task: whose metrics are tested. Defaults to any medical one.

    Returns:
        Method to metric of :func:`~.columns.tested` to ``difference`` (mean of reference minus method) and ``p``.

    Reference: Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1945.
    """
    columns = [names_of(task).index(metric) for metric in tested(task)]
    keys, differences, p_values = [], [], []
    for name in values:
        if name == reference:
            continue
        gap = values[reference][:, columns] - values[name][:, columns]
        for metric, column in zip(tested(task), gap.T, strict=True):
            keys.append((name, metric))
            differences.append(float(column.mean()))
            p_values.append(float(scipy_stats.wilcoxon(column).pvalue) if np.any(column) else 1.0)
    result: dict[str, dict[str, dict[str, float]]] = {}
    for (name, metric), difference, p in zip(keys, differences, holm(p_values), strict=True):
        result.setdefault(name, {})[metric] = {"difference": difference, "p": p}
    return result


def agreement(
    means: Mapping[str, Mapping[str, float]], yardstick: Mapping[str, float], task: str = MEDICAL
) -> dict[str, dict[str, float | int]]:
    """Say how far each metric puts methods in the same order as a yardstick does.

    Args:
        means: method to metric to mean.
        yardstick: method to its figure, the larger the better; of some or all of the methods.
        task: whose metrics are compared. Defaults to any medical one.

    Returns:
        Metric to ``tau`` (Kendall's tau-b: 1 same order, -1 reversed; of a defect the smaller value is the better
        one), ``p`` and ``methods``, their number. Empty for fewer than three methods; a metric that is the same for
        all of them is left out.

    Reference: Kendall, "The treatment of ties in ranking problems", Biometrika 1945.
    """
    names = [name for name in yardstick if name in means]
    result: dict[str, dict[str, float | int]] = {}
    for metric in names_of(task) if len(names) >= 3 else ():
        sign = -1 if metric in DEFECTS else 1
        found = scipy_stats.kendalltau([yardstick[n] for n in names], [sign * means[n][metric] for n in names])
        if not np.isnan(found.statistic):
            result[metric] = {"tau": float(found.statistic), "p": float(found.pvalue), "methods": len(names)}
    return result


def probe_warnings(
    means: Mapping[str, float],
    average: Mapping[str, float],
    copies: Sequence[Mapping[str, float]],
    white: float,
    white_of_sum: float,
    choosing: bool = False,
) -> list[str]:
    """Say in which way a method behaves like one of the degenerate probes, each with its figures.

    Args:
        means: the method's means.
        average: means of the plain average on the same images.
        copies: means of the copies of each source.
        white: fraction of pixels that the method made white although no source is.
        white_of_sum: the same of the clipped sum.
        choosing: the task is to choose the better one of two photographs at each place, so that is no trick. Defaults
            to False.
    """
    warnings = []
    if means[BACKGROUND] > 0.01:
        warnings.append(
            f"grays the background: {means[BACKGROUND]:.0%} of the pixels that are black in both sources are not; "
            "this lifts EN"
        )
    if white > 0.002 and white > 0.25 * white_of_sum:
        warnings.append(
            f"clips like a sum: {white:.1%} of the pixels are white although no source is, the clipped sum has "
            f"{white_of_sum:.1%}; this lifts SD and SCD"
        )
    copy = min(c[VIF_MIN] for c in copies)
    if means[VIF_MIN] < min(1.5 * copy, 0.5 * average[VIF_MIN]):
        warnings.append(
            f"keeps one source only: {VIF_MIN} {means[VIF_MIN]:.3f}, a copy has {copy:.3f}, the average "
            f"{average[VIF_MIN]:.3f}; this lifts VIF and MI"
        )
    if not choosing and means[VIF_LOCAL] < 0.65 * average[VIF_LOCAL]:
        warnings.append(
            f"cuts and pastes: {VIF_LOCAL} {means[VIF_LOCAL]:.3f}, the average has {average[VIF_LOCAL]:.3f}; "
            "where both sources have structure it shows one"
        )
    return warnings
