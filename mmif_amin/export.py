"""Exporting the network: TorchScript, ONNX, torch.export, and a manifest that says what they are."""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.data import save_net_with_metadata
from tqdm import tqdm

from . import BUNDLE
from .fuser import load_torch_network
from .scripts.data.tasks import MEDICAL_WEIGHTS, task_of
from .scripts.inferers.contract import INPUT_NAME, KEEP_NAME, OUTPUT_NAME, SMALLEST_SIDE, shipped
from .scripts.inferers.onnx_session import OnnxSession
from .scripts.inferers.runtimes import OnnxNetwork
from .scripts.utils.checks import InputError
from .scripts.utils.enums import ExportFormat, Keep, Runtime
from .scripts.utils.files import check_writable, sha256_of, write_set_atomically
from .scripts.utils.seal import seal_file

__all__ = ["export_network", "manifest_name"]

OPSET = 20  # the first with Gelu
TOLERANCE = 1e-4  # largest difference from PyTorch
SHAPES = ((1, 2, 256, 256), (3, 2, 97, 131), (2, 2, 16, 40))  # odd sides, the smallest side, batches
EXAMPLE = (2, 2, 96, 112)  # traced; every size but the channels stays open
PACKAGES = ("torch", "monai", "onnx", "onnxscript", "onnxruntime")


def export_network(
    output: str | os.PathLike,
    weights: str | os.PathLike | None = None,
    task: str | None = None,
    formats: Sequence[ExportFormat | str] = tuple(ExportFormat),
) -> dict[str, Any]:
    """Write the network as TorchScript, ONNX and torch.export, each compared with PyTorch, and a manifest.

    Args:
        output: folder; gets ``model.ts``, ``model.onnx``, ``model.pt2`` and ``manifest.json``, or, for a task of
            photographs, ``multi_focus.ts`` and so on and ``multi_focus_manifest.json``. Files of these names are
            replaced, but none before all are made and compared, and a manifest that is there describes what is there.
        weights: state dict of the task's network. Defaults to None: the shipped one.
        task: whose network. Defaults to None: that of all medical tasks.
        formats: ``"ts"``, ``"onnx"``, ``"pt2"``. Defaults to all of them.

    Returns:
        The manifest: version, SHA-256 of the weights, input and output contract, versions of the packages, and for each
        file its SHA-256, size and largest difference from PyTorch.

    Raises:
        InputError: When the folder cannot be written, the weights cannot be used, there is no such task, or a package
            is missing.
        RuntimeError: When an exported network differs from PyTorch by more than 1e-4.
    """
    folder, stem = Path(output), task_of(task).weights if task else MEDICAL_WEIGHTS
    name_of_manifest = manifest_name(stem)
    check_writable(folder / name_of_manifest)
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.import_module(name).__version__
        except ImportError as error:
            raise InputError(f"export needs {name}, which is not installed: pip install 'mmif-amin[onnx]'.") from error
    network = load_torch_network(weights, task)
    contract = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    exports = {f"{stem}.{suffix}": _exports(network, contract)[suffix] for suffix in formats}
    manifest = {
        "version": contract["version"],
        "weights": _identity(Path(weights or shipped(Runtime.TORCH, stem))),
        "input": {"name": INPUT_NAME, "shape": ["batch", 2, "height", "width"], "smallest_side": SMALLEST_SIDE}
        | _described(contract["network_data_format"]["inputs"][INPUT_NAME]),
        "condition": _condition() if network.conditional else None,
        "output": {"name": OUTPUT_NAME, "shape": ["batch", 1, "height", "width"]}
        | _described(contract["network_data_format"]["outputs"][OUTPUT_NAME]),
        "compared_on": [list(shape) for shape in SHAPES],
        "files": {},
        "packages": versions,
    }

    def write(temporary: Path) -> None:
        for name, export in tqdm(exports.items(), desc="exporting", unit="file"):
            manifest["files"][name] = _write_and_compare(temporary / name, export, network)
        (temporary / name_of_manifest).write_text(json.dumps(manifest, indent=4) + "\n")

    write_set_atomically(folder, [*exports, name_of_manifest], write, name_of_manifest)
    return manifest


def manifest_name(stem: str) -> str:
    """Name of the manifest of the weights of this name."""
    return "manifest.json" if stem == MEDICAL_WEIGHTS else f"{stem}_manifest.json"


def _condition() -> dict[str, Any]:
    described = {"name": KEEP_NAME, "shape": [1], "dtype": "float32", "value_range": [0, 1]}
    return described | {str(keep): keep.condition for keep in Keep}


def _exports(network: Any, contract: dict[str, Any]) -> dict[str, _Export]:
    """What each format is written and read with."""
    return {
        "ts": _Export(
            lambda path: _write_script(network, path, contract),
            lambda path: torch.jit.load(path),
            {"format": "TorchScript", "runtime": str(Runtime.TORCHSCRIPT)},
            network.conditional,
        ),
        "onnx": _Export(
            lambda path: _write_onnx(_traced(network, network.conditional), path, network.conditional),
            lambda path: OnnxNetwork(OnnxSession(path)),
            {"format": "ONNX", "opset": OPSET, "runtime": str(Runtime.ONNX)},
            network.conditional,
        ),
        "pt2": _Export(
            lambda path: _write_program(_traced(network, with_condition=False), path),
            lambda path: torch.export.load(path).module(),
            {"format": "torch.export"} | ({"condition": False} if network.conditional else {}),
            False,
        ),
    }


@dataclass(frozen=True)
class _Export:
    """One format.

    Args:
        write: writes the network to a file.
        read: loads it again, as a function of images.
        facts: what the manifest says of it.
        conditional: whether the file takes the network's condition.
    """

    write: Callable[[Path], object]
    read: Callable[[Path], Callable[[torch.Tensor], torch.Tensor]]
    facts: dict[str, Any]
    conditional: bool


def _write_and_compare(path: Path, export: _Export, network: torch.nn.Module) -> dict[str, Any]:
    """Write the network to a file; what the manifest says of it.

    Raises:
        RuntimeError: When what is read again differs from PyTorch.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own deprecated parts
        export.write(path)
        seal_file(path)
        difference = _difference(export.read(path), network, export.conditional)
    if not difference <= TOLERANCE:
        raise RuntimeError(f"{path.name}: differs from PyTorch by {difference:.2g}, more than {TOLERANCE:g}.")
    return {**export.facts, **_identity(path), "largest_difference": difference}


def _described(contract: dict[str, Any]) -> dict[str, Any]:
    return {key: contract[key] for key in ("dtype", "value_range", "channel_def")}


def _identity(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_of(path), "bytes": path.stat().st_size}


def _traced(network: torch.nn.Module, with_condition: bool) -> torch.export.ExportedProgram:
    """The network with open batch, height and width, and its condition as a second input if asked for.

    Where PyTorch cannot reason about a size, such as whether a cropped tensor is contiguous, it asserts what held for
    the example. These assertions are taken out; the comparison covers the sizes that they would refuse.
    """
    size = torch.export.Dim
    sizes = {0: size("batch"), 2: size("height", min=SMALLEST_SIDE), 3: size("width", min=SMALLEST_SIDE)}
    with torch.no_grad():
        program = torch.export.export(
            network,
            (torch.rand(EXAMPLE), *([torch.zeros(1)] if with_condition else [])),
            dynamic_shapes=(sizes, *([None] if with_condition else [])),
            prefer_deferred_runtime_asserts_over_guards=True,
        )
    for node in list(program.graph.nodes):
        node.meta.pop("stack_trace", None)  # names files of this machine
        if node.target is torch.ops.aten._assert_scalar.default:
            program.graph.erase_node(node)
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()
    return program


def _write_script(network: torch.nn.Module, path: Path, contract: dict[str, Any]) -> None:
    """TorchScript with the bundle's metadata inside, as MONAI's ``ckpt_export`` writes it, without debug symbols.

    The debug symbols name source files of this machine.
    """
    archive = io.BytesIO()
    save_net_with_metadata(torch.jit.script(network), archive, include_config_vals=False, meta_values=contract)
    _copy_archive(archive, path, without=".debug_pkl")


def _write_program(program: torch.export.ExportedProgram, path: Path) -> None:
    """torch.export's archive with its graph compressed, which halves the file.

    The archive is written to memory first, because ``save`` would put the name of the file into it.
    """
    archive = io.BytesIO()
    torch.export.save(program, archive)
    _copy_archive(archive, path, compressed=".json")


def _copy_archive(archive: io.BytesIO, path: Path, without: str | None = None, compressed: str | None = None) -> None:
    """Write a zip archive to a file, without the entries of one suffix, and those of another one compressed."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            if without is None or not entry.filename.endswith(without):
                shrink = compressed is not None and entry.filename.endswith(compressed)
                method = zipfile.ZIP_DEFLATED if shrink else zipfile.ZIP_STORED
                target.writestr(entry, source.read(entry), compress_type=method)


def _write_onnx(program: torch.export.ExportedProgram, path: Path, with_condition: bool) -> None:
    """ONNX; a condition has the default of the network."""
    import onnx_ir

    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # else it counts the torchvision operators that are not there
    try:
        exported = torch.onnx.export(
            program,
            opset_version=OPSET,
            input_names=[INPUT_NAME, *([KEEP_NAME] if with_condition else [])],
            output_names=[OUTPUT_NAME],
            verbose=False,
        )
        graph = exported.model.graph  # type: ignore[union-attr]
        for node in graph:
            node.metadata_props.clear()  # where in the program it came from; half of the file
        for condition in graph.inputs[1:]:  # an input with an initial value may be left out
            condition.const_value = onnx_ir.tensor([Keep.BOTH.condition], dtype=condition.dtype, name=KEEP_NAME)
            graph.register_initializer(condition)
        exported.save(path)  # type: ignore[union-attr]
    finally:
        logger.setLevel(level)


def _difference(exported: Callable[..., torch.Tensor], network: torch.nn.Module, with_condition: bool) -> float:
    """Largest difference over images of several sizes, under each condition; a wrong shape counts as infinite."""
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    with torch.inference_mode():
        for shape in SHAPES:
            image = torch.rand(shape, generator=generator)
            conditions = [(torch.tensor([keep.condition]),) for keep in Keep] if with_condition else []
            for condition in [(), *conditions]:
                expected, got = network(image, *condition), exported(image, *condition)
                same = got.shape == expected.shape
                largest = max(largest, float((expected - got).abs().max()) if same else float("inf"))
    return largest
