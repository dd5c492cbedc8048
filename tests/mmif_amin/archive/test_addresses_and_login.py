"""Addresses, and credentials that no message and no other archive ever gets."""

from __future__ import annotations

import json

import pytest
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin.archive.addresses import is_address, parse_address
from mmif_amin.archive.login import Login, find_login

SECRET = "s3cret-token"
ARCHIVE = parse_address("dicomwebs://pacs.example:8443/dicom-web")


@pytest.mark.parametrize(
    ("word", "url", "tls", "local"),
    [
        ("dicomweb://127.0.0.1:8042/dicom-web/", "http://127.0.0.1:8042/dicom-web", False, True),
        ("dicomwebs://pacs.example/a/b", "https://pacs.example:443/a/b", True, False),
        ("dicomweb://localhost", "http://localhost:80", False, True),
        ("dicomweb://[::1]:81/x", "http://[::1]:81/x", False, True),
        ("https://pacs.example/dicom-web", "https://pacs.example:443/dicom-web", True, False),
    ],
)
def test_web_addresses(word, url, tls, local):
    address = parse_address(word)
    assert is_address(word)
    assert (address.url, address.tls, address.local, address.web) == (url, tls, local, True)


def test_addresses_of_nodes():
    address = parse_address("dicoms://pacs.example/PACS")
    assert (address.host, address.port, address.path, address.tls, address.web) == (
        "pacs.example",
        2762,
        "PACS",
        True,
        False,
    )
    assert parse_address("dicom://pacs.example/PACS").port == 104


@pytest.mark.parametrize("word", ["a.nii.gz", "C:/x", "/data/dicom", "ftp://x/y", "dicomweb"])
def test_files_are_no_addresses(word):
    assert not is_address(word)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        pytest.param("ftp://pacs/dicom-web", "expected dicomweb", id="ftp"),
        pytest.param("dicomweb://", "expected dicomweb", id="no host"),
        pytest.param("dicomweb://pacs:port/x", "expected dicomweb", id="no port"),
        pytest.param("dicom://pacs:104", "expected an AE title of 1 to 16", id="no title"),
        pytest.param("dicom://pacs/A_TITLE_THAT_IS_TOO_LONG", "expected an AE title of 1 to 16", id="long title"),
    ],
)
def test_wrong_addresses(word, message):
    with pytest.raises(InputError, match=message):
        parse_address(word)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(InputError, match="Put user and password or token in a login file") as caught:
        parse_address(f"dicomwebs://jane:{SECRET}@pacs.example/x")
    assert SECRET not in str(caught.value)


@pytest.fixture
def login_file(tmp_path):
    path = tmp_path / "login.json"

    def write(content, mode=0o600):
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        path.chmod(mode)
        return path

    return write


@pytest.mark.parametrize(
    ("entry", "header"),
    [
        ({"token": SECRET}, f"Bearer {SECRET}"),
        ({"user": "jane", "password": "x"}, "Basic amFuZTp4"),
    ],
)
def test_login_from_a_file(login_file, entry, header):
    path = login_file({"other:1": {"token": "wrong"}, ARCHIVE.place: entry})
    assert find_login(ARCHIVE, path, {}).header == header
    assert find_login(ARCHIVE, None, {"MMIF_AMIN_LOGIN": str(path)}).header == header
    assert find_login(parse_address("dicomwebs://elsewhere/x"), path, {}) is None
    login_file({ARCHIVE.place.upper(): entry})
    assert find_login(ARCHIVE, path, {}).header == header


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_login_file_that_others_can_read_is_refused(login_file, mode):
    path = login_file({ARCHIVE.place: {"token": SECRET}}, mode)
    with pytest.raises(InputError, match=f"others than its owner can read this login file. Do: chmod 600 {path}"):
        find_login(ARCHIVE, path, {})


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f'{{"{SECRET}', id="no JSON"),
        pytest.param([SECRET], id="a list"),
        pytest.param({ARCHIVE.place: SECRET}, id="no entry"),
        pytest.param({ARCHIVE.place: {"token": SECRET, "user": "x"}}, id="too much"),
        pytest.param({ARCHIVE.place: {"token": 7}}, id="a number"),
    ],
)
def test_a_login_file_of_another_form_is_not_quoted(login_file, content):
    with pytest.raises(InputError, match="expected JSON such as") as caught:
        find_login(ARCHIVE, login_file(content), {})
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_login_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="the login file cannot be read: No such file"):
        find_login(ARCHIVE, tmp_path / "nothing", {})


def test_login_from_the_environment():
    environment = {"MMIF_AMIN_ARCHIVE": ARCHIVE.place, "MMIF_AMIN_TOKEN": SECRET}
    assert find_login(ARCHIVE, None, environment) == Login(token=SECRET)
    basic = {"MMIF_AMIN_ARCHIVE": ARCHIVE.place, "MMIF_AMIN_USER": "jane", "MMIF_AMIN_PASSWORD": "x"}
    assert find_login(ARCHIVE, None, basic) == Login(user="jane", password="x")
    assert find_login(parse_address("dicomwebs://elsewhere/x"), None, environment) is None
    assert find_login(ARCHIVE, None, {}) is None


@pytest.mark.parametrize(
    "environment",
    [
        {"MMIF_AMIN_TOKEN": SECRET},
        {"MMIF_AMIN_ARCHIVE": ARCHIVE.place, "MMIF_AMIN_USER": "jane"},
        {"MMIF_AMIN_ARCHIVE": ARCHIVE.place, "MMIF_AMIN_USER": "jane", "MMIF_AMIN_TOKEN": SECRET},
    ],
)
def test_an_incomplete_environment(environment):
    with pytest.raises(InputError, match="in the environment; one is missing or too many") as caught:
        find_login(ARCHIVE, None, environment)
    assert SECRET not in str(caught.value)


def test_no_credentials_without_tls_but_on_this_machine(login_file):
    plain, here = parse_address("dicomweb://pacs.example:80/x"), parse_address("dicomweb://127.0.0.1:80/x")
    path = login_file({plain.place: {"token": SECRET}, here.place: {"token": SECRET}})
    assert find_login(here, path, {}) == Login(token=SECRET)
    with pytest.raises(InputError, match="credentials need TLS. Write dicomwebs://"):
        find_login(plain, path, {})


def test_credentials_are_not_shown():
    assert SECRET not in repr(Login(token=SECRET))
