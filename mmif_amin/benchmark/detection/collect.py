"""Collects what the observer sees of each method's images, pair by pair, and makes the figures of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ...scripts.data.datalist import patient_of
from ...scripts.metrics.detection.lesions import LesionKind
from ...scripts.metrics.detection.observer import Outputs, detectability, internal_noise, look
from ...scripts.utils.enums import ColorMap, SourceKeys
from ..methods import Method
from ..statistics import draw_cases
from .planting import Planting
from .result import CEILING, SOURCE, TaskDetection, ratios_with_intervals
from .shown import has_colors, shown_in_color, shown_in_gray, to_8_bit

__all__ = ["Detection"]

Key = tuple[LesionKind, int]  # kind of the lesions, and the source that holds them


@dataclass
class _Seen:
    """What was seen so far of the lesions of one kind in one source.

    Args:
        sign: of each planted image its lesions' signs.
        image: number of the pair of each lesion, in the same way.
        absent: picture, such as ``("gray", "Max")``, to the outputs of each planted image without its lesions.
        present: the same with its lesions.
    """

    sign: list[np.ndarray] = field(default_factory=list)
    image: list[np.ndarray] = field(default_factory=list)
    absent: dict[tuple[str, str], list[np.ndarray]] = field(default_factory=dict)
    present: dict[tuple[str, str], list[np.ndarray]] = field(default_factory=dict)


class Detection:
    """Measures how well lesions are found, over a data set.

    Args:
        methods: name to what fuses.
        planting: which lesions.
        folders: name to folder, of the methods whose images lie in one. Defaults to none.
        colormap: of PET and SPECT. Defaults to ``"hot"``.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        planting: Planting,
        folders: Mapping[str, Path] | None = None,
        colormap: ColorMap | str = ColorMap.HOT,
    ) -> None:
        self.methods, self.planting, self.colormap = dict(methods), planting, colormap
        self.folders = dict(folders or {})
        self._seen: dict[str, dict[Key, _Seen]] = {}
        self._patients: dict[str, list[str]] = {}

    def add(self, image: torch.Tensor, item: dict) -> None:
        """Plant into one pair, fuse the planted pairs with each method, and let the observer look.

        Args:
            image: both sources, (1, 2, H, W) in [0, 1].
            item: its entry in the data list.
        """
        task = str(item[SourceKeys.TASK.value])
        pairs = self.planting.pairs_of(image[0].numpy(), item)
        number = len(self._patients.setdefault(task, []))
        self._patients[task].append(patient_of(item))
        gray = shown_in_gray(pairs, self.methods)
        color = shown_in_color(pairs, gray, self.folders, self.colormap) if has_colors(task) else {}
        sources = to_8_bit(np.stack([pair.image for pair in pairs]))
        pictures = {
            **{("gray", name): stack for name, stack in gray.items()},
            **{("color", name): stack for name, stack in color.items()},
        }
        for index, pair in enumerate(pairs):
            if pair.kind is None:
                continue
            seen = self._seen.setdefault(task, {}).setdefault((pair.kind, pair.side), _Seen())
            seen.sign.append(np.array([lesion.sign for lesion in pair.lesions]))
            seen.image.append(np.full(len(pair.lesions), number))
            for when, found in ((0, seen.absent), (index, seen.present)):
                for key, stack in pictures.items():
                    found.setdefault(key, []).append(look(stack[when], pair.kind, pair.lesions))
                both = [look(sources[when, side : side + 1], pair.kind, pair.lesions) for side in range(2)]
                found.setdefault(("gray", SOURCE), []).append(both[pair.side])
                found.setdefault(("gray", CEILING), []).append(np.concatenate(both, axis=1))

    def results(self) -> dict[str, TaskDetection]:
        """Task to figures, of the tasks of which pairs were added."""
        return {task: self._task(self._seen.get(task, {}), patients) for task, patients in self._patients.items()}

    def _task(self, seen: Mapping[Key, _Seen], patients: Sequence[str]) -> TaskDetection:
        group, draws = draw_cases(patients)
        weights = np.concatenate([np.ones((1, draws.shape[1])), draws])
        shown = [key for found in seen.values() for key in found.absent]
        dprimes = {
            key: np.stack(
                [
                    [_dprime(seen.get((kind, side)), key, kind, group, weights) for side in range(2)]
                    for kind in self.planting.kinds
                ]
            )
            for key in dict.fromkeys(shown)
        }
        nothing = np.full((len(self.planting.kinds), 2, len(weights)), np.nan)
        source = dprimes.pop(("gray", SOURCE), nothing)
        counts = [
            [sum(map(len, seen[kind, side].sign)) if (kind, side) in seen else 0 for side in range(2)]
            for kind in self.planting.kinds
        ]
        ratios = {key: ratios_with_intervals(found, source) for key, found in dprimes.items()}
        return TaskDetection(
            kinds=[kind.name for kind in self.planting.kinds],
            lesions=np.array(counts),
            sources=source[..., 0],
            gray={name: found for (way, name), found in ratios.items() if way == "gray"},
            color={name: found for (way, name), found in ratios.items() if way == "color"},
        )


def _dprime(
    seen: _Seen | None, key: tuple[str, str], kind: LesionKind, group: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """D' of all patients and of each draw, (1 + draws,)."""
    if seen is None:
        return np.full(len(weights), np.nan)
    absent, present = np.concatenate(seen.absent[key]), np.concatenate(seen.present[key])
    image = np.concatenate(seen.image)
    half = image % 2 if len(group) > 1 else np.arange(len(image)) % 2
    noise = internal_noise(kind, absent.shape[1])
    return detectability(Outputs(absent, present, np.concatenate(seen.sign), half, group[image], noise), weights)
