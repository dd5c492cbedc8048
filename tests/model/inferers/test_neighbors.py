"""What neighbor slices share: the closed form, the laws, and what it does to the flicker of a volume."""

from __future__ import annotations

import math

import nibabel
import numpy as np
import pytest
import torch
from scripts.inferers.neighbors import share_corrections
from scripts.inferers.slices import SliceFusionInferer
from scripts.networks.layers.fusion_law import corrected, disagreement

from mmif_amin import BUNDLE
from mmif_amin.fuser import load
from tests.conftest import make_pair

SHARE = math.exp(-1)  # of a neighbor at 1 mm


def slices(count: int = 5, size: tuple[int, int] = (40, 32)) -> torch.Tensor:
    """The same pair in each slice, (N, 2, H, W)."""
    return make_pair(size).double().expand(count, -1, -1, -1).clone()


def fused_with(image: torch.Tensor, parts: list[float]) -> torch.Tensor:
    """Each slice takes another part of its possible correction."""
    larger = image.amax(dim=1, keepdim=True)
    part = torch.tensor(parts, dtype=image.dtype)[:, None, None, None]
    return corrected(larger, part * larger * disagreement(image))


def test_parts_of_the_correction_are_averaged():
    image, parts = slices(), [-0.3, 0.3, -0.3, 0.3, 0.3]
    found = fused_with(image, parts)
    share_corrections(found, image, spacing=1.0)
    mean = [
        sum(w * parts[z + k] for k, w in ((-1, SHARE), (0, 1.0), (1, SHARE)) if 0 <= z + k < 5)
        / sum(w for k, w in ((-1, SHARE), (0, 1.0), (1, SHARE)) if 0 <= z + k < 5)
        for z in range(5)
    ]
    assert (found - fused_with(image, mean)).abs().max() < 1e-5


def test_what_all_slices_take_alike_stays():
    image = slices()
    before = fused_with(image, [0.2] * 5)
    found = before.clone()
    share_corrections(found, image, spacing=1.0)
    assert (found - before).abs().max() < 1e-5


@pytest.mark.parametrize(("spacing", "smoothing"), [(4.0, 1.0), (1.0, 0.0)], ids=["thick", "off"])
def test_far_slices_share_nothing(spacing, smoothing):
    image = slices()
    before = fused_with(image, [-0.3, 0.3, -0.3, 0.3, -0.3])
    found = before.clone()
    share_corrections(found, image, spacing, smoothing)
    assert torch.equal(found, before)


def test_the_laws_hold():
    image = slices()
    image[1] = image[1, :1]  # one slice of which both sources are the same
    image[3] = 0
    found = fused_with(image, [0.9, 0.0, -0.9, 0.0, 0.9])
    share_corrections(found, image, spacing=1.0)
    assert torch.equal(found[1], image[1, :1])
    assert (found[3] == 0).all()
    assert 0 <= found.min() <= found.max() <= 1


def test_both_directions_are_the_same():
    image, parts = slices(), [0.1, -0.4, 0.3, 0.0, 0.2]
    forward, backward = fused_with(image, parts), fused_with(image, parts).flip(0)
    share_corrections(forward, image, spacing=1.0)
    share_corrections(backward, image, spacing=1.0)
    assert torch.allclose(forward, backward.flip(0), atol=1e-12)


def test_one_slice_stays():
    image = slices(1)
    found = fused_with(image, [0.3])
    share_corrections(found, image, spacing=1.0)
    assert (found - fused_with(image, [0.3])).abs().max() < 1e-5


def test_a_fused_volume_flickers_less():
    """The sample's PET study with the shipped network: what changes between slices beyond both sources."""
    volumes = [nibabel.load(BUNDLE / "sample_data" / f"{name}.nii.gz") for name in ("t1", "pet")]
    sources = np.stack([np.asarray(volume.dataobj, dtype=np.float32)[..., 40:52] for volume in volumes])
    sources /= np.percentile(sources, 99.5, axis=(1, 2, 3), keepdims=True)
    image, network = torch.from_numpy(sources.clip(0, 1)), load(runtime="torch").network
    others = image.diff(dim=-1).abs().amax(dim=0)

    def flicker(smoothing: float) -> float:
        with torch.inference_mode():
            fused = SliceFusionInferer(smoothing=smoothing).fuse_slices(image, network, volumes[0].affine)[0]
        return (fused.diff(dim=-1).abs() - others).clamp_min(0).mean().item()

    assert flicker(1.0) < 0.9 * flicker(0.0)
