from __future__ import annotations

import numpy as np
import pytest
from scripts.transforms.registration.search import search, shift, start_matrices
from scripts.utils.enums import RegistrationKind

from tests.model.transforms.registration.phantom import AFFINE, head, job, volume

TRUTH = shift(np.array([0.0, 8.0, 0.0]))
RIGID, AFFINE_KIND = RegistrationKind.RIGID, RegistrationKind.AFFINE


@pytest.fixture(scope="module")
def moved():
    """Moving and fixed; the moving one lies 8 mm away."""
    return volume(head("t2"), TRUTH @ AFFINE), volume(head("mr"))


class FakeRegister:
    """Answers from a list, one entry a call, and remembers what it was asked."""

    def __init__(self, *answers: list) -> None:
        self.answers = list(answers)
        self.calls: list[tuple] = []

    def __call__(self, pair, starts, kind, levels, job):
        self.calls.append((pair, list(starts), kind, tuple(levels)))
        return self.answers.pop(0)


def test_the_steps_and_the_choice_between_them(moved):
    todo = job(*moved, kind=AFFINE_KIND)
    far, near, best = shift([0, 30, 0]), shift([0, 7, 0]), TRUTH
    register = FakeRegister([far, near], [best, None], [best], [shift([0, 8, 1])], [shift([0, 8, 2])])
    found = search(todo, register)
    pairs, starts, kinds, levels = zip(*register.calls, strict=True)
    assert pairs == (todo.coarse, todo.coarse, todo.fine, todo.fine, todo.coarse)
    assert kinds == (RIGID, RIGID, RIGID, AFFINE_KIND, AFFINE_KIND)
    assert levels == ((8, 4, 2), (8, 4, 2), (2, 1), (2, 1), (2, 1))
    center = np.r_[todo.coarse[0].center(of_mass=True), 1]
    for start, (_, millimeters) in zip(starts[1], todo.settings.restarts, strict=True):
        assert np.allclose((start @ center - near @ center)[:3], millimeters)  # away from the nearer of both results
    assert np.array_equal(starts[2], [best])  # a restart was better
    assert np.array_equal(found.rigid, best)
    assert np.array_equal(found.best, shift([0, 8, 1]))
    assert np.array_equal(found.restarts[0], shift([0, 8, 2]))  # results of one kind are compared
    assert found.restarts[1] is None


def test_a_failed_start_is_left_out(moved):
    register = FakeRegister([None, TRUTH], [TRUTH, TRUTH], [TRUTH])
    found = search(job(*moved), register)
    assert found.best is TRUTH
    assert found.rigid is TRUTH


def test_restarts_that_are_worse_are_not_taken(moved):
    register = FakeRegister([TRUTH, TRUTH], [shift([40, 0, 0])] * 2, [TRUTH])
    search(job(*moved), register)
    assert np.array_equal(register.calls[2][1], [TRUTH])


@pytest.mark.parametrize(
    ("start", "away", "expected"),
    [
        pytest.param("geometry", 8, [0], id="geometry"),
        pytest.param("center_of_mass", 8, [8], id="centers of mass"),
        pytest.param("center", 8, [8], id="centers of the fields of view"),
        pytest.param("best", 8, [8, 0], id="best: the heads overlap"),
        pytest.param("best", 500, [500, 500], id="best: the heads lie apart"),
    ],
)
def test_starts(start, away, expected):
    matrices = start_matrices(job(volume(head("mr"), shift([0, away, 0]) @ AFFINE), volume(head("mr")), start=start))
    assert np.allclose(matrices, [shift([0, offset, 0]) for offset in expected])
