"""What was lost: where, and how much of, each source's information the fused image does not hold."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from .. import BUNDLE_ROOT
from ..networks.nets.source_reconstruction import SourceReconstructionNet
from ..utils.checks import InputError
from ..utils.filters import filter_same, gaussian_kernel
from ..utils.image_io import write_atomically

__all__ = ["DEFAULT_RECONSTRUCTION", "LossMapper", "load_loss_mapper", "write_loss_figure"]

DEFAULT_RECONSTRUCTION = Path(BUNDLE_ROOT) / "models" / "reconstruction.pt"
WINDOW = gaussian_kernel(15, 2.5)
NOISE = 0.02**2  # variance below which structure does not count, squared fraction of white


class LossMapper:
    r"""Rebuilds both sources from the fused image and measures what is missing, place by place.

    In a Gaussian window (sigma 2.5 pixels) the rebuilt source is modelled as :math:`\hat S = g S + \text{residual}`,
    as in VIF; with v the source's variance, :math:`\sigma^2` that of the residual and c the variance of noise, the
    source holds :math:`t = \log(1 + v / c)` and keeps :math:`k = \log(1 + g^2 v / (\sigma^2 + c))`. The map is

    .. math::
        (1 - \min(k / t, 1))\, \frac{v}{v + c}

    0: all that is there can be rebuilt, or there is nothing; 1: structure well above noise of which nothing can. The
    summary is :math:`1 - \sum \min(k, t) / \sum t`: the part of the source's information that is lost.

    Args:
        network: takes a fused image, (B, 1, H, W), and returns both sources, (B, 2, H, W).
        device: where it runs. Defaults to ``"cpu"``.

    Reference: Sheikh and Bovik, "Image information and visual quality", IEEE TIP 2006, doi 10.1109/TIP.2005.859378
    (the measure of information); the use on rebuilt sources is ours.
    """

    def __init__(self, network: torch.nn.Module, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()

    def __call__(self, fused: np.ndarray, source_a: np.ndarray, source_b: np.ndarray) -> tuple[np.ndarray, list[float]]:
        """Map what was lost.

        Args:
            fused: a stack of fused images, (B, H, W) in [0, 1].
            source_a: the structural images, same shape and range.
            source_b: the other images, same shape and range.

        Returns:
            The maps of source A and B, (2, B, H, W) float32 in [0, 1], and the lost part of each source's information.

        Raises:
            ValueError: When the shapes differ.
        """
        if not fused.shape == source_a.shape == source_b.shape:
            raise ValueError(
                f"Fused image and sources must have the same size, got {fused.shape}, {source_a.shape} and "
                f"{source_b.shape}."
            )
        height, width = fused.shape[1:]
        maps = np.empty((2, *fused.shape), dtype=np.float32)
        kept, total = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
        for number, planes in enumerate(zip(fused, source_a, source_b, strict=True)):
            image = torch.from_numpy(np.stack(planes).astype(np.float32))[None].to(self.device)
            even = torch.nn.functional.pad(image[:, :1], (0, width % 2, 0, height % 2), mode="replicate")
            with torch.inference_mode():
                rebuilt = self.network(even)[..., :height, :width]
                result, kept_here, total_here = _compare(rebuilt, image[:, 1:])
            maps[:, number] = result[0].cpu().numpy()
            kept += kept_here.cpu()
            total += total_here.cpu()
        return maps, (1 - kept / total.clamp_min(1e-6)).tolist()


def _compare(rebuilt: torch.Tensor, sources: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Maps, (1, 2, H, W), and the information kept and held in all, nats, (2,) each."""
    moments = filter_same(
        torch.cat([rebuilt, sources, rebuilt.square(), sources.square(), rebuilt * sources], dim=1), WINDOW
    )
    mean_r, mean_s, square_r, square_s, product = moments.chunk(5, dim=1)
    v = (square_s - mean_s.square()).clamp_min(0.0)
    covariance = (product - mean_r * mean_s).clamp_min(0.0)
    gain = covariance / (v + 1e-8)
    residual = (square_r - mean_r.square() - gain * covariance).clamp_min(0.0)
    total = torch.log1p(v / NOISE)
    kept = torch.minimum(torch.log1p(gain.square() * v / (residual + NOISE)), total)
    maps = (1 - kept / total.clamp_min(1e-6)).clamp(0.0, 1.0) * v / (v + NOISE)
    return maps, kept.double().sum(dim=(0, 2, 3)), total.double().sum(dim=(0, 2, 3))


def load_loss_mapper(
    weights: str | os.PathLike = DEFAULT_RECONSTRUCTION, device: str | torch.device = "cpu"
) -> LossMapper:
    """Load the source reconstruction that was trained with the shipped weights.

    Args:
        weights: state dict of the reconstruction network. Defaults to the shipped ``models/reconstruction.pt``.
        device: where it runs. Defaults to ``"cpu"``.

    Raises:
        InputError: When the file is missing, damaged or of another architecture.
    """
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"{path}: expected weights of the source reconstruction, found nothing there.")
    definition = json.loads((Path(BUNDLE_ROOT) / "configs" / "train.json").read_text())["reconstruction_def"]
    network = SourceReconstructionNet(**{key: value for key, value in definition.items() if key != "_target_"})
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many types for damaged files
        raise InputError(
            f"{path}: expected weights of the source reconstruction in configs/train.json, got: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return LossMapper(network, device)


def write_loss_figure(
    path: str | os.PathLike, images: Sequence[np.ndarray], maps: np.ndarray, lost: Sequence[float]
) -> Path:
    """Draw sources, fused image and both maps with their legend.

    Args:
        path: PNG file.
        images: source A, source B and the fused image, (H, W) each in [0, 1].
        maps: (2, H, W) in [0, 1].
        lost: the lost part of each source's information.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(17, 4.2), layout="constrained")
    axes = figure.subplots(1, 5)
    titles = ["source A", "source B", "fused", *(f"lost of {s}: {x:.0%}" for s, x in zip("AB", lost, strict=True))]
    for axis, title, picture in zip(axes, titles, [*images, *maps], strict=True):
        is_map = title.startswith("lost")
        drawn = axis.imshow(picture, cmap="inferno" if is_map else "gray", vmin=0, vmax=1)
        axis.set_title(title)
        axis.set_axis_off()
    bar = figure.colorbar(drawn, ax=axes[3:], shrink=0.85, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.set_label("part of the local information that cannot be rebuilt from the fused image")
    return write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))
