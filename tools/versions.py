"""Write every copy of a version or a pin from its one source: ``make lock`` and ``make release``.

Written by hand, each in one place:

- the version: ``version`` in ``bundle/configs/metadata.json``, by ``make release``;
- what a release brings, in a sentence: the first paragraph of its section in ``CHANGELOG.md``;
- the dependencies: ``setup.cfg``; what of them the bundle alone needs: ``required_packages_version`` in the metadata;
- the versions that were tried together: ``constraints.txt``.

Written from them: the versions and the change log in the metadata, ``mmif_amin/deploy/requirements.txt``, the version
in ``mmif_amin/deploy/app.yaml``, and ``container/requirements*.txt``, for which pip is asked what it would install.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from configparser import ConfigParser
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
METADATA = Path("bundle", "configs", "metadata.json")
DEPLOY = Path("mmif_amin", "deploy")
CONTAINER = Path("container")
CHANGELOG = "CHANGELOG.md"
HEADER = "# {}. Written by `make lock`: do not edit.\n"
NAMED_APART = {"monai": "monai_version", "torch": "pytorch_version", "numpy": "numpy_version"}
ONLY_CUDA = re.compile(r"(cuda|nvidia)-|triton$")


class StaleError(Exception):
    """The sources do not say what a copy needs."""


def pins(path: Path) -> dict[str, str]:
    """Read the lines ``name==version`` of a file."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {name: version for name, _, version in (line.partition("==") for line in lines)}


def dependencies(root: Path, *extras: str) -> list[str]:
    """Read the requirements in ``setup.cfg``, such as ``torch>=2.8``: those of the plain install and of some extras."""
    parser = ConfigParser()
    parser.read(root / "setup.cfg", encoding="utf-8")
    texts = [parser["options"]["install_requires"], *(parser["options.extras_require"][extra] for extra in extras)]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def copies(root: Path) -> dict[Path, str]:
    """Make the text of each file that holds a copy; needs no network.

    Raises:
        StaleError: When ``constraints.txt`` lacks a dependency, or ``CHANGELOG.md`` the version.
    """
    metadata = json.loads((root / METADATA).read_text(encoding="utf-8"))
    tried = pins(root / "constraints.txt")

    def pinned(names: Iterable[str]) -> dict[str, str]:
        missing = sorted(set(names) - tried.keys())
        if missing:
            raise StaleError(f"constraints.txt: expected a version of {', '.join(missing)}. Add what was tried.")
        return {name: tried[name] for name in names}

    metadata |= {key: pinned([name])[name] for name, key in NAMED_APART.items()}
    metadata["required_packages_version"] = pinned(metadata["required_packages_version"])
    metadata["changelog"] = _summaries(root, metadata)
    names = [re.match(r"[\w-]+", line)[0] for line in dependencies(root, "deploy")]  # type: ignore[index]
    app = (root / DEPLOY / "app.yaml").read_text(encoding="utf-8")
    return {
        METADATA: json.dumps(metadata, indent=4, ensure_ascii=False) + "\n",
        DEPLOY / "requirements.txt": _requirements("What the packaged app installs", pinned(names)),
        DEPLOY / "app.yaml": re.sub(r"(?m)^(  version:) .*$", rf"\1 {metadata['version']}", app),
    }


def release(root: Path, version: str, day: str) -> None:
    """Turn what is unreleased in ``CHANGELOG.md`` into a version, and write the version wherever it stands.

    Args:
        root: the checkout.
        version: three numbers with dots.
        day: of the release, as 2026-11-22.

    Raises:
        StaleError: When the version is not a new one, or ``CHANGELOG.md`` has no sentence on it.
    """
    metadata = json.loads((root / METADATA).read_text(encoding="utf-8"))
    if not re.fullmatch(r"\d+\.\d+\.\d+", version) or _numbers(version) <= _numbers(metadata["version"]):
        raise StaleError(f"expected a version above {metadata['version']}, such as 1.2.3, got {version!r}.")
    if "Unreleased" not in _sections(root):
        raise StaleError(f"{CHANGELOG}: expected a section `## [Unreleased]` that begins with a sentence.")
    path = root / CHANGELOG
    text = path.read_text(encoding="utf-8").replace("## [Unreleased]", f"## [{version}] - {day}", 1)
    before = path.read_text(encoding="utf-8"), (root / METADATA).read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    (root / METADATA).write_text(json.dumps({**metadata, "version": version}, indent=4, ensure_ascii=False) + "\n")
    try:
        write(root, copies(root))
    except StaleError:
        path.write_text(before[0], encoding="utf-8")
        (root / METADATA).write_text(before[1], encoding="utf-8")
        raise


def container_locks(root: Path) -> dict[Path, str]:
    """Ask pip what the image gets, every package with its version: one lock for both targets, one with torch for each.

    The image is for Linux on x86-64 with Python 3.11, so this must run there.

    Raises:
        StaleError: When it runs elsewhere, or pip does not see the build of torch for CUDA.
    """
    if sys.version_info[:2] != (3, 11) or sys.platform != "linux":
        raise StaleError(f"expected Python 3.11 on Linux, got {sys.version.split()[0]} on {sys.platform}")
    options = ["--dry-run", "--ignore-installed", "--quiet", "--report", "-", "-c", "constraints.txt"]
    command = [sys.executable, "-m", "pip", "install", *options, ".[onnx]"]
    report = json.loads(subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout)
    found = [(item["metadata"]["name"], item["metadata"]["version"]) for item in report["install"]]
    locked = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found if name != "mmif-amin"}
    torch = {"torch": locked.pop("torch")}
    cuda = {name: locked.pop(name) for name in list(locked) if ONLY_CUDA.match(name)}
    if "+" in torch["torch"] or not cuda:
        raise StaleError(f"expected torch with CUDA, got {torch['torch']}: PyPI must be pip's only index")
    return {
        CONTAINER / "requirements.txt": _requirements("Everything but torch", locked),
        CONTAINER / "requirements-cpu.txt": _requirements("The target cpu", torch),
        CONTAINER / "requirements-cuda.txt": _requirements("The target cuda", torch | cuda),
    }


def write(root: Path, texts: dict[Path, str]) -> None:
    """Write the files that differ, and name them."""
    for name, text in texts.items():
        if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != text:
            (root / name).write_text(text, encoding="utf-8", newline="\n")
            print(f"written: {name}")


def _requirements(what: str, packages: dict[str, str]) -> str:
    return HEADER.format(what) + "".join(f"{name}=={version}\n" for name, version in sorted(packages.items()))


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def _sections(root: Path) -> dict[str, str]:
    """The first paragraph of each version's section in the change log; empty where a list follows at once."""
    parts = (root / CHANGELOG).read_text(encoding="utf-8").split("\n## [")[1:]
    return {part.partition("]")[0]: " ".join(part.partition("\n")[2].partition("###")[0].split()) for part in parts}


def _summaries(root: Path, metadata: dict[str, Any]) -> dict[str, str]:
    """The change log of the metadata, newest first. Versions before 0.5.0 have their sentence in the metadata alone."""
    sections = {version: text for version, text in _sections(root).items() if version != "Unreleased"}
    sentences = {**metadata["changelog"], **{version: text for version, text in sections.items() if text}}
    newest = max(sections, key=_numbers, default=metadata["version"])
    if _numbers(newest) > _numbers(metadata["version"]):
        raise StaleError(
            f"{CHANGELOG}: expected no version above {metadata['version']}, got {newest}. Call it `## [Unreleased]`, "
            f"then run `make release VERSION={newest}`."
        )
    missing = sorted({metadata["version"], *sections} - sentences.keys())
    if missing:
        raise StaleError(f"{CHANGELOG}: expected a sentence below the heading of {', '.join(missing)}.")
    return {version: sentences[version] for version in sorted(sentences, key=_numbers, reverse=True)}


def main() -> int:
    """Run ``lock`` (all pins, the container's too), ``copies`` (all but the container's) or ``release VERSION``."""
    parser = argparse.ArgumentParser(description="Write the copies of versions and pins from their sources.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("copies", help="all but the container's locks; needs no network")
    commands.add_parser("lock", help="all; asks pip")
    commands.add_parser("release", help="a new version").add_argument("version")
    args = parser.parse_args()
    try:
        if args.command == "release":
            release(ROOT, args.version, date.today().isoformat())
        else:
            write(ROOT, copies(ROOT) | (container_locks(ROOT) if args.command == "lock" else {}))
    except StaleError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
