"""What every metric must do, read from the declarations: a new metric is tested here without a change."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from scripts.metrics.background import background
from scripts.metrics.base import FusionMetric
from scripts.metrics.suite import METRIC_NAMES, METRICS, TASK_METRICS, fusion_metrics, score

from tests.model.metrics.cases import gray, made_up

EVERY = (*METRICS, *TASK_METRICS)
NAMES = tuple(metric.name for metric in EVERY)
BY_NAME = {metric.name: metric for metric in EVERY}
CLASSES = {metric_class.declaration.name: metric_class for metric_class in FusionMetric.__subclasses__()}
IMAGES = {
    "fusion": made_up(),
    "inverted": tuple(x if k else 255 - x for k, x in enumerate(made_up())),
    "noise": tuple(torch.randint(0, 256, (3, 1, 1, 48, 50), generator=torch.Generator().manual_seed(0)).double()),
    "black and white": tuple(torch.tensor([0.0, 255.0]).double().repeat(3, 1, 1, 48, 25)),
    "black beside white": (torch.zeros(1, 1, 48, 48), *torch.full((2, 1, 1, 48, 48), 255.0)),
}


def test_columns_are_in_the_order_of_0_4_0():
    """Readers of CSV files and tables count on it; a new metric comes wherever its declaration says."""
    order = "EN SD SF AG MI SCD VIF Qabf ssim ssim_legacy CC PSNR MS-SSIM FMI VIFmin Qabf_min VIFlocal background"
    assert [name for name in METRIC_NAMES if name in order.split()] == order.split()


def test_each_metric_has_a_name_and_a_place_of_its_own():
    assert len(set(NAMES)) == len({metric.order for metric in EVERY}) == len(EVERY)
    assert set(CLASSES) == set(NAMES)


@pytest.mark.parametrize("metric", EVERY, ids=NAMES)
def test_declaration_is_complete(metric):
    assert importlib.import_module(metric.function.__module__).DECLARATION is metric
    assert metric.summary.endswith(".")
    assert "Reference" not in metric.summary
    assert len(metric.summary) < 120
    assert metric.reference
    assert metric.low < metric.high
    assert not metric.ranked or metric.tested


@pytest.mark.parametrize("images", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("metric", EVERY, ids=NAMES)
def test_values_are_in_the_declared_range(metric, images):
    value = metric(*images, data_range=255).item()
    assert metric.low - 1e-9 <= value <= metric.high + 1e-9


@pytest.mark.parametrize("metric", EVERY, ids=NAMES)
def test_smallest_size_works_and_a_smaller_one_is_named(metric):
    image = made_up((96, 80))[0][..., 30 : 30 + metric.min_size, 30 : 30 + metric.min_size]
    assert torch.isfinite(metric.function(image, image, image, 255)).all()
    with pytest.raises(ValueError, match=f"at least {metric.min_size}x{metric.min_size} pixels"):
        metric.function(*[image[..., 1:, :]] * 3)


@pytest.mark.parametrize("name", NAMES)
def test_function_class_and_suite_agree(name):
    function, metric_class = BY_NAME[name].function, CLASSES[name]
    first, second = made_up(seed=3), made_up(seed=4)
    batch = [torch.cat(images) for images in zip(first, second, strict=True)]
    together = function(*batch, data_range=255)
    assert together.shape == (2, 1)
    metric = metric_class(data_range=255)
    for f, a, b in (first, second):
        metric(f, torch.cat([a, b], dim=1))
    assert metric.aggregate().item() == pytest.approx(together.mean().item(), rel=1e-6)
    task = next(iter(BY_NAME[name].tasks), "")
    assert torch.allclose(fusion_metrics(*batch, data_range=255, task=task)[name], together)
    metric.reset()
    with pytest.raises(ValueError, match="No image was seen"):
        metric.aggregate()


@pytest.mark.parametrize("name", NAMES)
def test_sources_may_be_swapped(name):
    f, a, b = made_up()
    function = BY_NAME[name].function
    assert function(f, a, b, 255).item() == pytest.approx(function(f, b, a, 255).item(), rel=1e-9)


def test_data_range_1_and_255_agree():
    images = made_up()
    ones = fusion_metrics(*(x / 255 for x in images), data_range=1)
    for name, value in fusion_metrics(*images, data_range=255).items():
        assert torch.allclose(ones[name], value), name


def test_float32_and_a_volume_slice_by_slice():
    images = [x.float() for x in made_up(seed=5)]
    expected = fusion_metrics(*images, data_range=255)
    volume = fusion_metrics(*(torch.stack([x, x], dim=-1) for x in images), data_range=255)
    for name in METRIC_NAMES:
        assert volume[name].shape == (1, 1)
        assert torch.allclose(volume[name], expected[name]), name


def test_known_values_of_an_image_fused_with_itself():
    _, a, _ = made_up()
    values = {name: value.item() for name, value in fusion_metrics(a, a, a, data_range=255).items()}
    assert values["VIF"] == pytest.approx(2)
    for name in ("VIFmin", "VIFlocal", "CC", "FMI"):
        assert values[name] == pytest.approx(1), name
    for name in ("ssim", "ssim_legacy", "MS-SSIM"):
        assert values[name] == pytest.approx(2), name
    assert values["PSNR"] == 100
    assert values["SCD"] == values["background"] == 0
    assert values["MI"] == pytest.approx(2 * values["EN"] * np.log(2))


BORDER = 0.9994 / (1 + np.exp(-15 * 254.5)) * 0.9879 / (1 + np.exp(-22 * 0.2))  # zero padding makes an edge there
CONSTANT = {
    **dict.fromkeys(("EN", "SD", "SF", "AG", "MI", "SCD", "CC", "FMI", "background"), 0.0),
    **{"VIF": 2.0, "VIFmin": 1.0, "VIFlocal": 1.0, "ssim": 2.0, "ssim_legacy": 2.0, "MS-SSIM": 2.0, "PSNR": 100.0},
}


@pytest.mark.parametrize("level", [0.0, 128.0, 255.0])
def test_constant_images_have_stated_values(level):
    image = torch.full((1, 1, 64, 64), level)
    expected = {**CONSTANT, **dict.fromkeys(("Qabf", "Qabf_min"), BORDER if level else 0.0)}
    for name, value in fusion_metrics(image, image, image, data_range=255).items():
        assert value.item() == pytest.approx(expected[name], abs=1e-6), name


@pytest.mark.parametrize("which", [0, 1, 2])
def test_no_nan_where_one_image_is_black(which):
    images = list(made_up())
    images[which] = torch.zeros_like(images[which])
    for name, value in fusion_metrics(*images, data_range=255).items():
        assert torch.isfinite(value).all(), name


def test_two_sided_metrics_see_through_the_cheats():
    """A copy of one source leads in VIF and a cut-and-paste keeps both somewhere; only a fusion keeps both in place."""
    y, x = np.mgrid[:128, :128]
    a, b = 128 + 60 * np.sin(x / 3.0), 128 + 60 * np.sin(y / 5.0)
    fusion = (a + b) / 2
    paste = np.where(x < 64, a, b)
    results = {
        name: {k: v.item() for k, v in fusion_metrics(*gray(f.round(), a.round(), b.round()), data_range=255).items()}
        for name, f in (("fusion", fusion), ("copy", a), ("paste", paste))
    }
    assert results["copy"]["VIF"] > results["fusion"]["VIF"]
    assert results["fusion"]["VIFmin"] > results["copy"]["VIFmin"] + 0.05
    assert results["paste"]["VIFmin"] > results["fusion"]["VIFmin"]
    assert results["fusion"]["VIFlocal"] > max(results[k]["VIFlocal"] for k in ("copy", "paste")) + 0.05
    assert score(results["fusion"]) > max(score(results["copy"]), score(results["paste"]))
    assert score({**results["fusion"], "background": 1.0}) == 0


def test_background_counts_only_what_was_black_in_both():
    a = torch.zeros(1, 1, 4, 4)
    b, f = a.clone(), a.clone()
    a[..., 0, :] = 1
    f[..., :2, :] = 0.5
    assert background(f, a, b).item() == pytest.approx(4 / 12)
    assert background(f * 0.002, a, b).item() == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_metrics_stay_on_the_device():
    images = [x.cuda() for x in made_up()]
    expected = fusion_metrics(*(x.cpu() for x in images), data_range=255)
    for name, value in fusion_metrics(*images, data_range=255).items():
        assert value.is_cuda
        assert torch.allclose(value.cpu(), expected[name], rtol=1e-5), name
