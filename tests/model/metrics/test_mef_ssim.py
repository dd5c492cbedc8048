"""MEF-SSIM against its definition patch by patch, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from scripts.metrics.mef_ssim import exposure_ssim
from scripts.metrics.suite import METRIC_NAMES, FusionMetricSuite, write_means, write_rows

from tests.model.metrics.cases import gray, made_up
from tests.model.metrics.reference import exposure_ssim as patch_by_patch


def waves(size: int = 96) -> np.ndarray:
    """Two crossed waves of two lengths, gray levels 40 to 200."""
    y, x = np.mgrid[:size, :size]
    return np.rint(120 + 40 * np.sin(x / 2.5) + 40 * np.sin((x + 2 * y) / 11))


def of(*images: np.ndarray) -> float:
    return exposure_ssim(*gray(*images), data_range=255).item()


@pytest.mark.parametrize("size", [(40, 33), (47, 50)])
def test_patch_by_patch(size):
    f, a, b = (image[0, 0].numpy() for image in made_up(size, seed=2))
    for images in ((f, a, b), (a, a, b), (f, np.full(size, 9.0), b), (f, a, 255 - a)):
        assert of(*images) == pytest.approx(patch_by_patch(*images), abs=1e-9)


def test_what_holds_all_that_either_exposure_shows_has_one():
    """The left half is black in one exposure, the right half white in the other: the whole wave is the ideal."""
    x, black, white = waves(), np.zeros((96, 96)), np.full((96, 96), 255.0)
    left = np.arange(96)[None] < 48
    assert of(x, x, x) == pytest.approx(1)
    assert of(x, x, black) == of(x, white, x) == pytest.approx(1)
    halves = np.where(left, black, x), np.where(left, x, white)
    assert of(x, *halves) > 0.8, "only patches across the edge differ"
    assert of(x, *halves) > max(of(other, *halves) for other in (*halves, np.maximum(*halves))) + 0.1
    assert of(x + 30, x, black) == pytest.approx(1), "brightness does not count"


def test_it_falls_with_blur_noise_black_and_clipping():
    x = waves()
    blurs = [of(np.rint(ndimage.gaussian_filter(x, sigma)), x, x) for sigma in (0.5, 1, 2, 4)]
    clips = [of(x.clip(None, top), x, x) for top in (160, 130, 100)]
    noise = [of(x + np.random.default_rng(0).normal(0, s, x.shape), x, x) for s in (5, 20, 50)]
    for values in (blurs, clips, noise):
        assert values == sorted(values, reverse=True)
        assert values[0] < 1 - 1e-5
    assert blurs[-1] < 0.8
    assert of(np.zeros_like(x), x, x) < 0.3


def test_the_order_of_the_exposures_does_not_matter():
    f, a, b = (image[0, 0].numpy() for image in made_up(seed=1))
    assert of(f, a, b) == pytest.approx(of(f, b, a), abs=1e-12)


def test_the_suite_has_it_for_its_task_alone(tmp_path):
    f, a, b = made_up()
    tasks = ("CT-MRI", "multi-exposure")
    suite = FusionMetricSuite(tasks=tasks, data_range=255)
    suite(torch.cat([f, f]), torch.cat([torch.cat([a, b], dim=1)] * 2), tasks=tasks)
    means = suite.aggregate()
    assert means["multi-exposure/MEF-SSIM"] == means["MEF-SSIM"] == pytest.approx(exposure_ssim(f, a, b, 255).item())
    assert "CT-MRI/MEF-SSIM" not in means
    assert means["CT-MRI/score"] == means["multi-exposure/score"]
    write_rows(tmp_path / "metrics.csv", [(task, "x") for task in tasks], suite.get_buffer()[:, 1:].tolist())
    head, medical, exposed = (tmp_path / "metrics.csv").read_text().splitlines()
    assert head.split(",")[2:] == [*METRIC_NAMES, "MEF-SSIM"]
    assert medical.endswith(",")
    assert exposed.endswith(f"{means['MEF-SSIM']:.6f}")
    write_means(tmp_path / "metrics.md", means)
    mean = f"{means['MEF-SSIM']:.4f}"
    assert f"| MEF-SSIM |  | {mean} | {mean} |" in (tmp_path / "metrics.md").read_text()
