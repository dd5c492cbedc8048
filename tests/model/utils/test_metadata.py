from __future__ import annotations

import json

from scripts.utils.metadata import bundle_metadata

from tests.conftest import BUNDLE


def test_content_of_the_file():
    assert bundle_metadata() == json.loads((BUNDLE / "configs" / "metadata.json").read_text())


def test_read_once():
    assert bundle_metadata() is bundle_metadata()
