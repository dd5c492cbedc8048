"""Checks of what enters a public function; each raises one clear error."""

from __future__ import annotations

import torch

__all__ = ["InputError", "check_triplet", "first_line", "input_error_behind", "to_gray_levels"]


class InputError(ValueError):
    """An input of the user (file, folder, option) that cannot be used; the command line turns it into exit code 2."""


def input_error_behind(error: BaseException | None) -> BaseException | None:
    """Find the InputError behind an exception: MONAI wraps what happens inside transforms and configs.

    Compared by name: a config imports this bundle as ``scripts``, the command as ``mmif_amin.scripts``.
    """
    while error is not None:
        if type(error).__name__ == InputError.__name__:
            return error
        error = error.__cause__ or error.__context__
    return None


def first_line(error: BaseException) -> str:
    r"""First line of an exception's text, or its type where it has none: torch's run over many lines.

    Example:
        >>> first_line(RuntimeError("first\nsecond")), first_line(AssertionError())
        ('first', 'AssertionError')
    """
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_triplet(fused: torch.Tensor, source_a: torch.Tensor, source_b: torch.Tensor, min_size: int = 2) -> None:
    """Check that three images can be compared pixel by pixel.

    Args:
        fused: fused image.
        source_a: first source.
        source_b: second source.
        min_size: smallest spatial size that the caller can work on, pixels. Defaults to 2.

    Raises:
        ValueError: When the shapes differ, are not (B, C, H, W[, D]) or are smaller than ``min_size``.
        ValueError: When a value is NaN or infinite.
    """
    for name, image in (("source_a", source_a), ("source_b", source_b)):
        if image.shape != fused.shape:
            raise ValueError(
                f"`fused` and `{name}` must have the same shape, got {tuple(fused.shape)} and {tuple(image.shape)}. "
                "Resample first, e.g. with ResampleToMatchd."
            )
    if fused.ndim not in (4, 5):
        raise ValueError(f"Images must have shape (B, C, H, W[, D]), got {tuple(fused.shape)}.")
    if min(fused.shape[2:4]) < min_size:
        raise ValueError(f"Images must have at least {min_size}x{min_size} pixels, got {tuple(fused.shape[2:4])}.")
    for name, image in (("fused", fused), ("source_a", source_a), ("source_b", source_b)):
        if not bool(torch.isfinite(image).all()):
            raise ValueError(f"`{name}` must be finite, got NaN or infinite values. Replace them before the metric.")


def to_gray_levels(image: torch.Tensor, data_range: float) -> torch.Tensor:
    """Bring an image to the field's convention: gray levels 0..255, rounded, in float64.

    Args:
        image: image of any real dtype, values in [0, ``data_range``].
        data_range: the value that is white.

    Returns:
        The image in float64, integers 0..255; MetaTensors become plain tensors.
    """
    plain = image.as_subclass(torch.Tensor) if type(image) is not torch.Tensor else image
    return (plain.detach().to(torch.float64) * (255.0 / data_range)).round().clamp(0.0, 255.0)
