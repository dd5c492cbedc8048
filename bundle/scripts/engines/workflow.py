"""Running a MONAI config with checked overrides."""

from __future__ import annotations

import difflib
import importlib
import inspect
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from ..utils.checks import InputError

__all__ = ["run_config"]


def run_config(files: Sequence[Path], run_id: str, overrides: dict[str, Any]) -> None:
    """Run a MONAI ConfigWorkflow with overrides.

    Each override must name something in the config, or an argument of one of the bundle's components in it.

    Args:
        files: configs, merged in this order.
        run_id: which expression to run, such as ``"run"``.
        overrides: key of the config to value.

    Raises:
        InputError: When a file is missing or a key is not in the config.
    """
    paths = [str(path) for path in files]
    for path in paths:
        if not Path(path).is_file():
            raise InputError(f"{path}: expected a config file, found nothing there.")
    parser = ConfigParser()
    parser.read_config(paths)
    known = parser.get()
    for key in overrides:
        node: Any = known
        for part in key.split("#"):
            index = int(part) if isinstance(node, list) and part.isdigit() else part
            try:
                node = node[index]
            except (KeyError, IndexError, TypeError):
                if part == key.rpartition("#")[2] and _takes(node, part):
                    break
                near = difflib.get_close_matches(key, known, n=1)
                hint = f" Did you mean --{near[0]}?" if near else f" The config has: {', '.join(sorted(known))}."
                raise InputError(f"--{key}: no such key in {Path(paths[-1]).name}.{hint}") from None
    logging.getLogger("monai.bundle.workflows").setLevel(logging.WARNING)  # else it says where its logging config is
    workflow = ConfigWorkflow(config_file=paths, workflow_type="train", run_id=run_id, **overrides)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def _takes(node: Any, name: str) -> bool:
    """Whether a node of a config is a component of this bundle with such an argument."""
    target = node.get("_target_", "") if isinstance(node, dict) else ""
    if not target.startswith("scripts."):
        return False
    module, _, component = target.rpartition(".")
    package = __name__.rpartition(".engines.")[0]
    found = importlib.import_module(package + module.removeprefix("scripts"))
    return name in inspect.signature(getattr(found, component)).parameters
