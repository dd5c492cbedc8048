"""Run the golden tests and the laws with the oldest and the newest packages (``make matrix``).

Run it with the Python of an environment that has the packages of ``tools/matrix.txt``::

    python tools/matrix.py [CELL ...]

A cell is a version of Python and a way to choose the packages that setup.cfg asks for: the oldest that it allows, the
newest that there are, or those of constraints.txt. uv makes a fresh environment of it in a temporary folder; one with
a CUDA build of torch takes 8 GB. Without a CELL all are run. The table goes to stdout and to build/matrix/table.md,
the list of all packages of a cell to build/matrix/CELL.txt, and what its tests printed to build/matrix/CELL.log.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["CELLS", "main", "run_cell", "versions_in"]

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "matrix"
CONSTRAINTS = ROOT / "constraints.txt"
CELLS = {  # Python, options of `uv pip compile`
    "oldest": ("3.11", ["--resolution", "lowest-direct"]),
    "pinned-3.11": ("3.11", ["--constraint", str(CONSTRAINTS)]),
    "pinned-3.12": ("3.12", ["--constraint", str(CONSTRAINTS)]),
    "pinned-3.13": ("3.13", ["--constraint", str(CONSTRAINTS)]),
    "newest": ("3.13", []),
}
SHOWN = ("torch", "monai", "numpy", "pydicom", "onnxruntime", "nibabel", "itk")
RUNNERS = ("pytest", "hypothesis")  # always as in constraints.txt
TESTS = [
    "tests/acceptance/test_golden.py",
    "tests/acceptance/test_laws.py",
    "tests/model/networks",
    "tests/model/dicom/test_geometry.py",
    "tests/model/dicom/test_suv.py",
    "tests/model/transforms/registration/test_plausibility.py",
    "tests/model/handlers/test_resume.py",
]


def versions_in(requirements: str, names: Sequence[str]) -> list[str]:
    r"""Versions of packages in pinned requirements.

    Example:
        >>> versions_in("itk==5.4.0\nnumpy==1.25.0", ["numpy", "torch"])
        ['1.25.0', '-']
    """
    pins = dict(line.split("==") for line in requirements.split() if "==" in line)
    return [pins.get(name, "-") for name in names]


def run_cell(cell: str) -> list[str]:
    """Make a cell's environment and run the tests in it.

    Args:
        cell: a key of :data:`CELLS`.

    Returns:
        The row of the table.
    """
    version, options = CELLS[cell]
    uv, chosen = str(Path(sys.executable).with_name("uv")), BUILD / f"{cell}.txt"
    words = [uv, "pip", "compile", "setup.cfg", "--quiet", "--no-annotate", "--no-header", "--python-version", version]
    subprocess.run([*words, *options, "-o", chosen], cwd=ROOT, check=True)
    pins = chosen.read_text()
    runners = [f"{n}=={v}" for n, v in zip(RUNNERS, versions_in(CONSTRAINTS.read_text(), RUNNERS), strict=True)]
    with TemporaryDirectory(prefix=f"matrix-{cell}-") as folder:
        python = Path(folder) / "bin" / "python"
        subprocess.run([uv, "venv", "--quiet", "--python", version, folder, "--clear"], check=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", python, "-r", chosen, *runners], cwd=ROOT, check=True
        )
        run = subprocess.run(
            [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS], cwd=ROOT, capture_output=True, text=True
        )
    (BUILD / f"{cell}.log").write_text(run.stdout + run.stderr)
    summary = re.findall(r"^\d+ (?:passed|failed|error).*? in ", run.stdout, re.MULTILINE)
    result = summary[-1].removesuffix(" in ") if summary else f"pytest ended with {run.returncode}"
    return [cell, version, *versions_in(pins, SHOWN), result]


def main(cells: Sequence[str]) -> None:
    """Run cells and write the table."""
    if unknown := set(cells) - set(CELLS):
        sys.exit(f"Expected cells of {', '.join(CELLS)}, got {', '.join(sorted(unknown))}.")
    BUILD.mkdir(parents=True, exist_ok=True)
    rows = [["Cell", "Python", *SHOWN, "Tests"], ["---"] * (len(SHOWN) + 3)]
    for cell in cells or CELLS:
        rows.append(run_cell(cell))
        table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
        (BUILD / "table.md").write_text(table)
    print(table, end="")


if __name__ == "__main__":
    main(sys.argv[1:])
