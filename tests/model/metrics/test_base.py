from __future__ import annotations

import pytest
import torch
from scripts.metrics.base import Triplet, check_triplet, gray_triplet, to_gray_levels
from scripts.metrics.standard_deviation import StandardDeviationMetric

IMAGE = torch.rand(2, 1, 12, 10, generator=torch.Generator().manual_seed(0))
BAD = [
    pytest.param((IMAGE, IMAGE[..., :-1], IMAGE), r"`source_a` must have the same shape.*ResampleToMatchd", id="a"),
    pytest.param((IMAGE, IMAGE, IMAGE[:1]), "`source_b` must have the same shape", id="b"),
    pytest.param((IMAGE[0, 0],) * 3, r"\(B, C, H, W\[, D\]\), got \(12, 10\)", id="no-batch"),
    pytest.param((IMAGE[..., :6, :],) * 3, r"at least 7x7 pixels, got \(6, 10\)", id="small"),
    pytest.param((IMAGE * float("nan"), IMAGE, IMAGE), "`fused` must be finite", id="nan"),
    pytest.param((IMAGE, IMAGE, IMAGE / 0), "`source_b` must be finite", id="infinite"),
]


@pytest.mark.parametrize(("images", "message"), BAD)
def test_bad_images_are_named(images, message):
    with pytest.raises(ValueError, match=message):
        check_triplet(*images, min_size=7)


def test_gray_levels_are_rounded_and_clipped():
    image = torch.tensor([-0.2, 0.0, 0.5, 0.999, 1.0, 1.7])
    assert to_gray_levels(image, 1.0).tolist() == [0, 0, 128, 255, 255, 255]
    assert to_gray_levels(torch.tensor([0, 7, 255]), 255).dtype is torch.float64


def test_volumes_are_folded_slice_by_slice():
    volume = torch.rand(2, 1, 8, 9, 3, generator=torch.Generator().manual_seed(0))
    images = gray_triplet(volume, volume, volume.flip(0), 1.0)
    assert images.stack.shape == (3, 6, 8, 9)
    assert torch.equal(images.fused[4], to_gray_levels(volume[1, 0, :, :, 1], 1.0))
    assert torch.equal(images.sources[1, 0], to_gray_levels(volume[1, 0, :, :, 0], 1.0))


def test_shared_work_is_done_once():
    calls = []

    def work(images):
        calls.append(images)
        return len(calls)

    images, others = (Triplet(torch.zeros(3, 1, 4, 4)) for _ in range(2))
    assert [images.once(work), images.once(work), others.once(work), images.once(work)] == [1, 1, 2, 1]


def test_accumulating_metric_checks_its_arguments():
    with pytest.raises(ValueError, match=r"twice the channels of `y_pred`, got \(2, 1, 12, 10\)"):
        StandardDeviationMetric()(IMAGE, IMAGE)
    with pytest.raises(ValueError, match="`data_range` must be positive, got 0"):
        StandardDeviationMetric(data_range=0)
    with pytest.raises(ValueError, match="No image was seen"):
        StandardDeviationMetric().aggregate()


@pytest.mark.parametrize(("reduction", "shape"), [("mean", (1,)), ("mean_channel", (2,)), ("none", (2, 1))])
def test_reductions_are_those_of_monai(reduction, shape):
    metric = StandardDeviationMetric(reduction=reduction)
    metric(IMAGE, torch.cat([IMAGE, IMAGE], dim=1))
    assert metric.aggregate().shape == shape
    assert metric.aggregate("mean").shape == (1,)
