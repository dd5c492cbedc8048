"""Information in the fused image and shared with the sources: EN, MI, FMI."""

from __future__ import annotations

import torch

from .base import FusionMetric, GrayTriplet, gray_triplet, unfold

__all__ = [
    "EntropyMetric",
    "FeatureMutualInformationMetric",
    "MutualInformationMetric",
    "entropy",
    "feature_mutual_information",
    "mutual_information",
]

LEVELS = 256


def _joint_histogram(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Joint probabilities (N, 256, 256) of two stacks (N, H, W) of gray levels."""
    count = x.shape[0]
    image = torch.arange(count, device=x.device).reshape(-1, 1, 1) * (LEVELS * LEVELS)
    code = image + x.long() * LEVELS + y.long()
    histogram = torch.bincount(code.flatten(), minlength=count * LEVELS * LEVELS)
    return histogram.reshape(count, LEVELS, LEVELS).to(torch.float64) / x[0].numel()


def _entropy_nats(probabilities: torch.Tensor) -> torch.Tensor:
    return -torch.special.xlogy(probabilities, probabilities).flatten(1).sum(dim=1)


def _mutual_information_and_entropies(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mutual information and the sum of both entropies, nats."""
    joint = _joint_histogram(x, y)
    entropies = _entropy_nats(joint.sum(dim=2)) + _entropy_nats(joint.sum(dim=1))
    return (entropies - _entropy_nats(joint)).clamp_min(0.0), entropies


def _entropy(images: GrayTriplet) -> torch.Tensor:
    f, _, _ = images
    image = torch.arange(f.shape[0], device=f.device).reshape(-1, 1, 1) * LEVELS
    histogram = torch.bincount((image + f.long()).flatten(), minlength=f.shape[0] * LEVELS)
    probabilities = histogram.reshape(-1, LEVELS).to(torch.float64) / f[0].numel()
    return _entropy_nats(probabilities) / torch.log(torch.tensor(2.0, dtype=torch.float64))


def entropy(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Shannon entropy of the 256-bin histogram of the fused image (EN), bits. A constant image gives 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Roberts et al., "Assessment of image fusion procedures using entropy, image quality, and multispectral
    classification", Journal of Applied Remote Sensing 2008, doi:10.1117/1.2945910.
    """
    return unfold(_entropy(gray_triplet(fused, source_a, source_b, data_range)), fused)


def _mutual_information(images: GrayTriplet) -> torch.Tensor:
    f, a, b = images
    total = _mutual_information_and_entropies(f, a)[0] + _mutual_information_and_entropies(f, b)[0]
    return total


def mutual_information(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    """Mutual information I(F; A) + I(F; B) on joint 256-bin histograms (MI), nats (EN is in bits: the field's oddity).

    A constant image shares nothing: 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Qu, Zhang, Yan, "Information measure for performance of image fusion", Electronics Letters 2002,
    doi:10.1049/el:20020212.
    """
    return unfold(_mutual_information(gray_triplet(fused, source_a, source_b, data_range)), fused)


def _feature_mutual_information(images: GrayTriplet) -> torch.Tensor:
    features = []
    for image in images:
        dy, dx = torch.gradient(image.to(torch.float32), dim=(-2, -1))
        features.append((dx.square() + dy.square()).sqrt().round().clamp_max(LEVELS - 1.0))
    total = torch.zeros(features[0].shape[0], dtype=torch.float64, device=features[0].device)
    for source in features[1:]:
        shared, entropies = _mutual_information_and_entropies(features[0], source)
        total = total + torch.where(entropies > 0, shared / entropies.clamp_min(1e-12), torch.zeros_like(shared))
    return total


def feature_mutual_information(
    fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, data_range: float = 1.0
) -> torch.Tensor:
    r"""Feature mutual information (FMI) of the gradient magnitudes, in [0, 1].

    .. math:: FMI = \frac{I(g_F; g_A)}{H(g_F) + H(g_A)} + \frac{I(g_F; g_B)}{H(g_F) + H(g_B)}

    Departure from the paper: the joint distribution of the features is counted in a 256-bin histogram of the whole
    image instead of being modelled from their correlation. Where both entropies are 0 the term is 0.

    Shape:
        fused, source_a, source_b: (B, C, H, W[, D]); returns (B, C).

    Raises:
        ValueError: When shapes differ or a value is not finite.

    Reference: Haghighat, Aghagolzadeh, Seyedarabi, "A non-reference image fusion metric based on mutual information of
    image features", Computers and Electrical Engineering 2011, doi:10.1016/j.compeleceng.2011.07.012.
    """
    return unfold(_feature_mutual_information(gray_triplet(fused, source_a, source_b, data_range)), fused)


class EntropyMetric(FusionMetric):
    """Accumulating version of :func:`entropy`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(entropy, reduction, data_range)


class MutualInformationMetric(FusionMetric):
    """Accumulating version of :func:`mutual_information`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(mutual_information, reduction, data_range)


class FeatureMutualInformationMetric(FusionMetric):
    """Accumulating version of :func:`feature_mutual_information`; see :class:`FusionMetric` for the arguments."""

    def __init__(self, reduction: str = "mean", data_range: float = 1.0) -> None:
        super().__init__(feature_mutual_information, reduction, data_range)
