"""What is measured of a network that was trained for the ablation."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from ...fuser import load_torch_network
from ...scripts.data.datalist import fusion_datalist
from ...scripts.inferers.optimum import STEPS, Way, pixel_optima, way_to
from ...scripts.metrics.detection.lesions import STANDARD
from ...scripts.networks.nets.mmif_amin import MMIFAMIN
from ...scripts.transforms.pairs import LoadSourced
from ...scripts.utils.checks import InputError
from ...scripts.utils.enums import Keep, SourceKeys
from ...scripts.utils.files import write_atomically
from ...scripts.utils.json_files import read_json
from ..detection.collect import Detection
from ..detection.planting import Planting, load_pair

__all__ = ["INTERVAL", "KEPT", "WAY", "Measure"]

WAY = "way_closed"
KEPT = "lesions_kept"  # d' of the standard lesion over that in its source, the smaller side, mean over the tasks
INTERVAL = 5  # of the pairs of a task, whose pixel optima are sought


class Measure:
    """Measures networks on the validation pairs of one data set.

    Args:
        dataset_dir: the data set.
        optima: JSON file of the pixel optima of every fifth pair, which are those of all variants. Written where there
            is none, from the images of the shipped network; that takes about 8 s of one core for a 256x256 pair.

    Raises:
        InputError: When the data set cannot be used or the file is damaged.
    """

    def __init__(self, dataset_dir: str | os.PathLike, optima: Path) -> None:
        self.items = fusion_datalist(dataset_dir, "validation")
        self.loader = LoadSourced()
        by_task: dict[str, list[dict]] = defaultdict(list)
        for item in self.items:
            by_task[item[SourceKeys.TASK.value]].append(item)
        self.pairs = [self._pair(item) for items in by_task.values() for item in items[::INTERVAL]]
        if not optima.is_file():
            with tqdm(total=len(self.pairs), desc="pixel optimum", unit="pair") as bar:
                found = pixel_optima(load_torch_network(), self.pairs, STEPS, bar.update)
            write_atomically(optima, lambda path: path.write_text(json.dumps(found)))
        self.ways = self._ways(optima)

    def _pair(self, item: dict) -> dict:
        return {"image": load_pair(self.loader, item)[0], "task": item[SourceKeys.TASK.value]}

    def _ways(self, path: Path) -> list[Way]:
        found = read_json(path, "the pixel optima of the ablation")
        tasks = [pair["task"] for pair in self.pairs]
        try:
            ways = [Way(str(task), float(start), float(end)) for task, start, end in found]
        except (TypeError, ValueError):
            ways = []
        if [way.task for way in ways] != tasks:
            raise InputError(
                f"{path}: expected {len(tasks)} pixel optima of this data set. Remove it to seek them anew."
            )
        return ways

    def __call__(self, network: MMIFAMIN) -> dict[str, float]:
        """Measure the way closed of each task and in the mean, and how well lesions are found.

        Args:
            network: the trained network, on the CPU.

        Returns:
            ``way_closed``, ``way_closed/TASK``, ``lesions_kept/both``, and ``lesions_kept/lesions`` of a
            conditional network; those of lesions only where there were enough of them.
        """
        parts = way_to(network, self.pairs, self.ways)
        found = {WAY: sum(parts.values()) / len(parts), **{f"{WAY}/{task}": part for task, part in parts.items()}}
        wishes = tuple(Keep) if network.conditional else (Keep.BOTH,)
        detection = Detection({str(wish): _with_wish(network, wish) for wish in wishes}, Planting((STANDARD,)))
        for item in tqdm(self.items, desc="detectability", unit="pair"):
            detection.add(load_pair(self.loader, item), item)
        smaller = [task.smaller() for task in detection.results().values()]
        for wish in wishes:
            if all(str(wish) in each for each in smaller):
                found[f"{KEPT}/{wish}"] = sum(each[str(wish)] for each in smaller) / len(smaller)
        return found


def _with_wish(network: torch.nn.Module, wish: Keep) -> Callable[[torch.Tensor, Sequence[Mapping]], torch.Tensor]:
    """What fuses with a wish, as the benchmark calls it."""

    @torch.inference_mode()
    def fuse(images: torch.Tensor, items: Sequence[Mapping]) -> torch.Tensor:
        return network(images, torch.tensor([wish.condition])) if wish.condition else network(images)

    return fuse
