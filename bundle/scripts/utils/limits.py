"""What an image file may claim: sizes that are checked by its header, before memory is given to its values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from math import prod
from pathlib import Path

from .checks import InputError

__all__ = [
    "MOST_FRAMES",
    "MOST_INFLATED",
    "MOST_PIXELS",
    "MOST_SCANS",
    "MOST_VOXELS",
    "check_growth",
    "check_pixels",
    "check_voxel_size",
    "check_voxels",
    "free_memory",
    "memory_error",
]

MOST_PIXELS = 2**25  # of a picture or a slice: 5792 x 5792; the largest mammograms have 28 million
MOST_VOXELS = 2**29  # of a volume: 512 x 512 x 2048
MOST_FRAMES = 2**14  # slices of a file, volumes of a file
MOST_SCANS = 64  # passes over a progressive JPEG; encoders make about 10
MOST_INFLATED = 2**28  # bytes of a deflated DICOM file, inflated
MOST_GROWN = 4.0  # voxels that straightening a sheared volume may make of one
UNQUESTIONED = 2**20  # voxels that a straightened volume may have in any case
VOXEL_SIZES = (1e-3, 1e4)  # mm
BYTES_PER_VOXEL = 8  # what reading a volume takes: its values in float32, and as they are stored
BYTES_PER_PIXEL = 64  # what fusing pictures takes, measured at 4 and 24 million pixels
UNASKED_PIXELS = 2**22  # of a picture, up to which free memory is not asked for
GROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # Linux's control groups; those of this process
GROUP_FILES = {  # by controller: folder, limit, what is used, and the part of it that is a cache of files
    "": ("", "memory.max", "memory.current", "inactive_file"),  # version 2
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),  # version 1
}


def check_pixels(who: str | os.PathLike, width: int, height: int) -> None:
    """Check the size that a picture or a slice claims.

    Raises:
        InputError: When a side is not positive, it has more than ``MOST_PIXELS``, or fusing it needs more memory than
            is free.
    """
    if min(width, height) < 1 or width * height > MOST_PIXELS:
        raise InputError(
            f"{who}: expected an image of 1 to {MOST_PIXELS} pixels, its header says {width} x {height}. Is it "
            "damaged? Cut or reduce it first."
        )
    if width * height > UNASKED_PIXELS:
        _check_free(f"{who}: an image of {width} x {height} pixels", width * height * BYTES_PER_PIXEL)


def check_voxels(who: str | os.PathLike, shape: Sequence[int], bytes_per_voxel: float = BYTES_PER_VOXEL) -> None:
    """Check the size that a volume claims.

    Args:
        who: file or series, for messages.
        shape: voxels along each axis.
        bytes_per_voxel: what reading it takes. Defaults to 8.

    Raises:
        InputError: When a side is not positive, it has more than ``MOST_VOXELS``, or needs more memory than is free.
    """
    voxels, sides = prod(map(int, shape)), " x ".join(map(str, shape))
    if min(shape) < 1 or voxels > MOST_VOXELS:
        raise InputError(
            f"{who}: expected a volume of 1 to {MOST_VOXELS} voxels, its header says {sides}. Is it damaged? Cut or "
            "reduce it first."
        )
    _check_free(f"{who}: a volume of {sides} voxels", voxels * bytes_per_voxel)


def _check_free(what: str, needed: float) -> None:
    free = free_memory()
    if needed > free:
        raise InputError(
            f"{what} needs about {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free. Free some, or cut or "
            "reduce it first."
        )


def free_memory() -> int:
    """Memory that this process can still take, bytes: the least of the machine's, its groups', and its own limit's.

    A container with a limit (``docker run --memory``), or a job of a cluster, still sees the memory of the whole
    machine, and is killed when it takes more than the limit. The limit of the process is that of ``ulimit -v``.

    Reference: cgroups(7), getrlimit(2).
    """
    import psutil

    free = [psutil.virtual_memory().available, *_left_in_groups()]
    try:
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            free.append(most - psutil.Process().memory_info().vms)
    except ImportError:  # Windows has no such limits
        pass
    return max(0, min(free))


def _left_in_groups() -> Iterator[int]:
    """What each control group with a limit has left that this process is in, bytes."""
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for name in {*controllers.split(",")} & GROUP_FILES.keys():
            folder, *files = GROUP_FILES[name]
            here = Path(path.lstrip("/"))  # a container may see itself as the root
            for group in (here, *here.parents):
                with suppress(OSError, ValueError):  # not there; no limit ("max")
                    yield _left_of(GROUPS / folder / group, *files)


def _left_of(group: Path, limit: str, used: str, cache: str) -> int:
    most, taken = (int((group / name).read_text()) for name in (limit, used))
    lines = (group / "memory.stat").read_text().splitlines()
    return most - taken + sum(int(line.split()[1]) for line in lines if line.split()[0] == cache)


def check_growth(who: str | os.PathLike, before: Sequence[int], after: Sequence[float]) -> None:
    """Check how much larger straightening a shear makes a volume: a wild header asks for any size.

    Args:
        who: file or series, for messages.
        before: voxels along each axis.
        after: the same of the upright grid around it; not necessarily finite.

    Raises:
        InputError: When it has more than four times as many voxels, and more than a million.
    """
    grown = prod(map(float, after))
    if not grown <= max(MOST_GROWN * prod(map(int, before)), UNQUESTIONED):
        raise InputError(
            f"{who}: expected slices that lie above each other, the header shears them so far that an upright volume "
            f"would have {grown / prod(map(int, before)):.0f} times as many voxels. Is its geometry right?"
        )


def check_voxel_size(who: str | os.PathLike, spacing: Sequence[float]) -> None:
    """Check the size of voxels.

    Raises:
        InputError: When a side is not between a thousandth of a millimeter and 10 meters.
    """
    low, high = VOXEL_SIZES
    if not all(low <= side <= high for side in spacing):
        raise InputError(
            f"{who}: expected voxels of {low:g} to {high:g} mm, got {' x '.join(f'{side:g}' for side in spacing)} mm."
        )


def memory_error(who: str | os.PathLike) -> InputError:
    """The error of a file whose reading took more memory than there is."""
    return InputError(f"{who}: there is not enough memory to read it. Free some, or is its header damaged?")
