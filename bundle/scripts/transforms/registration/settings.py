"""The figures by which a registration prepares its volumes and searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["SearchSettings"]

Vector = Sequence[float]


@dataclass(frozen=True)
class SearchSettings:
    """How the volumes are prepared, and how the search for the best transform goes.

    Args:
        coarse_voxel: mm; finer volumes are averaged down to about this size for the search from each start. Defaults
            to 2.
        fine_voxel: mm; the same for the last step. Defaults to 1.
        coarse_levels: mm; smoothing of the image pyramid in the search, coarse to fine. Defaults to 8, 4, 2.
        fine_levels: mm; the same in the last step. Defaults to 2, 1.
        ct_range: HU; a CT is clipped to this range. Defaults to -1000 (air), 1500 (bone).
        percentiles: a volume that is no CT is clipped to them. Defaults to 0.05, 99.95.
        body: HU; the threshold between air or lung and tissue. Defaults to -300.
        margin: mm; so much of the background around the head counts too, because its edge says where the head is.
            Defaults to 5.
        bins: of each histogram of the normalized mutual information that compares results. Defaults to 48.
        samples: voxels at which results are compared, at most. Defaults to 60,000.
        restarts: rotations (degrees about x, y, z) and shifts (mm along x, y, z) away from the first result, from which
            further searches must come back to it. Defaults to two of about 9 degrees and 12 mm.
        distractor: mm; the result's metric is compared with that at six shifts of this length. Defaults to 10.
        elastix_bins: of the histograms of elastix's own metric. Defaults to 32.
        elastix_iterations: of elastix on each level. Defaults to 300.
        elastix_samples: voxels that elastix draws in each iteration. Defaults to 4096.
        knots: mm between the knots of a deformation. Defaults to 24.
        stiffness: weight of a deformation's bending energy beside the mutual information. Defaults to 20.

    Raises:
        ValueError: When a size or a number is not positive, or ``ct_range`` or ``percentiles`` are empty.
    """

    coarse_voxel: float = 2.0
    fine_voxel: float = 1.0
    coarse_levels: Vector = (8.0, 4.0, 2.0)
    fine_levels: Vector = (2.0, 1.0)
    ct_range: Vector = (-1000.0, 1500.0)
    percentiles: Vector = (0.05, 99.95)
    body: float = -300.0
    margin: float = 5.0
    bins: int = 48
    samples: int = 60_000
    restarts: Sequence[Sequence[Vector]] = (
        ((6.0, -5.0, 4.0), (7.0, -6.0, 8.0)),
        ((-5.0, 6.0, -6.0), (-8.0, 7.0, -6.0)),
    )
    distractor: float = 10.0
    elastix_bins: int = 32
    elastix_iterations: int = 300
    elastix_samples: int = 4096
    knots: float = 24.0
    stiffness: float = 20.0

    def __post_init__(self) -> None:
        """Check the figures."""
        several = ("coarse_levels", "fine_levels")
        single = ("coarse_voxel", "fine_voxel", "bins", "samples", "distractor", "knots", "stiffness")
        elastix = ("elastix_bins", "elastix_iterations", "elastix_samples")
        for name in (*several, *single, *elastix):
            value = getattr(self, name)
            numbers = list(value) if name in several else [value]
            if not numbers or min(numbers) <= 0:
                raise ValueError(f"`{name}` must be positive, got {value}.")
        if self.margin < 0:
            raise ValueError(f"`margin` must be 0 mm or more, got {self.margin}.")
        if len(self.ct_range) != 2 or self.ct_range[0] >= self.ct_range[1]:
            raise ValueError(f"`ct_range` must be a lower and a higher value, HU, got {self.ct_range}.")
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"`percentiles` must rise from 0 to 100 at most, got {self.percentiles}.")
        if not self.restarts:
            raise ValueError("`restarts` must hold at least one rotation and shift, got none.")
