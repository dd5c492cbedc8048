"""DICOMweb as other archives speak it, and what is missing in the middle of their answers."""

from __future__ import annotations

import http.server
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from mmif_amin.archive import errors
from mmif_amin.archive.addresses import parse_address
from mmif_amin.archive.dicomweb import WebArchive
from mmif_amin.archive.errors import ArchiveError
from mmif_amin.archive.login import Login
from mmif_amin.archive.tls import TlsFiles
from tests.mmif_amin.archive.place import STUDY
from tests.model.dicom.dicom_phantoms import write_series

IMAGES = 7
JSON = "application/dicom+json; charset=utf-8"
SERIES = 'multipart/related; type="application/dicom"; boundary=b'
SECRET = "s3cret"


class Archive:
    """An archive of one series. ``says`` maps a method to what answers in its place, unless that returns False."""

    def __init__(self, most: int = 200, **says: Callable[[Any, bytes], Any]) -> None:
        self.images: dict[str, Any] = {}
        self.asked: list[str] = []
        archive = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                archive.asked.append(f"{self.command} {self.headers.get('Authorization')}")
                if (says.get(self.command) or (lambda *_: False))(self, body) is not False:
                    return
                if self.command == "POST":
                    archive.stored(self, archive.take(body))
                elif "instances?" in self.path:
                    archive.list(self, most)
                else:
                    send(self, 200, SERIES, archive.series())

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"dicomweb://127.0.0.1:{self.server.server_port}/web"

    def list(self, handler: Any, most: int) -> None:
        limit, offset = (int(found) for found in re.findall(r"=(\d+)", handler.path))
        if limit > 200:
            send(handler, 400)
            return
        uids = list(self.images)[offset : offset + min(limit, most)]
        rows = [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids]
        send(handler, 200 if rows else 204, JSON, json.dumps(rows).encode() if rows else b"")

    def series(self) -> bytes:
        parts = b""
        for image in self.images.values():
            content = io.BytesIO()
            image.save_as(content, enforce_file_format=True)
            parts += b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n" + content.getvalue()
        return parts + b"\r\n--b--\r\n"

    def take(self, body: bytes, most: int = IMAGES) -> list[Any]:
        """Keep the first images of a message; returns all."""
        parts = [part.partition(b"\r\n\r\n")[2] for part in body.split(b"\r\n--") if b"DICM" in part]
        images = [pydicom.dcmread(io.BytesIO(part)) for part in parts]
        self.images |= {str(image.SOPInstanceUID): image for image in images[:most]}
        return images

    def stored(self, handler: Any, images: list[Any], code: int = 200, reason: int = 0xA700) -> None:
        """Say which images are there, and which are not."""
        answer: dict[str, Any] = {}
        for image in images:
            uid = str(image.SOPInstanceUID)
            item = {"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [reason]}}
            tag = "00081199" if uid in self.images else "00081198"
            answer.setdefault(tag, {"vr": "SQ", "Value": []})["Value"].append(item)
        send(handler, code, JSON, json.dumps(answer).encode())


def send(handler: Any, code: int, kind: str = "text/plain", body: bytes = b"", length: bool = True) -> None:
    handler.send_response(code)
    handler.send_header("Content-Type", kind)
    if length:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(errors, "FIRST_WAIT", 2)


@pytest.fixture
def archive() -> Iterator[Callable[..., Archive]]:
    made = []

    def make(**says) -> Archive:
        made.append(Archive(**says))
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    return write_series(tmp_path_factory.mktemp("series"), (4, 4, IMAGES), StudyInstanceUID=STUDY).files


def fill(archive: Archive, files: list[Path]) -> str:
    """Returns the SeriesInstanceUID."""
    for file in files:
        image = pydicom.dcmread(file)
        archive.images[str(image.SOPInstanceUID)] = image
    return str(image.SeriesInstanceUID)


def fetch(archive: Archive, files: list[Path], folder: Path) -> int:
    return len(WebArchive(parse_address(archive.url)).fetch(STUDY, fill(archive, files), folder))


def test_an_archive_that_lists_few_images_at_once(archive, files, tmp_path):
    assert fetch(archive(most=3), files, tmp_path / "got") == IMAGES


def test_an_archive_that_gives_images_only_as_they_are_stored(archive, files, tmp_path):
    def only_so(handler, _):
        transcoded = "instances" not in handler.path and "transfer-syntax=*" not in handler.headers["Accept"]
        return send(handler, 406) if transcoded else False

    assert fetch(archive(GET=only_so), files, tmp_path / "got") == IMAGES


@pytest.mark.parametrize("part", [0.4, 0.99])
def test_half_an_answer_without_a_length_is_asked_for_again(archive, files, tmp_path, part):
    cut = []

    def half(handler, _):
        if cut or "instances" in handler.path:
            return False
        cut.append(1)
        body = here.series()
        return send(handler, 200, SERIES, body[: int(len(body) * part)], length=False)

    here = archive(GET=half)
    assert fetch(here, files, tmp_path / "got") == IMAGES
    assert cut


def test_another_page_than_dicomweb(archive, tmp_path):
    here = archive(GET=lambda handler, _: send(handler, 200, "text/html", b"<html>log in</html>"))
    with pytest.raises(ArchiveError, match="expected an answer of DICOMweb, got another. Check the path"):
        WebArchive(parse_address(here.url)).instances(STUDY, "1.2.3")


@pytest.mark.parametrize(
    ("code", "kept", "reason", "times", "message"),
    [
        pytest.param(202, 4, 0xA700, 9, "3 were refused .0xA700", id="some are never taken"),
        pytest.param(202, 4, 0xA700, 1, "", id="some are taken later"),
        pytest.param(409, 0, 0xC000, 9, "7 were refused .0xC000", id="none is taken"),
        pytest.param(409, 0, 0x0111, 9, "", id="all are there already"),
        pytest.param(200, 0, 0, 9, "neither confirms nor lists 7", id="none is taken, and nothing said"),
        pytest.param(200, 7, 0, 9, "", id="all are taken, and nothing said"),
    ],
)
def test_what_an_archive_says_of_each_image_counts(archive, files, code, kept, reason, times, message):
    """Its answer has a charset, which the package below takes for no answer."""
    said = []

    def store(handler, body):
        if len(said) >= times:
            return False
        said.append(1)
        images = here.take(body, kept if len(said) == 1 else 0)
        return here.stored(handler, images, code, reason) if reason else send(handler, code)

    here = archive(POST=store)
    there = WebArchive(parse_address(here.url))
    if message:
        with pytest.raises(ArchiveError, match=message):
            there.store(files)
    else:
        assert there.store(files) > 0
        assert len(here.images) == (0 if reason == 0x0111 else IMAGES)


def test_a_question_within_a_question_is_asked_no_oftener(archive, files):
    here = archive(GET=lambda handler, _: send(handler, 503))
    with pytest.raises(ArchiveError, match="answered 503"):
        WebArchive(parse_address(here.url), tries=3).store(files)
    assert len(here.asked) == 3


def test_images_and_credentials_go_nowhere_else(archive, files):
    other = archive()

    def elsewhere(handler, _):
        handler.send_response(307)
        handler.send_header("Location", other.url.replace("dicomweb", "http") + "/studies")
        handler.end_headers()

    here = archive(GET=lambda handler, _: send(handler, 204), POST=elsewhere)
    with pytest.raises(ArchiveError, match="sends us to another address") as caught:
        WebArchive(parse_address(here.url), Login(token=SECRET)).store(files)
    assert caught.value.lasting
    assert f"Bearer {SECRET}" in " ".join(here.asked)
    assert not other.asked


def test_an_archive_that_asks_for_a_login(archive):
    here = archive(GET=lambda handler, _: send(handler, 401))
    with pytest.raises(ArchiveError, match="answered 401. No login for 127.0.0.1:.* was given"):
        WebArchive(parse_address(here.url)).instances(STUDY, "1.2.3")
    with pytest.raises(ArchiveError, match="answered 401. Check the login"):
        WebArchive(parse_address(here.url), Login(token=SECRET)).instances(STUDY, "1.2.3")


def test_a_file_that_is_no_certificate(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(Exception, match=r"expected PEM files, cannot use .*ca\.pem"):
        WebArchive(parse_address("dicomwebs://127.0.0.1:1/x"), tls=TlsFiles(str(tmp_path / "ca.pem")))
