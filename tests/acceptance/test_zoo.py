"""The bundle as the Model Zoo takes it: its acceptance, and the archive used from elsewhere by MONAI's own calls."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance import zoo
from tests.acceptance.test_configs import SMALL
from tests.conftest import BUNDLE, ROOT

# What the docs show to those who call MONAI from a folder of their own: the configs name the bundle's code `scripts`.
PATH_LINE = "sys.path.insert(0, BUNDLE_FOLDER)"
WORKFLOW = """
from monai.bundle import create_workflow
options = {"config_file": f"{BUNDLE_FOLDER}/configs/inference.json", "workflow_type": "infer"}
workflow = create_workflow(**options, output_dir=output, tasks=["CT-MRI"])
assert workflow.check_properties() == []
workflow.run()
workflow.finalize()
"""
LOAD = """
from pathlib import Path
import torch, monai.bundle
net = monai.bundle.load("mmif_amin", bundle_dir=str(Path(BUNDLE_FOLDER).parent), source="monaihosting")
a = torch.rand(1, 1, 40, 52)
assert torch.equal(net.eval()(torch.cat([a, a], dim=1)), a)
"""
FEDERATED = f"""
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject
options = {{**{ {**SMALL, "epochs": 1}!r}, "output_dir": output}}
algo = MonaiAlgo(bundle_root=BUNDLE_FOLDER, local_epochs=1, train_kwargs=options, eval_kwargs=options)
algo.initialize(extra={{ExtraItems.CLIENT_NAME: "site"}})
first = {{name: value.clone() for name, value in algo.train_workflow.network_def.state_dict().items()}}
algo.train(data=ExchangeObject(weights=first), extra={{}})
update = algo.get_weights()
moved = sum(float(abs(torch.as_tensor(value)).sum()) for value in update.weights.values())
assert update.weights.keys() == first.keys() and moved > 0, moved
metrics = algo.evaluate(data=ExchangeObject(weights=first), extra={{}}).metrics
assert 0 < metrics["score"] < 1, metrics
algo.finalize()
"""
CALLS = [
    pytest.param(WORKFLOW, id="create_workflow"),
    pytest.param(LOAD, id="load"),
    pytest.param(FEDERATED, id="MonaiAlgo"),
]
HERE_AND_THERE = [pytest.param(False, id="a-foreign-folder"), pytest.param(True, id="beside-a-foreign-scripts")]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's bundle, unpacked in a folder that has nothing to do with the repository."""
    folder = tmp_path_factory.mktemp("zoo")
    return zoo.unpack(zoo.build(BUNDLE, folder), folder)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder of a user, with a package of that user's own, which happens to be called ``scripts``."""
    (tmp_path / "foreign" / "scripts").mkdir(parents=True)
    (tmp_path / "foreign" / "scripts" / "__init__.py").write_text("MINE = True\n")
    return tmp_path / "foreign"


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, where nothing but the archive is: without the product and without optional packages."""
    environment = zoo.alone(folder.parent / "alone")
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)


def script(folder: Path, bundle: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code as a script file in a folder, so that Python's path starts with that folder."""
    path = folder / "script.py"
    path.write_text(f"import sys\nBUNDLE_FOLDER, output = {str(bundle)!r}, {str(folder / 'out')!r}\n{code}")
    return python(folder, str(path))


def test_archive_is_the_bundle_and_nothing_else(tmp_path):
    first, second = zoo.build(BUNDLE, tmp_path / "1"), zoo.build(BUNDLE, tmp_path / "2")
    assert first.read_bytes() == second.read_bytes()
    version = json.loads((BUNDLE / "configs" / "metadata.json").read_text())["version"]
    assert first.name == f"mmif_amin_v{version}.zip"
    names = {name.removeprefix("mmif_amin/") for name in zipfile.ZipFile(first).namelist()}
    here = {path.relative_to(BUNDLE) for path in BUNDLE.rglob("*") if path.is_file()}
    assert names == {name.as_posix() for name in here if "__pycache__" not in name.parts}
    assert {"models/model.pt", "models/model.ts", "models/model.onnx", "scripts/__init__.py"} <= names


@pytest.mark.slow
def test_acceptance(tmp_path, capsys):
    """`make bundle`: every check passes, every config is asked, and the archive is kept."""
    assert zoo.main(["--output", str(tmp_path)]) == 0, capsys.readouterr()
    printed = capsys.readouterr().out
    passed = [line for line in printed.splitlines() if line.startswith("ok  ")]
    for config in (path.name for path in (BUNDLE / "configs").glob("*.json") if path.name != "metadata.json"):
        asked = [line for line in passed if "check_properties" in line and f"configs/{config}" in line]
        # The first need the environment of torchrun, the last photographs: training/test_photographs.py runs it.
        assert asked or config.startswith("multi_gpu_") or config == "photographs.json", config
    for call in ("verify_metadata", "verify_net_in_out --n 4", "ckpt_export", "import: ", "run inference"):
        assert [line for line in passed if call in line], call
    assert len(list(tmp_path.iterdir())) == 1


def test_the_output_of_a_run_does_not_get_into_the_archive(unpacked, tmp_path):
    shutil.copytree(unpacked, tmp_path / "bundle", ignore=shutil.ignore_patterns("sample_data"))
    (tmp_path / "bundle" / "runs").mkdir()
    with pytest.raises(zoo.RefusedError, match="found also runs"):
        zoo.build(tmp_path / "bundle", tmp_path)
    assert not list(tmp_path.glob("*.zip"))


def test_a_large_file_does_not_get_into_the_archive(unpacked, tmp_path):
    shutil.copytree(unpacked, tmp_path / "bundle", ignore=shutil.ignore_patterns("sample_data"))
    (tmp_path / "bundle" / "models" / "large.pt").write_bytes(bytes(zoo.MAX_BYTES + 1))
    with pytest.raises(zoo.RefusedError, match=rf"got models/large.pt \({zoo.MAX_BYTES + 1} bytes\)"):
        zoo.build(tmp_path / "bundle", tmp_path)


def edit(name: str, change: Callable[[dict], None]) -> Callable[[Path], None]:
    """A change of one of the bundle's JSON files."""

    def apply(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return apply


def without_words(name: str, words: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        text = (folder / name).read_text()
        assert words in text
        (folder / name).write_text(text.replace(words, ""))

    return apply


def warning_when_imported(folder: Path) -> None:
    """Let the bundle's own code warn."""
    with (folder / "scripts" / "networks" / "__init__.py").open("a") as file:
        file.write('\nimport warnings\n\nwarnings.warn("ours", UserWarning, stacklevel=1)\n')


def product_imported(folder: Path) -> None:
    """Let the model need the product."""
    with (folder / "scripts" / "networks" / "__init__.py").open("a") as file:
        file.write("\nimport mmif_amin\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda folder: (folder / "LICENSE").unlink(), "missing: LICENSE", id="no-license"),
        pytest.param(
            edit("configs/metadata.json", lambda content: content.update(version="9.0.0")),
            "does not name version 9.0.0",
            id="no-change-log",
        ),
        pytest.param(without_words("docs/README.md", "## Performance\n"), "expected the sections", id="no-section"),
        pytest.param(
            without_words("docs/README.md", "configs/evaluate.json"), "none for evaluate.json", id="no-command"
        ),
        pytest.param(
            edit(
                "configs/metadata.json",
                lambda content: content["network_data_format"]["inputs"]["image"].update(num_channels="2"),
            ),
            "Failed validating",
            marks=pytest.mark.slow,
            id="not-the-schema",
        ),
        pytest.param(warning_when_imported, "warns: .*UserWarning: ours", marks=pytest.mark.slow, id="own-warning"),
        pytest.param(product_imported, "No module named .mmif_amin", marks=pytest.mark.slow, id="needs-the-product"),
    ],
)
def test_what_the_zoo_would_refuse_is_refused(unpacked, tmp_path, change, message):
    folder = tmp_path / "bundle"
    shutil.copytree(unpacked, folder, ignore=shutil.ignore_patterns("sample_data"))
    change(folder)
    with pytest.raises(zoo.RefusedError, match=message):
        list(zoo.acceptance(folder))


def test_the_docs_show_the_line_that_is_tried_here():
    for page in (BUNDLE / "docs" / "README.md", ROOT / "docs" / "python.md"):
        assert PATH_LINE in page.read_text(), page


@pytest.mark.slow
@pytest.mark.parametrize("code", CALLS)
@pytest.mark.parametrize("beside_scripts", HERE_AND_THERE)
def test_calls_from_a_script_file_elsewhere(unpacked, foreign, code, beside_scripts):
    """With the bundle's folder first on the path; a foreign ``scripts`` beside the script file does no harm then."""
    if not beside_scripts:
        shutil.rmtree(foreign / "scripts")
    result = script(foreign, unpacked, PATH_LINE + code)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "beside_scripts"),
    [
        pytest.param(WORKFLOW, True, id="a-foreign-one-is-found"),
        pytest.param("import scripts\n" + PATH_LINE + WORKFLOW, True, id="a-foreign-one-was-imported-before"),
        pytest.param(WORKFLOW, False, id="none-is-found"),
    ],
)
def test_without_the_bundle_on_the_path_the_error_is_one_line(unpacked, foreign, code, beside_scripts):
    if not beside_scripts:
        shutil.rmtree(foreign / "scripts")
    result = script(foreign, unpacked, code)
    assert result.returncode != 0
    last = result.stderr.splitlines()[-1]
    assert "own package `scripts`" in last
    assert (str(foreign / "scripts") if beside_scripts else "None") in last


@pytest.mark.slow
def test_monai_bundle_run_from_elsewhere(unpacked, foreign):
    """The command puts the bundle's folder on the path itself."""
    shutil.rmtree(foreign / "scripts")
    command = ["-m", "monai.bundle", "run", "inference", "--config_file", str(unpacked / "configs" / "inference.json")]
    result = python(foreign, *command, "--output_dir", str(foreign / "out"))
    assert result.returncode == 0, result.stderr[-4000:]
    assert len(list((foreign / "out").rglob("*.png"))) > 3


@pytest.mark.slow
def test_monai_bundle_run_beside_a_foreign_scripts(unpacked, foreign):
    command = ["-m", "monai.bundle", "run", "inference", "--config_file", str(unpacked / "configs" / "inference.json")]
    result = python(foreign, *command, "--output_dir", str(foreign / "out"))
    assert result.returncode != 0
    assert str(foreign / "scripts") in result.stderr.splitlines()[-1]
    assert not (foreign / "out").exists()
