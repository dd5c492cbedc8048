"""Refinement: steps of a fusion loss on the very pair that was fused, from the network's image."""

from __future__ import annotations

import math
import time

import torch

from ..data.study_report import RefinementReport
from ..losses.base import MIN_SIZE, FusionLoss
from ..losses.fixed import FixedFusionLoss
from ..networks.layers.fusion_law import corrected, disagreement
from ..utils.checks import InputError

__all__ = ["Refinement"]

DARK = 0.01  # brightness of the brighter source at which a correction has half its strength, fraction of white
MOST_STEPS = 10_000  # hundreds of times as many as bring anything
TIMED_STEPS = 2


class Refinement:
    r"""Improves fused images by steps of a fusion loss on their own pairs.

    Adam moves one value s a pixel, from 0, and the fused image is the network's image F with a correction,

    .. math::
        \Delta = \frac{D}{D + 0.01} \, \frac{m}{m + 0.01} \, s

    with m the larger source at the pixel, and D as in :func:`~scripts.networks.layers.fusion_law.disagreement`.
    :func:`~scripts.networks.layers.fusion_law.corrected` adds it. So the laws of the network hold exactly, by
    construction: without a step the image is F; where both sources are black it stays as F is there, black; where both
    are the same it stays as F is there, F(x, x) = x; and it lies in [0, 1] without clipping.

    The steps fall from ``learning_rate`` to 0 as a half cosine, nothing is random, and each image is refined alone, so
    the result does not depend on what else is in the batch. An image whose loss has not fallen stays as it was.

    It needs PyTorch, whatever runtime the network had, and runs on the device of the images.

    Args:
        steps: how many. Defaults to 0: the images stay as they are.
        loss: what falls; its weights for a pair are those that it proposes before the first step. Defaults to None:
            :class:`~scripts.losses.fixed.FixedFusionLoss`.
        learning_rate: of the first step, fractions of white. Defaults to 0.012.

    Raises:
        InputError: When ``steps`` is not a whole number from 0 to 10000.
        ValueError: When ``learning_rate`` is not positive.

    Example:
        >>> image = torch.rand(1, 2, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> refinement = Refinement(steps=3)
        >>> refined = refinement(image.amax(dim=1, keepdim=True), image)
        >>> refinement.report().loss_after < refinement.report().loss_before
        True
    """

    def __init__(self, steps: int = 0, loss: FusionLoss | None = None, learning_rate: float = 0.012) -> None:
        if not isinstance(steps, int) or isinstance(steps, bool) or not 0 <= steps <= MOST_STEPS:
            raise InputError(f"refine: expected a whole number from 0 to {MOST_STEPS}, got {steps!r}. Choose e.g. 20.")
        if not learning_rate > 0:
            raise ValueError(f"`learning_rate` must be positive, got {learning_rate}.")
        self.steps = steps
        self.loss = FixedFusionLoss() if loss is None else loss
        self.learning_rate = learning_rate
        self.restart()

    def restart(self) -> None:
        """Forget what was refined so far: the report begins anew."""
        self._images, self._before, self._after, self._seconds = 0, 0.0, 0.0, 0.0

    def report(self) -> RefinementReport | None:
        """Return steps, mean losses and time of all images since :meth:`restart`; None where there were none."""
        if not self._images:
            return None
        return RefinementReport(
            steps=self.steps,
            images=self._images,
            loss_before=round(self._before / self._images, 6),
            loss_after=round(self._after / self._images, 6),
            seconds=round(self._seconds, 2),
        )

    def __call__(self, fused: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Refine a batch.

        Args:
            fused: what the network made, (B, 1, H, W) in [0, 1].
            image: both sources, (B, 2, H, W) in [0, 1], 16 pixels a side or more.

        Returns:
            (B, 1, H, W) in [0, 1]; ``fused`` itself where there are no steps.
        """
        if self.steps == 0:
            return fused
        began = time.perf_counter()
        refined = []
        with torch.inference_mode(False), torch.enable_grad():
            for k in range(len(image)):
                result, before, after = self._refine(_plain(fused[k : k + 1]), _plain(image[k : k + 1]), self.steps)
                refined.append(result)
                self._images, self._before, self._after = self._images + 1, self._before + before, self._after + after
        self._seconds += time.perf_counter() - began
        return torch.cat(refined).to(fused.dtype)

    def seconds_per_pixel(self, fused: torch.Tensor, image: torch.Tensor) -> float:
        """Measure what the refinement of one pixel takes here, with all its steps.

        Args:
            fused: as for a call.
            image: as for a call; the first image is tried.
        """
        with torch.inference_mode(False), torch.enable_grad():
            pair = _plain(fused[:1]), _plain(image[:1])
            self._refine(*pair, steps=1)  # the first step in a process starts threads and fills caches
            began = time.perf_counter()
            self._refine(*pair, steps=TIMED_STEPS)
            a_step = (time.perf_counter() - began) / (TIMED_STEPS + 1)  # one more look at the loss is at the end
        return a_step * (self.steps + 1) / fused[0].numel()

    def _refine(self, fused: torch.Tensor, image: torch.Tensor, steps: int) -> tuple[torch.Tensor, float, float]:
        """One image: the refined one, its loss before and after."""
        larger = image.amax(dim=1, keepdim=True)
        strength = disagreement(image) * larger / (larger + DARK)
        padded = _pad(image)
        with torch.no_grad():
            weights = self.loss.propose(padded)
        moved = torch.zeros_like(fused, requires_grad=True)
        optimizer = torch.optim.Adam([moved], lr=self.learning_rate, betas=(0.8, 0.95))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        before = math.nan
        for step in range(steps):
            loss = self.loss.evaluate(_pad(corrected(fused, strength * moved)), padded, weights)
            before = loss.item() if step == 0 else before
            optimizer.zero_grad()
            (loss * fused.numel()).backward()  # so that Adam's epsilon means the same for small and large images
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            refined = corrected(fused, strength * moved)
            after = self.loss.evaluate(_pad(refined), padded, weights).item()
        return (refined, before, after) if after < before else (fused, before, before)


def _plain(image: torch.Tensor) -> torch.Tensor:
    """A copy in single precision that may take part in a backward pass, which tensors of inference mode may not."""
    return image.detach().as_subclass(torch.Tensor).to(torch.float32, copy=True)


def _pad(image: torch.Tensor) -> torch.Tensor:
    """Repeat the border at the far ends until both sides are even and large enough for the loss."""
    down, right = (max(MIN_SIZE, side + side % 2) - side for side in image.shape[-2:])
    return torch.nn.functional.pad(image, [0, right, 0, down], mode="replicate") if down or right else image
