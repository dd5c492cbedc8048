"""Each limit of the geometry from both sides: which slices are even, which are interpolated, which are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from scripts.dicom.frames import Plane
from scripts.dicom.geometry import Grid, directions, grid_of
from scripts.utils.checks import InputError

AXIAL = (1.0, 0, 0, 0, 1, 0)
EVEN = [3.0] * 8
DECIMALS = (0.8, 0.6, 0.0, -0.36, 0.48, -0.8)


def plane(place: tuple[float, ...], orientation: tuple[float, ...] = AXIAL, **keywords) -> Plane:
    header = Dataset()
    header.PixelSpacing, header.Rows, header.Columns = [1.5, 1.25], 40, 50
    header.ImagePositionPatient = [round(float(c), 6) for c in place]
    header.ImageOrientationPatient = [round(float(c), 6) for c in orientation]
    for keyword, value in keywords.items():
        setattr(header, keyword, value)
    return Plane(Path("file"), 0, header, None)


def planes(gaps: list[float], beside: dict[int, tuple[float, float]] | None = None, **keywords) -> list[Plane]:
    """Axial slices with these gaps, mm; some of them moved along x and y."""
    heights = np.cumsum([0.0, *gaps])
    return [plane((*(beside or {}).get(k, (0, 0)), height), **keywords) for k, height in enumerate(heights)]


def grid(*arguments, **keywords) -> tuple[Grid, list[str]]:
    notes: list[str] = []
    return grid_of(planes(*arguments, **keywords), "a series", notes), notes


@pytest.mark.parametrize(
    ("gaps", "kind"),
    [
        pytest.param([3.0], "even", id="two slices"),
        pytest.param([3.0, 3.09, 2.91, 3.0], "even", id="0.09 mm off"),
        pytest.param([3.0, 3.15, 2.85, 3.0], "uneven", id="0.15 mm off"),
        pytest.param([20.0, 20.19, 19.81, 20.0], "even", id="1 % of 20 mm"),
        pytest.param([20.0, 20.25, 19.75, 20.0], "uneven", id="more than 1 % of 20 mm"),
        pytest.param([*EVEN, 6.0, *EVEN], "refused", id="one is missing"),
        pytest.param([*EVEN, 9.0, *EVEN], "refused", id="two are missing"),
        pytest.param([*EVEN, 6.14, *EVEN], "refused", id="one is missing, nearly"),
        pytest.param([*EVEN, 6.16, *EVEN], "uneven", id="no multiple"),
        pytest.param([*EVEN, 4.8, *EVEN], "uneven", id="alone, and less than two"),
        pytest.param([*EVEN, 6.0, 6.0, *EVEN], "uneven", id="thicker slices beside each other"),
        pytest.param([3.0, 6.0, 3.0, 6.0, 3.0, 6.0], "refused", id="many are missing"),
        pytest.param([6.0, 3.0, 6.0, 3.0, 6.0], "refused", id="most are missing"),
        pytest.param([6.0, *EVEN], "refused", id="missing at the start"),
        pytest.param([*EVEN, 6.0], "refused", id="missing at the end"),
        pytest.param([*EVEN, 11.9, 11.9], "uneven", id="not four times as thick"),
        pytest.param([*EVEN, 12.1, 12.1], "refused", id="more than four times as thick"),
    ],
)
def test_which_gaps_are_accepted(gaps, kind):
    if kind == "refused":
        message = rf"expected evenly spaced slices, got \d+ that are mostly 3.00 mm apart, but {max(gaps):.2f} mm from"
        with pytest.raises(InputError, match=message):
            grid(gaps)
        return
    found, notes = grid(gaps)
    if kind == "even":
        assert notes == []
        assert found.heights.tolist() == list(range(len(gaps) + 1))
    else:
        assert f"({min(gaps):.2f} to {max(gaps):.2f} mm apart) interpolated" in notes[0]
        world = found.heights * found.affine[2, 2]
        assert world == pytest.approx(np.cumsum([0, *gaps]), abs=1e-9)
        assert found.affine[2, 2] <= min(gaps) * 1.011  # no finer slice is lost
    assert not found.shift.any()


@pytest.mark.parametrize(("millimeters", "accepted"), [(0.09, True), (0.11, False)])
def test_a_slice_beside_the_others(millimeters, accepted):
    """The line is that of the first and the last slice."""
    beside = {3: (millimeters * 0.6, millimeters * 0.8)}
    if accepted:
        assert grid(EVEN, beside)[1] == []
    else:
        with pytest.raises(InputError, match=rf"lies {millimeters:.2f} mm beside the line of the others"):
            grid(EVEN, beside)


@pytest.mark.parametrize(("sideways", "tilted"), [(0.029, False), (0.031, True), (-0.031, True)])
def test_from_which_tilt_on_slices_are_straightened(sideways, tilted):
    """1 % of the step; below it the positions are kept exactly."""
    found, notes = grid(EVEN, {k: (0.0, sideways * k) for k in range(9)})
    assert bool(notes) is tilted
    if tilted:
        assert found.shift == pytest.approx([0, sideways / 1.5])
        assert found.start.tolist() == [0, 0 if sideways > 0 else 1]
        assert found.size == (50, 41)  # 8 steps of 0.02 pixels
        assert np.abs(found.affine[:2, 2]).max() < 1e-12
    else:
        assert found.affine[:3, 2] == pytest.approx([0, -sideways, 3.0])
        assert found.size == (50, 40)


def test_pixels_and_directions():
    """A row lies along x with its columns' spacing: PixelSpacing names the rows' distance first (PS3.3, 10.7.1.1)."""
    found, _ = grid(EVEN)
    assert np.diag(found.affine).tolist() == pytest.approx([-1.25, -1.5, 3.0, 1.0])
    mean = directions([plane((0, 0, 0), DECIMALS), plane((0, 0, 1), tuple(1.001 * c for c in DECIMALS))])
    assert mean @ mean.T == pytest.approx(np.eye(2), abs=1e-12)
    assert mean.ravel() == pytest.approx(DECIMALS, abs=1e-6)


@pytest.mark.parametrize(
    ("keywords", "thickness"),
    [({"SliceThickness": 4}, 4.0), ({"SpacingBetweenSlices": -5, "SliceThickness": 4}, 5.0)],
)
def test_a_single_slice(keywords, thickness):
    found, notes = grid([], **keywords)
    assert found.affine[2, 2] == thickness
    assert notes == [f"a single slice, {thickness:g} mm thick by its header"]
    assert found.heights.tolist() == [0]
