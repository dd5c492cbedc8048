"""What all fusion metrics share: the call on three images, slices of volumes, accumulation over a data set."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.metrics import CumulativeIterationMetric
from monai.metrics.utils import do_metric_reduction
from monai.utils import MetricReduction

from ..utils.checks import check_triplet, to_gray_levels

__all__ = ["FusionMetric", "GrayTriplet", "gray_triplet", "unfold"]

GrayTriplet = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def gray_triplet(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float, min_size: int = 2
) -> GrayTriplet:
    """Check the three images, bring them to gray levels and fold channels and slices into one batch axis.

    Args:
        fused: fused image, (B, C, H, W) or (B, C, H, W, D); a volume counts slice by slice along D.
        source_a: first source, same shape.
        source_b: second source, same shape.
        data_range: the value that is white, 1 or 255.
        min_size: smallest height and width, pixels. Defaults to 2.

    Returns:
        Three float64 tensors of shape (B*C[*D], H, W), integers 0..255.
    """
    check_triplet(fused, source_a, source_b, min_size)
    images = [to_gray_levels(x, data_range) for x in (fused, source_a, source_b)]
    if fused.ndim == 5:
        images = [x.movedim(-1, 2) for x in images]
    folded = [x.reshape(-1, *x.shape[-2:]) for x in images]
    return folded[0], folded[1], folded[2]


def unfold(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Undo the folding of :func:`gray_triplet` for one value an image: (B*C[*D],) to (B, C), mean over slices."""
    slices = like.shape[-1] if like.ndim == 5 else 1
    return values.reshape(like.shape[0], like.shape[1], slices).mean(dim=-1)


class FusionMetric(CumulativeIterationMetric):
    """A fusion metric that accumulates over batches and epochs.

    Args:
        function: metric function ``(fused, source_a, source_b, data_range) -> (B, C)``.
        reduction: how :meth:`aggregate` reduces over images and channels. Defaults to ``"mean"``.
        data_range: the value that is white, 1 or 255. Defaults to 1.

    Raises:
        ValueError: When ``data_range`` is not positive.
    """

    def __init__(
        self,
        function: Callable[..., torch.Tensor],
        reduction: MetricReduction | str = MetricReduction.MEAN,
        data_range: float = 1.0,
    ) -> None:
        super().__init__()
        if data_range <= 0:
            raise ValueError(f"`data_range` must be positive, got {data_range}.")
        self.function = function
        self.reduction = reduction
        self.data_range = data_range

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **_: object) -> torch.Tensor:
        """Compute the metric of one batch.

        Args:
            y_pred: fused images, (B, C, H, W[, D]).
            y: both sources, (B, 2*C, H, W[, D]): source A in the first C channels, source B in the rest.

        Raises:
            ValueError: When ``y`` has not twice the channels of ``y_pred``.
        """
        if y is None or y.shape[1] != 2 * y_pred.shape[1]:
            raise ValueError(
                "`y` must hold both sources, twice the channels of `y_pred`, "
                f"got {None if y is None else tuple(y.shape)} and {tuple(y_pred.shape)}."
            )
        source_a, source_b = y.chunk(2, dim=1)
        return self.function(y_pred, source_a, source_b, data_range=self.data_range)

    def aggregate(self, reduction: MetricReduction | str | None = None) -> torch.Tensor:
        """Reduce the accumulated values; see ``monai.metrics.utils.do_metric_reduction``."""
        values = self.get_buffer()
        if not isinstance(values, torch.Tensor):
            raise ValueError("No image was seen yet: call the metric before `aggregate`.")
        return do_metric_reduction(values, reduction or self.reduction)[0]
