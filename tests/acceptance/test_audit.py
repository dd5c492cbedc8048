"""What `make audit` makes of its tools' answers; the tools have an environment of their own."""

from __future__ import annotations

import json
import subprocess

import pytest

from tools import audit

PARTS = [("torch", "2.9.0+cpu"), ("mmif-amin", "1.0.0"), ("numpy", "2.4.6")]
SBOM = {"components": [{"name": name, "version": version} for name, version in PARTS]}
HOLE = {"name": "numpy", "version": "2.4.6", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.4.7"]}]}
SAFE = {"name": "torch", "version": "2.9.0", "vulns": []}
UNKNOWN = {"name": "numpy", "skip_reason": "not found"}


def test_every_package_is_asked_for_but_our_own():
    assert audit.pins_of(SBOM) == ["numpy==2.4.6", "torch==2.9.0"]


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        pytest.param([SAFE, HOLE], 1, "numpy 2.4.6: PYSEC-1, mended in 2.4.7", id="hole"),
        pytest.param([SAFE, UNKNOWN], 0, "known holes: 0, packages that pypi does not know: 1", id="none"),
        pytest.param([UNKNOWN], 0, "known holes: NOT LOOKED FOR", id="nothing known"),
        pytest.param(None, 0, "known holes: NOT LOOKED FOR", id="no network"),
    ],
)
def test_nobody_is_told_that_all_is_well_where_nobody_looked(tmp_path, monkeypatch, capsys, answer, code, told):
    def tool(*words):
        if words[0] == "cyclonedx_py":
            (tmp_path / "sbom.json").write_text(json.dumps(SBOM))
        if words[0] == "pip_audit" and answer is not None:
            (tmp_path / "vulnerabilities.json").write_text(json.dumps({"dependencies": answer}))
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(audit, "_tool", tool)
    assert audit.main("python", str(tmp_path)) == code
    assert told in capsys.readouterr().out
    assert (tmp_path / "packages.txt").read_text() == "numpy==2.4.6\ntorch==2.9.0\n"
