"""Data lists of pairs from a MONAI datalist JSON, the Harvard layout, or two folders of same-named files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..utils.checks import InputError, is_plain
from ..utils.enums import ShardBy, SourceKeys
from ..utils.files import IMAGE_SUFFIXES, is_nifti
from ..utils.json_files import read_json
from .datalist_entries import checked_entry, read_splits
from .splits import SPLITS, case_of, split_names
from .tasks import PHOTOGRAPHIC_TASKS, task_of

__all__ = [
    "balance_tasks",
    "folder_pairs",
    "fusion_datalist",
    "harvard_pairs",
    "json_pairs",
    "patient_of",
    "patient_shards",
    "spread_over_tasks",
    "tasks_of",
]


def tasks_of(items: Iterable[dict]) -> list[str]:
    """Names of the tasks in a data list, sorted."""
    return sorted({item[SourceKeys.TASK.value] for item in items})


def _pair(source_a: Path, source_b: Path, task: str, name: str, slice_index: int = -1) -> dict:
    return {
        SourceKeys.SOURCE_A.value: str(source_a),
        SourceKeys.SOURCE_B.value: str(source_b),
        SourceKeys.TASK.value: task,
        SourceKeys.NAME.value: name,
        SourceKeys.SLICE.value: slice_index,
    }


def _images(folder: Path) -> dict[str, Path]:
    """Image files of a folder by their name without ending."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix.lower() in IMAGE_SUFFIXES or is_nifti(path):
            stem = path.name.split(".nii")[0] if is_nifti(path) else path.stem
            if not is_plain(stem):
                raise InputError(f"{folder}: {path.name!r}: expected a name of one line in UTF-8. Rename the file.")
            if stem in found:
                raise InputError(f"{folder}: two files are named '{stem}': {found[stem].name} and {path.name}.")
            found[stem] = path
    return found


def folder_pairs(folder_a: str | os.PathLike, folder_b: str | os.PathLike, task: str = "CT-MRI") -> list[dict]:
    """Pairs of two folders of same-named files.

    Args:
        folder_a: folder of the structural images.
        folder_b: folder of the other images.
        task: their task. Defaults to ``"CT-MRI"``.

    Returns:
        One dictionary a pair, sorted by name.

    Raises:
        InputError: When a folder is missing or empty, or a file has no partner.
    """
    task_of(task)
    found = []
    for folder in (Path(folder_a), Path(folder_b)):
        if not folder.is_dir():
            raise InputError(
                f"{folder}: expected a folder of images, found {'a file' if folder.exists() else 'nothing'}."
            )
        found.append(_images(folder))
        if not found[-1]:
            raise InputError(f"{folder}: expected images ({', '.join(IMAGE_SUFFIXES)} or NIfTI), found none.")
    alone = sorted(set(found[0]) ^ set(found[1]))
    if alone:
        shown = ", ".join(alone[:5]) + (" ..." if len(alone) > 5 else "")
        raise InputError(
            f"{folder_a} and {folder_b}: expected files of the same names, {len(alone)} have no partner: {shown}. "
            "Rename or remove them."
        )
    return [_pair(found[0][name], found[1][name], task, name) for name in sorted(found[0])]


def harvard_pairs(
    root: str | os.PathLike,
    split: str | None = None,
    tasks: Sequence[str] | None = None,
    split_file: str | os.PathLike | None = None,
) -> list[dict]:
    """Pairs of a folder in the layout of the Harvard collection: ``<TASK>/MRI/ID.png`` and ``<TASK>/<OTHER>/ID.png``.

    Photographs have the same layout with the folders of their task, such as ``infrared-visible/infrared`` and
    ``infrared-visible/visible`` or ``multi-focus/a`` and ``multi-focus/b``. The split is taken from ``split_file`` or
    else from ``split.json`` in the folder (task to split to ids). Without them one case of five is validation; see
    :func:`~.splits.split_names`.

    Args:
        root: the folder.
        split: ``"training"``, ``"validation"`` or None for all. Defaults to None.
        tasks: which tasks. Defaults to None: all medical ones that are there; where there is none, all of photographs.
        split_file: a ``split.json`` that lies elsewhere. Defaults to None: that in the folder, if there is one.

    Raises:
        InputError: When there is no such task, a file has no partner, or the split file does not name the tasks.
    """
    root = Path(root)
    there = sorted(p.name for p in root.iterdir() if p.is_dir() and "-" in p.name) if root.is_dir() else []
    missing = sorted(set(tasks or ()) - set(there))
    if not there or missing:
        raise InputError(
            f"{root}: expected task folders {missing or ['CT-MRI', 'PET-MRI', 'SPECT-MRI']}, found {there or 'none'}."
        )
    medical = [task for task in there if task not in PHOTOGRAPHIC_TASKS]
    splits = _splits(root / "split.json", split_file)
    items = []
    for task in tasks or medical or there:
        folder_a, folder_b = task_of(task).folders
        pairs = folder_pairs(root / task / folder_a, root / task / folder_b, task)
        if split is not None:
            pairs = _of_split(pairs, task, split, splits)
        items.extend(pairs)
    return items


def _splits(path: Path, split_file: str | os.PathLike | None) -> dict[str, dict[str, list]]:
    """Read the split that the user named, or else the one in the folder if there is one."""
    if split_file is not None and not Path(split_file).is_file():
        raise InputError(f"{split_file}: expected a split, a JSON file of task to split to names, found none.")
    return read_splits(path if split_file is None else Path(split_file))


def _of_split(pairs: list[dict], task: str, split: str, splits: dict[str, dict[str, list]]) -> list[dict]:
    """Choose the pairs of one task that belong to a split."""
    if splits and task in PHOTOGRAPHIC_TASKS and task not in splits:
        raise InputError(f"The split: expected the task {task} in it, found {', '.join(sorted(splits))}. Add it.")
    chosen = split_names(task, [p[SourceKeys.NAME.value] for p in pairs], split, splits.get(task))
    return [p for p in pairs if p[SourceKeys.NAME.value] in chosen]


def patient_of(item: dict) -> str:
    """Return the patient of a pair: of a slice, its volume's file; of a picture, its name as :func:`case_of` reads it.

    Example:
        >>> patient_of({"source_a": "t1.nii.gz", "name": "ct_022", "slice": 22}), patient_of({"name": "4013"})
        ('t1.nii.gz', '4')
    """
    if item.get(SourceKeys.SLICE.value, -1) >= 0:
        return str(item[SourceKeys.SOURCE_A.value])
    return case_of(str(item[SourceKeys.NAME.value]), item.get(SourceKeys.TASK.value, ""))


def patient_shards(items: Sequence[dict], processes: int) -> list[list[dict]]:
    """Deal out pairs to processes so that all pairs of a patient are with one process.

    The patient with most pairs comes first, and each goes to the process that has fewest pairs so far.

    Args:
        items: a data list.
        processes: how many shards to make.

    Returns:
        One data list for each process, none of them empty, each in the order of ``items``.

    Raises:
        InputError: When there are fewer patients than processes.

    Example:
        >>> items = [{"name": name} for name in ("1001", "1002", "2001", "3001")]
        >>> [[item["name"] for item in shard] for shard in patient_shards(items, 2)]
        [['1001', '1002'], ['2001', '3001']]
    """
    by_patient: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        by_patient.setdefault(patient_of(item), []).append(index)
    if len(by_patient) < processes:
        raise InputError(
            f"shard_by patient: expected at least as many patients as processes, got {len(by_patient)} patients and "
            f"{processes} processes. Start fewer processes, or use shard_by image."
        )
    shards: list[list[int]] = [[] for _ in range(processes)]
    for indices in sorted(by_patient.values(), key=len, reverse=True):
        min(shards, key=len).extend(indices)
    return [[items[index] for index in sorted(shard)] for shard in shards]


def json_pairs(path: str | os.PathLike, split: str | None = None) -> list[dict]:
    """Pairs of a MONAI datalist JSON: ``{"training": [{"source_a": ..., "source_b": ..., "task": ...}], ...}``.

    Paths are relative to the JSON's folder; ``name`` and ``slice`` (axial slice of a volume) are optional. A name may
    hold folders, but never leads out of the one that a result is written to.

    Args:
        path: the JSON file.
        split: ``"training"``, ``"validation"`` or None for both. Defaults to None.

    Raises:
        InputError: When the file is no such JSON, an entry lacks a key or has another type in it, or a name is not one
            that a file can have.
    """
    path = Path(path)
    content = read_json(path, "a MONAI datalist JSON")
    items = []
    for key in (split,) if split else tuple(SPLITS):
        entries = content.get(key, []) if isinstance(content, dict) else []
        if not isinstance(entries, list):
            raise InputError(f"{path}: '{key}' must be a list of entries, got {type(entries).__name__}.")
        for number, entry in enumerate(entries):
            source_a, source_b, task, name, slice_index = checked_entry(path, f"entry {number} of '{key}'", entry)
            task_of(task)
            name = name or f"{Path(source_b).name.split('.')[0]}_{number:04d}"
            items.append(_pair(path.parent / source_a, path.parent / source_b, task, name, slice_index))
    if not items:
        raise InputError(f"{path}: expected entries under {split or 'training or validation'}, found none.")
    return items


def balance_tasks(items: list[dict]) -> list[dict]:
    """Repeat the pairs of the smaller tasks so that each task is as frequent as the largest one."""
    by_task = {task: [i for i in items if i[SourceKeys.TASK.value] == task] for task in tasks_of(items)}
    largest = max(len(pairs) for pairs in by_task.values())
    return [pairs[n % len(pairs)] for pairs in by_task.values() for n in range(largest)]


def spread_over_tasks(items: Sequence[dict], count: int) -> list[int]:
    """Choose pairs to show: at most ``count`` of each task, evenly spread over its pairs.

    Args:
        items: a data list.
        count: pairs a task.

    Returns:
        Indices into ``items``, task by task.

    Example:
        >>> spread_over_tasks([{"task": "CT-MRI"}] * 6, 2)
        [1, 4]
    """
    chosen: list[int] = []
    for task in tasks_of(items):
        index = [i for i, item in enumerate(items) if item[SourceKeys.TASK.value] == task]
        wanted = min(count, len(index))
        chosen.extend(index[(2 * k + 1) * len(index) // (2 * wanted)] for k in range(wanted))
    return chosen


def _two_folders(
    folders: Sequence[str], split: str | None, tasks: Sequence[str] | None, split_file: str | os.PathLike | None
) -> list[dict]:
    if len(folders) != 2 or not tasks or len(tasks) != 1:
        raise InputError(
            f"Expected two folders and one task, such as ['mri', 'pet'] and ['PET-MRI'], got {folders} and {tasks}."
        )
    pairs = folder_pairs(folders[0], folders[1], tasks[0])
    splits = {} if split_file is None else _splits(Path(), split_file)
    return pairs if split is None else _of_split(pairs, tasks[0], split, splits)


def fusion_datalist(
    dataset_dir: str | os.PathLike | Sequence[str],
    split: str | None = None,
    tasks: Sequence[str] | None = None,
    balance: bool = False,
    shard_by: ShardBy | str = ShardBy.IMAGE,
    rank: int = 0,
    processes: int = 1,
    split_file: str | os.PathLike | None = None,
) -> list[dict]:
    """Pairs of a data set: a datalist JSON, a folder with one, a folder in the Harvard layout, or two folders.

    Args:
        dataset_dir: the file or folder; or two folders of same-named files, the structural one first, whose task is the
            one in ``tasks``, and of which each fifth case is validation.
        split: ``"training"``, ``"validation"`` or None for all. Defaults to None.
        tasks: which tasks. Defaults to None: all; of a folder that also has tasks of photographs, the medical ones.
        balance: repeat the pairs of smaller tasks, for training. Defaults to False.
        shard_by: ``"patient"`` keeps only the patients of this process, see :func:`patient_shards`, and repeats some of
            their pairs until it has as many as every other process. Defaults to ``"image"``: every process has all
            pairs, and a sampler deals them out.
        rank: which of the processes this is. Defaults to 0.
        processes: how many there are. Defaults to 1.
        split_file: JSON of task to split to names, of folders; such as ``docs/photographs_split.json`` of this bundle.
            Defaults to None: ``split.json`` in the folder, if there is one.

    Returns:
        One dictionary a pair: ``source_a``, ``source_b`` (paths), ``task``, ``name``, ``slice`` (-1: none).

    Raises:
        InputError: When the data set is none of these, or nothing is left of it, or it has too few patients, or
            ``shard_by`` is not known.
        ValueError: When ``split`` is not known.
    """
    if split is not None and split not in SPLITS:
        raise ValueError(f"`split` must be one of {list(SPLITS)} or None, got {split!r}.")
    if not isinstance(dataset_dir, (str, os.PathLike)):
        items = _two_folders(dataset_dir, split, tasks, split_file)
    else:
        items = _file_or_folder(Path(dataset_dir), split, tasks, split_file)
    if shard_by not in set(ShardBy):
        raise InputError(f"shard_by: expected one of {', '.join(ShardBy)}, got {shard_by!r}.")
    by_patient = shard_by == ShardBy.PATIENT
    shards = patient_shards(items, processes) if by_patient else [items]
    shards = [balance_tasks(shard) for shard in shards] if balance else shards
    longest = max(len(shard) for shard in shards)
    own = shards[rank if by_patient else 0]
    return [own[n % len(own)] for n in range(longest)]


def _file_or_folder(
    path: Path, split: str | None, tasks: Sequence[str] | None, split_file: str | os.PathLike | None
) -> list[dict]:
    listing = path / "datalist.json" if path.is_dir() else path
    if listing.suffix == ".json" and listing.is_file():
        if split_file is not None:
            raise InputError(f"{split_file}: expected no split file: {listing} is a data list and has its own split.")
        items = [i for i in json_pairs(listing, split) if not tasks or i[SourceKeys.TASK.value] in tasks]
    else:
        items = harvard_pairs(path, split, tasks, split_file)
    if not items:
        raise InputError(f"{path}: no pairs of the tasks {list(tasks or [])} in the split {split}.")
    return items
