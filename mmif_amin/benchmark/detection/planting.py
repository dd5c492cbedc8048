"""Pairs with planted lesions: which there are, their names, and their files for other methods to fuse."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ...scripts.data.datalist import fusion_datalist, patient_of, tasks_of
from ...scripts.data.pictures import write_image
from ...scripts.data.tasks import task_of
from ...scripts.metrics.detection.lesions import KINDS, Lesion, LesionKind, place_lesions, plant
from ...scripts.transforms.pairs import LoadSourced
from ...scripts.utils.checks import InputError
from ...scripts.utils.enums import SourceKeys
from ...scripts.utils.files import write_folder_atomically
from ..folders import fused_file

__all__ = [
    "MANIFEST",
    "SETS",
    "SIDES",
    "PlantedPair",
    "Planting",
    "load_pair",
    "planted_items",
    "takes_lesions",
    "write_planted",
]

MANIFEST = "manifest.json"
SIDES = ("a", "b")
SETS = 2


@dataclass(frozen=True)
class PlantedPair:
    """One pair with lesions in one of its sources, or the same pair without.

    Args:
        item: its entry in a data list; the name says pair, kind, side, set and content.
        image: both sources, (2, H, W) float32 in [0, 1], multiples of 1/255.
        kind: of the lesions. None: there are none.
        side: in which source they are, 0 for A and 1 for B. Defaults to 0.
        lesions: all of them. Defaults to none.
    """

    item: dict
    image: np.ndarray
    kind: LesionKind | None = None
    side: int = 0
    lesions: list[Lesion] = field(default_factory=list)


@dataclass(frozen=True)
class Planting:
    """Which lesions are planted. The same planting makes the same pairs of the same images, in any data set.

    Args:
        kinds: of the lesions. Defaults to all of :data:`~scripts.metrics.detection.lesions.KINDS`.
        sets: images of each kind and side of a pair; in each there are up to 8 lesions. Defaults to 2.
        seed: of places, signs and directions. Defaults to 0.
    """

    kinds: tuple[LesionKind, ...] = KINDS
    sets: int = SETS
    seed: int = 0

    def pairs_of(self, image: np.ndarray, item: dict) -> list[PlantedPair]:
        """Plant into one pair.

        Args:
            image: both sources, (2, H, W) in [0, 1]; they are rounded to 8 bit.
            item: its entry in the data list.

        Returns:
            The pair without lesions first, then all that there is room for.
        """
        clean = (np.rint(image * 255) / 255).astype(np.float32)
        found = [PlantedPair(_named(item, "clean", clean), clean)]
        words = (str(item[SourceKeys.TASK.value]), str(item[SourceKeys.NAME.value]))
        for kind in self.kinds:
            for side in range(2):
                for number in range(self.sets):
                    lesions = place_lesions(clean, kind, self.seed, (*words, SIDES[side], str(number)))
                    if lesions:
                        planted = clean.copy()
                        planted[side] = plant(clean[side], kind, lesions)
                        named = _named(item, f"{kind.name}-{SIDES[side]}{number}", planted)
                        found.append(PlantedPair(named, planted, kind, side, lesions))
        return found


def takes_lesions(task: str) -> bool:
    """Whether something planted in one source alone makes sense: not in two photographs that show the same things."""
    return task_of(task).ordered


def planted_items(
    dataset_dir: str | os.PathLike | Sequence[str],
    split: str | None,
    tasks: Sequence[str] | None,
    split_file: str | os.PathLike | None,
) -> list[dict]:
    """Pairs of a data set, of the tasks that take lesions.

    Raises:
        InputError: When there is none.
    """
    items = fusion_datalist(dataset_dir, split, tasks, split_file=split_file)
    found = [item for item in items if takes_lesions(item[SourceKeys.TASK.value])]
    if not found:
        raise InputError(
            f"Lesions are planted in one of two kinds of images; {', '.join(tasks_of(items))} has one kind. "
            "Use another --task."
        )
    return found


def _named(item: dict, words: str, image: np.ndarray) -> dict:
    """The entry of a planted pair: 8 digits of its name stand for its content, so no other image is taken for it."""
    digest = hashlib.sha256(np.rint(image * 255).astype(np.uint8).tobytes()).hexdigest()[:8]
    return {**item, SourceKeys.NAME.value: f"{item[SourceKeys.NAME.value]}-{words}-{digest}"}


def load_pair(loader: LoadSourced, item: dict) -> torch.Tensor:
    """Load both sources of a pair, (1, 2, H, W) in [0, 1]."""
    pair = loader(item)
    return torch.cat([pair[SourceKeys.SOURCE_A.value], pair[SourceKeys.SOURCE_B.value]])[None]


def write_planted(
    dataset_dir: str | os.PathLike | Sequence[str],
    output_dir: str | os.PathLike,
    planting: Planting,
    split: str | None = "validation",
    tasks: Sequence[str] | None = None,
    split_file: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """Write pairs with planted lesions as gray pictures, for other methods to fuse; and a manifest.

    The folder has the Harvard layout, ``TASK/MRI/NAME.png`` and ``TASK/OTHER/NAME.png``.

    Args:
        dataset_dir: the pairs; see :func:`fusion_datalist`.
        output_dir: a new folder.
        planting: which lesions.
        split: which pairs. Defaults to ``"validation"``.
        tasks: which tasks. Defaults to None: all.
        split_file: see :func:`fusion_datalist`. Defaults to None.

    Returns:
        The manifest: what was planted where.

    Raises:
        InputError: When the data set cannot be used, or the folder is not empty; nothing is left there then.
    """
    items = planted_items(dataset_dir, split, tasks, split_file)
    loader, entries = LoadSourced(), []

    def write(folder: Path) -> None:
        for item in tqdm(items, desc="planting", unit="pair"):
            for pair in planting.pairs_of(load_pair(loader, item)[0].numpy(), item):
                task = pair.item[SourceKeys.TASK.value]
                for modality, source in zip(task_of(task).folders, pair.image, strict=True):
                    inside = {SourceKeys.TASK.value: str(modality), SourceKeys.NAME.value: pair.item["name"]}
                    write_image(fused_file(folder / task, inside), source[None])
                entries.append(_entry(pair, item))
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")

    manifest = {
        "seed": planting.seed,
        "sets": planting.sets,
        "kinds": {kind.name: asdict(kind) for kind in planting.kinds},
        "pairs": entries,
    }
    write_folder_atomically(output_dir, write)
    return manifest


def _entry(pair: PlantedPair, item: dict) -> dict[str, Any]:
    """One pair of the manifest."""
    facts = {"task": item["task"], "name": pair.item["name"], "pair": item["name"], "patient": patient_of(item)}
    if pair.kind is None:
        return facts
    lesions = [asdict(lesion) for lesion in pair.lesions]
    return {**facts, "kind": pair.kind.name, "source": SIDES[pair.side], "lesions": lesions}
