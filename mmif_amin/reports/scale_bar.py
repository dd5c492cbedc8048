"""The scale of the colors of a picture, with its values and unit, and a length, to stand beside the picture."""

from __future__ import annotations

import numpy as np

from ..scripts.utils.color import luminance

__all__ = ["LENGTH_HEIGHT", "colors_of_picture", "length_bar", "scale_bar", "with_scale_bar"]

WIDTH = 96  # pixels of the whole bar, with its numbers
BAND = 20  # of the colors
MARGIN = 6
TICKS = 5
LINE = 14  # pixels between two numbers, at least
SMALLEST = 120  # pixels of the bar's height; a smaller picture gets black below
BACKGROUND = (40, 40, 40)
LENGTH_HEIGHT = 36  # pixels of the length, with its number
LENGTHS = (1, 2, 5, 10, 20, 50, 100)  # mm that are drawn; the longest that fits


def scale_bar(colors: np.ndarray, low: float, high: float, unit: str, height: int) -> np.ndarray:
    """Draw a vertical bar of colors with the values that they stand for: both ends, and round ones between.

    Args:
        colors: (N, 3) in [0, 1], from the lowest to the highest value.
        low: value of the lowest color.
        high: value of the highest one.
        unit: of the values, written above the bar.
        height: of the picture, pixels.

    Returns:
        (3, height, 96) float32 in [0, 1].

    Raises:
        ValueError: When ``high`` is not above ``low``, or the height is too small for numbers.
    """
    from matplotlib.ticker import MaxNLocator
    from PIL import Image, ImageDraw, ImageFont

    if not high > low:
        raise ValueError(f"`high` must be above `low`, got {low} and {high}.")
    if height < SMALLEST:
        raise ValueError(f"`height` must be at least {SMALLEST}, got {height}.")
    font = ImageFont.load_default(12)
    top, bottom = 3 * MARGIN + 12, height - 2 * MARGIN
    picture = Image.new("RGB", (WIDTH, height), BACKGROUND)
    share = np.linspace(1, 0, bottom - top)
    rows = np.asarray(colors)[np.rint(share * (len(colors) - 1)).astype(int)]
    band = np.repeat(np.rint(rows * 255).astype(np.uint8)[:, None], BAND, axis=1)
    picture.paste(Image.fromarray(band), (MARGIN, top))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((MARGIN - 1, top - 1, MARGIN + BAND, bottom), outline=(255, 255, 255))
    draw.text((MARGIN, MARGIN), unit, fill=(255, 255, 255), font=font)
    drawn: list[int] = []
    ticks = MaxNLocator(TICKS, steps=[1, 2, 5, 10]).tick_values(low, high)
    for value, form in [(low, ".3g"), (high, ".3g"), *((tick, ".6g") for tick in ticks if low < tick < high)]:
        y = bottom - 1 - round((value - low) / (high - low) * (bottom - 1 - top))
        if all(abs(y - other) >= LINE for other in drawn):
            drawn.append(y)
            draw.line((MARGIN + BAND, y, MARGIN + BAND + 4, y), fill=(255, 255, 255))
            draw.text((MARGIN + BAND + 8, y), f"{value:{form}}", fill=(255, 255, 255), font=font, anchor="lm")
    return np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / 255


def length_bar(pixels_per_mm: float) -> np.ndarray:
    """Draw a length, from 1 mm to 10 cm, with its number.

    Args:
        pixels_per_mm: of the picture beside it.

    Returns:
        (3, 36, 96) float32 in [0, 1].

    Raises:
        ValueError: When not even 1 mm fits, or ``pixels_per_mm`` is not positive.
    """
    from PIL import Image, ImageDraw, ImageFont

    fitting = [length for length in LENGTHS if 0 < length * pixels_per_mm <= WIDTH - 2 * MARGIN]
    if not fitting:
        raise ValueError(f"`pixels_per_mm` must be above 0 and at most {WIDTH - 2 * MARGIN}, got {pixels_per_mm}.")
    length = fitting[-1]
    picture = Image.new("RGB", (WIDTH, LENGTH_HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    left, right, y = MARGIN, MARGIN + round(length * pixels_per_mm) - 1, LENGTH_HEIGHT - 2 * MARGIN
    draw.line((left, y, right, y), fill=(255, 255, 255))
    for x in (left, right):
        draw.line((x, y - 3, x, y + 3), fill=(255, 255, 255))
    text = f"{length // 10} cm" if length >= 10 else f"{length} mm"
    draw.text((left, y - MARGIN), text, fill=(255, 255, 255), font=ImageFont.load_default(12), anchor="ls")
    return np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / 255


def colors_of_picture(rgb: np.ndarray, levels: int = 256) -> np.ndarray:
    """Colors of a color picture from its darkest to its brightest: the mean color at each luminance.

    Args:
        rgb: (3, H, W) in [0, 1].
        levels: of luminance. Defaults to 256.

    Returns:
        (levels, 3) in [0, 1]; levels that the picture lacks lie between their neighbors, black is 0.
    """
    level = np.rint(luminance(rgb)[0] * (levels - 1)).astype(int).ravel()
    counts = np.bincount(level, minlength=levels)
    known = np.flatnonzero(counts)
    means = [np.bincount(level, channel, minlength=levels)[known] / counts[known] for channel in rgb.reshape(3, -1)]
    black = 1 if known[0] else 0  # colors to add before the darkest one that the picture has
    places = np.r_[[0] * black, known]
    return np.stack([np.interp(np.arange(levels), places, np.r_[[0.0] * black, mean]) for mean in means], axis=1)


def with_scale_bar(picture: np.ndarray, bar: np.ndarray) -> np.ndarray:
    """A picture with a bar to its right; the lower one of the two is filled up with black.

    Args:
        picture: (3, H, W) in [0, 1].
        bar: (3, H', W').

    Returns:
        (3, max(H, H'), W + W').
    """
    height = max(picture.shape[1], bar.shape[1])
    parts = [np.pad(part, ((0, 0), (0, height - part.shape[1]), (0, 0))) for part in (picture, bar)]
    return np.concatenate(parts, axis=2)
