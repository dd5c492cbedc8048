"""Every text or weights file of others: damaged in any way it is used or refused in one line, and nothing else."""

from __future__ import annotations

import json
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmif_amin.scripts.data.datalist import fusion_datalist, json_pairs
from mmif_amin.scripts.data.study_report import StudyReport
from mmif_amin.scripts.inferers.contract import SHIPPED
from mmif_amin.scripts.utils.checks import InputError, is_plain
from mmif_amin.scripts.utils.enums import Runtime
from mmif_amin.scripts.utils.seal import ONNX_ENTRY, SEAL_BYTES

from mmif_amin.archive.addresses import parse_address
from mmif_amin.archive.login import find_login
from mmif_amin.archive.rules import SHIPPED_RULES, read_rules
from mmif_amin.archive.settings import read_settings
from mmif_amin.batch.find import find_studies
from mmif_amin.batch.table import read_table
from mmif_amin.benchmark.folders import fused_file
from mmif_amin.fuser import load
from mmif_amin.reports.study_view import write_study_view
from mmif_amin.scale import Measurement
from mmif_amin.workflow import CONFIGS, make_component
from tests.mmif_amin.reports.made_up_study import write_study
from tests.model.data.study_reports import BARE, FULL
from tests.mutations import SECONDS, Content, TimeIsUp, damaged, other_json

ENTRY = {"source_a": "a.png", "source_b": "b/c.png", "task": "CT-MRI"}
DATALIST = {
    "training": [ENTRY, {**ENTRY, "name": "one", "slice": 3}],
    "validation": [{**ENTRY, "task": "PET-MRI", "name": "sub/two"}],
}
SPLIT = {"CT-MRI": {"training": ["1001", 2001], "validation": ["3001"]}, "PET-MRI": {"train": [], "test": ["1001"]}}
SETTINGS = {
    "folder": "node",
    "quiet_seconds": 5,
    "tls": {"ca": "ca.pem"},
    "peers": [{"title": "PACS", "hosts": ["10.0.3.0/24", "::1"], "port": 104}],
    "destinations": [{"name": "pacs", "url": "dicom://127.0.0.1:104/PACS"}],
    "limits": {"free_gb": 3},
}
TOML = b"""folder = "node"
quiet_seconds = 5
[[peers]]
title = "PACS"
hosts = ["10.0.3.0/24"]
[[destinations]]
name = "pacs"
url = "dicom://127.0.0.1:104/PACS"
"""
ARCHIVE = parse_address("dicomweb://127.0.0.1:8042/dicom-web")
LOGIN = {ARCHIVE.place: {"token": "secret"}, "other:1": {"user": "u", "password": "p"}}
FIGURES = {"seconds": 40.0, "memory_gb": 1.5, "read_mb": 20, "written_mb": 30, "efficiency": 0.9}
STUDIES = b'name,source_a,source_b,task,series_a\none,a.nii.gz,b.nii.gz,CT-MRI,\n,c,d,,3\n"t,wo",e,f,PET-MRI,1.2.3\n'
TABLE = (
    b"name,status,seconds,VIF,VIFlocal,Qabf,registration_nmi,error,warning\n"
    b"one,fused,3.5,0.5,,,1.2,,\ntwo,failed,,,,,,why,\n"
)
CONFIG = json.loads((CONFIGS / "train_two_level.json").read_text())


def read_datalist(path: Path) -> None:
    """What it names stays in the folder of a result."""
    for item in json_pairs(path):
        out = path.parent / "out"
        assert fused_file(out, item).resolve().is_relative_to(out.resolve() / item["task"])
        assert is_plain(item["name"])
        assert "\0" not in item["source_a"] + item["source_b"]


def read_split(path: Path) -> None:
    fusion_datalist(path.parent, "validation")


def read_batch(path: Path) -> None:
    for study in find_studies(path):
        assert (path.parent / study.name).resolve().parent == path.parent.resolve()


def read_config(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make_component([CONFIGS / "train.json", path], "bundle_root", {})


def read_login(path: Path) -> None:
    path.chmod(0o600)
    find_login(ARCHIVE, path, {})


def unsealed(runtime: Runtime) -> bytes:
    """The shipped file without the hash of its contents, which would refuse every change at once."""
    data = SHIPPED[runtime].read_bytes()
    sealed = data[-SEAL_BYTES:].startswith(b"sha256:")
    if not sealed:
        return data
    if runtime is Runtime.ONNX:
        return data[: -SEAL_BYTES - len(ONNX_ENTRY)]
    return data[: -SEAL_BYTES - 2] + b"\0\0"


def read_weights(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load(path)


READERS: dict[str, tuple[Callable[[Path], Any], st.SearchStrategy[Content]]] = {
    "datalist.json": (read_datalist, damaged(json.dumps(DATALIST).encode()) | other_json(DATALIST)),
    "split.json": (read_split, damaged(json.dumps(SPLIT).encode()) | other_json(SPLIT)),
    "batch.csv": (read_batch, damaged(STUDIES)),
    "table.csv": (read_table, damaged(TABLE)),
    "report.json": (
        StudyReport.read,
        damaged(json.dumps(FULL.to_dict()).encode()) | other_json(json.loads(json.dumps(FULL.to_dict()))),
    ),
    "mine.json": (read_config, damaged(json.dumps(CONFIG).encode()) | other_json(CONFIG)),
    "rules.json": (
        read_rules,
        damaged(SHIPPED_RULES.read_bytes()) | other_json(json.loads(SHIPPED_RULES.read_text())),
    ),
    "settings.toml": (lambda path: read_settings(path, {}), damaged(TOML)),
    "settings.json": (
        lambda path: read_settings(path, {}),
        damaged(json.dumps(SETTINGS).encode()) | other_json(SETTINGS),
    ),
    "login.json": (read_login, damaged(json.dumps(LOGIN).encode()) | other_json(LOGIN)),
    "weights.pt": (read_weights, damaged(unsealed(Runtime.TORCH))),
    "weights.ts": (read_weights, damaged(unsealed(Runtime.TORCHSCRIPT))),
    "weights.onnx": (read_weights, damaged(unsealed(Runtime.ONNX))),
    "figures.json": (Measurement.read, damaged(json.dumps(FIGURES).encode()) | other_json(FIGURES)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with pairs for a split."""
    folder = tmp_path_factory.mktemp("fuzz")
    for name in ("CT-MRI/MRI", "CT-MRI/CT", "PET-MRI/MRI", "PET-MRI/PET"):
        (folder / name).mkdir(parents=True)
        for case in (1, 2, 3):
            (folder / name / f"{case}001.png").touch()
    return folder


@pytest.mark.parametrize("name", READERS)
def test_it_is_used_or_refused(folder, name):
    read, contents = READERS[name]
    path = folder / name
    before = {file: file.stat().st_size for file in folder.rglob("*")} | {path: 0, folder / "split.json": 0}

    outcomes: Counter[str] = Counter()
    began = time.monotonic()

    @given(contents)
    def check(content: Content) -> None:
        if time.monotonic() - began > SECONDS:
            raise TimeIsUp
        path.write_bytes(content())
        try:
            read(path)
            outcomes["used"] += 1
        except InputError:
            outcomes["refused"] += 1

    with suppress(TimeIsUp):
        check()
    print(f"{name}: {dict(outcomes)}")
    path.unlink()
    assert {file for file in folder.rglob("*")} <= before.keys(), "reading writes nothing"


@pytest.mark.parametrize("name", ["weights.pt", "weights.ts", "weights.onnx"])
def test_what_is_damaged_was_whole(tmp_path, name):
    """Else every damaged file would be refused for another reason than its damage."""
    runtime = {".pt": Runtime.TORCH, ".ts": Runtime.TORCHSCRIPT, ".onnx": Runtime.ONNX}[Path(name).suffix]
    (tmp_path / name).write_bytes(unsealed(runtime))
    read_weights(tmp_path / name)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


def test_the_page_of_a_study_with_any_report(study):
    """The page is written, or the report is refused; what stands in it never ends its script."""

    outcomes: Counter[str] = Counter()
    began = time.monotonic()

    @given(st.sampled_from([FULL, BARE]).map(lambda r: json.loads(json.dumps(r.to_dict()))).flatmap(other_json))
    def check(content: Content) -> None:
        if time.monotonic() - began > SECONDS:
            raise TimeIsUp
        (study / "report.json").write_bytes(content())
        try:
            page = write_study_view(study).read_text(encoding="utf-8")
            outcomes["written"] += 1
        except InputError:
            outcomes["refused"] += 1
            return
        head, _, rest = page.partition("const STUDY = ")
        assert head
        assert "<" not in rest.partition(";\n")[0]

    with suppress(TimeIsUp):
        check()
    print(f"page of a report: {dict(outcomes)}")
