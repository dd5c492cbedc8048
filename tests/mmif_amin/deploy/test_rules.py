"""The rules and the instructions that the app comes with; needs no SDK."""

from __future__ import annotations

import json
import re

from tests.conftest import ROOT


def test_rules_name_both_roles():
    rules = json.loads((ROOT / "mmif_amin" / "deploy" / "series_rules.json").read_text())["selections"]
    patterns = {rule["name"]: rule["conditions"]["Modality"] for rule in rules}
    assert {role: [m for m in ("MR", "CT", "PT", "NM", "US") if re.search(p, m)] for role, p in patterns.items()} == {
        "structural": ["MR"],
        "functional": ["CT", "PT", "NM"],
    }


def test_no_version_is_written_into_the_instructions():
    """They ask the product for it, so that a release does not have to change them."""
    text = (ROOT / "mmif_amin" / "deploy" / "README.md").read_text()
    assert not re.search(r"mmif_amin[\w-]*:\d", text)
