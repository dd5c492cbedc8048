"""What the packager reads; needs no SDK."""

from __future__ import annotations

import json
import re
from configparser import ConfigParser

from tests.conftest import BUNDLE, ROOT

DEPLOY = BUNDLE / "scripts" / "deploy"
SDK_PINS = {"monai-deploy-app-sdk": "4.0.0", "holoscan-cu13": "4.2.0", "holoscan-cli": "4.2.0"}


def pins(path) -> dict[str, str]:
    return dict(line.split("==") for line in path.read_text().splitlines() if "==" in line and line[0] != "#")


def test_requirements_are_the_pinned_dependencies_and_the_sdk():
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    names = [re.match(r"[\w-]+", line).group() for line in parser["options"]["install_requires"].split()]
    constraints = pins(ROOT / "constraints.txt")
    assert pins(DEPLOY / "requirements.txt") == {**SDK_PINS, **{name: constraints[name] for name in names}}


def test_version_is_that_of_the_bundle():
    version = json.loads((BUNDLE / "configs" / "metadata.json").read_text())["version"]
    assert re.findall(r"^  version: (\S+)$", (DEPLOY / "app.yaml").read_text(), re.MULTILINE) == [version]
    assert set(re.findall(r"mmif_amin[\w-]*:(\d\S+)", (DEPLOY / "README.md").read_text())) == {version}
