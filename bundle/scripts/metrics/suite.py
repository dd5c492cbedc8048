"""All fusion metrics of a batch at once, and their accumulation by task."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from monai.metrics import CumulativeIterationMetric

from .base import gray_triplet, unfold
from .contrast import _average_gradient, _spatial_frequency, _standard_deviation
from .correlation import (
    _background,
    _correlation_coefficient,
    _peak_signal_to_noise_ratio,
    _sum_of_correlations_of_differences,
)
from .gradient import _qabf
from .information import _entropy, _feature_mutual_information, _mutual_information
from .structural import _multi_scale_ssim, _ssim
from .vif import MIN_SIZE, _vif

__all__ = ["METRIC_NAMES", "FusionMetricSuite", "fusion_metrics", "score"]

METRIC_NAMES = (
    *("EN", "SD", "SF", "AG", "MI", "SCD", "VIF", "Qabf", "ssim", "ssim_legacy", "CC", "PSNR", "MS-SSIM", "FMI"),
    *("VIFmin", "Qabf_min", "VIFlocal", "background"),
)


def fusion_metrics(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> dict[str, torch.Tensor]:
    """All metrics of :data:`METRIC_NAMES` for a batch, sharing what they have in common.

    Args:
        fused: fused images, (B, C, H, W[, D]), H and W at least 41.
        source_a: first sources, same shape.
        source_b: second sources, same shape.
        data_range: the value that is white, 1 or 255. Defaults to 1.

    Returns:
        Dictionary of name to (B, C) float64 tensor on the device of the images, always finite.

    Raises:
        ValueError: When shapes differ, a side is below 41 pixels or a value is not finite.
    """
    images = gray_triplet(fused, source_a, source_b, data_range, MIN_SIZE)
    values = {
        "EN": _entropy(images),
        "SD": _standard_deviation(images),
        "SF": _spatial_frequency(images),
        "AG": _average_gradient(images),
        "MI": _mutual_information(images),
        "SCD": _sum_of_correlations_of_differences(images),
        "CC": _correlation_coefficient(images),
        "PSNR": _peak_signal_to_noise_ratio(images),
        "MS-SSIM": _multi_scale_ssim(images),
        "FMI": _feature_mutual_information(images),
        "background": _background(images),
        **_vif(images),
        **_qabf(images),
        **_ssim(images),
    }
    return {name: unfold(values[name], fused) for name in METRIC_NAMES}


def score(means: dict[str, float]) -> float:
    r"""One number to choose weights by: the field's qualities, and both sources at the same place, with equal say.

    .. math::
        \sqrt{\Bigl(\tfrac{VIF}{2}\; Qabf\; \tfrac{ssim}{2}\; \tfrac{SCD + 2}{4}\Bigr)^{1/4}\, VIFlocal}\;
        (1 - background)

    A copy of one source, a cut-and-paste of regions and a grey background all lose by it. An earlier version had VIFmin
    and Qabf_min among the qualities and chose weights that showed the PET alone inside the brain.

    Args:
        means: means of :data:`METRIC_NAMES` over a data set.

    Returns:
        The score, in [0, 1].
    """
    qualities = [means["VIF"] / 2, means["Qabf"], means["ssim"] / 2, (means["SCD"] + 2) / 4]
    whole = math.prod(max(q, 0.0) for q in qualities) ** (1 / len(qualities))
    return math.sqrt(whole * means["VIFlocal"]) * (1 - means["background"])


class FusionMetricSuite(CumulativeIterationMetric):
    """Accumulates all fusion metrics over a data set; aggregates to means over everything and by task.

    Args:
        tasks: names of the tasks that may occur, e.g. ``("CT-MRI", "PET-MRI", "SPECT-MRI")``. Defaults to none.
        data_range: the value that is white, 1 or 255. Defaults to 1.

    Raises:
        ValueError: When a batch names a task that is not in ``tasks``.
    """

    def __init__(self, tasks: Sequence[str] = (), data_range: float = 1.0) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.data_range = data_range

    def _compute_tensor(
        self, y_pred: torch.Tensor, y: torch.Tensor | None = None, tasks: Sequence[str] | None = None, **_: object
    ) -> torch.Tensor:
        """Compute one row an image: its task index (-1: none), then the metrics, mean over channels.

        Args:
            y_pred: fused images, (B, 1, H, W[, D]).
            y: both sources, (B, 2, H, W[, D]).
            tasks: the task of each image.
        """
        if y is None or y.shape[1] != 2:
            raise ValueError(f"`y` must hold both sources, shape (B, 2, H, W[, D]), got {getattr(y, 'shape', None)}.")
        unknown = set(tasks or ()) - set(self.tasks)
        if unknown:
            raise ValueError(f"Tasks {sorted(unknown)} are not in `tasks` {list(self.tasks)}: add them there.")
        values = fusion_metrics(y_pred, y[:, :1], y[:, 1:], self.data_range)
        rows = torch.stack([v.mean(dim=1) for v in values.values()], dim=1)
        index = [self.tasks.index(t) for t in tasks] if tasks else [-1] * len(rows)
        return torch.cat([torch.tensor(index, dtype=rows.dtype, device=rows.device).unsqueeze(1), rows], dim=1)

    def aggregate(self) -> dict[str, float]:
        """Means and :func:`score` as ``{"VIF": ..., "CT-MRI/VIF": ...}``; overall each task weighs the same.

        Raises:
            ValueError: When no image was seen yet.
        """
        rows = self.get_buffer()
        if not isinstance(rows, torch.Tensor):
            raise ValueError("No image was seen yet: call the metric before `aggregate`.")
        by_task: dict[str, dict[str, float]] = {}
        for index, task in enumerate(self.tasks):
            chosen = rows[rows[:, 0] == index, 1:]
            if len(chosen):
                by_task[task] = dict(zip(METRIC_NAMES, chosen.mean(dim=0).tolist(), strict=True))
        groups = list(by_task.values()) or [dict(zip(METRIC_NAMES, rows[:, 1:].mean(dim=0).tolist(), strict=True))]
        for means in groups:
            means["score"] = score(means)
        result = {name: sum(means[name] for means in groups) / len(groups) for name in groups[0]}
        for task, means in by_task.items():
            result.update({f"{task}/{name}": value for name, value in means.items()})
        return result
