"""What one search alone does not find: partial fields of view, long necks, and a limb."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage
from scripts.transforms.registration.alignment import SCAN_VOXEL, scan, turned_peak
from scripts.transforms.registration.estimate import Candidate, best_of, confirmed, prepared_pair
from scripts.transforms.registration.plausibility import rotation_and_stretch, turn_of
from scripts.transforms.registration.search import shift, start_matrices
from scripts.transforms.registration.settings import SearchSettings
from scripts.transforms.registration.transform import RegisterToMatch

from tests.model.transforms.registration.phantom import AFFINE, FOUND, SHAPE, displaced, error, head, job, volume


def test_a_slab_of_the_head():
    moved, truth = displaced(head("ct"), (4, -5, 6), (10, -8, 12))
    slab = MetaTensor(moved[..., 14:30], affine=moved.affine.clone())
    slab.affine[:3, 3] = (moved.affine @ torch.tensor([0.0, 0, 14, 1], dtype=moved.affine.dtype))[:3]
    found = RegisterToMatch().estimate(slab, volume(head("mr")))
    assert error(found.matrix, truth) < 1.5


def test_a_long_neck():
    """120 mm of neck below the moving head alone: the centers of mass lie far apart."""
    moved, truth = displaced(head("ct"), (4, -5, 6), (10, -8, 12))
    below = 30
    values = np.pad(moved.numpy()[0], ((0, 0), (0, 0), (below, 0)), constant_values=-1000.0)
    x, y = np.ogrid[: SHAPE[0], : SHAPE[1]]
    neck = np.hypot(x - SHAPE[0] / 2, y - SHAPE[1] / 2) < 13
    values[neck, : below + 6] = np.maximum(values[neck, : below + 6], 40)
    affine = AFFINE.copy()
    affine[:3, 3] = (AFFINE @ [0, 0, -below, 1])[:3]
    found = RegisterToMatch().estimate(volume(values, affine), volume(head("mr")))
    assert error(found.matrix, truth) < 1.5


def test_a_scan_finds_the_head_of_a_whole_body():
    """800 mm of body below the moving head, and its center of mass 400 mm away: a head is to be found in it."""
    moved, truth = displaced(head("ct"), (4, -5, 6), (10, -8, 12))
    below = 200
    values = np.pad(moved.numpy()[0], ((12, 12), (12, 12), (below, 0)), constant_values=-1000.0)
    x, y, z = (axis - n / 2 for axis, n in zip(np.indices(values.shape), values.shape, strict=True))
    trunk = np.hypot(x, (y + 4) * 1.5) < 30 + 3 * np.sin(z / 20)
    trunk[..., below + 8 :] = False
    values[trunk] = np.maximum(values[trunk], 40)
    affine = AFFINE.copy()
    elsewhere = shift(np.array([30.0, 20.0, 700.0]))
    affine = elsewhere @ AFFINE @ shift(np.array([-12.0, -12.0, -below]))
    truth = elsewhere @ truth
    body, fixed = volume(values, affine), volume(head("mr"))
    pair = prepared_pair(body, fixed, SCAN_VOXEL, SearchSettings())
    starts = start_matrices(job(body, fixed))
    assert min(error(start, truth) for start in starts) > 300
    assert error(scan(*pair, starts), truth) < 20


def thigh(contrast: str) -> np.ndarray:
    """Fat, muscles, a femur off the middle and a vessel, nearly a cylinder, in the contrast of MR or a CT in HU."""
    x, y, z = (axis - (n - 1) / 2 for axis, n in zip(np.indices(SHAPE), SHAPE, strict=True))
    radius = np.hypot(x, y) / (18 + 0.06 * z)
    femur = np.hypot(x - 3 - 0.05 * z, y + 2)
    vessel = np.hypot(x + 6, y - 4 + 0.1 * z)
    levels = {"mr": (0, 220, 90, 20, 200, 10), "ct": (-1000, -100, 60, 1000, 50, 150)}[contrast]
    values = np.full(SHAPE, levels[0], np.float32)
    for part, level in zip((radius < 1, radius < 0.8, femur < 4.5, femur < 2.5, vessel < 1.5), levels[1:], strict=True):
        values[part] = level
    values = ndimage.gaussian_filter(values, 0.7)
    return values + np.random.default_rng(len(contrast)).normal(0, 3, SHAPE).astype(np.float32) * (radius < 1)


def test_a_thigh_by_the_limits_of_a_limb():
    moved, truth = displaced(thigh("ct"), (3, -4, 5), (8, -6, 4))
    fixed = volume(thigh("mr"))
    fixed.meta["region"] = "extremity"
    found = RegisterToMatch().estimate(moved, fixed)
    assert error(found.matrix, truth) < 4.0  # a voxel; along the leg little says where it is


@pytest.mark.parametrize(
    ("scores", "wrong", "chosen"),
    [
        pytest.param((1.2, 1.3), ((), ()), 1, id="the higher score"),
        pytest.param((1.2, 1.3), ((), ("x",)), 1, id="not a plausible one that scores much lower"),
        pytest.param((1.299, 1.3), ((), ("x",)), 0, id="a plausible one that scores nearly as high"),
    ],
)
def test_the_best_of_several_methods(scores, wrong, chosen):
    candidates = [Candidate(replace(FOUND, after=a), list(w)) for a, w in zip(scores, wrong, strict=True)]
    assert best_of(candidates) is candidates[chosen]


@pytest.mark.parametrize(
    ("shifts", "wrong"),
    [
        pytest.param((0,), (False,), id="one alone"),
        pytest.param((0, 1.5), (False, False), id="two that agree"),
        pytest.param((0, 2.5), (True, True), id="two that do not"),
        pytest.param((0, 1.5, 40), (False, False, True), id="two of three"),
        pytest.param((0, 1.5, 40, 41), (False,) * 4, id="two and two"),
    ],
)
def test_a_result_that_no_other_method_finds_is_wrong(shifts, wrong):
    candidates = []
    for offset in shifts:
        matrix = np.eye(4)
        matrix[2, 3] = offset
        candidates.append(Candidate(replace(FOUND, matrix=matrix.tolist()), []))
    body = np.array([[0.0, 0, 0, 1], [10, 20, 30, 1]])
    judged = confirmed(candidates, body, limit=2.0)
    assert tuple(bool(one.wrong) for one in judged) == wrong
    assert all(one.found is judged_one.found for one, judged_one in zip(candidates, judged, strict=True))


def test_the_message_says_how_far_the_others_are():
    candidates = [
        Candidate(FOUND, ["x"]),
        Candidate(replace(FOUND, matrix=(np.eye(4) + np.eye(4, k=3) * 9).tolist()), []),
    ]
    (first, _) = confirmed(candidates, np.array([[0.0, 0, 0, 1]]), limit=2.0)
    assert first.wrong[0] == "x"
    assert first.wrong[1].startswith("no other method ends nearer than")


def test_a_head_turned_far_has_its_peak_there():
    """Beside the true place there is none; a false one is seen by it."""
    moving, truth = displaced(head("t2"), (10, -20, 120), (5, -5, 5))
    pair = prepared_pair(moving, volume(head("mr")), SCAN_VOXEL, SearchSettings())
    assert turned_peak(*pair, truth) is None
    peak = turned_peak(*pair, np.eye(4))
    assert turn_of(rotation_and_stretch(peak.matrix @ np.linalg.inv(truth))[0]) < 10
