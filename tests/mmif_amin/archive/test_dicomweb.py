"""DICOMweb against a real Orthanc, and against archives that are down, forgetful or not who they say they are."""

from __future__ import annotations

import http.server
import json
import ssl
import subprocess
import threading
import urllib.request
from pathlib import Path

import pydicom
import pytest

from mmif_amin.archive import errors
from mmif_amin.archive.addresses import parse_address
from mmif_amin.archive.archives import open_archive
from mmif_amin.archive.derived import derived_files, give_lasting_uids, result_key
from mmif_amin.archive.dicomweb import WebArchive
from mmif_amin.archive.errors import ArchiveError
from mmif_amin.archive.login import Login
from mmif_amin.archive.tls import TlsFiles
from mmif_amin.cli import main
from tests.mmif_amin.archive.made_up import SHAPE, picture, write_study
from tests.mmif_amin.archive.orthanc import Orthanc, free_port
from tests.model.dicom.dicom_phantoms import write_series


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(errors, "FIRST_WAIT", 20)


@pytest.fixture
def study(orthanc: Orthanc, tmp_path) -> str:
    """A study with a scout that lies in the archive."""
    uid = write_study(tmp_path / "source", scout=True)
    orthanc.upload(tmp_path / "source")
    return uid


class Proxy:
    """Stands before an archive and spoils its first answers to a method; records what was asked."""

    def __init__(self, url: str, spoil: str = "", times: int = 0, status: int = 0) -> None:
        self.asked: list[tuple[str, str]] = []
        self.authorizations: set[str | None] = set()
        left = {"times": times}
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                length, chunked = self.headers.get("Content-Length"), self.headers.get("Transfer-Encoding")
                body = self.chunks() if chunked else self.rfile.read(int(length)) if length else None
                proxy.asked.append((self.command, self.path))
                proxy.authorizations.add(self.headers.get("Authorization"))
                headers = {k: v for k, v in self.headers.items() if k.lower() in ("accept", "content-type")}
                request = urllib.request.Request(url + self.path, body, headers, method=self.command)
                try:
                    answer = urllib.request.urlopen(request)
                except urllib.error.HTTPError as error:
                    answer = error
                content = answer.read()
                if self.command == spoil and left["times"]:
                    left["times"] -= 1
                    if status:
                        self.send_response(status)
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                    self.close_connection = True  # the archive has done it, but the answer is lost
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def chunks(self) -> bytes:
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"dicomweb://127.0.0.1:{self.server.server_port}/dicom-web"

    def count(self, method: str) -> int:
        return sum(asked == method for asked, _ in self.asked)


def open_web(address: str, **keywords) -> WebArchive:
    return WebArchive(parse_address(address), **keywords)


def test_what_there_is_and_fetching_it(orthanc, study, tmp_path):
    archive = open_web(orthanc.address)
    found = archive.series(study)
    assert sorted((c.header.Modality, c.header.SeriesNumber, c.images) for c in found) == [
        ("CT", 2, SHAPE[2]),
        ("MR", 1, SHAPE[2]),
        ("MR", 9, 3),
    ]
    files = archive.fetch(study, found[0].uid, tmp_path / "fetched")
    assert {pydicom.dcmread(file).SOPInstanceUID for file in files.values()} == set(files)
    assert len(files) == found[0].images
    assert archive.instances("1.2.3", "1.2.4") == set()


@pytest.mark.parametrize(
    ("spoil", "status"),
    [("POST", 0), ("POST", 503), ("GET", 0), ("GET", 503)],
    ids=["answer to STOW lost", "STOW done but 503", "answer to QIDO and WADO lost", "QIDO and WADO 503"],
)
def test_results_appear_once_also_after_a_retry(orthanc, study, tmp_path, capsys, spoil, status):
    proxy = Proxy(orthanc.url, spoil, 2, status)
    words = ["fuse", proxy.address, "--study", study, "--to", proxy.address, "-o", str(tmp_path / "out")]
    assert main(words) == 0, capsys.readouterr().err
    assert [item["images"] for item in orthanc.fused(study)] == [SHAPE[2]]


def test_a_second_run_writes_the_same_images_and_sends_none(orthanc, study, tmp_path, capsys):
    """The second one names the archive in the other spelling."""
    url = orthanc.address.replace("dicomweb:", "http:")
    for run, source, to in ((1, [orthanc.address], orthanc.address), (2, ["--from", url], url)):
        words = ["fuse", *source, "--study", study, "--to", to, "-o", str(tmp_path / f"out{run}")]
        assert main(words) == 0, capsys.readouterr().err
    assert [item["images"] for item in orthanc.fused(study)] == [SHAPE[2]]
    made_files = len(derived_files(tmp_path / "out2"))
    assert f"stored: 0 images sent, {made_files} were there" in capsys.readouterr().out
    names = [sorted(pydicom.dcmread(f).SOPInstanceUID for f in derived_files(tmp_path / f"out{n}")) for n in (1, 2)]
    assert names[0] == names[1]


def test_a_destination_that_is_down_leaves_the_result_on_the_disk(orthanc, study, tmp_path, capsys):
    words = ["fuse", orthanc.address, "--study", study, "-o", str(tmp_path / "out")]
    assert main([*words, "--to", f"dicomweb://127.0.0.1:{free_port()}/x"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "Is the archive up? The result is in" in line
    assert derived_files(tmp_path / "out")


def test_back_by_c_store(orthanc, study, tmp_path):
    to = f"dicom://127.0.0.1:{orthanc.dicom}/ORTHANC"
    assert main(["fuse", orthanc.address, "--study", study, "--to", to, "-o", str(tmp_path / "out")]) == 0
    assert [item["images"] for item in orthanc.fused(study)] == [SHAPE[2]]


def test_two_studies_of_one_patient(orthanc, tmp_path):
    """The MR in one study, the CT in another; more series are named by number or UID."""
    shape = (32, 32, 6)
    common = {"shape": shape, "spacing": (3.0, 3.0, 6.0), "FrameOfReferenceUID": "1.2.3.9"}
    folder = tmp_path / "s"
    write_series(folder / "a", StudyInstanceUID="1.2.3.1", stored=picture(shape, 0, 900), **common)
    common |= {"StudyInstanceUID": "1.2.3.2", "stored": picture(shape, 1, 1224)}
    ct = write_series(folder / "b", modality="CT", **common)
    write_series(folder / "c", modality="PT", SeriesNumber=7, **common)
    orthanc.upload(tmp_path / "s")
    words = ["fuse", orthanc.address, "--study", "1.2.3.1", "--study", "1.2.3.2"]
    assert main([*words, "-o", str(tmp_path / "two")]) == 2
    assert main([*words, "--series-b", ct.series_uid, "-o", str(tmp_path / "uid")]) == 0
    assert main([*words, "--task", "CT-MRI", "-o", str(tmp_path / "task")]) == 0
    assert not (tmp_path / "two").exists()


@pytest.mark.skipif(subprocess.run(["which", "dciodvfy"], capture_output=True).returncode != 0, reason="no dciodvfy")
def test_what_came_back_is_valid_dicom(orthanc, study, tmp_path):
    words = ["fuse", orthanc.address, "--study", study, "--to", orthanc.address, "-o", str(tmp_path / "out")]
    assert main(words) == 0
    for file in orthanc.download(orthanc.fused(study)[0]["id"], tmp_path / "back"):
        told = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True)
        errors = [line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")]
        assert errors == []


REFUSED = [
    pytest.param(["--study", "1.2.3"], "expected a study with images, found none of that UID", id="no such study"),
    pytest.param([], "expected --study UID and no B", id="no study named"),
    pytest.param(["B", "--study", "1.2.3"], "expected --study UID and no B", id="a second source"),
    pytest.param(["--from", "https://x", "--study", "1.2.3"], "or with --from, got both", id="two archives"),
    pytest.param(["--study", "../1"], "--study: expected a StudyInstanceUID, digits and points", id="no UID"),
    pytest.param(["--study", "1.2.3", "--gray"], "--gray: is for pictures", id="option of pictures"),
    pytest.param(["--study", "1.2.3", "--to", "ftp://x"], "ftp://x: expected dicomweb", id="wrong destination"),
    pytest.param(["--study", "1.2.3", "--rules", "none.json"], "none.json: expected rules in JSON", id="no rules"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_refusals_are_one_line(orthanc, tmp_path, capsys, words, message):
    assert main(["fuse", orthanc.address, *words, "-o", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def test_options_of_archives_mean_nothing_for_files(tmp_path, capsys):
    assert main(["fuse", "a.nii", "b.nii", "--study", "1.2.3", "-o", str(tmp_path / "x")]) == 2
    assert "--study: is for studies of an archive" in capsys.readouterr().err
    assert main(["fuse", "a.nii", "-o", str(tmp_path / "x")]) == 2
    assert "Expected two sources, got one" in capsys.readouterr().err


def test_an_output_that_is_not_empty_is_refused_before_anything_is_asked(tmp_path, capsys):
    (tmp_path / "x").touch()
    words = ["fuse", f"dicomweb://127.0.0.1:{free_port()}/x", "--study", "1.2.3", "-o", str(tmp_path)]
    assert main(words) == 2
    assert "expected a new or empty folder for a study of an archive" in capsys.readouterr().err


def test_an_archive_that_is_down(tmp_path):
    archive = open_web(f"dicomweb://127.0.0.1:{free_port()}/dicom-web", tries=3)
    with pytest.raises(ArchiveError, match="gave no answer .ConnectionError.. Is the archive up") as caught:
        archive.series("1.2.3")
    assert not caught.value.lasting


def test_an_archive_that_comes_back(orthanc, study):
    orthanc.kill()
    threading.Timer(0.3, orthanc.start).start()
    assert open_web(orthanc.address, tries=12).series(study)


@pytest.mark.parametrize(("status", "asked"), [(503, 3), (401, 1), (400, 1)])
def test_how_often_is_asked(orthanc, study, status, asked):
    """A denial ends at once, an overload is waited for."""
    proxy = Proxy(orthanc.url, "GET", 100, status)
    with pytest.raises(ArchiveError, match=f"answered {status}") as caught:
        open_web(proxy.address, tries=3).series(study)
    assert len(proxy.asked) == asked
    assert ("No login for 127.0.0.1" in str(caught.value)) == (status == 401)


def test_half_a_study_is_not_taken_for_a_whole_one(orthanc, study, tmp_path, monkeypatch):
    archive = open_web(orthanc.address, tries=2)
    series = max(archive.series(study), key=lambda candidate: candidate.images).uid
    whole = archive.client.iter_series
    monkeypatch.setattr(archive.client, "iter_series", lambda *uids: list(whole(*uids))[:-2])
    with pytest.raises(ArchiveError, match="expected 12 images of a series, got 10. It is incomplete"):
        archive.fetch(study, series, tmp_path / "fetched")


def test_credentials_reach_only_their_archive(orthanc, study, tmp_path, monkeypatch):
    mine, other = Proxy(orthanc.url), Proxy(orthanc.url)
    login = tmp_path / "login.json"
    login.write_text(json.dumps({parse_address(mine.address).place: {"token": "s3cret"}}))
    login.chmod(0o600)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login jane password s3cret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for proxy in (mine, other):
        open_archive(parse_address(proxy.address), login).series(study)
    assert mine.authorizations == {"Bearer s3cret"}
    assert other.authorizations == {None}


@pytest.fixture
def https(certificates):
    """A server with a certificate of our authority that answers every question with an empty list."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "ours-own.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"dicomwebs://127.0.0.1:{server.server_port}/dicom-web"
    server.shutdown()


def test_https_with_an_own_authority(https, certificates, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "foreign.pem"))  # must not win
    archive = open_web(https, tls=TlsFiles(str(certificates / "ours.pem")), login=Login(token="x"))
    assert archive.instances("1.2.3", "1.2.4") == set()


@pytest.mark.parametrize("authority", ["foreign.pem", ""])
def test_a_wrong_certificate_is_refused_at_once(https, certificates, authority):
    tls = TlsFiles(str(certificates / authority) if authority else "")
    with pytest.raises(ArchiveError, match="no TLS: certificate verify failed.*Name its authority") as caught:
        open_web(https, tls=tls).series("1.2.3")
    assert caught.value.lasting


def test_a_file_of_tls_that_is_not_there():
    with pytest.raises(Exception, match="none.pem: expected a PEM file for TLS"):
        open_web("dicomwebs://127.0.0.1:1/x", tls=TlsFiles("none.pem"))


def test_lasting_uids_follow_from_sources_version_and_settings(tmp_path):
    for run in ("one", "two", "three"):
        write_series(tmp_path / run / "dicom", (8, 8, 3), StudyInstanceUID="1.2.3")
    keys = [
        result_key(["1", "2"], {}),
        result_key(["2", "1"], {"device": "cuda", "loss_map": False}),
        result_key(["1", "2"], {"grid": 2}),
    ]
    assert keys[0] == keys[1] != keys[2]
    uids = []
    for run, key in zip(("one", "two", "three"), keys, strict=True):
        made = [pydicom.dcmread(file) for file in give_lasting_uids(tmp_path / run, key)]
        assert all(image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID for image in made)
        assert len({image.SeriesInstanceUID for image in made}) == 1
        uids.append([(image.SeriesInstanceUID, image.SOPInstanceUID) for image in made])
    assert uids[0] == uids[1]
    assert not set(uids[0]) & set(uids[2])


def test_references_between_new_files_are_kept(tmp_path):
    files = write_series(tmp_path, (8, 8, 2)).files
    first, second = (pydicom.dcmread(file) for file in files)
    item = pydicom.Dataset()
    item.ReferencedSOPInstanceUID = first.SOPInstanceUID
    second.ReferencedImageSequence = [item]
    second.save_as(Path(files[1]))
    made = {file.name: pydicom.dcmread(file) for file in give_lasting_uids(tmp_path, "key")}
    referring, referred = made[files[1].name], made[files[0].name]
    assert referring.ReferencedImageSequence[0].ReferencedSOPInstanceUID == referred.SOPInstanceUID
