"""What a network's image has lost of lesions that were planted into one source: the loss that ``keep`` adds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.modules.loss import _Loss

from ..metrics.detection.lesions import ROOM, Lesion, LesionKind, place_lesions, plant
from ..metrics.detection.observer import channels, internal_noise
from ..utils.enums import LesionShape
from .lessons import Lessons

__all__ = ["LesionLessons", "LesionLoss", "PlantedPairs", "draw_kind", "lightness", "plant_lesions"]

FEWEST = 4  # lesions of a batch, below which their mean says nothing
COUNT = 4  # lesions of one image, at most
SIGMAS = {LesionShape.GAUSSIAN: (1.3, 5.5), LesionShape.RING: (1.3, 2.8), LesionShape.STREAK: (1.3, 2.8)}  # pixels
CONTRASTS = (5, 20)  # percent of white
STRIDE = 4  # pixels from one place of the clutter to the next
RIDGE = 1e-3  # of the mean variance of the channels, so that their covariance can be inverted
FLOOR = 0.01  # kept part whose logarithm is the worst


@dataclass
class PlantedPairs:
    """Pairs of one modality without lesions, with lesions in source A, and with the same lesions in source B.

    Args:
        image: (B, 2, H, W) in [0, 1].
        with_a: the same with lesions in source A.
        with_b: the same with lesions in source B.
        kind: of the lesions.
        lesions: those of each pair.
        keep: the condition under which they are fused, (0, 1].
    """

    image: torch.Tensor
    with_a: torch.Tensor
    with_b: torch.Tensor
    kind: LesionKind
    lesions: list[list[Lesion]]
    keep: float

    @property
    def inputs(self) -> torch.Tensor:
        """The three, one after the other, (3B, 2, H, W)."""
        return torch.cat([self.image, self.with_a, self.with_b])

    @property
    def pairs(self) -> torch.Tensor:
        """The pairs without lesions."""
        return self.image

    @property
    def condition(self) -> dict[str, torch.Tensor]:
        """``keep`` for each of the inputs."""
        return {"keep": self.image.new_full([3 * len(self.image)], self.keep)}


def draw_kind(rng: np.random.Generator) -> LesionKind:
    """Draw a kind of lesion: three of five are Gaussian, the others rings and streaks; any size, 5 to 20 %."""
    shape = rng.choice([LesionShape.GAUSSIAN] * 3 + [LesionShape.RING, LesionShape.STREAK])
    smallest, largest = SIGMAS[shape]
    sigma = float(np.exp(rng.uniform(np.log(smallest), np.log(largest))))
    return LesionKind(shape, round(sigma, 1), int(rng.integers(CONTRASTS[0], CONTRASTS[1] + 1)))


def plant_lesions(image: torch.Tensor, keep: float, rng: np.random.Generator) -> PlantedPairs | None:
    """Plant lesions of one kind, drawn for the whole batch, once into source A and once into source B.

    Args:
        image: (B, 2, H, W) in [0, 1], pairs of one modality.
        keep: the condition under which they will be fused.
        rng: draws kind and places.

    Returns:
        None where there is no room for four lesions.
    """
    kind, arrays = draw_kind(rng), image.cpu().numpy()
    seed = int(rng.integers(2**31))
    lesions = [place_lesions(pair, kind, seed, [str(k)], COUNT) for k, pair in enumerate(arrays)]
    if sum(map(len, lesions)) < FEWEST:
        return None
    planted = [image.clone(), image.clone()]
    for source, target in enumerate(planted):
        for k, pair in enumerate(arrays):
            target[k, source] = torch.from_numpy(plant(pair[source], kind, lesions[k])).to(image)
    return PlantedPairs(image, planted[0], planted[1], kind, lesions, keep)


def lightness(gray: torch.Tensor) -> torch.Tensor:
    """CIELAB's L, 0 to 100, of gray values in [0, 1], as an sRGB screen shows them; differentiable.

    Reference: IEC 61966-2-1 (sRGB); CIE 15:2004 (L).
    """
    y = torch.where(gray > 0.04045, ((gray.clamp_min(1e-4) + 0.055) / 1.055) ** 2.4, gray / 12.92)
    return torch.where(y > 0.008856, 116 * y.clamp_min(1e-5) ** (1 / 3) - 16, 903.3 * y)


class LesionLoss(_Loss):
    r"""-log of the part of the lesions' detectability that the fused image keeps, of both sources and of the worse one.

    .. math::
        L = \tfrac12 \bigl(\overline{l} + \max l\bigr),\qquad l_S = -\log \frac{d'_F}{d'_S},\qquad
        d'^2 = \bar s^T \bigl(K + \tfrac12 C + N\bigr)^{-1} \bar s

    with s what a lesion adds to the outputs of the observer's channels, C its covariance over the lesions, K that of
    the outputs over all places of the batch where both sources show something, and N the internal noise. It is the
    observer of :mod:`scripts.metrics.detection.observer` with its template taken from the batch, and differentiable.

    Shape:
        fused: (3B, 1, H, W) in [0, 1], the fused ``image``, ``with_a`` and ``with_b`` of the planted pairs in this
        order; returns a scalar.

    Reference: Barrett and Myers, "Foundations of image science", 2004, section 14.3.2 (the Hotelling observer); the
    loss is ours.
    """

    def forward(self, fused: torch.Tensor, planted: PlantedPairs) -> torch.Tensor:
        """Compute the loss."""
        absent, *present = fused.float().chunk(3)
        lost = []
        for source, (shown, with_lesions) in enumerate(zip(present, (planted.with_a, planted.with_b), strict=True)):
            with torch.no_grad():
                there = _detectability(planted.image[:, source, None], with_lesions[:, source, None], planted)
            lost.append(-0.5 * (_detectability(absent, shown, planted) / there + FLOOR).log())
        both = torch.stack(lost)
        return (both.mean() + both.amax()) / 2


def _detectability(absent: torch.Tensor, present: torch.Tensor, planted: PlantedPairs) -> torch.Tensor:
    """D' squared of the lesions in (B, 1, H, W) gray images."""
    before = lightness(absent)
    added = _outputs_at_lesions(lightness(present) - before, planted)
    mean = added.mean(dim=0)
    noise = torch.from_numpy(internal_noise(planted.kind, len(mean))).to(mean)
    covariance = _clutter(before, planted) + torch.cov(added.T) / 2 + noise
    ridge = RIDGE * covariance.diagonal().mean() * torch.eye(len(mean), device=mean.device)
    return mean @ torch.linalg.solve(covariance + ridge, mean)


def _masks(kind: LesionKind, angle: int, like: torch.Tensor) -> torch.Tensor:
    """The observer's channels, (5, 1, P, P)."""
    return torch.from_numpy(channels(kind, angle)).to(like).permute(2, 0, 1)[:, None]


def _outputs_at_lesions(added: torch.Tensor, planted: PlantedPairs) -> torch.Tensor:
    """What the channels see of each lesion, dark ones turned to bright, (number of lesions, 5)."""
    half = channels(planted.kind).shape[0] // 2
    padded = torch.nn.functional.pad(added[:, 0], [half] * 4)
    outputs = []
    for image, lesions in zip(padded, planted.lesions, strict=True):
        for lesion in lesions:
            window = image[lesion.row : lesion.row + 2 * half + 1, lesion.column : lesion.column + 2 * half + 1]
            outputs.append(lesion.sign * (_masks(planted.kind, lesion.angle, window)[:, 0] * window).sum(dim=(1, 2)))
    return torch.stack(outputs)


def _clutter(image: torch.Tensor, planted: PlantedPairs) -> torch.Tensor:
    """Covariance of the channels' outputs over all places where both sources show something, (5, 5)."""
    half = channels(planted.kind).shape[0] // 2
    padded = torch.nn.functional.pad(image, [min(half, image.shape[-1] - 1)] * 4, mode="reflect")
    shows = ((planted.image > ROOM) & (planted.image < 1 - ROOM)).all(dim=1, keepdim=True)
    angles = {lesion.angle for lesions in planted.lesions for lesion in lesions}
    total = torch.zeros((), device=image.device)
    for angle in angles if planted.kind.shape is LesionShape.STREAK else (0,):
        outputs = torch.nn.functional.conv2d(padded, _masks(planted.kind, angle, image), stride=STRIDE)
        shown = shows[..., ::STRIDE, ::STRIDE][..., : outputs.shape[-2], : outputs.shape[-1]].to(image)
        number = shown.sum().clamp_min(1)
        centered = (outputs - (outputs * shown).sum(dim=(0, 2, 3), keepdim=True) / number) * shown
        total = total + torch.einsum("bihw,bjhw->ij", centered, centered) / number
    return total / (len(angles) if planted.kind.shape is LesionShape.STREAK else 1)


class LesionLessons(Lessons[PlantedPairs]):
    """When a training plants lesions, into which images of the batch, and how much they count.

    In an iteration with lesions the network is asked for a ``keep`` above 0, half of the time for 1, and the loss of
    the images without lesions gets ``keep * weight`` times the :class:`LesionLoss`. The sum counts ``pace`` times: what
    all images share of the network follows the ordinary iterations, while the length of the optimizer's steps in what
    only the condition uses does not depend on it.

    Args:
        share: of all iterations, in [0, 1]. Defaults to 0.2.
        weight: of the lesions at ``keep = 1``, beside a fusion loss whose weights have the sum 1. Defaults to 0.3.
        pace: of the iterations with lesions, relative to the others. Defaults to 0.1.
        size: pairs that are planted, three fused images each. Defaults to 3.

    Raises:
        ValueError: When the share is not in [0, 1].
    """

    name = "lesions"

    def __init__(self, share: float = 0.2, weight: float = 0.3, pace: float = 0.1, size: int = 3) -> None:
        super().__init__(share, weight)
        self.pace = pace
        self.size = size
        self.loss = LesionLoss()

    def make(self, image: torch.Tensor, tasks: Sequence[str], rng: np.random.Generator) -> PlantedPairs | None:
        """Plant lesions into some images of a batch, those of its commonest task.

        Returns:
            None where the images have no room for lesions.
        """
        keep = 1.0 if rng.random() < 0.5 else 1 - rng.random()
        chosen = list(range(len(image)))
        if tasks:
            commonest = Counter(tasks).most_common(1)[0][0]
            chosen = [k for k in chosen if tasks[k] == commonest]
        return plant_lesions(image[chosen[: self.size]], keep, rng)

    def lost(self, fused: torch.Tensor, lesson: PlantedPairs) -> torch.Tensor:
        """Compute the loss of the lesions in the fused ``inputs``."""
        return self.loss(fused, lesson)

    def total(self, fusion_loss: torch.Tensor, lost: torch.Tensor, lesson: PlantedPairs) -> torch.Tensor:
        """Add the lesions to the fusion loss, in proportion to ``keep``."""
        return self.pace * (fusion_loss + lesson.keep * self.weight * lost)
