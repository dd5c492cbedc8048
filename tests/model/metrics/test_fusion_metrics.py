from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scripts.metrics import contrast, correlation, gradient, information, structural, vif
from scripts.metrics.suite import METRIC_NAMES, FusionMetricSuite, fusion_metrics, score

from tests.conftest import make_pair
from tests.model.metrics.reference import all_metrics

FUNCTIONS = {
    "EN": (information.entropy, information.EntropyMetric),
    "SD": (contrast.standard_deviation, contrast.StandardDeviationMetric),
    "SF": (contrast.spatial_frequency, contrast.SpatialFrequencyMetric),
    "AG": (contrast.average_gradient, contrast.AverageGradientMetric),
    "MI": (information.mutual_information, information.MutualInformationMetric),
    "SCD": (correlation.sum_of_correlations_of_differences, correlation.SCDMetric),
    "VIF": (vif.visual_information_fidelity, vif.VIFMetric),
    "Qabf": (gradient.edge_preservation, gradient.QabfMetric),
    "ssim": (structural.structural_similarity, structural.SSIMMetric),
    "ssim_legacy": (structural.structural_similarity_legacy, structural.LegacySSIMMetric),
    "CC": (correlation.correlation_coefficient, correlation.CorrelationCoefficientMetric),
    "PSNR": (correlation.peak_signal_to_noise_ratio, correlation.PSNRMetric),
    "MS-SSIM": (structural.multi_scale_structural_similarity, structural.MultiScaleSSIMMetric),
    "FMI": (information.feature_mutual_information, information.FeatureMutualInformationMetric),
    "VIFmin": (vif.visual_information_fidelity_min, vif.MinVIFMetric),
    "Qabf_min": (gradient.edge_preservation_min, gradient.MinQabfMetric),
    "VIFlocal": (vif.visual_information_fidelity_local, vif.LocalVIFMetric),
    "background": (correlation.background, correlation.BackgroundMetric),
}
SYMMETRIC = sorted(METRIC_NAMES)
RULES = {
    "max": lambda a, b: np.maximum(a, b),
    "mean": lambda a, b: (a + b) // 2,
    "sum": lambda a, b: np.minimum(a + b, 255),
    "roll": lambda a, b: np.roll(np.maximum(a, b), 1, axis=1),
}


def gray(*images: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(np.asarray(image, dtype=np.float64))[None, None] for image in images]


def made_up(size=(96, 80), seed=0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Fused, source A, source B in gray levels."""
    pair = (make_pair(size, seed) * 255).round().double()
    noise = torch.from_numpy(np.random.default_rng(seed).normal(0, 8, size))
    fused = ((pair.amax(dim=1, keepdim=True) * 0.8 + noise).clamp(0, 255)).round()
    return fused, pair[:, :1], pair[:, 1:]


def test_every_metric_is_covered():
    assert set(FUNCTIONS) == set(METRIC_NAMES)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("size", [(96, 80), (61, 77), (192, 208)], ids=["even", "odd", "five-scales"])
def test_agrees_with_an_independent_version(size, seed):
    images = made_up(size, seed)
    values = fusion_metrics(*images, data_range=255)
    for name, expected in all_metrics(*(x[0, 0].numpy() for x in images)).items():
        assert values[name].item() == pytest.approx(expected, rel=1e-5, abs=1e-9), name


def test_agrees_with_the_evaluator_of_the_field(reference_values, shared_harvard):
    """Values made with MMIF-CDDFuse's evaluator and scikit-image; see ../shared/reference/README.md."""
    count = 0
    for task, pairs in reference_values["values"].items():
        for name, rules in pairs.items():
            b = np.array(Image.open(shared_harvard / task / "MRI" / f"{name}.png").convert("L")).astype(int)
            a = np.array(Image.open(shared_harvard / task / task.split("-")[0] / f"{name}.png"))
            if a.ndim == 3:
                a = np.round(a[..., :3] @ np.array([0.299, 0.587, 0.114]))
            a = a.astype(int)
            for rule, expected in rules.items():
                values = fusion_metrics(*gray(RULES[rule](a, b), a, b), data_range=255)
                for metric, value in expected.items():
                    if value is None:
                        continue
                    assert values[metric].item() == pytest.approx(value, rel=1e-4, abs=2e-6), (task, name, rule, metric)
                    count += 1
    assert count > 500


@pytest.mark.parametrize("name", METRIC_NAMES)
def test_function_class_and_suite_agree(name):
    function, metric_class = FUNCTIONS[name]
    first, second = made_up(seed=3), made_up(seed=4)
    batch = [torch.cat(images) for images in zip(first, second, strict=True)]
    together = function(*batch, data_range=255)
    assert together.shape == (2, 1)
    metric = metric_class(data_range=255)
    for f, a, b in (first, second):
        metric(f, torch.cat([a, b], dim=1))
    assert metric.aggregate().item() == pytest.approx(together.mean().item(), rel=1e-6)
    assert torch.allclose(fusion_metrics(*batch, data_range=255)[name], together)
    metric.reset()
    with pytest.raises(ValueError, match="No image was seen"):
        metric.aggregate()


@pytest.mark.parametrize("name", SYMMETRIC)
def test_sources_may_be_swapped(name):
    f, a, b = made_up()
    function = FUNCTIONS[name][0]
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
    assert correlation.background(f, a, b).item() == pytest.approx(4 / 12)
    assert correlation.background(f * 0.002, a, b).item() == 0


def test_suite_aggregates_by_task_and_weighs_tasks_equally():
    suite = FusionMetricSuite(tasks=("CT-MRI", "PET-MRI"), data_range=255)
    sets = [made_up(seed=s) for s in range(3)]
    for (f, a, b), task in zip(sets, ("CT-MRI", "CT-MRI", "PET-MRI"), strict=True):
        suite(f, torch.cat([a, b], dim=1), tasks=[task])
    means = suite.aggregate()
    sd = [x[0].std(correction=0).item() for x in sets]
    assert means["CT-MRI/SD"] == pytest.approx((sd[0] + sd[1]) / 2)
    assert means["PET-MRI/SD"] == pytest.approx(sd[2])
    assert means["SD"] == pytest.approx((means["CT-MRI/SD"] + means["PET-MRI/SD"]) / 2)
    with pytest.raises(ValueError, match="SPECT-MRI"):
        suite(sets[0][0], torch.cat(sets[0][1:], dim=1), tasks=["SPECT-MRI"])


def test_bad_input_is_named():
    f, a, b = made_up()
    with pytest.raises(ValueError, match=r"`source_a` must have the same shape.*ResampleToMatchd"):
        fusion_metrics(f, a[..., :-1], b)
    with pytest.raises(ValueError, match="`fused` must be finite"):
        fusion_metrics(f * float("nan"), a, b)
    with pytest.raises(ValueError, match="at least 41x41"):
        fusion_metrics(*(x[..., :30, :30] for x in (f, a, b)))
    with pytest.raises(ValueError, match=r"\(B, C, H, W"):
        fusion_metrics(f[0], a[0], b[0])
    with pytest.raises(ValueError, match="twice the channels"):
        vif.VIFMetric()(f, a)
    with pytest.raises(ValueError, match="must be positive"):
        vif.VIFMetric(data_range=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_metrics_stay_on_the_device():
    images = [x.cuda() for x in made_up()]
    expected = fusion_metrics(*(x.cpu() for x in images), data_range=255)
    for name, value in fusion_metrics(*images, data_range=255).items():
        assert value.is_cuda
        assert torch.allclose(value.cpu(), expected[name], rtol=1e-5), name
