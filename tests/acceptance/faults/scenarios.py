"""What is written under faults: pictures, volumes, studies with DICOM, the table of a batch, exports, a benchmark."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from mmif_amin.scripts.data.nifti import write_nifti
from mmif_amin.scripts.data.study import Study
from mmif_amin.scripts.dicom.read import read_dicom_volume
from mmif_amin.scripts.handlers.study_writer import StudyWriter
from mmif_amin.scripts.utils.files import sha256_of
from monai.data import MetaTensor

from mmif_amin import export, pictures
from mmif_amin.batch.run import fuse_studies
from mmif_amin.batch.table import FUSED, Row
from mmif_amin.benchmark import run as benchmark_run
from mmif_amin.fuser import Fuser
from mmif_amin.pictures import PictureJob
from tests.conftest import make_pair, write_gray
from tests.model.dicom.dicom_phantoms import write_series
from tests.model.handlers.test_study_writer import run

SHAPE = (18, 17, 3)


@dataclass(frozen=True)
class Scenario:
    """One kind of output.

    Args:
        old: writes an earlier output; None where there must be none.
        new: writes the output.
        together: whether all files appear at once, as one folder. Defaults to False: each is old or new.
        check: what else must hold at any time. Defaults to nothing.
    """

    old: Callable[[], object] | None
    new: Callable[[], object]
    together: bool = False
    check: Callable[[Path], None] = lambda folder: None


class Mean(torch.nn.Module):
    """A network that fuses by the mean."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean(dim=1, keepdim=True)


def picture(inputs: Path, output: Path, patch: pytest.MonkeyPatch, loss_map: bool = False) -> Scenario:
    a, b = (write_gray(inputs / f"{k}.png", image) for k, image in enumerate(make_pair((40, 36))[0].numpy()))
    job = PictureJob(a, b, output / "fused.png", "CT-MRI")
    swapped = replace(job, source_a=b, source_b=a)

    def fuse(job: PictureJob, fuser: Fuser) -> Callable[[], object]:
        return lambda: pictures.fuse_picture(fuser, job, loss_map=loss_map)

    class First(Mean):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image[:, :1]

    return Scenario(fuse(swapped, Fuser(First())), fuse(job, Fuser(Mean())))


def picture_and_loss_map(inputs: Path, output: Path, patch: pytest.MonkeyPatch) -> Scenario:
    return picture(inputs, output, patch, loss_map=True)


def volume(inputs: Path, output: Path, patch: pytest.MonkeyPatch) -> Scenario:
    values = np.random.default_rng(0).random((2, 1, 20, 20, 20)).astype(np.float32)
    writers = [lambda k=k: write_nifti(output / "fused.nii.gz", values[k], np.eye(4)) for k in range(2)]
    return Scenario(*writers)


def study(inputs: Path, output: Path, patch: pytest.MonkeyPatch) -> Scenario:
    sources = {}
    for key, modality in (("source_a", "MR"), ("source_b", "PT")):
        write_series(inputs / key, SHAPE, modality)
        sources[key] = read_dicom_volume(inputs / key)
    affine = torch.from_numpy(sources["source_a"].affine)
    values = np.random.default_rng(0).random((2, *SHAPE)).astype(np.float32)
    batch: dict[str, Any] = {"task": "PET-MRI", "image": torch.from_numpy(values)[None], "source_b_registration": None}
    for key, name, image in zip(sources, ("MRI", "PET"), values, strict=True):
        batch[key] = MetaTensor(torch.from_numpy(image[None] * 100), affine=affine, meta={"modality": name})
        batch[f"{key}_file"], batch[f"{key}_window"] = sources[key], (0.0, 100.0)
    made: dict[str, Any] = {"pred": torch.from_numpy(values.mean(axis=0))[None, None]}
    return Scenario(None, lambda: run(StudyWriter(output / "out", dicom=True), batch, made), together=True)


def batch_table(inputs: Path, output: Path, patch: pytest.MonkeyPatch) -> Scenario:
    def fuse(seconds: float) -> Callable[[], object]:
        studies = [Study(f"a{k}.nii", f"b{k}.nii", name=f"scan of 2024010{k}") for k in range(3)]  # a date: hashed

        def engine(studies, folder, options):
            for k in range(len(studies)):
                yield k, Row(f"study-{k}", FUSED, seconds)

        return lambda: fuse_studies(studies, output, None, {}, engine=engine)

    def check(folder: Path) -> None:
        for table in folder.glob("[!.]*.csv"):
            with table.open(encoding="utf-8", newline="") as file:
                header, *rows = csv.reader(file)
            assert rows
            assert {len(row) for row in rows} == {len(header)}

    return Scenario(fuse(1.0), fuse(2.0), check=check)


def exports(inputs: Path, output: Path, patch: pytest.MonkeyPatch) -> Scenario:
    """The real command with stand-ins for the networks, which take a minute to make."""

    def write(version: int) -> Callable[[], object]:
        def stand_in(path: Path, *_: object) -> dict[str, Any]:
            path.write_bytes(f"{path.name} of version {version}".encode() * 9)
            return {"sha256": sha256_of(path)}

        def work() -> None:
            patch.setattr(export, "_write_and_compare", stand_in)
            export.export_network(output)

        return work

    patch.setattr(export, "load_torch_network", lambda *_: SimpleNamespace(conditional=True))
    patch.setattr(export, "_traced", lambda *_: None)

    def check(folder: Path) -> None:
        if (folder / "manifest.json").exists():
            for name, facts in json.loads((folder / "manifest.json").read_text())["files"].items():
                assert facts["sha256"] == sha256_of(folder / name), f"the manifest describes another {name}"

    return Scenario(write(1), write(2), check=check)


def benchmark(inputs: Path, output: Path, patch: pytest.MonkeyPatch) -> Scenario:
    entries = []
    for case in range(2):
        for key, image in zip("ab", make_pair((64, 64), seed=case)[0].numpy(), strict=True):
            write_gray(inputs / f"{key}{case}.png", image)
        entries.append(
            {"source_a": f"a{case}.png", "source_b": f"b{case}.png", "task": "CT-MRI", "name": f"case{case}"}
        )
    (inputs / "datalist.json").write_text(json.dumps({"validation": entries}))

    def work(pairs: int) -> Callable[[], object]:
        return lambda: benchmark_run.benchmark(inputs, output, classical=False, pairs=pairs)

    # all methods are the mean: what they fuse does not matter here
    names = list(benchmark_run.benchmark_methods({}, None, classical=False, task="CT-MRI"))
    patch.setattr(benchmark_run, "benchmark_methods", lambda *_: dict.fromkeys(names, lambda image, _: Mean()(image)))
    return Scenario(work(0), work(1))


def contents(folder: Path) -> dict[str, Any]:
    """What lies in a folder, by name, without what is not named the same in each run, and without hidden leftovers."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = ((str(path.relative_to(folder)), path) for path in files)
    return {name: _content(path) for name, path in names if not any(p.startswith(".") for p in name.split("/"))}


def hidden(folder: Path) -> list[str]:
    """Names of hidden files and folders."""
    return [str(path.relative_to(folder)) for path in folder.rglob(".*")]


def _content(path: Path) -> Any:
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        return gzip.decompress(data)
    if path.suffix == ".dcm":
        return pydicom.dcmread(path).pixel_array.tobytes()
    if path.name == "report.json":
        return {key: value for key, value in json.loads(data).items() if key not in ("seconds", "peak_memory_gb")}
    return data
