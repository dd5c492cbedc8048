from __future__ import annotations

import json
import re
from configparser import ConfigParser

from tests.acceptance.zoo import PARTS
from tests.conftest import BUNDLE, ROOT


def setup_cfg() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_package_is_listed():
    listed = set(setup_cfg()["options"]["packages"].split())
    found = {".".join(["mmif_amin", *path.parent.relative_to(BUNDLE).parts]) for path in BUNDLE.rglob("__init__.py")}
    assert listed == found


def test_every_file_of_the_bundle_is_in_the_wheel():
    packages = {name: BUNDLE.joinpath(*name.split(".")[1:]) for name in setup_cfg()["options"]["packages"].split()}
    shipped = {path for folder in packages.values() for path in folder.glob("*.py")}
    for name, patterns in setup_cfg()["options.package_data"].items():
        shipped.update(path for pattern in patterns.split() for path in packages[name].glob(pattern))
    for part in PARTS:
        for path in [BUNDLE / part, *(BUNDLE / part).rglob("*")]:
            if path.is_file() and "__pycache__" not in path.parts:
                assert path in shipped, path


def test_one_version():
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    package = re.search(r'__version__ = "(.+)"', (BUNDLE / "__init__.py").read_text()).group(1)
    changelog = re.search(r"## \[(\d.+?)\]", (ROOT / "CHANGELOG.md").read_text()).group(1)
    assert {metadata["version"], package, changelog} == {setup_cfg()["metadata"]["version"]}


def test_constraints_hold_what_metadata_names():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    for name, version in metadata["required_packages_version"].items():
        assert pins[name] == version, name
    for name in ("monai", "numpy"):
        assert pins[name] == metadata[f"{name}_version"]
    assert pins["torch"] == metadata["pytorch_version"]


def test_sample_is_small_and_has_its_notices():
    files = list((BUNDLE / "sample_data").iterdir())
    assert sum(f.stat().st_size for f in files) < 1_500_000
    notice = (BUNDLE / "sample_data" / "NOTICE.txt").read_text()
    assert "McConnell Brain Imaging Centre" in notice
    assert "BSD 2-Clause" in notice
