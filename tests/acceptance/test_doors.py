"""In one process no source file is loaded twice, whichever door the process came in by.

Each door is a real process. A ``sitecustomize`` module writes down, when any process of it ends, which files of this
repository it had loaded, and under which names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.test_configs import SMALL
from tests.conftest import BUNDLE, ROOT, make_pair, write_gray
from tests.mmif_amin.archive.listener import settings_file
from tests.mmif_amin.archive.orthanc import free_port

pytestmark = pytest.mark.slow

SAMPLE = BUNDLE / "sample_data"
INFERENCE = ["-m", "monai.bundle", "run", "inference", "--config_file", str(BUNDLE / "configs" / "inference.json")]
RECORDER = """
import atexit, json, os, sys, uuid
if os.environ.get("NOT_INSTALLED"):
    is_editable = lambda finder: "__editable__" in str(getattr(finder, "__module__", ""))
    sys.meta_path[:] = [finder for finder in sys.meta_path if not is_editable(finder)]

def record():
    found = [
        (os.path.realpath(module.__file__), name, id(module))
        for name, module in list(sys.modules.items())
        if getattr(module, "__file__", None) and name != "__main__"
    ]
    with open(os.path.join(os.environ["DOORS"], uuid.uuid4().hex), "w") as file:
        ours = tuple(os.environ["FILES_OF"].split(os.pathsep))
        json.dump([entry for entry in found if entry[0].startswith(ours)], file)

atexit.register(record)
"""


@pytest.fixture
def world(tmp_path):
    """Pictures, a data set and folders for the doors."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(RECORDER)
    for folder in ("doors", "elsewhere", "foreign/scripts"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "foreign" / "scripts" / "__init__.py").write_text('"""Not ours."""\n')
    mri, ct = make_pair((64, 64))[0].numpy()
    for name in ("one", "two", "three", "four", "five"):
        write_gray(tmp_path / "data" / "CT-MRI" / "MRI" / f"{name}001.png", mri)
        write_gray(tmp_path / "data" / "CT-MRI" / "CT" / f"{name}001.png", ct)
    return tmp_path


def environment(world: Path, installed: bool = True) -> dict[str, str]:
    """Environment with the recorder."""
    return {
        **os.environ,
        "PYTHONPATH": str(world / "site"),
        "DOORS": str(world / "doors"),
        "FILES_OF": os.pathsep.join((f"{BUNDLE}{os.sep}", f"{ROOT / 'mmif_amin'}{os.sep}")),
        **({} if installed else {"NOT_INSTALLED": "1"}),
    }


def run(world: Path, words: list, cwd: Path, installed: bool = True) -> subprocess.CompletedProcess:
    """Run Python with these words and the recorder."""
    command = [sys.executable, *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, env=environment(world, installed), capture_output=True, text=True, check=False
    )


def check(world: Path, loaded: str, shared_names: bool = False) -> None:
    """No process loaded a file twice, and one of them loaded what this door needs."""
    names_of_all = set()
    for record in (world / "doors").iterdir():
        by_file: dict[str, list[tuple[str, int]]] = {}
        for file, name, identity in json.loads(record.read_text()):
            by_file.setdefault(file, []).append((name, identity))
            names_of_all.add(name)
        for file, found in by_file.items():
            assert len({identity for _, identity in found}) == 1, f"{file} is loaded twice: {found}"
            assert shared_names or len(found) == 1, f"{file} has two names: {found}"
    assert loaded in names_of_all, sorted(names_of_all)


def pictures(world: Path) -> list[Path]:
    return [world / "data" / "CT-MRI" / modality / "one001.png" for modality in ("MRI", "CT")]


def finished_ablation(world: Path) -> list[str]:
    from mmif_amin.benchmark.ablation.measure import INTERVAL
    from mmif_amin.benchmark.ablation.run import NEEDED
    from mmif_amin.benchmark.ablation.variants import VARIANTS

    for name in VARIANTS:
        folder = world / "ablation" / name.replace(" ", "_") / "seed_0"
        folder.mkdir(parents=True)
        (folder / "done_1.json").write_text(json.dumps(dict.fromkeys(NEEDED, 0.5)))
    tasks = [pair["task"] for pair in json.loads((SAMPLE / "datalist.json").read_text())["validation"]]
    optima = [[task, 1.0, 0.5] for task in dict.fromkeys(tasks) for _ in range(tasks.count(task))[::INTERVAL]]
    (world / "ablation" / "pixel_optima.json").write_text(json.dumps(optima))
    return ["ablation", "--output", str(world / "ablation"), "--epochs", "1", "--seeds", "1"]


def fused_study(world: Path) -> Path:
    study = world / "study"
    if not study.is_dir():
        words = ["fuse", SAMPLE / "t1.nii.gz", SAMPLE / "pet.nii.gz", "--task", "PET-MRI", "-o", study]
        assert run(world, ["-m", "mmif_amin", *words], world).returncode == 0
        shutil.rmtree(world / "doors")
        (world / "doors").mkdir()
    return study


def studies(world: Path) -> Path:
    table = world / "studies.csv"
    table.write_text(f"name,source_a,source_b,task\none,{SAMPLE / 't1.nii.gz'},{SAMPLE / 'pet.nii.gz'},PET-MRI\n")
    return table


def queue_of_a_node(world: Path) -> Path:
    from mmif_amin.archive.queue import StudyQueue

    StudyQueue(world).close()
    return world


def dicom_folder(world: Path) -> Path:
    from tests.model.dicom.dicom_phantoms import write_series

    write_series(world / "dicom", (16, 12, 4))
    return world / "dicom"


def measured(world: Path) -> Path:
    figures = world / "measured.json"
    figures.write_text('{"seconds": 36, "memory_gb": 2, "read_mb": 10, "written_mb": 50}')
    return figures


OVERRIDES = [word for key, value in SMALL.items() for word in (f"--{key}", str(value))]
COMMANDS = [
    pytest.param(lambda w: ["fuse", *pictures(w), "-o", w / "f.png"], "mmif_amin.pictures", id="fuse pictures"),
    pytest.param(
        lambda w: ["fuse", SAMPLE / "t1.nii.gz", SAMPLE / "ct.nii.gz", "--register", "rigid", "-o", w / "f"],
        "mmif_amin.scripts.handlers.study_writer",
        id="fuse volumes",
    ),
    pytest.param(lambda w: ["batch", studies(w), "-o", w / "b"], "mmif_amin.batch.run", id="batch"),
    pytest.param(lambda w: ["view", fused_study(w), "--html", w / "v.html"], "mmif_amin.reports.study_view", id="view"),
    pytest.param(
        lambda w: ["train", "--dataset-dir", w / "data", "--output", w / "t", *OVERRIDES],
        "mmif_amin.scripts.engines.fusion_trainer",
        id="train",
    ),
    pytest.param(
        lambda w: ["evaluate", "--dataset-dir", w / "data", "--output", w / "e"],
        "mmif_amin.scripts.metrics.suite",
        id="evaluate",
    ),
    pytest.param(
        lambda w: ["benchmark", "--dataset-dir", w / "data", "--output", w / "m", "--pairs", 1],
        "mmif_amin.benchmark.report",
        id="benchmark",
    ),
    pytest.param(
        lambda w: ["plant", "--dataset-dir", w / "data", "--output", w / "p", "--sets", 1],
        "mmif_amin.benchmark.detection.planting",
        id="plant",
    ),
    pytest.param(
        lambda w: ["detect", "--dataset-dir", w / "data", "--output", w / "l", "--sets", 1],
        "mmif_amin.benchmark.detection.run",
        id="detect",
    ),
    pytest.param(finished_ablation, "mmif_amin.benchmark.ablation.run", id="ablation"),
    pytest.param(lambda w: ["demo", "--output", w / "d", "--epochs", 1], "mmif_amin.commands.demo", id="demo"),
    pytest.param(lambda w: ["info"], "mmif_amin.commands.info", id="info"),
    pytest.param(lambda w: ["list", dicom_folder(w)], "mmif_amin.listing", id="list"),
    pytest.param(lambda w: ["scale", "--measured", measured(w)], "mmif_amin.scale", id="scale"),
    pytest.param(lambda w: ["queue", queue_of_a_node(w)], "mmif_amin.archive.queue", id="queue"),
]


@pytest.mark.parametrize(("words", "loaded"), COMMANDS)
def test_each_command(world, words, loaded):
    result = run(world, ["-m", "mmif_amin", *words(world)], world / "elsewhere")
    assert result.returncode == 0, result.stderr
    check(world, loaded)


def test_listen(world):
    """It works until it is told to end; its process that fuses is looked at too."""
    words = ["-m", "mmif_amin", "listen", "--config", str(settings_file(world)), "--port", str(free_port())]
    node = subprocess.Popen([sys.executable, *words], env=environment(world), stderr=subprocess.PIPE, text=True)
    heard = next((line for line in node.stderr if " listening " in line), "")
    node.terminate()
    assert node.wait(60) == 0, heard
    check(world, "mmif_amin.archive.service")


@pytest.mark.parametrize("installed", [True, False], ids=["installed", "not installed"])
@pytest.mark.parametrize("place", ["bundle", "repository", "elsewhere"])
def test_monai_bundle_run(world, place, installed):
    cwd = {"bundle": BUNDLE, "repository": ROOT, "elsewhere": world / "elsewhere"}[place]
    result = run(world, [*INFERENCE, "--dataset_dir", world / "data", "--output_dir", world / "out"], cwd, installed)
    assert result.returncode == 0, result.stderr
    assert list((world / "out").rglob("*.png"))
    check(world, "scripts.transforms.pairs")


@pytest.mark.parametrize("installed", [True, False], ids=["installed", "not installed"])
def test_the_command_runs_from_the_checkout(world, installed):
    result = run(world, ["-m", "mmif_amin", "fuse", *pictures(world), "-o", world / "f.png"], ROOT, installed)
    assert result.returncode == 0, result.stderr
    check(world, "mmif_amin.pictures")


FUSE = "import numpy as np, mmif_amin; mmif_amin.load()(np.zeros((20, 20), np.uint8), np.ones((20, 20), np.uint8))"
CONFIG = (
    "from monai.bundle import run; import sys; "
    "run('inference', config_file={config!r}, dataset_dir={data!r}, output_dir={out!r})"
)


def both_doors(world: Path) -> list[str]:
    config = str(BUNDLE / "configs" / "inference.json")
    return [FUSE, CONFIG.format(config=config, data=str(world / "data"), out=str(world / "out"))]


def test_the_python_api(world):
    result = run(world, ["-c", FUSE], world / "elsewhere")
    assert result.returncode == 0, result.stderr
    check(world, "mmif_amin.fuser")


@pytest.mark.parametrize("first", [0, 1], ids=["API first", "config first"])
def test_both_doors_in_one_process(world, first):
    lines = both_doors(world)
    words = "; ".join([lines[first], lines[1 - first]])
    same = "import mmif_amin.scripts.utils.checks as a, scripts.utils.checks as b; assert a.InputError is b.InputError"
    result = run(world, ["-c", f"{words}; {same}"], world / "elsewhere")
    assert result.returncode == 0, result.stderr
    check(world, "mmif_amin.fuser", shared_names=True)


def test_a_foreign_package_called_scripts_is_left_alone(world):
    """The product works beside it, and it stays what it is."""
    words = (
        f"import scripts; {FUSE}; import scripts as again; assert again is scripts and scripts.__doc__ == 'Not ours.'"
    )
    assert run(world, ["-c", words], world / "foreign").returncode == 0
    fuse = ["-m", "mmif_amin", "fuse", SAMPLE / "t1.nii.gz", SAMPLE / "pet.nii.gz", "--task", "PET-MRI"]
    result = run(world, [*fuse, "-o", world / "study"], world / "foreign")
    assert result.returncode == 0, result.stderr
    check(world, "mmif_amin.scripts.transforms.volume")
