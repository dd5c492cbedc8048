"""What very many studies need: cores, hours, disk and archive load, computed from what one study took."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from . import BUNDLE
from .scripts.data.study import Study
from .scripts.utils.checks import InputError
from .scripts.utils.json_files import read_json
from .scripts.utils.memory import PeakMemory

__all__ = ["FLEETS", "Fleet", "Measurement", "Need", "measure", "need", "table"]

ITK_THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
HOUR = 3600.0


@dataclass(frozen=True)
class Measurement:
    """What one study took.

    Args:
        seconds: of one core.
        memory_gb: peak of the process with that of elastix, 10**9 bytes.
        read_mb: size of its sources, 10**6 bytes.
        written_mb: size of its result, 10**6 bytes.
        efficiency: throughput of several workers on one machine, divided by their number, relative to one worker, in
            (0, 1]. Defaults to 1.
        source: where these figures come from. Defaults to "".
    """

    seconds: float
    memory_gb: float
    read_mb: float
    written_mb: float
    efficiency: float = 1.0
    source: str = ""

    @classmethod
    def read(cls, path: Path) -> Measurement:
        """Read what ``benchmarks/bench_batch.py --json`` wrote.

        Raises:
            InputError: When nothing is there, or a figure is missing or not positive.
        """
        names = [field.name for field in fields(cls) if field.name != "source"]
        data = read_json(path, "the figures that benchmarks/bench_batch.py --json writes")
        try:
            figures = {name: float(data[name]) for name in names if name in data or name != "efficiency"}
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(
                f"{path}: expected the figures {', '.join(names)} as benchmarks/bench_batch.py --json writes them, "
                f"got: {error}."
            ) from error
        odd = [name for name, value in figures.items() if not 0 < value < float("inf")]
        if odd or figures.get("efficiency", 1.0) > 1:
            name = odd[0] if odd else "efficiency"
            raise InputError(
                f"{path}: expected a positive figure {name}{', at most 1' if name == 'efficiency' else ''}, got "
                f"{figures[name]:g}."
            )
        return cls(**figures, source=path.name)


@dataclass(frozen=True)
class Fleet:
    """Equal machines.

    Args:
        name: as the table shows it.
        machines: how many.
        cores: of each.
        memory_gb: of each, 10**9 bytes.
    """

    name: str
    machines: int
    cores: int
    memory_gb: float

    @classmethod
    def parse(cls, word: str) -> Fleet:
        """Read a fleet such as ``"ward=4x16x64"``: four machines with 16 cores and 64 GB each.

        Raises:
            InputError: When it is none.
        """
        found = re.fullmatch(r"([^=|]+)=([1-9]\d*)x([1-9]\d*)x(\d+(?:\.\d+)?)", word, re.ASCII)
        if not found:
            raise InputError(
                f"--fleet {word}: expected NAME=MACHINESxCORESxGB, such as ward=4x16x64 for four machines with 16 "
                "cores and 64 GB each."
            )
        name, machines, cores, memory = found.groups()
        return cls(name, int(machines), int(cores), float(memory))


FLEETS = (
    Fleet("workstation", 1, 8, 32.0),
    Fleet("server", 1, 64, 256.0),
    Fleet("cluster", 16, 32, 128.0),
)


@dataclass(frozen=True)
class Need:
    """What a fleet needs for a number of studies.

    Args:
        fleet: the machines.
        at_once: studies that run at the same time on all of them.
        hours: from the first to the last study.
        core_hours: of the cores that work.
        disk_gb: of all results, 10**9 bytes.
        studies_an_hour: that the archive is asked for.
        read_mb_s: load on the archive, 10**6 bytes a second.
        written_mb_s: what goes back, 10**6 bytes a second.
    """

    fleet: Fleet
    at_once: int
    hours: float
    core_hours: float
    disk_gb: float
    studies_an_hour: float
    read_mb_s: float
    written_mb_s: float


def need(studies: int, one: Measurement, fleet: Fleet) -> Need:
    """Compute what a fleet needs: one study a core, as many as fit into the memory.

    Args:
        studies: how many.
        one: what one study took.
        fleet: the machines.

    Raises:
        InputError: When a machine has not the memory for one study.

    Example:
        >>> result = need(1000, Measurement(36, 2, 10, 50), Fleet("one", 1, 4, 8))
        >>> result.at_once, result.hours, result.disk_gb, round(result.read_mb_s, 2)
        (4, 2.5, 50.0, 1.11)
    """
    on_each = min(fleet.cores, int(fleet.memory_gb / one.memory_gb))
    if on_each < 1:
        raise InputError(
            f"--fleet {fleet.name}: a study needs {one.memory_gb:g} GB of memory, a machine has {fleet.memory_gb:g}. "
            "Name machines with more memory."
        )
    at_once = min(studies, on_each * fleet.machines)
    seconds = one.seconds / (one.efficiency if on_each > 1 else 1.0)
    rate = at_once / seconds
    return Need(
        fleet=fleet,
        at_once=at_once,
        hours=studies / rate / HOUR,
        core_hours=studies * seconds / HOUR,
        disk_gb=studies * one.written_mb / 1e3,
        studies_an_hour=rate * HOUR,
        read_mb_s=rate * one.read_mb,
        written_mb_s=rate * one.written_mb,
    )


def table(studies: int, one: Measurement, fleets: Sequence[Fleet]) -> str:
    """What each fleet needs, as Markdown.

    Raises:
        InputError: When a machine has not the memory for one study.
    """
    needs = [need(studies, one, fleet) for fleet in fleets]
    lines = [
        f"One study: {one.seconds:.1f} s of one core, {one.memory_gb:.1f} GB of memory, {one.read_mb:.1f} MB read, "
        f"{one.written_mb:.1f} MB written; {one.efficiency:.2f} of a lone worker's speed beside others ({one.source}).",
        f"All {studies}: {needs[0].disk_gb:,.0f} GB of disk.",
        "",
        "| fleet | machines | cores, GB of each | at once | hours | core hours | studies an hour | archive: MB/s read, "
        "MB/s sent back |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for each in needs:
        fleet = each.fleet
        lines.append(
            f"| {fleet.name} | {fleet.machines} | {fleet.cores}, {fleet.memory_gb:g} | {each.at_once} | "
            f"{each.hours:,.1f} | {each.core_hours:,.0f} | {each.studies_an_hour:,.0f} | {each.read_mb_s:.1f}, "
            f"{each.written_mb_s:.1f} |"
        )
    return "\n".join(lines)


def measure(study: Study | None = None, options: dict[str, Any] | None = None) -> Measurement:
    """Measure one study in this process, with one thread and a registration; elastix's process counts too.

    A tiny study is fused before it, because a batch loads once for all studies what that one loads.

    Args:
        study: which. Defaults to None: MRI and PET of the embedded sample.
        options: overrides of ``inference_volume.json``. Defaults to None: ``{"register": "rigid"}``.

    Raises:
        InputError: When the study cannot be fused.
    """
    from .studies import fuse_study, with_network

    sample = BUNDLE / "sample_data"
    study = study or Study(str(sample / "t1.nii.gz"), str(sample / "pet.nii.gz"), task="PET-MRI")
    with tempfile.TemporaryDirectory() as folder, _one_thread():
        loaded = with_network(options or {"register": "rigid"})
        _fuse_tiny({**loaded, "register": "none"}, Path(folder))
        output = Path(folder) / "study"
        memory = PeakMemory(children=True)
        memory.start()
        before = _core_seconds()
        fuse_study(study, output, loaded)
        return Measurement(
            seconds=_core_seconds() - before,
            memory_gb=memory.stop(rise=False) / 1e9,
            read_mb=sum(_size(Path(path)) for path in {study.source_a, study.source_b}) / 1e6,
            written_mb=_size(output) / 1e6,
            source="measured here, now",
        )


def _fuse_tiny(options: dict[str, Any], folder: Path) -> None:
    """Fuse a study of noise."""
    import numpy as np

    from .scripts.data.nifti import write_nifti
    from .studies import fuse_study

    a, b = folder / "a.nii.gz", folder / "b.nii.gz"
    for seed, path in enumerate((a, b)):
        write_nifti(path, np.random.default_rng(seed).random((1, 32, 32, 4), dtype=np.float32), np.eye(4))
    fuse_study(Study(str(a), str(b), task="PET-MRI"), folder / "tiny", options)


def _core_seconds() -> float:
    """Seconds that a core has worked for this process and for its children that have ended.

    Windows does not count the children, so there it is the time on the clock.
    """
    return time.perf_counter() if os.name == "nt" else sum(os.times()[:4])


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch and elastix use one thread."""
    import torch

    threads, itk = torch.get_num_threads(), os.environ.get(ITK_THREADS)
    torch.set_num_threads(1)
    os.environ[ITK_THREADS] = "1"
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        os.environ.pop(ITK_THREADS)
        if itk is not None:
            os.environ[ITK_THREADS] = itk
