"""Federated training of the bundle in NVFlare's simulator, beside training at each site alone and on pooled data.

``make test-federated`` installs NVFlare and monai-nvflare into an environment of their own. In it, with data sets as
``mmif-amin train`` takes them:

    python benchmarks/federated.py --site ct=DATA_CT --site pet=DATA_PET --pooled DATA_BOTH
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "bundle"
TRAIN = ["configs/train.json", "configs/federated.json"]
EVALUATE = ["configs/train.json", "configs/evaluate.json", "configs/federated.json"]
GLOBAL_MODEL = Path("server", "simulate_job", "app_server", "FL_global_model.pt")


def write_job(
    folder: Path,
    sites: Mapping[str, Path],
    rounds: int,
    local_epochs: int,
    output: Path,
    options: Mapping[str, Any],
    start: Path,
) -> Path:
    """Write a job of NVFlare: federated averaging of the fusion network; each site keeps its own proposal network.

    Args:
        folder: folder of the job.
        sites: name of each site to its data set.
        rounds: how often the weights are averaged.
        local_epochs: epochs at each site from one average to the next.
        output: each site writes its tables into a folder of its name in it.
        options: keys of ``train.json`` to their values.
        start: weights of the first round.

    Returns:
        The folder.
    """
    bundle = str(BUNDLE)
    server = {
        "format_version": 2,
        "workflows": [
            {
                "id": "scatter_and_gather",
                "path": "nvflare.app_common.workflows.scatter_and_gather.ScatterAndGather",
                "args": {
                    "min_clients": len(sites),
                    "num_rounds": rounds,
                    "wait_time_after_min_received": 0,
                    "aggregator_id": "aggregator",
                    "persistor_id": "persistor",
                    "shareable_generator_id": "shareable_generator",
                },
            }
        ],
        "components": [
            {
                "id": "persistor",
                "path": "monai_nvflare.monai_bundle_persistor.MonaiBundlePersistor",
                "args": {"bundle_root": bundle, "source_ckpt_filename": str(start.resolve())},
            },
            {
                "id": "shareable_generator",
                "path": "nvflare.app_common.shareablegenerators.full_model_shareable_generator"
                ".FullModelShareableGenerator",
                "args": {},
            },
            {
                "id": "aggregator",
                "path": "nvflare.app_common.aggregators.intime_accumulate_model_aggregator"
                ".InTimeAccumulateWeightedAggregator",
                "args": {"expected_data_kind": "WEIGHT_DIFF"},
            },
        ],
    }
    deployed = {"app_server": ["server"]}
    _write(folder / "app_server" / "config" / "config_fed_server.json", server)
    for site, data in sites.items():
        keys = {**options, "dataset_dir": str(Path(data).resolve()), "output_dir": str((output / site).resolve())}
        algorithm = {
            "bundle_root": bundle,
            "local_epochs": local_epochs,
            "config_train_filename": TRAIN,
            "train_kwargs": {**keys, "epochs": rounds * local_epochs},
            "config_evaluate_filename": EVALUATE,
            "eval_kwargs": keys,
        }
        client = {
            "format_version": 2,
            "executors": [
                {
                    "tasks": ["train", "validate", "submit_model"],
                    "executor": {
                        "path": "monai_nvflare.client_algo_executor.ClientAlgoExecutor",
                        "args": {"client_algo_id": "client_algo", "key_metric": "score"},
                    },
                }
            ],
            "components": [{"id": "client_algo", "path": "monai.fl.client.MonaiAlgo", "args": algorithm}],
        }
        _write(folder / f"app_{site}" / "config" / "config_fed_client.json", client)
        deployed[f"app_{site}"] = [site]
    job = {"name": "mmif_amin", "resource_spec": {}, "min_clients": len(sites), "deploy_map": deployed}
    _write(folder / "meta.json", job)
    return folder


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4))


def simulate(job: Path, workspace: Path, sites: Mapping[str, Path]) -> Path:
    """Run a job in NVFlare's simulator, all sites at once, each in a process of its own.

    Args:
        job: folder of the job.
        workspace: where the simulator writes.
        sites: name of each site.

    Returns:
        The averaged weights after the last round, a plain state dict as ``mmif-amin fuse --weights`` reads it.

    Raises:
        RuntimeError: When the simulator failed, or wrote no weights.
    """
    nvflare = Path(sys.executable).with_name("nvflare")
    command = [str(nvflare), "simulator", str(job), "-w", str(workspace), "-c", ",".join(sites), "-t", str(len(sites))]
    path = os.pathsep.join([str(BUNDLE), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    if result.returncode or not (workspace / GLOBAL_MODEL).is_file():
        raise RuntimeError(f"NVFlare's simulator failed; its log is in {workspace}:\n{result.stdout[-3000:]}")
    weights = torch.load(workspace / GLOBAL_MODEL, map_location="cpu", weights_only=True)["model"]
    torch.save(weights, workspace / "federated.pt")
    return workspace / "federated.pt"


def run_config(run: str, configs: list[str], **keys: Any) -> None:
    """Run one of the bundle's configs in a process of its own."""
    files = str([str(BUNDLE / name) for name in configs])
    words = [word for key, value in keys.items() for word in (f"--{key}", str(value))]
    command = [sys.executable, "-m", "monai.bundle", "run", run, "--config_file", files, *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def compare(
    sites: Mapping[str, Path], pooled: Path, rounds: int, local_epochs: int, output: Path, options: Mapping[str, Any]
) -> str:
    """Train at each site alone, on the pooled data and federated, from the same weights and with as many epochs.

    Args:
        sites: name of each site to its data set.
        pooled: the data of all sites.
        rounds: rounds of the federated training.
        local_epochs: epochs of each round.
        output: folder for everything.
        options: keys of ``train.json`` to their values.

    Returns:
        A Markdown table: the score of each training on the validation pairs of each task.
    """
    from monai.bundle import ConfigParser
    from monai.utils import set_determinism

    sys.path.insert(0, str(BUNDLE))
    epochs = rounds * local_epochs
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / TRAIN[0]))
    parser.update(dict(options))
    set_determinism(0)
    output.mkdir(parents=True, exist_ok=True)
    torch.save(parser.get_parsed_content("network_def").state_dict(), output / "start.pt")
    trainings = {f"at {site} alone": data for site, data in sites.items()} | {"on pooled data": pooled}
    weights = {}
    for number, (name, data) in enumerate(trainings.items()):
        folder = output / f"training{number}"
        keys = {**options, "epochs": epochs, "val_interval": epochs, "dataset_dir": data, "output_dir": folder}
        run_config("training", TRAIN[:1], **keys)
        weights[name] = folder / "final.pt"
    job = write_job(output / "job", sites, rounds, local_epochs, output / "sites", options, output / "start.pt")
    weights[f"federated, {rounds} rounds"] = simulate(job, output / "workspace", sites)
    lines = []
    for number, (name, path) in enumerate(weights.items()):
        folder = output / f"evaluation{number}"
        network = {key: value for key, value in options.items() if key.startswith("network_def")}
        keys = {**network, "dataset_dir": pooled, "output_dir": folder, "ckpt_path": path, "examples": 1}
        run_config("evaluating", EVALUATE[:2], **keys)
        table = (folder / "metrics.md").read_text().splitlines()
        lines = lines or [table[0].replace("metric", "score of the training"), table[1]]
        lines.append(next(line for line in table if line.startswith("| score")).replace("score", name))
    return "\n".join(lines)


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", action="append", required=True, metavar="NAME=DATA", help="a site and its data set")
    parser.add_argument("--pooled", required=True, type=Path, help="the data of all sites")
    parser.add_argument("--rounds", type=int, default=3, help="how often the weights are averaged (default: 3)")
    parser.add_argument("--local-epochs", type=int, default=1, help="epochs between two averages (default: 1)")
    parser.add_argument("--output", type=Path, default=Path("runs/federated"), help="folder (default: runs/federated)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of train.json")
    args = parser.parse_args()
    sites = {name: Path(data) for name, _, data in (word.partition("=") for word in args.site)}
    options = {key: json.loads(value) for key, _, value in (word.partition("=") for word in args.set)}
    print(compare(sites, args.pooled, args.rounds, args.local_epochs, args.output, options))


if __name__ == "__main__":
    main()
