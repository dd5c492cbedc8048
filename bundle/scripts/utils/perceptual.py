"""Perceptual color maps: lightness is free for the anatomy, hue and chroma hold the functional value; and reading it.

Each map is a curve in the plane of hue and chroma, from gray outward. At every lightness the curve is drawn inside the
sRGB gamut and divided into steps of equal length in OKLab. All colors of one lightness have the luminance of one gray.

Reference: Ottosson, "A perceptual color space for image processing", 2020, bottosson.github.io/posts/oklab; IEC
61966-2-1:1999 (sRGB).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from .enums import ColorMap, Lightness
from .lab import TO_XYZ, srgb_to_lab

__all__ = [
    "READABLE",
    "SCALE_LIGHTNESS",
    "SHAPES",
    "MapShape",
    "color_table",
    "composition_table",
    "map_colors",
    "oklab",
    "read_values",
]

READABLE = (15.0, 90.0)  # CIELAB L* between which the value of a color can be read
SCALE_LIGHTNESS = 65.0  # L* of the colors of a scale that stands beside a picture; there most color fits
LUMINANCE = TO_XYZ[1] / TO_XYZ[1].sum()  # of linear sRGB
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_OPPONENTS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
LEVELS = 256  # of gray, and of the functional value
DIRECTIONS = 720  # in which the border of the gamut is computed, at each lightness
POINTS = 512  # of the curve
REFINEMENTS = 6  # of the division into equal steps
ROOM, ROOM_AT = 0.10, 0.3  # part by which colors of values from ROOM_AT on are darker than white, to have chroma there
RISE_AT = 0.6  # part of a curve from which on its chroma rises to that of the highest value
LIFT, POWER = 0.85, 3.5  # part of the way to white by which the highest value lifts black, and how the lift grows


@dataclass(frozen=True)
class MapShape:
    """The curve of one map.

    Args:
        first_hue: hue angle of the lowest values in OKLab, degrees.
        last_hue: that of the highest value, degrees.
        spread: part of the curve at which the chroma is largest; from there on only the hue changes.
        reach: part of the way from gray to the border of the gamut that colors go at most. Of gold it is less, so that
            its colors stay inside the gamut of the color-blind too.
        chroma: chroma in OKLab where only the hue changes. With a limit the color of a value depends little on the
            lightness.
        last_chroma: chroma of the highest value; the chroma rises to it along the last part of the curve.
    """

    first_hue: float
    last_hue: float
    spread: float
    reach: float
    chroma: float
    last_chroma: float


SHAPES = {
    ColorMap.EMBER: MapShape(0.0, 94.0, 0.5, 0.97, 0.145, 0.19),
    ColorMap.GOLD: MapShape(86.0, 97.0, 1.0, 0.92, 0.11, 0.11),
}


def to_linear(values: np.ndarray) -> np.ndarray:
    """SRGB values in [0, 1] as parts of the light."""
    return np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)


def from_linear(light: np.ndarray) -> np.ndarray:
    """The inverse of :func:`to_linear`."""
    return np.where(light > 0.0031308, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055, light * 12.92)


def smooth_step(x: np.ndarray) -> np.ndarray:
    """From 0 at 0 to 1 at 1, without corners."""
    x = np.clip(x, 0, 1)
    return x**2 * (3 - 2 * x)


def oklab(light: np.ndarray) -> np.ndarray:
    """OKLab coordinates of linear sRGB.

    Args:
        light: (..., 3) in [0, 1].

    Returns:
        (..., 3): lightness in [0, 1], a and b.

    Example:
        >>> oklab(np.array([1.0, 0.0, 0.0])).round(3).tolist()
        [0.628, 0.225, 0.126]
    """
    return np.cbrt(np.maximum(light @ TO_CONES.T, 0)) @ TO_OPPONENTS.T


@cache
def _directions() -> np.ndarray:
    """Directions in which the light changes its color and not its luminance, (DIRECTIONS, 3), counterclockwise."""
    first = np.array([LUMINANCE[1], -LUMINANCE[0], 0.0])
    first /= np.linalg.norm(first)
    second = np.cross(first, LUMINANCE)
    turn = np.linspace(0, 2 * np.pi, DIRECTIONS, endpoint=False)[:, None]
    plane = np.cos(turn) * first + np.sin(turn) * second / np.linalg.norm(second)
    a, b = oklab(0.2 + 0.05 * plane)[:2, 1:]
    return plane if a[0] * b[1] > a[1] * b[0] else plane[::-1]


def _room(luminance: float, directions: np.ndarray) -> np.ndarray:
    """How far one can go from the gray of a luminance in each direction before a channel reaches 0 or 1."""
    ends = np.where(directions > 0, 1 - luminance, -luminance)
    return (ends / np.where(np.abs(directions) < 1e-12, 1e-12, directions)).min(axis=1)


def _curve(shape: MapShape, luminance: float) -> np.ndarray:
    """The map's curve at one luminance as light, (POINTS, 3) inside the cube, not yet in equal steps."""
    plane = _directions()
    border = luminance + (shape.reach * _room(luminance, plane))[:, None] * plane
    hues = np.unwrap(np.arctan2(*oklab(border)[:, :0:-1].T))
    way = np.linspace(0, 1, POINTS)
    wanted = np.deg2rad(shape.first_hue + (shape.last_hue - shape.first_hue) * way)
    place = np.interp(
        wanted,
        np.concatenate([hues - 2 * np.pi, hues, hues + 2 * np.pi]),
        np.arange(3 * DIRECTIONS),
    )
    before = np.floor(place).astype(int)
    share = (place - before)[:, None]
    direction = (1 - share) * plane[before % DIRECTIONS] + share * plane[(before + 1) % DIRECTIONS]
    room = _room(luminance, direction)
    limit = shape.chroma + (shape.last_chroma - shape.chroma) * smooth_step((way - RISE_AT) / (1 - RISE_AT))
    part = np.full(POINTS, shape.reach)
    for _ in range(REFINEMENTS):  # the chroma is nearly proportional to the way from gray
        chroma = np.linalg.norm(oklab(luminance + (part * room)[:, None] * direction)[:, 1:], axis=1)
        part = np.minimum(shape.reach, part * limit / chroma)
    out = np.sin(np.pi / 2 * np.clip(way / shape.spread, 0, 1))
    return luminance + (out * part * room)[:, None] * direction


def _equal_steps(curve: np.ndarray) -> np.ndarray:
    """LEVELS points of a curve of light with equal distances in OKLab."""
    way = np.linspace(0, 1, LEVELS)
    place = np.linspace(0, 1, POINTS)
    for _ in range(REFINEMENTS):
        points = np.stack([np.interp(way, place, channel) for channel in curve.T], axis=1)
        steps = np.linalg.norm(np.diff(oklab(points), axis=0), axis=1)
        length = np.concatenate([[0], np.cumsum(steps)])
        way = np.interp(np.linspace(0, length[-1], LEVELS), length, way)
    return np.stack([np.interp(way, place, channel) for channel in curve.T], axis=1)


@cache
def color_table(name: ColorMap | str) -> np.ndarray:
    """All colors of a perceptual map.

    Args:
        name: a key of :data:`SHAPES`.

    Returns:
        (256, 256, 3) float64 in [0, 1]: gray level with the same luminance, then value, then red, green and blue. The
        first column is gray, the first row black.

    Raises:
        KeyError: When the map is none of these.
    """
    shape = SHAPES[ColorMap(name)]
    luminances = to_linear(np.arange(LEVELS) / (LEVELS - 1))
    rows = [_equal_steps(_curve(shape, luminance)) for luminance in luminances[1:-1]]
    light = np.stack([np.zeros((LEVELS, 3)), *rows, np.ones((LEVELS, 3))])
    table = from_linear(light.clip(0, 1))
    table[:, 0] = (np.arange(LEVELS) / (LEVELS - 1))[:, None]
    table.setflags(write=False)
    return table


@cache
def composition_table(name: ColorMap | str, lightness: Lightness | str = Lightness.STRUCTURAL) -> np.ndarray:
    r"""Colors for each gray level of the anatomy and each functional value.

    With the structural image as lightness, high values lift it, so that hot spots are bright on dark ground too:

    .. math:: g = (1 - r\,w(v)) \bigl(1 - (1 - s)(1 - l\,v^p)\bigr)

    with s the gray of the anatomy, v the value, l = 0.85, p = 3.5, and w a smooth step from 0 to 1 that takes r = 10 %
    off white, where no color could be. A fused image holds the function already and is not lifted. Where v is 0, g
    is s.

    Args:
        name: a key of :data:`SHAPES`.
        lightness: ``"structural"`` or ``"fused"``. Defaults to ``"structural"``.

    Returns:
        (256, 256, 3) uint8: level of the anatomy, then value, then red, green and blue.

    Raises:
        KeyError: When the map is none of these.
    """
    gray, value = np.meshgrid(*2 * [np.linspace(0, 1, LEVELS)], indexing="ij")
    lift = LIFT * value**POWER if Lightness(lightness) is Lightness.STRUCTURAL else 0.0
    level = (1 - ROOM * smooth_step(value / ROOM_AT)) * (1 - (1 - gray) * (1 - lift))
    colors = color_table(ColorMap(name))[np.rint(level * (LEVELS - 1)).astype(int), np.arange(LEVELS)]
    table = np.rint(colors * 255).astype(np.uint8)
    table.setflags(write=False)
    return table


def map_colors(name: ColorMap | str, lightness: float | None = None) -> np.ndarray:
    """Colors of a perceptual map from its lowest to its highest value.

    Args:
        name: a key of :data:`SHAPES`.
        lightness: CIELAB L* that all of them have, 0 to 100. Defaults to None: it rises with the value, from black, as
            in the classical maps, for what shows the value alone.

    Returns:
        (256, 3) float64 in [0, 1].

    Raises:
        KeyError: When the map is none of these.
        ValueError: When the lightness is not in 0..100.
    """
    values = np.arange(LEVELS)
    if lightness is None:
        return color_table(name)[np.rint((1 - ROOM / 2) * values).astype(int), values]
    if not 0 <= lightness <= 100:
        raise ValueError(f"`lightness` must be a CIELAB L* from 0 to 100, got {lightness}.")
    return color_table(name)[int(np.abs(_lightness_of_gray() - lightness).argmin())]


@cache
def _lightness_of_gray() -> np.ndarray:
    """CIELAB L* of each gray level, (256,)."""
    return srgb_to_lab(np.repeat(np.linspace(0, 1, LEVELS)[:, None], 3, axis=1))[:, 0]


@cache
def _finder(name: ColorMap | str):  # type: ignore[no-untyped-def]  # the type would import scipy
    """Finds the nearest color of a map's table."""
    from scipy.spatial import cKDTree

    return cKDTree(oklab(to_linear(color_table(name))).reshape(-1, 3))


def read_values(rgb: np.ndarray, name: ColorMap | str) -> np.ndarray:
    """Read the functional value back from the colors of a picture: that of the nearest color of the map.

    Args:
        rgb: (3, *spatial) uint8, made with this map.
        name: a key of :data:`SHAPES`.

    Returns:
        (*spatial) float32 in [0, 1]; NaN where CIELAB L* is below 15 or above 90, since too little color fits there.

    Raises:
        KeyError: When the map is none of these.
        ValueError: When the picture is not in 8 bit or has not three channels.
    """
    if rgb.shape[0] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"`rgb` must be uint8 of shape (3, ...), got {rgb.dtype} {rgb.shape}.")
    codes = rgb[0].astype(np.int32) << 16 | rgb[1].astype(np.int32) << 8 | rgb[2]
    found, place = np.unique(codes, return_inverse=True)
    colors = (found[:, None] >> np.array([16, 8, 0]) & 255) / 255
    _, nearest = _finder(ColorMap(name)).query(oklab(to_linear(colors)))
    level = srgb_to_lab(colors)[:, 0]
    values = np.where((level < READABLE[0]) | (level > READABLE[1]), np.nan, nearest % LEVELS / (LEVELS - 1))
    return values.astype(np.float32)[place].reshape(rgb.shape[1:])
