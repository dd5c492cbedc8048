"""The rules for photographs: the sharper source, and the fusion of exposures against OpenCV's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.classical.photographs import ALL_RULES, exposure_fusion, focus_measure, rules_of
from scripts.classical.rules import FUSION_RULES

from benchmarks.truth_photographs import exposure_truths, focus_truths

# Every 40th pixel, from the 20th, of cv2.createMergeMertens(1, 0, 1 / 3) of OpenCV 5.0.0 (no weight of saturation; the
# exposedness is a product over three equal channels) on the first pair of `exposure_truths(("coffee",), 180)`.
OPENCV = [
    [69.8, 142.6, 142.1, 95.4],
    [151.9, 151.1, 151.4, 153.3],
    [23.9, 14.2, 2.5, 0.9],
    [74.4, 0.0, 0.0, 64.6],
]


def test_exposure_fusion_is_that_of_opencv():
    truth = next(exposure_truths(("coffee",), 180))
    fused = exposure_fusion(torch.from_numpy(truth.image)[None])[0, 0].numpy() * 255
    assert np.abs(fused[20::40, 20::40] - OPENCV).max() < 0.5


@pytest.mark.parametrize("rule", [focus_measure, exposure_fusion])
@pytest.mark.parametrize("size", [(95, 93), (17, 40), (2, 3)])
def test_size_range_order_and_equal_sources(rule, size, pair):
    image = pair[..., : size[0], : size[1]]
    fused = rule(image)
    assert fused.shape == (1, 1, *size)
    assert 0 <= fused.min() <= fused.max() <= 1
    assert torch.allclose(rule(image.flip(1)), fused, atol=1e-5)
    same = image[:, :1].repeat(1, 2, 1, 1)
    assert (rule(same) - same[:, :1]).abs().max() < 1e-5


def test_the_sharper_source_is_taken_far_from_the_border():
    truth = next(focus_truths(("chelsea",), 192))
    fused = focus_measure(torch.from_numpy(truth.image)[None])[0, 0].numpy()
    far = truth.distance > 30
    assert np.abs(fused - truth.original)[far].max() * 255 < 1
    assert np.abs(truth.image - truth.original)[:, far].max() * 255 > 50


def test_each_task_has_its_rules():
    assert set(rules_of("multi-focus")) - set(FUSION_RULES) == {"SML"}
    assert set(rules_of("multi-exposure")) - set(FUSION_RULES) == {"Mertens"}
    assert rules_of("infrared-visible") == rules_of("PET-MRI") == FUSION_RULES
    assert set(ALL_RULES) == {*FUSION_RULES, "SML", "Mertens"}
