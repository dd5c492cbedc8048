"""Settings of the node, from TOML and JSON."""

from __future__ import annotations

import json

import pytest
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin.archive.settings import NodeSettings, Peer, read_settings
from tests.conftest import ROOT

WHOLE = """
folder = "node"
quiet_seconds = 5
workers = 2
tls = {ca = "ca.pem", certificate = "own.pem", key = "own.key"}

[[peers]]
title = "PACS"
hosts = ["10.0.3.0/24", "::1"]
port = 104

[[destinations]]
name = "pacs"
url = "dicomwebs://pacs.example/dicom-web"
login = "login.json"
tls = {ca = "ca.pem"}

[limits]
free_gb = 3
"""
SMALLEST = {
    "folder": "node",
    "peers": [{"title": "PACS", "hosts": ["127.0.0.1"]}],
    "destinations": [{"name": "pacs", "url": "dicom://127.0.0.1:104/PACS"}],
}


def read(tmp_path, content, **overrides) -> NodeSettings:
    path = tmp_path / ("node.toml" if isinstance(content, str) else "node.json")
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_settings(path, overrides)


def test_toml(tmp_path):
    settings = read(tmp_path, WHOLE, workers=3)
    assert (settings.quiet_seconds, settings.workers, settings.limits.free_gb, settings.port) == (5.0, 3, 3.0, 11112)
    assert settings.folder == str(tmp_path / "node")
    assert settings.tls.key == str(tmp_path / "own.key")
    destination = settings.destinations[0]
    assert (destination.login, destination.tls.ca) == (str(tmp_path / "login.json"), str(tmp_path / "ca.pem"))
    assert settings.peers == (Peer("PACS", ("10.0.3.0/24", "::1"), 104),)


def test_json_and_defaults(tmp_path):
    settings = read(tmp_path, SMALLEST)
    assert settings.rules == str(ROOT / "mmif_amin" / "deploy" / "series_rules.json")
    assert (settings.title, settings.host, settings.tls.certificate) == ("MMIF-AMIN", "127.0.0.1", "")


@pytest.mark.parametrize(
    ("host", "known"),
    [("10.0.3.7", True), ("10.0.4.7", False), ("::1", True), ("::ffff:10.0.3.7", True), ("fe80::1%eth0", False)],
)
def test_where_a_peer_may_be(host, known):
    assert Peer("PACS", ("10.0.3.0/24", "::1")).is_at(host) == known


WRONG = [
    pytest.param("folder = ", "expected TOML, or JSON", id="no TOML"),
    pytest.param({**SMALLEST, "quiet_second": 1}, "no such setting. Did you mean quiet_seconds", id="near miss"),
    pytest.param({**SMALLEST, "zzz": 1}, "zzz: no such setting. There are: folder", id="unknown"),
    pytest.param({"folder": "x"}, "expected the settings peers, destinations", id="missing"),
    pytest.param({**SMALLEST, "peers": []}, "expected at least one of `peers`", id="nobody may send"),
    pytest.param({**SMALLEST, "peers": {}}, "peers: expected a list, got dict", id="no list"),
    pytest.param({**SMALLEST, "peers": ["PACS"]}, "expected a table of peer, got str", id="no table"),
    pytest.param({**SMALLEST, "workers": "2"}, "workers: expected a whole number, got '2'", id="text for number"),
    pytest.param({**SMALLEST, "workers": 0}, "workers: expected a positive number, got 0", id="zero"),
    pytest.param({**SMALLEST, "port": 70000}, "expected ports from 0 to 65535", id="port"),
    pytest.param({**SMALLEST, "title": "X" * 17}, "AE title of 1 to 16 characters", id="title"),
    pytest.param({**SMALLEST, "rules": "none.json"}, "none.json: expected rules in JSON", id="rules"),
    pytest.param(
        {**SMALLEST, "peers": [{"title": "P", "hosts": ["pacs.example"]}]},
        "IP address or network, got 'pacs",
        id="host",
    ),
    pytest.param(
        {**SMALLEST, "destinations": SMALLEST["destinations"] * 2}, "a name of its own for each", id="same name twice"
    ),
    pytest.param(
        {**SMALLEST, "destinations": [{"name": "a", "url": "ftp://x"}]}, "ftp://x: expected dicomweb", id="address"
    ),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_wrong_settings(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="expected a file of settings, cannot read it: No such file"):
        read_settings(tmp_path / "none.toml", {})
