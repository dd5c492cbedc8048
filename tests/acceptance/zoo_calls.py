"""The Model Zoo's calls, made in the folder of an unpacked bundle; ``zoo.py`` starts this file, a part of it a process.

Each thing that went well is a line ``ok  ...``. A warning of the bundle's own code is an error.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import pkgutil
import runpy
import sys
import warnings
from pathlib import Path

# The parts of Python's path that matter here: the bundle's folder, as `python -m monai.bundle` has it there.
sys.path[0] = os.getcwd()
METADATA, INFERENCE = "configs/metadata.json", "configs/inference.json"
WORKFLOWS = (  # without those that need torchrun, or photographs, of which there is no sample
    ("train", ["configs/train.json"]),
    ("train", ["configs/train.json", "configs/train_two_level.json"]),
    ("train", ["configs/train.json", "configs/federated.json"]),
    ("train", ["configs/train.json", "configs/evaluate.json"]),
    ("infer", [INFERENCE]),
    ("infer", ["configs/inference_volume.json"]),
)


def verify(schema: str, folder: str) -> None:
    """Check metadata and network against each other, export the network, run the export."""
    import torch
    from monai.bundle import ckpt_export, verify_metadata, verify_net_in_out

    verify_metadata(meta_file=METADATA, filepath=schema)
    print("ok  verify_metadata: as the schema says")
    for n in (1, 4):
        verify_net_in_out("network_def", meta_file=METADATA, config_file=INFERENCE, n=n)
        print(f"ok  verify_net_in_out --n {n}: the network takes and gives what the metadata says")
    script = str(Path(folder, "model.ts"))
    ckpt_export("network_def", script, ckpt_file="models/model.pt", meta_file=METADATA, config_file=INFERENCE)
    shape = list(torch.jit.load(script)(torch.rand(2, 2, 40, 44)).shape)
    if shape != [2, 1, 40, 44]:
        raise ValueError(f"expected [2, 1, 40, 44] of the TorchScript, got {shape}")
    print(f"ok  ckpt_export: the TorchScript makes {shape}")


def import_all() -> None:
    """Import every module of the bundle where only the packages are that the metadata requires."""
    if importlib.util.find_spec("mmif_amin") is not None:
        raise ImportError("expected that mmif_amin cannot be imported here")
    scripts = importlib.import_module("scripts")
    lacking = {}
    names = [module.name for module in pkgutil.walk_packages(scripts.__path__, "scripts.")]
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            top = str(error.name).partition(".")[0]
            if top in ("mmif_amin", "scripts"):
                raise
            lacking[name] = top
    required = json.loads(Path(METADATA).read_text())["required_packages_version"]
    wrong = {name: top for name, top in lacking.items() if top in required}
    if wrong:
        raise ImportError(f"required by the metadata, but not installed: {wrong}")
    print(f"ok  import: {len(names)} modules, without mmif_amin; with a package of their own: {lacking or 'none'}")


def properties(folder: str) -> None:
    """Ask MONAI which properties of a workflow each config lacks."""
    from monai.bundle import ConfigWorkflow

    for kind, files in WORKFLOWS:
        workflow = ConfigWorkflow(config_file=files, workflow_type=kind, output_dir=folder)
        workflow.initialize()
        missing = workflow.check_properties()
        if missing:
            raise ValueError(f"{', '.join(files)}: properties missing: {missing}")
        print(f"ok  check_properties: {', '.join(files)}")


def run(*words: str) -> None:
    """Do what ``python -m monai.bundle run`` does."""
    sys.argv = ["monai.bundle", "run", *words]
    try:
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    print(f"ok  run {' '.join(words[:3])}")


def main() -> None:
    """Run one part, then show the warnings of the bundle's own code."""
    import monai  # noqa: F401  it changes how warnings are shown

    ours = []

    def show(message, category, filename, lineno, file=None, line=None):
        if Path(filename).resolve().is_relative_to(Path("scripts").resolve()):
            ours.append(f"{filename}:{lineno}: {category.__name__}: {message}")

    warnings.showwarning = show
    parts = {"verify": verify, "import": import_all, "properties": properties, "run": run}
    parts[sys.argv[1]](*sys.argv[2:])
    if ours:
        sys.exit(f"the bundle's own code warns: {ours[0]}")


if __name__ == "__main__":
    main()
