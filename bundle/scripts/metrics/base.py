"""What all fusion metrics share: the declaration, the three images in gray levels, accumulation over a data set."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import torch
from monai.metrics import CumulativeIterationMetric
from monai.metrics.utils import do_metric_reduction
from monai.utils import MetricReduction

from ..data.tasks import PHOTOGRAPHIC_TASKS
from ..utils.enums import Better

__all__ = ["MEDICAL", "FusionMetric", "MetricDeclaration", "Triplet", "check_triplet", "gray_triplet", "to_gray_levels"]

T = TypeVar("T")
MEDICAL = "medical"


@dataclass(frozen=True, eq=False)
class Triplet:
    """A fused image and its two sources in gray levels, and what several metrics compute from them.

    Args:
        stack: (3, N, H, W) float64, integers 0..255: the fused images, sources A and sources B. N counts images,
            channels and, of volumes, slices.

    Example:
        >>> images = Triplet(torch.zeros(3, 1, 4, 4, dtype=torch.float64))
        >>> def brightest(images):
        ...     print("computed")
        ...     return images.fused.amax().item()
        >>> images.once(brightest), images.once(brightest)
        computed
        (0.0, 0.0)
    """

    stack: torch.Tensor
    _results: dict[Callable, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def fused(self) -> torch.Tensor:
        """The fused images, (N, H, W)."""
        return self.stack[0]

    @property
    def sources(self) -> torch.Tensor:
        """Sources A and B, (2, N, H, W)."""
        return self.stack[1:]

    def once(self, compute: Callable[[Triplet], T]) -> T:
        """Return ``compute(self)``, computed at the first call only: the metrics of one family share its result."""
        if compute not in self._results:
            self._results[compute] = compute(self)
        return self._results[compute]


def check_triplet(fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, min_size: int = 2) -> None:
    """Check that three images can be compared pixel by pixel.

    Args:
        fused: fused image.
        source_a: first source.
        source_b: second source.
        min_size: smallest spatial size that the caller can work on, pixels. Defaults to 2.

    Raises:
        ValueError: When the shapes differ, are not (B, C, H, W[, D]) or are smaller than ``min_size``.
        ValueError: When a value is NaN or infinite.
    """
    for name, image in (("source_a", source_a), ("source_b", source_b)):
        if image.shape != fused.shape:
            raise ValueError(
                f"`fused` and `{name}` must have the same shape, got {tuple(fused.shape)} and {tuple(image.shape)}. "
                "Resample first, e.g. with ResampleToMatchd."
            )
    if fused.ndim not in (4, 5):
        raise ValueError(f"Images must have shape (B, C, H, W[, D]), got {tuple(fused.shape)}.")
    if min(fused.shape[2:4]) < min_size:
        raise ValueError(f"Images must have at least {min_size}x{min_size} pixels, got {tuple(fused.shape[2:4])}.")
    for name, image in (("fused", fused), ("source_a", source_a), ("source_b", source_b)):
        if not bool(torch.isfinite(image).all()):
            raise ValueError(f"`{name}` must be finite, got NaN or infinite values. Replace them before the metric.")


def to_gray_levels(image: torch.Tensor, data_range: float) -> torch.Tensor:
    """Bring an image to the field's convention: gray levels 0..255, rounded, in float64.

    Args:
        image: image of any real dtype, values in [0, ``data_range``].
        data_range: the value that is white.

    Returns:
        The image in float64, integers 0..255; MetaTensors become plain tensors.
    """
    plain = image.as_subclass(torch.Tensor) if type(image) is not torch.Tensor else image
    return (plain.detach().to(torch.float64) * (255.0 / data_range)).round().clamp(0.0, 255.0)


def gray_triplet(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float, min_size: int = 2
) -> Triplet:
    """Check the three images, bring them to gray levels and fold channels and slices into one batch axis.

    Args:
        fused: fused image, (B, C, H, W) or (B, C, H, W, D); a volume counts slice by slice along D.
        source_a: first source, same shape.
        source_b: second source, same shape.
        data_range: the value that is white, 1 or 255.
        min_size: smallest height and width, pixels. Defaults to 2.

    Returns:
        The images, N = B*C[*D].

    Raises:
        ValueError: When shapes differ, a side is below ``min_size`` or a value is not finite.
    """
    check_triplet(fused, source_a, source_b, min_size)
    images = [to_gray_levels(x, data_range) for x in (fused, source_a, source_b)]
    if fused.ndim == 5:
        images = [x.movedim(-1, 2) for x in images]
    return Triplet(torch.stack([x.reshape(-1, *x.shape[-2:]) for x in images]))


@dataclass(frozen=True, kw_only=True)
class MetricDeclaration:
    """Everything that the suite, the tables, the statistics, the score and the docs know of a metric.

    Calling it computes the metric: ``declaration(fused, source_a, source_b, data_range)`` returns (B, C) in float64.

    Args:
        name: as printed in tables, in CSV files and on the HTML page.
        order: place among the columns of tables; the smallest number comes first. No two metrics have the same.
        function: public function of the metric; its docstring holds the one line and the reference of the docs.
        compute: what the function computes, from a :class:`Triplet` to (N,).
        low: smallest value that the metric can have.
        high: largest value that the metric can have.
        unit: unit of the values. Defaults to none.
        better: which values are the better ones. Defaults to the higher ones.
        min_size: smallest height and width that the metric works on, pixels. Defaults to 2.
        tasks: the only tasks that it is for. Defaults to none: it is for all tasks.
        ranked: kinds of tasks in which the field ranks methods by it: names of photographic tasks, and ``"medical"``,
            which stands for all others. Defaults to none.
        tested: whether the benchmark tests differences of it for significance; it does so wherever the metric is
            ranked, and of one that is ranked nowhere in all tasks. Defaults to False.
        shown: whether short tables have a column for it. Defaults to False.
        scored: the values that count as 0 and as 1 among the qualities of :func:`~.suite.score`. Defaults to None: it
            is none of these qualities.
    """

    name: str
    order: int
    function: Callable[..., torch.Tensor]
    compute: Callable[[Triplet], torch.Tensor]
    low: float
    high: float
    unit: str = ""
    better: Better = Better.HIGHER
    min_size: int = 2
    tasks: tuple[str, ...] = ()
    ranked: tuple[str, ...] = ()
    tested: bool = False
    shown: bool = False
    scored: tuple[float, float] | None = None

    def __call__(
        self, fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
    ) -> torch.Tensor:
        """Compute the metric of a batch, (B, C)."""
        return self.of(gray_triplet(fused, source_a, source_b, data_range, self.min_size), fused)

    def of(self, images: Triplet, like: torch.Tensor) -> torch.Tensor:
        """Compute the metric of images that are in gray levels already.

        Args:
            images: the images.
            like: the batch that they come from, (B, C, H, W[, D]); a volume gets the mean over its slices.

        Returns:
            (B, C) in float64.
        """
        slices = like.shape[-1] if like.ndim == 5 else 1
        return self.compute(images).reshape(like.shape[0], like.shape[1], slices).mean(dim=-1)

    def ranks(self, task: str) -> bool:
        """Whether the field ranks methods by it in a task, such as ``"PET-MRI"`` or ``"multi-focus"``."""
        return (task if task in PHOTOGRAPHIC_TASKS else MEDICAL) in self.ranked

    @property
    def summary(self) -> str:
        """What the metric measures, in one line: the first paragraph of its function's docstring."""
        return " ".join(self._paragraphs()[0].split())

    @property
    def reference(self) -> str:
        """Where the metric comes from: the paragraph ``Reference:`` of its function's docstring."""
        texts = [text for text in self._paragraphs() if text.startswith("Reference:")]
        return " ".join(texts[0].removeprefix("Reference:").split()) if texts else ""

    def _paragraphs(self) -> list[str]:
        return (inspect.getdoc(self.function) or "").split("\n\n")


class FusionMetric(CumulativeIterationMetric):
    """A fusion metric that accumulates over batches and epochs; each metric's class names its declaration.

    Args:
        reduction: how :meth:`aggregate` reduces over images and channels. Defaults to ``"mean"``.
        data_range: the value that is white, 1 or 255. Defaults to 1.

    Raises:
        ValueError: When ``data_range`` is not positive.
    """

    declaration: ClassVar[MetricDeclaration]

    def __init__(self, reduction: MetricReduction | str = MetricReduction.MEAN, data_range: float = 1.0) -> None:
        super().__init__()
        if data_range <= 0:
            raise ValueError(f"`data_range` must be positive, got {data_range}.")
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
        return self.declaration(y_pred, source_a, source_b, self.data_range)

    def aggregate(self, reduction: MetricReduction | str | None = None) -> torch.Tensor:
        """Reduce the accumulated values; see ``monai.metrics.utils.do_metric_reduction``.

        Args:
            reduction: how. Defaults to None: as the constructor was told.

        Raises:
            ValueError: When no image was seen yet.
        """
        values = self.get_buffer()
        if not isinstance(values, torch.Tensor):
            raise ValueError("No image was seen yet: call the metric before `aggregate`.")
        return do_metric_reduction(values, reduction or self.reduction)[0]
