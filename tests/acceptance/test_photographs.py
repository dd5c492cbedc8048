"""Proof with truth: photographs whose right fusion is known. ``benchmarks/bench_photographs.py`` prints all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.classical.photographs import exposure_fusion, focus_measure
from scripts.classical.probes import copy_of_a
from scripts.classical.rules import average, laplacian_pyramid, maximum
from scripts.data.tasks import task_of

from benchmarks.bench_photographs import detection, network
from benchmarks.truth_photographs import exposure_figures, exposure_truths, focus_figures, focus_truths
from tests.conftest import BUNDLE


def shipped(task: str):
    """The network of a task, or a skip until its weights are there."""
    if not Path(BUNDLE / "models" / f"{task_of(task).weights}.pt").is_file():
        pytest.skip(f"the weights {task_of(task).weights} are not shipped yet")
    return network(task)


@pytest.fixture(scope="module")
def focus_pairs():
    return list(focus_truths(("chelsea",)))


@pytest.fixture(scope="module")
def exposure_pairs():
    return list(exposure_truths(("coffee",), 256))


@pytest.mark.parametrize("method", ["SML", "network"])
def test_several_focus_settings_become_the_sharp_photograph(focus_pairs, method):
    fuse = focus_measure if method == "SML" else shipped("multi-focus")
    for truth in focus_pairs:
        figures = focus_figures(fuse, truth)
        assert figures["PSNR"] >= 36, truth.name
        assert figures["halo mean"] <= 3, truth.name


def test_the_figures_of_focus_tell_right_from_wrong(focus_pairs):
    truth = focus_pairs[0]
    right = focus_figures(lambda image: torch.from_numpy(truth.original)[None, None], truth)
    assert right == {"PSNR": 99.0, "halo mean": 0.0, "halo max": 0.0, "band": 0.0}
    for wrong in (average, copy_of_a):
        assert focus_figures(wrong, truth)["PSNR"] < 36
        assert focus_figures(wrong, truth)["halo mean"] > 3
    bright = np.where((truth.distance > 2 * truth.blur) & (truth.distance < 2 * truth.blur + 8), 8 / 255, 0)
    halo = torch.from_numpy((truth.original + bright).clip(0, 1).astype(np.float32))[None, None]
    assert focus_figures(lambda image: halo, truth)["halo max"] == pytest.approx(8, abs=0.01)


@pytest.mark.parametrize("method", ["Mertens", "network"])
def test_two_exposures_show_what_each_of_them_clips(exposure_pairs, method):
    fuse = exposure_fusion if method == "Mertens" else shipped("multi-exposure")
    for truth in exposure_pairs:
        figures = exposure_figures(fuse, truth)
        assert figures["rank local"] > 0.93, truth.name
        parts = ("structure bright", "structure dark")  # Mertens's rule itself clips what is dark
        for part in parts[:1] if method == "Mertens" else parts:
            assert not figures[part] < 0.85, (truth.name, part)  # NaN where nothing is clipped


def test_the_figures_of_exposures_tell_right_from_wrong(exposure_pairs):
    truth = exposure_pairs[1]
    right = exposure_figures(lambda image: torch.from_numpy(truth.original)[None, None] * 0.8 + 0.1, truth)
    assert min(right["rank"], right["rank local"]) > 0.999
    assert min(right["structure bright"], right["structure dark"]) > 0.98, "another brightness is no fault"
    dark, bright = (exposure_figures(lambda image, k=k: image[:, k : k + 1], truth) for k in range(2))
    assert not dark["structure dark"] > 0.2, "NaN where too little is black"
    assert bright["structure bright"] < 0.2 < 0.7 < dark["structure bright"]
    assert exposure_figures(lambda image: 1 - image[:, :1], truth)["rank"] < -0.9


def test_targets_of_either_kind_are_found_in_the_fused_image():
    """The copy of the infrared has the whole of its targets and none of the others; the network keeps both."""
    methods = {"copy": copy_of_a, "average": average, "maximum": maximum, "pyramid": laplacian_pyramid}
    is_there = Path(BUNDLE / "models" / f"{task_of('infrared-visible').weights}.pt").is_file()
    found = detection({**methods, **({"ours": shipped("infrared-visible")} if is_there else {})}, sets=1).gray
    ratios = {name: of[-1, :, 0] for name, of in found.items()}  # infrared, visible, smaller
    assert ratios["copy"][0] == pytest.approx(1, abs=1e-6)
    assert ratios["copy"][1] == pytest.approx(0, abs=0.05)
    assert ratios["average"][2] > 0.3
    if is_there:
        assert ratios["ours"][2] > 0.3
