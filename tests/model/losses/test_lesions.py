"""Planted lesions in a training: where they go, what their loss measures, and when they come."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.losses.lesions import LesionLessons, LesionLoss, PlantedPairs, draw_kind, lightness, plant_lesions
from scripts.metrics.detection.lesions import ROOM, Lesion, LesionKind
from scripts.utils.enums import LesionShape
from scripts.utils.lab import srgb_to_lab

KIND = LesionKind(LesionShape.GAUSSIAN, 2.5, 10)


def textured(seed: int, size: int = 96) -> torch.Tensor:
    """Two pairs of noise around gray, smooth over a few pixels, so that lesions find room."""
    noise = torch.randn(2, 2, size, size, generator=torch.Generator().manual_seed(seed))
    return (0.5 + 0.15 * torch.nn.functional.avg_pool2d(noise, 5, 1, 2)).clamp(0.05, 0.95)


def planted(seed: int = 0) -> PlantedPairs:
    pairs = plant_lesions(textured(seed), 1.0, np.random.default_rng(seed))
    assert pairs is not None
    return pairs


def fused(pairs: PlantedPairs, share: float) -> torch.Tensor:
    """A weighted mean of the sources, with and without lesions."""
    stack = torch.cat([pairs.image, pairs.with_a, pairs.with_b])
    return share * stack[:, :1] + (1 - share) * stack[:, 1:]


def test_lightness_is_that_of_cielab():
    gray = torch.linspace(0, 1, 256)
    expected = srgb_to_lab(gray.double().numpy()[:, None].repeat(3, axis=1))[:, 0]
    assert np.abs(lightness(gray).numpy() - expected).max() < 0.01


def test_each_lesion_is_in_one_source_only():
    pairs = planted()
    assert torch.equal(pairs.with_a[:, 1], pairs.image[:, 1])
    assert torch.equal(pairs.with_b[:, 0], pairs.image[:, 0])
    for k, lesions in enumerate(pairs.lesions):
        for lesion in lesions:
            for source, changed in enumerate((pairs.with_a, pairs.with_b)):
                before, after = (x[k, source].numpy() for x in (pairs.image, changed))
                place = np.s_[lesion.row - 3 : lesion.row + 4, lesion.column - 3 : lesion.column + 4]
                assert np.sign((after - before)[place].sum()) == lesion.sign
                assert ROOM < before[lesion.row, lesion.column] < 1 - ROOM


def test_kinds_are_within_their_bounds():
    kinds = [draw_kind(np.random.default_rng(seed)) for seed in range(200)]
    assert {kind.shape for kind in kinds} == set(LesionShape)
    assert all(1.3 <= kind.sigma <= 5.5 and 5 <= kind.contrast <= 20 for kind in kinds)


def test_no_room_no_lesions():
    assert plant_lesions(torch.zeros(2, 2, 64, 64), 1.0, np.random.default_rng(0)) is None


def test_a_copy_of_one_source_keeps_its_lesions_alone():
    """d' of a copy is that of the source: nothing is lost of A, everything of B, and the floor bounds the loss."""
    pairs = planted()
    copy = LesionLoss()(fused(pairs, 1.0), pairs).item()
    lost_b = -0.5 * np.log(0.01)
    assert copy == pytest.approx((lost_b / 2 + lost_b) / 2, abs=0.02)


def test_the_mean_loses_less_than_a_copy_and_more_than_nothing():
    pairs, loss = planted(1), LesionLoss()
    mean, copy = (loss(fused(pairs, share), pairs).item() for share in (0.5, 1.0))
    assert 0 < mean < copy


def test_a_stronger_lesion_costs_less():
    pairs = planted(2)
    weak = fused(pairs, 0.5)
    strong = weak.clone()
    strong[2:] += weak[2:] - weak[:2].repeat(2, 1, 1, 1)
    assert LesionLoss()(strong, pairs) < LesionLoss()(weak, pairs)


@pytest.mark.parametrize("shape", list(LesionShape))
def test_its_gradient_is_finite(shape):
    kind = LesionKind(shape, 1.5, 10)
    lesions = [[Lesion(40, 40, 1, 1), Lesion(60, 30, -1, 2)], [Lesion(30, 50, 1, 0), Lesion(64, 64, -1, 3)]]
    image = textured(3)
    bright = (image + 0.1 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    pairs = PlantedPairs(image, bright, bright, kind, lesions, 1.0)
    values = fused(pairs, 0.4).requires_grad_()
    LesionLoss()(values, pairs).backward()
    assert torch.isfinite(values.grad).all()


def test_lessons_come_as_often_as_asked_and_take_one_task():
    image, tasks = textured(4).repeat(3, 1, 1, 1), ["CT-MRI", "PET-MRI", "PET-MRI", "PET-MRI", "PET-MRI", "CT-MRI"]
    image[0], image[5] = 0.0, 0.0
    lessons = LesionLessons(share=0.3)
    torch.manual_seed(0)
    drawn = [lessons.draw(image, tasks) for _ in range(200)]
    taught = [pairs for pairs in drawn if pairs is not None]
    assert 0.2 < len(taught) / 200 < 0.4
    assert all(torch.equal(pairs.image, image[1:4]) for pairs in taught)
    assert all(0 < pairs.keep <= 1 for pairs in taught)
    assert 0.35 < np.mean([pairs.keep == 1 for pairs in taught]) < 0.65
    assert all(LesionLessons(share=0.0).draw(image, tasks) is None for _ in range(20))


def test_the_same_seed_draws_the_same_lessons():
    image, lessons = textured(5), LesionLessons(share=1.0)
    torch.manual_seed(7)
    one = lessons.draw(image, ())
    torch.manual_seed(7)
    other = lessons.draw(image, ())
    assert one.kind == other.kind
    assert one.lesions == other.lesions
    assert one.keep == other.keep


def test_a_wrong_share_is_refused():
    with pytest.raises(ValueError, match=r"`share` must lie in \[0, 1\], got 1.5"):
        LesionLessons(share=1.5)
