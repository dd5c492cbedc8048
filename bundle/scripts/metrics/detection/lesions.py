"""Planted lesions: their kinds, where they go, and how they are put into an image."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...utils.checks import InputError
from ...utils.enums import LesionShape

__all__ = [
    "KINDS",
    "LESIONS",
    "STANDARD",
    "Lesion",
    "LesionKind",
    "find_sites",
    "lesion_kind",
    "place_lesions",
    "plant",
]

LESIONS = 8  # in one image, at most
ROOM = 0.02  # a source shows something between this and 1 minus this, fractions of white
ANGLES = 4  # directions of a streak, in steps of 45 degrees
RING_RADIUS, RING_WIDTH = 2.0, 0.5  # in sigmas
STREAK_LENGTH = 4.0  # sigmas along over sigmas across
SPACING = 3.5  # smallest distance of two lesions, in radii
# Radius of the disc in which both sources must show something, in sigmas.
REACH = {LesionShape.GAUSSIAN: 2.0, LesionShape.RING: 3.0, LesionShape.STREAK: 4.0}


@dataclass(frozen=True)
class LesionKind:
    """One kind of lesion.

    Args:
        shape: what it looks like.
        sigma: standard deviation of the Gaussian, pixels; of a streak across it (along it four times as much); a ring
            has a radius of two sigmas and a width of half a sigma.
        contrast: its peak, percent of white, above or below what is there.
    """

    shape: LesionShape
    sigma: float
    contrast: int

    @property
    def name(self) -> str:
        """The kind in one word, such as ``"gaussian-2.5-10"``."""
        return f"{self.shape}-{self.sigma:g}-{self.contrast}"

    @property
    def radius(self) -> float:
        """Radius of the disc that holds it, pixels."""
        return REACH[self.shape] * self.sigma


STANDARD = LesionKind(LesionShape.GAUSSIAN, 2.5, 10)
KINDS = (
    STANDARD,
    LesionKind(LesionShape.GAUSSIAN, 1.5, 10),
    LesionKind(LesionShape.GAUSSIAN, 5.0, 10),
    LesionKind(LesionShape.GAUSSIAN, 2.5, 5),
    LesionKind(LesionShape.GAUSSIAN, 2.5, 20),
    LesionKind(LesionShape.RING, 2.5, 10),
    LesionKind(LesionShape.STREAK, 1.5, 10),
)


def lesion_kind(word: str) -> LesionKind:
    """Read a kind from its name, ``SHAPE-SIGMA-CONTRAST``.

    Raises:
        InputError: When the word is none: sigma must lie between 1 and 10 pixels, the contrast between 1 and 50 %.

    Example:
        >>> lesion_kind("ring-3-15").radius
        9.0
    """
    try:
        shape, sigma, contrast = word.split("-")
        kind = LesionKind(LesionShape(shape), float(sigma), int(contrast))
        good = 1 <= kind.sigma <= 10 and 1 <= kind.contrast <= 50
    except ValueError:
        good = False
    if not good:
        raise InputError(
            f"Lesion '{word}': expected SHAPE-SIGMA-CONTRAST such as {STANDARD.name}; shapes: "
            f"{', '.join(LesionShape)}; sigma: 1 to 10 pixels; contrast: 1 to 50 percent of white."
        )
    return kind


@dataclass(frozen=True)
class Lesion:
    """One planted lesion.

    Args:
        row: of its center, pixels.
        column: of its center, pixels.
        sign: 1 for a bright one, -1 for a dark one.
        angle: direction of a streak, steps of 45 degrees from the rows' direction. Defaults to 0.
    """

    row: int
    column: int
    sign: int
    angle: int = 0


def stretched_radius(shape: LesionShape, half: int, angle: int) -> np.ndarray:
    """Distance from the center of a window, pixels; of a streak along its direction a quarter of it.

    Args:
        shape: of the lesion.
        half: the window has 2 * half + 1 pixels a side.
        angle: steps of 45 degrees.

    Returns:
        (2 * half + 1, 2 * half + 1).
    """
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    if shape is not LesionShape.STREAK:
        return np.hypot(y, x)
    turn = np.deg2rad(45.0 * angle)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    return np.hypot(along / STREAK_LENGTH, across)


@lru_cache(maxsize=64)
def _profile(kind: LesionKind, angle: int) -> np.ndarray:
    """The lesion with a peak of 1 in the middle of a window that holds all of it."""
    half = int(np.ceil(4 * kind.radius))
    radius = stretched_radius(kind.shape, half, angle) / kind.sigma
    if kind.shape is LesionShape.RING:
        return np.exp(-(((radius - RING_RADIUS) / RING_WIDTH) ** 2) / 2)
    return np.exp(-(radius**2) / 2)


def find_sites(sources: np.ndarray, kind: LesionKind, rng: np.random.Generator, count: int = LESIONS) -> np.ndarray:
    """Choose places for lesions: both sources show something there, and no two lesions touch.

    A source shows something where it is neither black nor white (2 to 98 %); both must do so within the whole disc that
    holds the lesion. So a lesion is never planted into saturated bone or beside the head, where it could not show.

    Args:
        sources: (2, H, W) in [0, 1].
        kind: of the lesions.
        rng: draws the places.
        count: how many at most. Defaults to 8.

    Returns:
        Rows and columns, (N, 2) with N from 0 to ``count``.
    """
    from scipy.ndimage import distance_transform_edt

    shows = np.pad(((sources > ROOM) & (sources < 1 - ROOM)).all(axis=0), 1)
    free = distance_transform_edt(shows)[1:-1, 1:-1] > kind.radius
    rows, columns = np.ogrid[: free.shape[0], : free.shape[1]]
    sites: list[tuple[int, int]] = []
    while len(sites) < count and free.any():
        row, column = divmod(int(rng.choice(np.flatnonzero(free))), free.shape[1])
        sites.append((row, column))
        free &= (rows - row) ** 2 + (columns - column) ** 2 >= (SPACING * kind.radius) ** 2
    return np.array(sites, dtype=int).reshape(-1, 2)


def place_lesions(
    sources: np.ndarray, kind: LesionKind, seed: int, words: Sequence[str], count: int = LESIONS
) -> list[Lesion]:
    """Draw places, signs and directions of the lesions of one image.

    Args:
        sources: (2, H, W) in [0, 1].
        kind: of the lesions.
        seed: of all draws.
        words: what names the image; other words give other lesions, and no other image of the data set matters.
        count: how many at most. Defaults to 8.
    """
    rng = np.random.default_rng([seed, zlib.crc32("/".join([kind.name, *words]).encode())])
    sites = find_sites(sources, kind, rng, count)
    signs, angles = rng.choice([-1, 1], len(sites)), rng.integers(0, ANGLES, len(sites))
    return [Lesion(*map(int, numbers)) for numbers in zip(*sites.T, signs, angles, strict=True)]


def plant(image: np.ndarray, kind: LesionKind, lesions: Sequence[Lesion]) -> np.ndarray:
    """Put lesions into an image; the result is clipped and rounded to 8 bit, as a picture file holds it.

    Args:
        image: (H, W) in [0, 1].
        kind: of the lesions.
        lesions: where, and of which sign.

    Returns:
        (H, W) float32 in [0, 1], multiples of 1/255.
    """
    profile = _profile(kind, 0)
    half = profile.shape[0] // 2
    planted = np.pad(image.astype(np.float64), half)
    for lesion in lesions:
        window = np.s_[lesion.row : lesion.row + 2 * half + 1, lesion.column : lesion.column + 2 * half + 1]
        planted[window] += lesion.sign * kind.contrast / 100 * _profile(kind, lesion.angle)
    inside = planted[half:-half, half:-half].clip(0, 1)
    return (np.rint(inside * 255) / 255).astype(np.float32)
