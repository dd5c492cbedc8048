"""What the source reconstruction is trained on: fused images in, both sources wanted."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines.utils import PrepareBatch
from torch import nn

from .fusion_trainer import prepare_fusion_batch

__all__ = ["PrepareReconstructionBatch"]


class PrepareReconstructionBatch(PrepareBatch):
    """Fuse the pairs of a batch with a trained network; return the fused images and the pairs.

    Args:
        network: the fusion network; it stays as it is.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(
        self,
        batchdata: dict[str, torch.Tensor],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fuse the batch.

        Args:
            batchdata: batch with ``image``, (B, 2, *spatial) in [0, 1].
            device: where to put it.
            non_blocking: as in ``Tensor.to``.
            kwargs: not used.

        Raises:
            KeyError: When ``image`` is missing.
        """
        image, _ = prepare_fusion_batch(batchdata, device, non_blocking)
        self.network.eval()
        with torch.no_grad():
            return self.network(image), image
