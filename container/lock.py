"""Write requirements*.txt: what ``pip install -c constraints.txt .[onnx]`` takes today, every package with its version.

The image is for Linux on x86-64 with Python 3.11, so run it there, from any directory: ``python container/lock.py``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEADER = "# {}. Written by container/lock.py: do not edit, run it.\n"
ONLY_CUDA = re.compile(r"(cuda|nvidia)-|triton$")


def resolve() -> dict[str, str]:
    """Ask pip what it would install into an empty environment; nothing is installed."""
    options = ["--dry-run", "--ignore-installed", "--quiet", "--report", "-", "-c", "constraints.txt"]
    command = [sys.executable, "-m", "pip", "install", *options, ".[onnx]"]
    report = json.loads(subprocess.run(command, cwd=HERE.parent, check=True, stdout=subprocess.PIPE).stdout)
    found = [(item["metadata"]["name"], item["metadata"]["version"]) for item in report["install"]]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found if name != "mmif-amin"}


def main() -> None:
    """Write one lock for both targets, and one with torch for each."""
    if sys.version_info[:2] != (3, 11):
        raise SystemExit(f"expected Python 3.11, as in the image, got {sys.version.split()[0]}")
    pins = resolve()
    torch = pins.pop("torch")
    cuda = {name: pins.pop(name) for name in list(pins) if ONLY_CUDA.match(name)}
    if "+" in torch or not cuda:
        raise SystemExit(f"expected torch with CUDA, got {torch}: run pip without --find-links and further indexes")
    for name, what, packages in (
        ("requirements.txt", "Everything but torch", pins),
        ("requirements-cpu.txt", "The target cpu", {"torch": torch}),
        ("requirements-cuda.txt", "The target cuda", {"torch": torch, **cuda}),
    ):
        lines = [f"{package}=={version}\n" for package, version in sorted(packages.items())]
        (HERE / name).write_text(HEADER.format(what) + "".join(lines))


if __name__ == "__main__":
    main()
