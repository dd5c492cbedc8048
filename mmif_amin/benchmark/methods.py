"""The methods of the benchmark: this network, folders of fused images, classical rules and degenerate probes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from ..fuser import load
from ..scripts.classical.photographs import ALL_RULES, rules_of
from ..scripts.classical.probes import PROBES
from ..scripts.classical.rules import AVERAGE
from ..scripts.data.tasks import PHOTOGRAPHIC_TASKS
from ..scripts.utils.checks import InputError
from ..scripts.utils.enums import Keep
from .folders import read_fused

__all__ = ["KEEPS_LESIONS", "OURS", "Method", "benchmark_methods", "with_lesions_kept"]

OURS = "MMIF-AMIN"
KEEPS_LESIONS = f"{OURS}, lesions"  # the same weights with --keep lesions

# From pairs of one size (B, 2, H, W) and their entries in the data list to the fused images (B, 1, H, W).
Method = Callable[[torch.Tensor, Sequence[dict]], torch.Tensor]


def benchmark_methods(
    folders: Mapping[str, Path], weights: str | os.PathLike | None, classical: bool, task: str
) -> dict[str, Method]:
    """Name each method and make it callable, this network first and the probes last.

    Args:
        folders: name to folder of fused images.
        weights: of this network. None: the shipped ones of the task.
        classical: take all classical rules of the task; else the average alone.
        task: what is fused.

    Raises:
        InputError: When a name of ``folders`` is one of the benchmark's own.
    """
    taken = {OURS, KEEPS_LESIONS, *ALL_RULES, *PROBES} & set(folders)
    if taken:
        raise InputError(f"--method {sorted(taken)[0]}=...: this name is the benchmark's own. Choose another one.")
    rules = {**(rules_of(task) if classical else {AVERAGE: ALL_RULES[AVERAGE]}), **PROBES}
    methods: dict[str, Method] = {OURS: _network(weights, task)}
    methods.update({name: _from_folder(folder) for name, folder in folders.items()})
    methods.update({name: _from_rule(rule) for name, rule in rules.items()})
    return methods


def with_lesions_kept(methods: Mapping[str, Method], weights: str | os.PathLike | None, task: str) -> dict[str, Method]:
    """Add this network with the wish to keep lesions, after the same network without it.

    It is looked at where lesions are sought, and takes no second place in the ranks of the other metrics. The networks
    for photographs know no such wish.

    Args:
        methods: of :func:`benchmark_methods`.
        weights: of this network. None: the shipped ones of the task.
        task: what is fused.
    """
    if task in PHOTOGRAPHIC_TASKS:
        return dict(methods)
    ours = {OURS: methods[OURS], KEEPS_LESIONS: _network(weights, task, Keep.LESIONS)}
    return {**ours, **{name: method for name, method in methods.items() if name != OURS}}


def _network(weights: str | os.PathLike | None, task: str, keep: Keep = Keep.BOTH) -> Method:
    fuser = load(weights, keep=keep, task=task if task in PHOTOGRAPHIC_TASKS else None)
    return lambda images, items: torch.from_numpy(fuser.fuse_stack(*images.numpy().swapaxes(0, 1)))[:, None]


def _from_folder(folder: Path) -> Method:
    return lambda images, items: torch.stack([read_fused(folder, item, images.shape[2:]) for item in items])


def _from_rule(rule: Callable[[torch.Tensor], torch.Tensor]) -> Method:
    return lambda images, items: rule(images)
