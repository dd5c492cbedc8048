"""The Model Zoo's acceptance in full mode, without network, and the bundle's archive: `make bundle`.

The calls are those of the zoo's own check (Project-MONAI/model-zoo, ci/verify_bundle.py), run in the bundle's folder as
there. ``meta_schema_20240725.json`` is the schema that ``configs/metadata.json`` names, Apache-2.0.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCHEMA = HERE / "meta_schema_20240725.json"
FILES = ("LICENSE", "configs/metadata.json", "configs/inference.json", "configs/train.json", "configs/evaluate.json")
FILES += ("models/model.pt", "docs/README.md", "docs/data_license.txt")
PARTS = ("LICENSE", "__init__.py", "configs", "docs", "models", "sample_data", "scripts")  # of the bundle's folder
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
WARNINGS = """
import runpy, sys, warnings
import monai, itk  # both change how warnings are shown, itk without their place

def show(message, category, filename, lineno, file=None, line=None):
    print(f"{filename}:{lineno}: {category.__name__}: {message}", file=sys.stderr)

warnings.showwarning = show
"""
BUNDLE = """
sys.argv[0] = "monai.bundle"
runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
"""
PROPERTIES = """
from monai.bundle import ConfigWorkflow
workflow = ConfigWorkflow(config_file=sys.argv[2].split(","), workflow_type=sys.argv[1], output_dir=sys.argv[3])
workflow.initialize()
missing = workflow.check_properties()
print("properties missing:", missing)
sys.exit(bool(missing))
"""
SCRIPT = """
import torch
print("output of the TorchScript:", list(torch.jit.load(sys.argv[1])(torch.rand(2, 2, 40, 44)).shape))
"""
IN_OUT = ["--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json"]


class RefusedError(Exception):
    """The bundle would not be accepted."""


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
    check = ["verify_metadata", "--meta_file", IN_OUT[1], "--filepath", str(SCHEMA)]
    yield _run(root, BUNDLE, check, "with no error")
    for n in (1, 4):
        yield _run(root, BUNDLE, ["verify_net_in_out", "network_def", *IN_OUT, "--n", str(n)], "data shape of network")
    with tempfile.TemporaryDirectory() as folder:
        script = str(Path(folder) / "model.ts")
        export = ["ckpt_export", "network_def", "--filepath", script, "--ckpt_file", "models/model.pt", *IN_OUT]
        yield _run(root, BUNDLE, export, "exported to file")
        yield _run(root, SCRIPT, [script], "output of the TorchScript: [2, 1, 40, 44]")
        for kind, files in (
            ("train", "configs/train.json"),
            ("train", "configs/train.json,configs/evaluate.json"),
            ("infer", "configs/inference.json"),
            ("infer", "configs/inference_volume.json"),
        ):
            line = _run(root, PROPERTIES, [kind, files, folder], "properties missing: []")
            yield f"check_properties {files}: {line}"


def _run(root: Path, code: str, words: list[str], expected: str) -> str:
    """Run Python in the bundle's folder; the line of its output that says that it went well."""
    environment = {**os.environ, "PYTHONWARNINGS": "always", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", WARNINGS + code, *words]
    result = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    lines = [line for line in (result.stdout + result.stderr).splitlines() if expected in line]
    if result.returncode or not lines:
        raise RefusedError(f"{' '.join(words[:2])}: {(result.stdout + result.stderr)[-2000:]}")
    ours = re.findall(rf"^(?:{re.escape(str(root))}/|\./)?scripts/\S+: \w*Warning.*$", result.stderr, re.MULTILINE)
    if ours:
        raise RefusedError(f"{' '.join(words[:2])} warns: {ours[0]}")
    return lines[-1].split(" - INFO - ")[-1].replace(f"{root}/", "")


def build(root: Path, folder: Path) -> Path:
    """Write ``mmif_amin_v<version>.zip``, whose one folder is ``mmif_amin``; the same files give the same bytes.

    Raises:
        RefusedError: When something else lies in the folder, such as the output of a run: it may show patients.
    """
    strange = sorted(path.name for path in root.iterdir() if path.name not in PARTS and not _is_cache(path.name))
    if strange:
        raise RefusedError(f"{root}: expected {', '.join(PARTS)}, found also {', '.join(strange)}. Move it elsewhere.")
    version = json.loads((root / "configs" / "metadata.json").read_text())["version"]
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"mmif_amin_v{version}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root)
            if path.is_file() and not any(map(_is_cache, name.parts)):
                entry = zipfile.ZipInfo(f"mmif_amin/{name.as_posix()}")
                entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
                target.writestr(entry, path.read_bytes())
    return archive


def _is_cache(name: str) -> bool:
    return name.startswith((".", "__pycache__"))


def main() -> int:
    """Check the bundle, build the archive, list it."""
    parser = argparse.ArgumentParser(description="Check the bundle as the Model Zoo does and build its archive.")
    parser.add_argument("--bundle_root", type=Path, default=HERE.parents[1] / "bundle", help="[bundle]")
    parser.add_argument("--output_dir", type=Path, default=Path("dist"), help="where the archive goes [dist]")
    args = parser.parse_args()
    root = args.bundle_root.resolve()
    try:
        for line in acceptance(root):
            print(f"ok  {line}", flush=True)
        archive = build(root, args.output_dir)
    except RefusedError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    with zipfile.ZipFile(archive) as content:
        for entry in content.infolist():
            print(f"{entry.file_size:>9}  {entry.filename}")
    print(f"{archive}: {archive.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
