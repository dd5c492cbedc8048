from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.losses.focus import FocusLessons, defocus, draw_mask

IMAGE = torch.rand(3, 2, 72, 80, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("disk", [True, False])
def test_a_lens_out_of_focus_spreads_a_point_and_keeps_its_light(disk):
    """The standard deviation of a disk of radius R is R / 2 along each axis, that of a Gaussian its own."""
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    spread = defocus(point, 3.0, disk)[0, 0]
    places = torch.arange(41.0) - 20
    assert spread.sum().item() == pytest.approx(1, abs=1e-5)
    assert (spread.sum(dim=0) * places.square()).sum().sqrt().item() == pytest.approx(3.0, rel=0.03)
    assert torch.allclose(spread, spread.T, atol=1e-7)


def test_masks_divide_the_image():
    shares = [draw_mask((72, 80), np.random.default_rng(seed)).mean().item() for seed in range(30)]
    assert min(shares) > 0.02
    assert max(shares) < 0.98
    assert np.std(shares) > 0.05


def test_each_place_of_a_lesson_is_sharp_in_one_of_the_sources():
    lessons = FocusLessons(share=1.0)
    torch.manual_seed(0)
    lesson = lessons.draw(IMAGE, ())
    assert lesson.inputs.shape == IMAGE.shape
    assert lesson.pairs is lesson.inputs
    assert ((lesson.sharp == IMAGE[:, :1]) | (lesson.sharp == IMAGE[:, 1:])).all()
    nearest = (lesson.inputs - lesson.sharp).abs().amin(dim=1)
    assert nearest.median() < 1e-6
    assert (lesson.inputs - lesson.sharp).abs().amax(dim=1).median() > 0.01
    assert lesson.inputs.min() >= 0
    assert lesson.inputs.max() <= 1


def test_the_sharp_image_has_lost_nothing_and_counts_alone():
    lessons = FocusLessons(share=1.0, weight=10.0)
    lesson = lessons.make(IMAGE, (), np.random.default_rng(0))
    assert lessons.lost(lesson.sharp, lesson) == 0
    lost = lessons.lost(lesson.sharp + 0.1, lesson)
    assert lost.item() == pytest.approx(0.1, rel=1e-5)
    assert lessons.total(torch.tensor(7.0), lost, lesson).item() == pytest.approx(1.0, rel=1e-5)


def test_a_resumed_training_draws_the_same_lessons():
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        lessons = FocusLessons(share=0.5)
        drawn.append([lessons.draw(IMAGE, ()) for _ in range(6)])
    assert [lesson is None for lesson in drawn[0]] == [lesson is None for lesson in drawn[1]]
    assert any(lesson is None for lesson in drawn[0])
    for first, second in zip(*drawn, strict=True):
        assert first is None or torch.equal(first.inputs, second.inputs)
