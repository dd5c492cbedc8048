"""The wheel: what is in it, that it runs where it is installed, and that every copy of a version or a pin is fresh."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.acceptance.zoo import PARTS
from tests.conftest import BUNDLE, ROOT
from tools import versions

METADATA = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
STARTS_WITHOUT_PACKAGES = [
    pytest.param("from mmif_amin.cli import main; main(['--version'])", id="version"),
    pytest.param("import mmif_amin; print((mmif_amin.BUNDLE / 'configs' / 'metadata.json').read_text())", id="bundle"),
]


def docker_context(folder: Path) -> Path:
    """Copy what ``.dockerignore`` lets through, which is what the image's wheel is built from."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    ignored = shutil.ignore_patterns(*(line.removeprefix("**/") for line in lines if line.startswith("**/")))
    for path in (path for line in lines if line.startswith("!") for path in ROOT.glob(line[1:])):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(path, target, ignore=ignored) if path.is_dir() else shutil.copy(path, target)
    return folder


def python(*words: str, folder: Path) -> str:
    result = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from what the container's build sees and from an output of a run beside the bundle's parts."""
    folder = docker_context(tmp_path_factory.mktemp("context"))
    (folder / "bundle" / "runs" / "scripts").mkdir(parents=True)
    (folder / "bundle" / "runs" / "scripts" / "patient.py").touch()
    (folder / "mmif_amin" / "reports" / "__pycache__").mkdir(exist_ok=True)
    (folder / "mmif_amin" / "reports" / "__pycache__" / "cache.pyc").touch()
    dist = tmp_path_factory.mktemp("dist")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(dist)]
    python("-m", "pip", "wheel", *options, ".", folder=folder)
    return next(dist.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel alone is installed into."""
    folder = tmp_path_factory.mktemp("installed")
    python(
        "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), str(wheel), folder=folder
    )
    return folder


def shipped(root: Path, parts: tuple[str, ...]) -> set[str]:
    paths = [path for part in parts for path in [root / part, *(root / part).rglob("*")] if path.is_file()]
    return {path.relative_to(root).as_posix() for path in paths if "__pycache__" not in path.parts}


@pytest.mark.slow
def test_wheel_holds_both_packages_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    model = {f"mmif_amin/bundle/{name}" for name in shipped(BUNDLE, PARTS)}
    product = {f"mmif_amin/{name}" for name in shipped(ROOT / "mmif_amin", ("",))}
    assert names == model | product
    assert "mmif_amin/deploy/app.py" in names


@pytest.mark.slow
def test_wheel_names_python_license_and_command(wheel):
    content = zipfile.ZipFile(wheel)
    metadata = next(content.read(name).decode() for name in content.namelist() if name.endswith(".dist-info/METADATA"))
    for line in (
        f"Version: {METADATA['version']}",
        "Requires-Python: >=3.11",
        "Classifier: Programming Language :: Python :: 3.13",
    ):
        assert line in metadata.splitlines()
    commands = next(content.read(name).decode() for name in content.namelist() if name.endswith("entry_points.txt"))
    assert "mmif-amin = mmif_amin.cli:main" in commands


@pytest.mark.slow
@pytest.mark.parametrize("code", STARTS_WITHOUT_PACKAGES)
def test_installed_package_starts_without_any_other(installed, code):
    printed = python("-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(installed)!r}); {code}", folder=installed)
    assert METADATA["version"] in printed


@pytest.mark.slow
def test_installed_command_runs_and_finds_its_own_files(installed):
    code = f"import sys; sys.path.insert(0, {str(installed)!r}); import mmif_amin, mmif_amin.scripts, mmif_amin.cli; "
    code += "print(mmif_amin.__file__, mmif_amin.scripts.__file__); sys.exit(mmif_amin.cli.main(['info']))"
    printed = python("-c", code, folder=installed)
    assert printed.split()[:2] == [
        str(installed / "mmif_amin" / "__init__.py"),
        str(installed / "mmif_amin" / "bundle" / "scripts" / "__init__.py"),
    ]
    assert METADATA["weights_sha256"] in printed


def test_copies_of_versions_and_pins_are_fresh():
    """What `make lock` and `make release` write without the network is what is there; edit the sources, not these."""
    for name, text in versions.copies(ROOT).items():
        assert (ROOT / name).read_text() == text, f"{name} is stale: make lock"


def test_exports_are_those_of_this_version():
    manifest = json.loads((BUNDLE / "models" / "manifest.json").read_text())
    assert manifest["version"] == METADATA["version"], "run `make export`"


def test_every_dependency_is_pinned_and_every_pin_is_a_dependency():
    asked = versions.dependencies(ROOT, "decoders", "deploy", "dev", "onnx", "test")
    names = {line.partition(">")[0] for line in asked}
    assert versions.pins(ROOT / "constraints.txt").keys() == names


def test_sample_is_small_and_has_its_notices():
    files = list((BUNDLE / "sample_data").iterdir())
    assert sum(f.stat().st_size for f in files) < 1_500_000
    notice = (BUNDLE / "sample_data" / "NOTICE.txt").read_text()
    assert "McConnell Brain Imaging Centre" in notice
    assert "BSD 2-Clause" in notice


CHANGELOG = """# Changelog

## [Unreleased]

Registration that cannot fail,
and faster.

### Added

- A thing.

## [0.4.0] - 2026-11-21

### Added
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What ``tools/versions.py`` reads and writes, copied, with a change log of two versions."""
    for name in ("setup.cfg", "constraints.txt", *versions.copies(ROOT)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    metadata = json.loads((tmp_path / versions.METADATA).read_text())
    metadata |= {"version": "0.4.0", "changelog": {"0.4.0": "exports"}}
    (tmp_path / versions.METADATA).write_text(json.dumps(metadata))
    return tmp_path


def test_release_writes_the_version_everywhere(checkout):
    versions.release(checkout, "0.5.0", "2026-11-22")
    assert "## [0.5.0] - 2026-11-22\n\nRegistration" in (checkout / "CHANGELOG.md").read_text()
    metadata = json.loads((checkout / versions.METADATA).read_text())
    assert metadata["version"] == "0.5.0"
    assert list(metadata["changelog"].items()) == [
        ("0.5.0", "Registration that cannot fail, and faster."),
        ("0.4.0", "exports"),
    ]
    assert "\n  version: 0.5.0\n" in (checkout / versions.DEPLOY / "app.yaml").read_text()
    for name, text in versions.copies(checkout).items():
        assert (checkout / name).read_text() == text


def test_new_pin_reaches_every_copy(checkout):
    path = checkout / "constraints.txt"
    path.write_text(path.read_text().replace("torch==", "torch==9.").replace("nibabel==", "nibabel==9."))
    versions.write(checkout, versions.copies(checkout))
    metadata = json.loads((checkout / versions.METADATA).read_text())
    assert metadata["pytorch_version"].startswith("9.")
    assert metadata["required_packages_version"]["nibabel"].startswith("9.")
    assert "\ntorch==9." in (checkout / versions.DEPLOY / "requirements.txt").read_text()


@pytest.mark.parametrize(
    ("version", "changelog", "message"),
    [
        pytest.param("0.4.0", CHANGELOG, "expected a version above 0.4.0", id="not-new"),
        pytest.param("0.10", CHANGELOG, "expected a version above 0.4.0, such as 1.2.3, got '0.10'", id="two-numbers"),
        pytest.param("0.10.0", CHANGELOG.replace("Unreleased", "0.3.9"), "expected a section", id="nothing-new"),
        pytest.param(
            "0.5.0",
            CHANGELOG.replace("Registration that cannot fail,\nand faster.", ""),
            "expected a sentence below the heading of 0.5.0",
            id="no-sentence",
        ),
        pytest.param(
            "0.5.0", CHANGELOG.replace("[0.4.0]", "[0.6.0]"), "expected no version above 0.5.0, got 0.6.0", id="by-hand"
        ),
    ],
)
def test_release_refuses(checkout, version, changelog, message):
    (checkout / "CHANGELOG.md").write_text(changelog)
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    with pytest.raises(versions.StaleError, match=message):
        versions.release(checkout, version, "2026-11-22")
    assert {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()} == before


def test_pin_that_is_missing_is_refused(checkout):
    path = checkout / "constraints.txt"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("nibabel")))
    with pytest.raises(versions.StaleError, match=r"expected a version of nibabel"):
        versions.copies(checkout)
