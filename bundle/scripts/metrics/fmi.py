"""Feature mutual information of the fused image with both sources (FMI)."""

from __future__ import annotations

import torch

from .base import FusionMetric, MetricDeclaration, Triplet
from .shared.histograms import LEVELS, mutual_information_and_entropies

__all__ = ["DECLARATION", "FeatureMutualInformationMetric", "feature_mutual_information"]


def feature_mutual_information(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Information that the gradient strengths of the fused image share with those of each source.

    .. math:: FMI = \frac{I(g_F; g_A)}{H(g_F) + H(g_A)} + \frac{I(g_F; g_B)}{H(g_F) + H(g_B)}

    Departure from the paper: the joint distribution of the features is counted in a histogram of 256 x 256 bins over
    the whole image instead of being modeled from their correlation. Where both entropies are 0 the term is 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Haghighat, Aghagolzadeh, Seyedarabi, "A non-reference image fusion metric based on mutual information of
    image features", Computers and Electrical Engineering 2011, doi:10.1016/j.compeleceng.2011.07.012.
    """
    return DECLARATION(fused, source_a, source_b, data_range)


def _feature_mutual_information(images: Triplet) -> torch.Tensor:
    features = []
    for image in images.stack:
        dy, dx = torch.gradient(image.to(torch.float32), dim=(-2, -1))
        features.append((dx.square() + dy.square()).sqrt().round().clamp_max(LEVELS - 1.0))
    total = torch.zeros(features[0].shape[0], dtype=torch.float64, device=features[0].device)
    for source in features[1:]:
        shared, entropies = mutual_information_and_entropies(features[0], source)
        total = total + torch.where(entropies > 0, shared / entropies.clamp_min(1e-12), torch.zeros_like(shared))
    return total


DECLARATION = MetricDeclaration(
    name="FMI",
    order=140,
    function=feature_mutual_information,
    compute=_feature_mutual_information,
    low=0.0,
    high=1.0,
    ranked=("infrared-visible", "multi-focus", "multi-exposure"),
    tested=True,
)


class FeatureMutualInformationMetric(FusionMetric):
    """Accumulates :func:`feature_mutual_information` over batches; see :class:`FusionMetric` for the arguments."""

    declaration = DECLARATION
