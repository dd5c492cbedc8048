"""The figures of detectability on one task, and their files."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CEILING", "CSV_HEADER", "MEAN", "PARTS", "SOURCE", "TaskDetection", "ratios_with_intervals"]

SOURCE = "Source with the lesion"
CEILING = "Both sources"  # the observer that sees both: no fusion keeps more
MEAN = "mean"  # over the kinds of lesions
PARTS = ("a", "b", "smaller")  # lesions in source A, in source B, and the smaller figure of both
CSV_HEADER = ["task", "method", "shown", "lesion", "part", "ratio", "low", "high"]


@dataclass
class TaskDetection:
    """How well lesions are found on one task.

    Args:
        kinds: names of the K kinds of lesions.
        lesions: how many there were in source A and in B, (K, 2).
        sources: d' in the source that holds them, (K, 2).
        gray: method to d' in its gray images over that in the source: (K + 1, 3, 3), the last kind being the mean of
            the others; parts as :data:`PARTS`; value, and both ends of its 95 % interval. NaN: too few lesions.
        color: the same of its color images, and of the overlays.
    """

    kinds: list[str]
    lesions: np.ndarray
    sources: np.ndarray
    gray: dict[str, np.ndarray]
    color: dict[str, np.ndarray]

    def smaller(self, color: bool = False) -> dict[str, float]:
        """Method to the smaller part, mean over the kinds; without the ceiling, and without what has no figure."""
        shown = self.color if color else self.gray
        values = {name: float(found[-1, 2, 0]) for name, found in shown.items() if name != CEILING}
        return {name: value for name, value in values.items() if not math.isnan(value)}

    def by_smaller(self) -> list[str]:
        """Everything that is shown, the best in gray first, then what is shown in color alone."""
        gray = self.smaller()
        return sorted({**self.gray, **self.color}, key=lambda name: (name != CEILING, -gray.get(name, -math.inf)))

    def to_dict(self) -> dict[str, Any]:
        """Everything, as the JSON files hold it; null: too few lesions."""
        kinds = [*self.kinds, MEAN]

        def figures(found: np.ndarray) -> dict[str, Any]:
            return {
                kind: {
                    part: {"ratio": _number(value), "interval_95": [_number(low), _number(high)]}
                    for part, (value, low, high) in zip(PARTS, rows, strict=True)
                }
                for kind, rows in zip(kinds, found.tolist(), strict=True)
            }

        return {
            "lesions": dict(zip(self.kinds, self.lesions.tolist(), strict=True)),
            "d_prime_of_sources": {
                kind: [_number(value) for value in row]
                for kind, row in zip(self.kinds, self.sources.tolist(), strict=True)
            },
            "gray": {name: figures(found) for name, found in self.gray.items()},
            "color": {name: figures(found) for name, found in self.color.items()},
        }

    def csv_rows(self, task: str) -> list[list[object]]:
        """One row a method, kind and part; see :data:`CSV_HEADER`."""
        return [
            [task, name, shown, kind, part, *values]
            for shown, methods in (("gray", self.gray), ("color", self.color))
            for name, found in methods.items()
            for kind, rows in zip([*self.kinds, MEAN], found.tolist(), strict=True)
            for part, values in zip(PARTS, rows, strict=True)
        ]


def _number(value: float) -> float | None:
    """A number that JSON knows."""
    return None if math.isnan(value) else value


def ratios_with_intervals(found: np.ndarray, source: np.ndarray, confidence: float = 0.95) -> np.ndarray:
    """Divide d' by d' of the source, take the mean over the kinds and the smaller side, and find the intervals.

    Args:
        found: d' in what a method shows, (K, 2, 1 + D): kinds, sides, all patients and bootstrap draws.
        source: d' in the source that holds the lesion, same shape.
        confidence: coverage of the intervals. Defaults to 0.95.

    Returns:
        (K + 1, 3, 3); see :class:`TaskDetection`.
    """
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of rows without any figure
        ratios = found / source
        ratios = np.concatenate([ratios, np.nanmean(ratios, axis=0, keepdims=True)])
        parts = np.concatenate([ratios, ratios.min(axis=1, keepdims=True)], axis=1)
        tail = (1 - confidence) / 2
        low, high = np.nanquantile(parts[..., 1:], [tail, 1 - tail], axis=-1)
    return np.stack([parts[..., 0], low, high], axis=-1)
