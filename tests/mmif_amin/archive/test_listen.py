"""``mmif-amin listen`` as a process beside a real Orthanc: there and back, whatever goes wrong on the way."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pydicom
import pytest
import requests

from mmif_amin.archive.queue import StudyQueue
from mmif_amin.cli import main
from tests.mmif_amin.archive.listener import Listener, settings_file, wait_for
from tests.mmif_amin.archive.made_up import SHAPE, write_study
from tests.mmif_amin.archive.orthanc import MISSING, Orthanc, free_port

pytestmark = pytest.mark.slow
SMALL = (32, 32, 4)


class Hospital:
    """An archive, the node, and two ways back: DICOMweb and C-STORE."""

    def __init__(self, folder: Path, **settings) -> None:
        self.folder = folder
        self.listener = Listener(folder / "listener", start=False)
        node = {"node": ["MMIF-AMIN", "127.0.0.1", self.listener.port]}
        self.orthanc = Orthanc(folder / "orthanc", node, OverwriteInstances=False)
        self.listener.settings |= {
            "peers": [{"title": "ORTHANC", "hosts": ["127.0.0.1"], "port": self.orthanc.dicom}],
            "destinations": [
                {"name": "web", "url": self.orthanc.address},
                {"name": "node", "url": f"dicom://127.0.0.1:{self.orthanc.dicom}/ORTHANC"},
            ],
            **settings,
        }
        self.listener.start()

    def send(self, seed: int, **keywords) -> str:
        study = write_study(self.folder / "source" / str(seed), seed, **keywords)
        self.orthanc.upload(self.folder / "source" / str(seed))
        self.orthanc.send(study, "node")
        return study

    def row(self, study: str):
        return next((row for row in self.listener.rows() if row.uid == study), None)

    def wait(self, study: str, state: str = "done", seconds: float = 60):
        wait_for(lambda: self.row(study) is not None and self.row(study).state == state, seconds)
        return self.row(study)

    def end(self) -> None:
        self.orthanc.kill()
        self.listener.kill()
        self.listener.check_privacy()


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    if MISSING:
        pytest.skip(MISSING)
    hospital = Hospital(tmp_path_factory.mktemp("hospital"))
    yield hospital
    hospital.end()


def test_there_and_back(hospital):
    study = hospital.send(1, scout=True)
    row = hospital.wait(study)
    assert (row.fused, row.objects, row.reason) == (1, 2 * SHAPE[2] + 3, "")
    assert [item["images"] for item in hospital.orthanc.fused(study)] == [SHAPE[2]]
    image = pydicom.dcmread(
        hospital.orthanc.download(hospital.orthanc.fused(study)[0]["id"], hospital.folder / "back")[0]
    )
    assert (image.PatientID, image.StudyInstanceUID, image.ImageType[0]) == ("PID-4711", study, "DERIVED")
    assert len(hospital.listener.lines("delivered")) == 2
    metrics = requests.get(f"http://127.0.0.1:{hospital.listener.metrics}/metrics", timeout=5).text
    assert 'mmif_amin_deliveries_total{destination="web",outcome="sent"} 1.0' in metrics
    assert study not in metrics
    health = requests.get(f"http://127.0.0.1:{hospital.listener.metrics}/healthz", timeout=5)
    assert (health.status_code, health.text) == (200, "well\n")
    assert requests.get(f"http://127.0.0.1:{hospital.listener.metrics}/x", timeout=5).status_code == 404


def test_fuse_makes_the_same_as_the_node(hospital, capsys):
    """So a study that both have fused has one result in the archive."""
    study = hospital.send(4, shape=SMALL)
    hospital.wait(study)
    words = ["fuse", hospital.orthanc.address, "--study", study, "--to", hospital.orthanc.address]
    assert main([*words, "-o", str(hospital.folder / "same")]) == 0
    assert "stored: 0 images sent" in capsys.readouterr().out
    assert len(hospital.orthanc.fused(study)) == 1


def test_a_study_that_comes_again_with_its_result_is_not_fused_again(hospital):
    study = hospital.send(2, shape=SMALL)
    hospital.wait(study)
    hospital.orthanc.send(study, "node")  # now with the fused series in it
    wait_for(lambda: hospital.row(study).objects >= 3 * SMALL[2])
    wait_for(lambda: hospital.listener.lines("done before"))
    assert hospital.wait(study).fused == 1
    assert len(hospital.orthanc.fused(study)) == 1


def test_storage_commitment_of_orthanc(hospital):
    study = hospital.send(3, shape=SMALL)
    found = hospital.orthanc.find("Instance", StudyInstanceUID=study)
    asked = hospital.orthanc.post("modalities/node/storage-commitment", {"Resources": [item["ID"] for item in found]})
    report = wait_for(
        lambda: (answer := hospital.orthanc.get(f"storage-commitment/{asked['ID']}"))["Status"] != "Pending" and answer
    )
    assert report["Status"] == "Success"
    assert len(report["Success"]) == len(found)
    hospital.wait(study)


def test_bad_studies_are_kept_with_their_reasons_and_stop_no_other(hospital):
    """One line in the log and in the queue each; the study that comes after them is fused."""
    reasons = {
        hospital.send(11, other="MR", shape=SMALL): "expected one structural series, 2 fit the rules",
        hospital.send(12, without=["PixelSpacing"], shape=SMALL): "PixelSpacing",
    }
    good = hospital.send(13, shape=SMALL)
    for study, reason in reasons.items():
        row = hospital.wait(study, "failed")
        assert reason in row.reason
        assert len(row.reason.splitlines()) == 1
        assert not hospital.orthanc.fused(study)
        (line,) = [line for line in hospital.listener.lines("given up") if row.name in line]
        assert reason in line
    assert hospital.wait(good).fused == 1


def test_half_a_study_waits_for_the_other_half(hospital):
    folder = hospital.folder / "source" / "half"
    study = write_study(folder, 50, shape=SMALL)
    hospital.orthanc.upload(folder / "mr")
    hospital.orthanc.send(study, "node")
    assert "none fits the rules" in hospital.wait(study, "failed").reason
    hospital.orthanc.upload(folder / "other")
    hospital.orthanc.send(study, "node")
    assert hospital.wait(study).fused == 1
    assert len(hospital.orthanc.fused(study)) == 1


def test_a_worker_that_dies(hospital):
    """Its study is fused by the next one; the node goes on."""
    study = hospital.send(60, shape=SMALL)
    process = psutil.Process(hospital.listener.process.pid)
    wait_for(lambda: hospital.row(study).state in ("fusing", "done"), pause=0.01)
    workers = [child for child in process.children() if "spawn_main" in " ".join(child.cmdline())]
    for worker in workers:
        worker.kill()
    assert hospital.wait(study).fused == 1
    assert len(hospital.orthanc.fused(study)) == 1


def test_kill_9_in_between(hospital):
    """At once after the last object, and again while it fuses; the worker ends with its parent."""
    study = hospital.send(70)
    process = psutil.Process(hospital.listener.process.pid)
    children = process.children(recursive=True)
    hospital.listener.kill()
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running() and "spawn_main" in " ".join(child.cmdline())]
    hospital.listener.start()
    wait_for(lambda: hospital.row(study).state == "fusing", pause=0.01)
    hospital.listener.kill()
    hospital.listener.start()
    assert hospital.wait(study).fused == 1
    assert [item["images"] for item in hospital.orthanc.fused(study)] == [SHAPE[2]]


def test_an_archive_that_is_down_gets_its_results_later(hospital):
    study = hospital.send(80, shape=SMALL)
    hospital.orthanc.kill()
    reason = wait_for(lambda: hospital.row(study).reason)
    assert "gave no answer" in reason
    hospital.orthanc.start()
    assert hospital.wait(study).reason == ""
    assert len(hospital.orthanc.fused(study)) == 1


def test_the_queue_command(hospital, capsys):
    folder = str(hospital.listener.folder)
    hospital.wait(hospital.send(95, other="MR", shape=SMALL), "failed")
    failed = [row for row in hospital.listener.rows() if row.state == "failed"]
    assert main(["queue", folder]) == 0
    table = capsys.readouterr().out
    assert all(row.name in table and row.uid not in table for row in failed)
    assert main(["queue", folder, "--retry", failed[0].name]) == 0
    hospital.wait(failed[0].uid, "failed")
    capsys.readouterr()
    assert main(["queue", folder, "--json", "--uids", "--drop", "all"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {row["state"] for row in shown} <= {"done"}
    assert failed[0].uid not in {row["uid"] for row in shown}
    with pytest.raises(SystemExit):
        main(["queue"])
    assert main(["queue", folder, "--drop", "nobody"]) == 2
    assert "nobody: expected the name of a study, or all" in capsys.readouterr().err
    assert main(["queue", str(hospital.folder)]) == 2
    assert "found no queue in it" in capsys.readouterr().err


def test_an_operator_ends_it_while_it_sends(hospital):
    """SIGTERM ends it at once; the next start goes on, and the archive has the result once."""
    study = hospital.send(90)
    wait_for(lambda: hospital.row(study).state in ("fused", "sending", "done"), pause=0.01)
    assert hospital.listener.stop() == 0
    assert hospital.listener.lines("stopped")
    hospital.listener.start()
    assert hospital.wait(study).fused == 1
    assert [item["images"] for item in hospital.orthanc.fused(study)] == [SHAPE[2]]


def test_weights_that_cannot_be_used_end_it_at_once(tmp_path, capsys):
    (tmp_path / "weights.pt").write_bytes(b"no weights")
    words = ["listen", "--config", str(settings_file(tmp_path)), "--port", str(free_port())]
    assert main([*words, "--weights", str(tmp_path / "weights.pt")]) == 2
    assert "expected weights of the network" in capsys.readouterr().err
    assert not StudyQueue(tmp_path / "node").studies()
