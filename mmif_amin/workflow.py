"""Runs the bundle's configs under this package's name of its modules, with values that no config can misread."""

from __future__ import annotations

import difflib
import importlib
import inspect
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from . import BUNDLE
from .scripts.utils.checks import InputError, first_line

__all__ = ["make_component", "run_config"]

CONFIGS = BUNDLE / "configs"
MODEL = "scripts."  # how configs begin the names of the model's components
FOREIGN = (
    "{}: this config is a program. What stands in it after `$` or `_target_` runs on this machine with your rights; go "
    "on only if you trust who wrote it (README, Whom to trust)."
)
GIVEN = "given"  # name of the overrides in expressions of the config


def run_config(files: Sequence[Path], run_id: str, overrides: Mapping[str, Any]) -> None:
    """Run a MONAI ConfigWorkflow with overrides.

    A config that is not one of this package's own is announced as a program (a warning): it may execute anything.
    Each override must name something in the config, or an argument of one of the model's components in it. Its value
    reaches the component as it is, whatever it looks like: text of a user is never an expression or a reference.

    Args:
        files: configs, merged in this order.
        run_id: which expression to run, such as ``"run"``.
        overrides: key of the config to value.

    Raises:
        InputError: When a file is missing or damaged, or a key is not in the config.
    """
    workflow = _workflow(files, run_id, overrides)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def make_component(files: Sequence[Path], key: str, overrides: Mapping[str, Any]) -> Any:
    """Make what a config has under one key, such as ``"network"``, without running the config.

    Args:
        files: configs, merged in this order.
        key: of the config.
        overrides: as for :func:`run_config`.

    Raises:
        InputError: When a file is missing, a key is not in the config, or the component cannot use its arguments.
    """
    return _workflow(files, key, overrides).parser.get_parsed_content(key)


def _workflow(files: Sequence[Path], run_id: str, overrides: Mapping[str, Any]) -> _ModelWorkflow:
    """The workflow of these configs; InputError where a file is missing or damaged, or a key is not in them."""
    for path in files:
        if not path.is_file():
            raise InputError(f"{path}: expected a config file, found nothing there.")
        if not path.resolve().is_relative_to(CONFIGS.resolve()):
            warnings.warn(FOREIGN.format(path), stacklevel=3)
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)  # else it says where it looks for other files
    return _ModelWorkflow([str(path) for path in files], run_id, overrides)


class _ModelWorkflow(ConfigWorkflow):
    """A workflow of this bundle's configs.

    Args:
        files: configs, merged in this order.
        run_id: which expression to run.
        overrides: key of the config to value.
    """

    def __init__(self, files: Sequence[str], run_id: str, overrides: Mapping[str, Any]) -> None:
        # The type decides only which properties MONAI's check_properties() asks for, which is not called here.
        try:
            super().__init__(config_file=files, workflow_type="train", run_id=run_id)
            config = _under_own_name(self.parser.get())
        except Exception as error:  # json, yaml and MONAI raise many types for a damaged file
            raise InputError(
                f"{', '.join(files)}: expected configs of MONAI in JSON or YAML that can be merged, got: "
                f"{first_line(error)}."
            ) from error
        for key in overrides:
            _check_key(config, key, files)
        self.parser.set(config)
        values = [str(BUNDLE), *overrides.values()]
        self.parser.globals[GIVEN] = values
        for index, key in enumerate(["bundle_root", *overrides]):
            self.parser[key] = f"${GIVEN}[{index}]"

    def run(self) -> Any:
        """Run the expression, without putting the bundle on ``sys.path`` as MONAI does: nothing is imported there."""
        return self._run_expr(id=self.run_id)


def _under_own_name(node: Any) -> Any:
    """The config with the names of the model's components as this package imports them."""
    if isinstance(node, dict):
        return {
            key: f"{__package__}.{value}"
            if key == "_target_" and str(value).startswith(MODEL)
            else _under_own_name(value)
            for key, value in node.items()
        }
    return [_under_own_name(value) for value in node] if isinstance(node, list) else node


def _check_key(config: dict[str, Any], key: str, files: Sequence[str]) -> None:
    """Refuse a key that is neither in the config nor an argument of one of the model's components in it."""
    node: Any = config
    *_, last = key.split("#")
    for part in key.split("#"):
        try:
            node = node[int(part) if isinstance(node, list) and part.isdigit() else part]
        except (KeyError, IndexError, TypeError):
            if part == last and _takes(node, part):
                return
            near = difflib.get_close_matches(key, config, n=1)
            hint = f" Did you mean --{near[0]}?" if near else f" The config has: {', '.join(sorted(config))}."
            names = " and ".join(Path(file).name for file in files)
            raise InputError(f"--{key}: no such key in {names}.{hint}") from None


def _takes(node: Any, name: str) -> bool:
    """Whether a node of a config is a component of the model with such an argument."""
    target = str(node.get("_target_", "")) if isinstance(node, dict) else ""
    if not target.startswith(f"{__package__}.{MODEL}"):
        return False
    module, _, component = target.rpartition(".")
    return name in inspect.signature(getattr(importlib.import_module(module), component)).parameters
