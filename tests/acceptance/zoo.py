"""The Model Zoo's acceptance in full mode, without network, and the bundle's archive: `make bundle`.

The calls are those of the zoo's own check (Project-MONAI/model-zoo, ci/verify_bundle.py), made in the folder of the
unpacked archive as there, and where the product ``mmif_amin`` cannot be imported: the archive works alone.
``meta_schema_20240725.json`` is the schema that ``configs/metadata.json`` names, Apache-2.0.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCHEMA = HERE / "meta_schema_20240725.json"
CALLS = HERE / "zoo_calls.py"
FILES = ("LICENSE", "configs/metadata.json", "configs/inference.json", "configs/train.json", "configs/evaluate.json")
FILES += ("models/model.pt", "docs/README.md", "docs/data_license.txt")
PARTS = ("LICENSE", "configs", "docs", "models", "sample_data", "scripts")  # of the bundle's folder
MAX_BYTES = 2**20  # of one file; the zoo's pre-commit refuses larger ones
SECTIONS = (
    "# Model Overview",
    "## Data",
    "## Training configuration",
    "### Input",
    "### Output",
    "## Performance",
    "## MONAI Bundle Commands",
    "# References",
    "# Disclaimer",
)
# What the archive must do without: the product, and what only some studies and options need, so that it is not among
# the metadata's required packages.
HIDDEN = ("mmif_amin", "itk", "pydicom", "highdicom", "onnxruntime")
HIDE = f"""
import sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {HIDDEN} else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Hiding, sys.meta_path)
"""


class RefusedError(Exception):
    """The bundle would not be accepted."""


def alone(folder: Path) -> dict[str, str]:
    """Make an environment in which Python, and each Python that it starts, finds nothing of ``HIDDEN``.

    Args:
        folder: gets the file that hides them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(HIDE)
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONWARNINGS": "always", "PYTHONDONTWRITEBYTECODE": "1"}


def acceptance(root: Path) -> Iterator[str]:
    """Run every check on a bundle's folder and yield a line on each.

    Raises:
        RefusedError: When one fails or warns about the bundle's own code.
    """
    missing = [name for name in FILES if not (root / name).is_file()]
    if missing:
        raise RefusedError(f"missing: {', '.join(missing)}")
    yield f"files: {', '.join(FILES)}"
    metadata = json.loads((root / "configs" / "metadata.json").read_text())
    if metadata["version"] not in metadata["changelog"]:
        raise RefusedError(f"the changelog does not name version {metadata['version']}")
    yield f"changelog: {metadata['version']}: {metadata['changelog'][metadata['version']]}"
    text = (root / "docs" / "README.md").read_text()
    places = [f"\n{text}".find(f"\n{section}\n") for section in SECTIONS]
    if -1 in places or places != sorted(places):
        raise RefusedError(f"docs/README.md: expected the sections {', '.join(SECTIONS)}, in this order")
    yield f"docs/README.md: {len(SECTIONS)} sections in the zoo's order"
    configs = sorted(path.name for path in (root / "configs").glob("*.json") if path.name != "metadata.json")
    silent = [name for name in configs if f"configs/{name}" not in text]
    if silent:
        raise RefusedError(f"docs/README.md: expected a command for each config, none for {', '.join(silent)}")
    yield f"docs/README.md: a command for each of {', '.join(configs)}"
    with tempfile.TemporaryDirectory() as folder:
        environment = alone(Path(folder, "alone"))
        for words in (
            ["verify", str(SCHEMA), folder],
            ["import"],
            ["properties", folder],
            *(
                ["run", "inference", "--config_file", f"configs/{name}.json", "--output_dir", f"{folder}/{name}"]
                for name in ("inference", "inference_volume")
            ),
        ):
            yield from _call(root, words, environment)


def _call(root: Path, words: list[str], environment: dict[str, str]) -> list[str]:
    """Run a part of ``zoo_calls.py`` in the bundle's folder; its lines on what went well."""
    command = [sys.executable, str(CALLS), *words]
    result = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise RefusedError(f"{' '.join(words[:4])}: {(result.stdout + result.stderr)[-2000:]}")
    lines = [line.removeprefix("ok  ") for line in result.stdout.splitlines() if line.startswith("ok  ")]
    if not lines:
        raise RefusedError(f"{' '.join(words[:4])}: expected a line that begins with `ok`, got none")
    return lines


def build(root: Path, folder: Path) -> Path:
    """Write ``mmif_amin_v<version>.zip``, whose one folder is ``mmif_amin``; the same files give the same bytes.

    Raises:
        RefusedError: When something else lies in the folder, such as the output of a run, which may show patients, or
            when a file is larger than the zoo takes.
    """
    strange = sorted(path.name for path in root.iterdir() if path.name not in PARTS and not _is_cache(path.name))
    if strange:
        raise RefusedError(f"{root}: expected {', '.join(PARTS)}, found also {', '.join(strange)}. Move it elsewhere.")
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    names = {path.relative_to(root): path for path in paths}
    names = {name: path for name, path in names.items() if not any(map(_is_cache, name.parts))}
    large = [f"{name.as_posix()} ({path.stat().st_size} bytes)" for name, path in names.items() if _is_large(path)]
    if large:
        raise RefusedError(f"expected files of at most {MAX_BYTES} bytes, got {', '.join(large)}")
    version = json.loads((root / "configs" / "metadata.json").read_text())["version"]
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"mmif_amin_v{version}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for name, path in names.items():
            entry = zipfile.ZipInfo(f"mmif_amin/{name.as_posix()}")
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            target.writestr(entry, path.read_bytes())
    return archive


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive and return the bundle's folder."""
    with zipfile.ZipFile(archive) as source:
        source.extractall(folder)
    return folder / "mmif_amin"


def _is_cache(name: str) -> bool:
    return name.startswith((".", "__pycache__"))


def _is_large(path: Path) -> bool:
    return path.stat().st_size > MAX_BYTES


def main(argv: Sequence[str] | None = None) -> int:
    """Build the archive, check it unpacked, list it, and keep it if it would be accepted."""
    parser = argparse.ArgumentParser(description="Build the bundle's archive and check it as the Model Zoo does.")
    parser.add_argument("--bundle", type=Path, default=HERE.parents[1] / "bundle", help="its folder [bundle]")
    parser.add_argument("--output", type=Path, default=Path("dist"), help="where the archive goes [dist]")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            archive = build(args.bundle.resolve(), Path(temporary))
            for line in acceptance(unpack(archive, Path(temporary).resolve())):
                print(f"ok  {line}", flush=True)
        except RefusedError as error:
            print(f"refused: {error}", file=sys.stderr)
            return 1
        args.output.mkdir(parents=True, exist_ok=True)
        archive = Path(shutil.copy(archive, args.output))
    with zipfile.ZipFile(archive) as content:
        for entry in content.infolist():
            print(f"{entry.file_size:>9}  {entry.filename}")
    print(f"{archive}: {archive.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
