"""The command ``mmif-amin``: fuse, batch, view, train, evaluate, benchmark, ablation, export, demo, info.

Heavy imports wait until a command needs them.
"""

from __future__ import annotations

import argparse
import ast
import json
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import BUNDLE
from .memory import keep_freed_memory
from .scripts.utils.enums import ColorMap, CTWindow, FusionGrid, Precision, RegistrationKind, RegistrationStart, Runtime

__all__ = ["main"]

CONFIGS = BUNDLE / "configs"
BAD_INPUT = 2
SOME_FAILED = 3
VOLUME_OPTIONS = (
    "register",
    "start",
    "time_limit",
    "grid",
    "ct_window",
    "functional_max",
    "colormap",
    "axes",
    "dicom",
    "series_a",
    "series_b",
)
NETWORK_OPTIONS = ("runtime", "precision")
DESCRIPTION = "Fuse two medical images of one patient (MRI with CT, PET or SPECT) into one. Not for diagnostic use."


def fuse(args: argparse.Namespace) -> int:
    """Fuse two pictures, two folders of same-named files, or the two volumes of a study."""
    from .fuser import load
    from .scripts.data.datalist import folder_pairs, modalities_of
    from .scripts.data.study import Study, is_volume
    from .scripts.utils.checks import InputError

    source_a, source_b, output = Path(args.source_a), Path(args.source_b), Path(args.output)
    for source in (source_a, source_b):
        if not source.exists():
            raise InputError(f"{source}: expected an image, a volume or a folder, found nothing there.")
    volumes = [is_volume(source_a), is_volume(source_b)]
    if all(volumes):
        _refuse(args, ["gray"], "pictures; volumes are written in gray and, with PET or SPECT, in colour too")
        return _fuse_study(args)
    if any(volumes):
        raise InputError(f"{source_a} and {source_b}: expected two pictures or two volumes, got one of each.")
    args.task = args.task or "CT-MRI"
    modalities_of(args.task)
    if source_a.is_dir() and source_b.is_dir():
        if output.exists() and not output.is_dir():
            raise InputError(f"{output}: expected a folder for the fused images of two folders, found a file.")
        pairs = folder_pairs(source_a, source_b, args.task)
        if all(is_volume(pair["source_b"]) for pair in pairs):
            _refuse(args, ["gray", "series_a", "series_b"], "pictures, or for one study")
            return _fuse_studies([Study(pair["source_a"], pair["source_b"], pair["name"]) for pair in pairs], args)
        jobs = [(Path(pair["source_a"]), Path(pair["source_b"]), output / f"{pair['name']}.png") for pair in pairs]
    else:
        if source_a.is_dir() != source_b.is_dir():
            raise InputError(f"{source_a} and {source_b}: expected two files or two folders, got one of each.")
        if output.is_dir():
            raise InputError(f"{output}: expected a file name for the fused image, found a folder.")
        jobs = [(source_a, source_b, output)]
    _refuse(args, VOLUME_OPTIONS, "volumes")
    for job in jobs:
        if job[2].resolve() in (job[0].resolve(), job[1].resolve()):
            raise InputError(f"{job[2]}: the output would overwrite a source. Choose another output.")
    fuser = load(args.weights, args.device, args.runtime, args.precision)
    if len(jobs) == 1:
        for path in _fuse_pair(fuser, jobs[0], args):
            print(path)
        return 0
    return _fuse_many(fuser, jobs, args)


def _refuse(args: argparse.Namespace, names: Sequence[str], purpose: str) -> None:
    """Refuse options that mean nothing for what is fused."""
    from .scripts.utils.checks import InputError

    for name in names:
        if getattr(args, name) != args.parser.get_default(name):
            raise InputError(f"--{name.replace('_', '-')}: is for {purpose}. Leave it out.")


def _study_options(args: argparse.Namespace) -> dict[str, Any]:
    """Overrides of ``inference_volume.json`` that a command's options stand for."""
    import torch

    from .fuser import load

    load(args.weights, args.device, args.runtime, args.precision)  # refuses what cannot be used
    names = [name for name in (*VOLUME_OPTIONS, *NETWORK_OPTIONS, "loss_map") if not name.startswith("series")]
    options = {name: getattr(args, name) for name in names}
    options["device"] = torch.device(args.device)
    return {**options, **({"ckpt_path": args.weights} if args.weights else {})}


def _fuse_study(args: argparse.Namespace) -> int:
    """Fuse two volumes with ``inference_volume.json``."""
    from .scripts.data.study import Study
    from .studies import fuse_study

    study = Study(args.source_a, args.source_b, task=args.task, series_a=args.series_a, series_b=args.series_b)
    for line in fuse_study(study, args.output, _study_options(args)):
        print(line)
    return 0


def batch(args: argparse.Namespace) -> int:
    """Fuse many studies; a bad one does not stop the others."""
    from .scripts.data.study import find_studies
    from .scripts.utils.checks import InputError

    folder = Path(args.studies).resolve()
    if folder.is_dir() and folder in (Path(args.output).resolve(), *Path(args.output).resolve().parents):
        raise InputError(f"{args.output}: expected a folder outside of the studies', else it is taken for one itself.")
    return _fuse_studies(find_studies(args.studies), args)


def _fuse_studies(studies: Sequence[Any], args: argparse.Namespace) -> int:
    """Fuse studies into folders of their names."""
    from .studies import fuse_studies

    failed, report = fuse_studies(studies, args.output, args.task, _study_options(args))
    print(f"{len(studies) - failed} of {len(studies)} studies fused into {args.output}; report: {report}")
    return SOME_FAILED if failed else 0


def view(args: argparse.Namespace) -> int:
    """Make the page that shows a fused study, and open it."""
    import webbrowser

    from .reports.study_view import write_study_view
    from .scripts.utils.checks import InputError

    if args.html is not None and Path(args.html).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--html {args.html}: expected a name ending in .html.")
    page = write_study_view(args.folder, args.html)
    print(page)
    if args.html is None:
        webbrowser.open(page.resolve().as_uri())
    return 0


def _fuse_many(fuser: Any, jobs: Sequence[tuple[Path, Path, Path]], args: argparse.Namespace) -> int:
    """Fuse many pairs with a progress bar; a bad one is named and the others go on."""
    from tqdm import tqdm

    from .scripts.utils.checks import InputError

    failed = 0
    for job in tqdm(jobs, desc="fusing", unit="pair"):
        try:
            _fuse_pair(fuser, job, args)
        except (InputError, ValueError) as error:
            failed += 1
            tqdm.write(f"mmif-amin: error: {error}", file=sys.stderr)
    print(f"{len(jobs) - failed} fused into {args.output}, {failed} failed")
    return BAD_INPUT if failed else 0


def _fuse_pair(fuser: Any, job: tuple[Path, Path, Path], args: argparse.Namespace) -> list[Path]:
    """Read two pictures, fuse and write them, with their loss map if it is asked for; returns what was written."""
    from .scripts.data.datalist import modalities_of
    from .scripts.data.pictures import read_source, write_image
    from .scripts.metrics.loss_map import loss_maps, write_loss_figure
    from .scripts.utils.checks import InputError
    from .scripts.utils.color import colorize
    from .scripts.utils.files import write_atomically

    source_a, source_b, output = job
    structural, other = modalities_of(args.task)
    a, b = read_source(source_a, structural), read_source(source_b, other)
    if a.gray.shape != b.gray.shape:
        raise InputError(
            f"{source_a} and {source_b}: expected the same size, got {a.gray.shape[1:]} and {b.gray.shape[1:]}. "
            "Register and resample them first."
        )
    fused = fuser.run(a.gray, b.gray)
    write_image(output, colorize(fused, b.rgb) if b.rgb is not None and not args.gray else fused)
    if not args.loss_map:
        return [output]
    maps, lost = loss_maps(fused, a.gray, b.gray)
    paths = [output, output.with_name(f"{output.stem}_loss.png"), output.with_name(f"{output.stem}_loss.json")]
    write_loss_figure(paths[1], [a.gray[0], b.gray[0], fused[0]], maps[:, 0], lost)
    facts = {"fused": output.name, "lost_of_source_a": lost[0], "lost_of_source_b": lost[1]}
    write_atomically(paths[2], lambda path: path.write_text(json.dumps(facts, indent=4) + "\n"))
    return paths


def _overrides(words: Sequence[str]) -> dict[str, Any]:
    """Turn ``--key value --flag`` into a dictionary; values are Python literals where they parse as such."""
    from .scripts.utils.checks import InputError

    result: dict[str, Any] = {}
    key = None
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            key = None if equals else name
            result[name] = _literal(value) if equals else True
        elif key is None:
            raise InputError(f"'{word}': expected --key value pairs of the config.")
        else:
            result[key], key = _literal(word), None
    return result


def _literal(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "null": None}.get(word, word)


def train(args: argparse.Namespace) -> int:
    """Train with ``train.json``; other words are overrides of it."""
    from .workflow import run_config

    overrides = {"output_dir": "runs/train", **_overrides(args.overrides)}
    run_config([CONFIGS / "train.json", *map(Path, args.config_file)], "run", overrides)
    print(f"best weights, log and pictures: {overrides['output_dir']}")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Evaluate weights, or another method's fused images."""
    from .workflow import run_config

    overrides = {"output_dir": "runs/evaluate", **_overrides(args.overrides)}
    if args.fused is None:
        run_config([CONFIGS / "train.json", CONFIGS / "evaluate.json", *map(Path, args.config_file)], "run", overrides)
    else:
        from .benchmark.folders import evaluate_fused
        from .scripts.utils.checks import InputError

        options = {"dataset_dir": str(BUNDLE / "sample_data"), "split": "validation", "tasks": None}
        unknown = sorted(set(overrides) - {*options, "output_dir"})
        if unknown:
            raise InputError(f"--{unknown[0]}: with --fused the options are --output_dir, --{', --'.join(options)}.")
        evaluate_fused(args.fused, **{**options, **overrides})
    folder = Path(overrides["output_dir"])
    print((folder / "metrics.md").read_text())
    print(f"one row an image: {folder / 'metrics.csv'}")
    if args.fused is None:
        print(f"contact sheet: {folder / 'examples' / 'sheet.png'}")
    return 0


def benchmark(args: argparse.Namespace) -> int:
    """Compare methods: folders of fused images, classical rules, degenerate probes and this bundle's weights."""
    from .benchmark.run import benchmark as run
    from .scripts.utils.checks import InputError

    methods = {}
    for word in args.method:
        name, equals, folder = word.partition("=")
        if not (name and equals and folder):
            raise InputError(f"--method {word}: expected NAME=FOLDER, such as CDDFuse=results/cddfuse.")
        if name in methods:
            raise InputError(f"--method {word}: the name {name} is given twice. Choose another one.")
        methods[name] = folder
    folder = Path(args.output_dir)
    run(
        args.dataset_dir[0] if len(args.dataset_dir) == 1 else args.dataset_dir,
        folder,
        methods,
        split=None if args.split == "all" else args.split,
        tasks=args.task,
        weights=args.weights,
        classical=not args.no_classical,
        pairs=args.pairs,
        tracking_uri=args.tracking_uri,
    )
    print((folder / "benchmark.md").read_text())
    for what, name in (
        ("report to look at", "benchmark.html"),
        ("tables", "benchmark.md"),
        ("everything, with intervals and tests", "benchmark.json"),
        ("one row an image and method", "metrics.csv"),
        ("fused images", "fused"),
    ):
        print(f"{what}: {folder / name}")
    return 0


def ablation(args: argparse.Namespace) -> int:
    """Train without each part in turn and write the table."""
    from .benchmark.ablation import ablation as run

    run(args.dataset_dir, args.output_dir, args.epochs, args.seed)
    table = Path(args.output_dir) / "ablation.md"
    print(table.read_text())
    print(f"table: {table}")
    return 0


def export(args: argparse.Namespace) -> int:
    """Export the network for other runtimes, with a manifest."""
    from .export import export_network

    manifest = export_network(args.output, args.weights)
    for name, facts in manifest["files"].items():
        print(
            f"{Path(args.output) / name}: {facts['format']}, {facts['bytes'] / 1e6:.1f} MB, differs from PyTorch by "
            f"{facts['largest_difference']:.1e} at most"
        )
    print(f"hashes, input and versions: {Path(args.output) / 'manifest.json'}")
    return 0


def demo(args: argparse.Namespace) -> int:
    """Train shortly on the embedded sample, evaluate, and fuse its slices and volumes with the shipped weights."""
    import shutil
    import subprocess

    from .reports.study_view import write_study_view

    root = Path(args.output_dir)
    if (root / "study" / "report.json").is_file():
        shutil.rmtree(root / "study")  # of an earlier demo
    bundle = [sys.executable, "-m", "monai.bundle", "run"]
    steps = [
        [*bundle, "training", "--config_file", str(CONFIGS / "train.json")]
        + ["--output_dir", str(root / "train"), "--epochs", str(args.epochs), "--val_interval", "1"],
        [*bundle, "evaluating", "--config_file", str([str(CONFIGS / "train.json"), str(CONFIGS / "evaluate.json")])]
        + ["--output_dir", str(root / "evaluate"), "--examples", "4"],
        [*bundle, "inference", "--config_file", str(CONFIGS / "inference.json"), "--output_dir", str(root / "fused")],
        [*bundle, "inference", "--config_file", str(CONFIGS / "inference_volume.json"), "--register", "rigid"]
        + ["--output_dir", str(root / "study")],
    ]
    for step in steps:
        print("\n$ " + " ".join(["python", *step[1:]]), flush=True)
        subprocess.run(step, check=True)
    print((root / "evaluate" / "metrics.md").read_text())
    for what, where in (
        ("pictures, sources beside fused", root / "evaluate" / "examples"),
        ("fused images", root / "fused"),
        ("fused T1 and PET volumes, to look at in a browser", write_study_view(root / "study")),
        ("metrics of the shipped weights, one row an image", root / "evaluate" / "metrics.csv"),
        ("what the loss decided during the short training", root / "train" / "loss_weights.png"),
        ("MLflow store (mlflow ui --backend-store-uri sqlite:///FILE)", root / "train" / "mlruns.db"),
    ):
        print(f"{what}: {where}")
    return 0


def info(args: argparse.Namespace) -> int:
    """Print version, weights, size and device."""
    import hashlib
    import platform

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from .fuser import load
    from .scripts.inferers.runtimes import SHIPPED

    weights = Path(args.weights or SHIPPED[Runtime.TORCH])
    network = load(weights).network
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.rand(1, 2, 256, 256))
    facts = {
        "version": _version(),
        "weights": str(weights),
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "gmac_256x256": round(counter.get_total_flops() / 2e9, 3),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    print(
        json.dumps(facts, indent=4) if args.json else "\n".join(f"{key:>13}: {value}" for key, value in facts.items())
    )
    return 0


def _version() -> str:
    """Version of the bundle, from its metadata."""
    return json.loads((CONFIGS / "metadata.json").read_text())["version"]


def _positive(word: str) -> float:
    value = float(word)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {word}")
    return value


def _grid(word: str) -> str | float:
    try:
        return str(FusionGrid(word))
    except ValueError:
        try:
            return _positive(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected reference, finest or a size in mm, got {word}") from None


def _add_study_options(sub: argparse.ArgumentParser) -> None:
    """Options of the commands that fuse volumes; most of them mean nothing for pictures."""
    sub.add_argument("--task", help="modalities of B and A, such as PET-MRI [what DICOM and HU say; pictures: CT-MRI]")
    sub.add_argument(
        "--loss-map", action="store_true", help="also map what of each source the fused image does not hold"
    )
    sub.add_argument(
        "--register",
        default="auto",
        choices=["auto", "none", *map(str, RegistrationKind)],
        help="auto: rigid if not yet aligned [auto]",
    )
    sub.add_argument(
        "--start",
        default="best",
        choices=[*map(str, RegistrationStart)],
        help="where the registration starts: the files' geometry, centers, or what is best of them [best]",
    )
    sub.add_argument(
        "--time-limit", type=_positive, default=300, metavar="S", help="of the registration, seconds [300]"
    )
    sub.add_argument(
        "--grid",
        default="reference",
        type=_grid,
        help="voxels: reference (A's), finest (of both), or a size in mm [reference]",
    )
    sub.add_argument("--ct-window", default="head", choices=[*map(str, CTWindow)], help="head is -20 to 180 HU [head]")
    sub.add_argument(
        "--functional-max", type=_positive, metavar="VALUE", help="PET, SPECT: value that is white [99.5th percentile]"
    )
    sub.add_argument("--colormap", default="hot", choices=[*map(str, ColorMap)], help="of PET and SPECT [hot]")
    sub.add_argument("--axes", default="best", choices=["best", "all"], help="cut across one axis or all three [best]")
    sub.add_argument("--dicom", action="store_true", help="also write DICOM series; A must be DICOM")
    sub.add_argument("--weights", metavar="FILE", help="other weights than the shipped ones, in the runtime's format")
    sub.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N [cpu]")
    sub.add_argument(
        "--runtime", default="torch", choices=[*map(str, Runtime)], help="what runs the network, see export [torch]"
    )
    sub.add_argument(
        "--precision",
        default="float32",
        choices=[*map(str, Precision)],
        help="bfloat16 is faster on processors that have it [float32]",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mmif-amin", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"mmif-amin {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    sub = commands.add_parser("fuse", help="fuse two images, volumes or folders of images", allow_abbrev=False)
    sub.add_argument("source_a", metavar="A", help="structural image (MRI): picture, NIfTI, DICOM folder; or a folder")
    sub.add_argument("source_b", metavar="B", help="CT, PET or SPECT; or a folder with the same names")
    sub.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="fused image; folder for volumes and for two folders"
    )
    sub.add_argument("--gray", action="store_true", help="pictures: luminance only, also where B is a colour image")
    _add_study_options(sub)
    sub.add_argument("--series-a", metavar="UID", help="DICOM: SeriesInstanceUID or number of A [the MR series]")
    sub.add_argument("--series-b", metavar="UID", help="DICOM: the same for B [the series of its modality]")
    sub.set_defaults(run=fuse, parser=sub)

    sub = commands.add_parser("batch", help="fuse many studies, resumable", allow_abbrev=False)
    sub.add_argument("studies", metavar="STUDIES", help="folder with one folder a study, or a CSV table")
    sub.add_argument("-o", "--output", required=True, metavar="OUT", help="folder: one folder a study, and batch.csv")
    _add_study_options(sub)
    sub.set_defaults(run=batch)

    sub = commands.add_parser("view", help="look at a fused study in a browser", allow_abbrev=False)
    sub.add_argument("folder", metavar="OUT", help="folder that fuse made of two volumes")
    sub.add_argument("--html", metavar="FILE", help="write the page there and do not open it [OUT/view.html]")
    sub.set_defaults(run=view)

    for name, run, text in (
        ("train", train, "train; --KEY VALUE overrides any key of train.json"),
        ("evaluate", evaluate, "metrics on a data set; --KEY VALUE overrides any key of the configs"),
    ):
        sub = commands.add_parser(name, help=text, allow_abbrev=False)
        sub.add_argument("--config_file", action="append", default=[], help="further config, merged over the bundle's")
        if name == "evaluate":
            sub.add_argument(
                "--fused", metavar="DIR", help="another method's images: DIR/TASK/NAME.png or DIR/NAME.png"
            )
        sub.set_defaults(run=run)

    sub = commands.add_parser("benchmark", help="compare methods on a data set, probes included", allow_abbrev=False)
    sub.add_argument(
        "--dataset_dir",
        nargs="+",
        default=[str(BUNDLE / "sample_data")],
        metavar="PATH",
        help="datalist JSON, folder in the Harvard layout, or two folders (MRI first) with --task [embedded sample]",
    )
    sub.add_argument(
        "--method", action="append", default=[], metavar="NAME=DIR", help="another method's images: TASK/NAME.png"
    )
    sub.add_argument("--output_dir", default="runs/benchmark", help="where everything goes [runs/benchmark]")
    sub.add_argument("--split", choices=["training", "validation", "all"], default="validation", help="[validation]")
    sub.add_argument("--task", action="append", help="only this task, such as PET-MRI; may be repeated [all]")
    sub.add_argument("--no-classical", action="store_true", help="leave the classical rules out, but the average")
    sub.add_argument("--pairs", type=int, default=3, help="pairs of each task in the HTML report [3]")
    sub.add_argument("--weights", metavar="FILE", help="other weights than the shipped ones")
    sub.add_argument("--tracking_uri", metavar="URI", help="MLflow store to log to, such as sqlite:///mlruns.db [none]")
    sub.set_defaults(run=benchmark)

    sub = commands.add_parser("ablation", help="train without each part in turn, resumable", allow_abbrev=False)
    sub.add_argument("--dataset_dir", default=str(BUNDLE / "sample_data"), metavar="PATH", help="[embedded sample]")
    sub.add_argument("--output_dir", default="runs/ablation", help="where everything goes [runs/ablation]")
    sub.add_argument("--epochs", type=int, default=8, help="budget of each variant [8]")
    sub.add_argument("--seed", type=int, default=0, help="[0]")
    sub.set_defaults(run=ablation)

    sub = commands.add_parser("export", help="write the network as TorchScript, ONNX, torch.export", allow_abbrev=False)
    sub.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the files and manifest.json")
    sub.add_argument("--weights", metavar="FILE", help="other weights than the shipped ones")
    sub.set_defaults(run=export)

    sub = commands.add_parser("demo", help="train, evaluate and fuse on the embedded sample", allow_abbrev=False)
    sub.add_argument("--output_dir", default="runs/demo", help="where everything goes [runs/demo]")
    sub.add_argument("--epochs", type=int, default=3, help="epochs of the short training [3]")
    sub.set_defaults(run=demo)

    sub = commands.add_parser("info", help="version, weights, hash, size, device", allow_abbrev=False)
    sub.add_argument("--weights", metavar="FILE", help="other weights than the shipped ones")
    sub.add_argument("--json", action="store_true", help="as JSON")
    sub.set_defaults(run=info)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: words after the program's name. Defaults to those of the process.

    Returns:
        0, 2 where an input could not be used, or 3 where some studies of a batch failed.
    """
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    if rest and args.command not in ("train", "evaluate"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.overrides = rest
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidy up as after Ctrl-C
    keep_freed_memory()
    warnings.showwarning = lambda message, *_, **__: print(f"mmif-amin: warning: {message}", file=sys.stderr)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        print("mmif-amin: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        from .scripts.utils.checks import input_error_behind

        cause = input_error_behind(error)
        if cause is None and not (args.command in ("fuse", "batch", "view") and isinstance(error, ValueError)):
            raise
        print(f"mmif-amin: error: {cause or error}", file=sys.stderr)
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
