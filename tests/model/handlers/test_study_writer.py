"""What is written of a fused study, and that it is all or nothing."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from scripts.data.study_report import SCHEMA_VERSION, LossReport, StudyReport
from scripts.data.volume import Volume
from scripts.handlers import study_writer
from scripts.handlers.study_writer import StudyWriter
from scripts.inferers.runtimes import OnnxNetwork, load_network
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.transforms.registration.result import Registration
from scripts.utils.checks import InputError
from scripts.utils.metadata import bundle_metadata

from tests.model.data.study_reports import REGISTRATION_OF_VERSION_0_4_0

SHAPE = (48, 44, 6)
AFFINE = np.array([[-2.0, 0, 0, 9], [0, 1.5, 0, -3], [0, 0, 3, 1], [0, 0, 0, 1]])


def made_up_study(color: bool = False, registered: bool = False, shape=SHAPE) -> tuple[dict, dict]:
    """Batch and output of the evaluator for a study of noise."""
    values = np.random.default_rng(0).random((2, *shape)).astype(np.float32)
    batch: dict = {"task": "PET-MRI" if color else "CT-MRI", "image": torch.from_numpy(values)[None]}
    for key, modality, source in zip(("source_a", "source_b"), ("MRI", batch["task"][:-4]), values, strict=True):
        batch[key] = MetaTensor(torch.from_numpy(source[None] * 100), affine=AFFINE, meta={"modality": modality})
        batch[f"{key}_file"] = Volume(source, AFFINE, unit="arbitrary", notes=(f"note on {key}",))
        batch[f"{key}_window"] = (np.float32(0), 100)
    batch["source_b_registration"] = None
    if registered:
        figures = {key: value for key, value in REGISTRATION_OF_VERSION_0_4_0.items() if key != "metric"}
        batch["source_b_registration"] = Registration(**figures, itk_text="#Insight Transform File V1.0\n")
        batch["source_b_unregistered"] = batch["source_b"]
    output: dict = {"pred": torch.from_numpy(values.mean(axis=0))[None, None]}
    if color:
        rgb = torch.zeros((3, *shape), dtype=torch.uint8)
        output["pred_color"] = MetaTensor(rgb, meta={"colormap": "inferno"})
    return batch, output


def run(writer: StudyWriter, batch: dict, output: dict, network: torch.nn.Module | None = None) -> None:
    def fuse(engine, item):
        engine.state.batch, engine.state.output = batch, output
        if "error" in output:
            raise output["error"]
        return output

    engine = Engine(fuse)
    engine.logger.setLevel("CRITICAL")
    engine.network = network or torch.nn.Identity()
    writer.attach(engine)
    engine.run([batch])


GRAY = ["fused.nii.gz", "report.json", "source_a.nii.gz", "source_b.nii.gz"]
CASES = [
    pytest.param({}, {}, GRAY, id="plain"),
    pytest.param({"color": True}, {}, [*GRAY, "fused_color.nii.gz"], id="color"),
    pytest.param(
        {"registered": True}, {}, [*GRAY, "source_b_unregistered.nii.gz", "registration.tfm"], id="registered"
    ),
    pytest.param({}, {"loss_map": True}, [*GRAY, "loss_a.nii.gz", "loss_b.nii.gz"], id="loss map"),
]


@pytest.mark.parametrize(("made", "options", "names"), CASES)
def test_what_is_written(tmp_path, made, options, names):
    batch, output = made_up_study(**made)
    run(StudyWriter(tmp_path / "new" / "out", **options), batch, output)
    out = tmp_path / "new" / "out"
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    fused = nibabel.load(out / "fused.nii.gz")
    assert np.array_equal(fused.get_fdata(), output["pred"][0, 0])
    assert np.array_equal(fused.affine, AFFINE)
    report = StudyReport.read(out / "report.json")
    assert report.schema_version == SCHEMA_VERSION
    assert report.version == bundle_metadata()["version"]
    assert (report.grid.shape, report.grid.spacing) == (SHAPE, (2.0, 1.5, 3.0))
    assert report.sources.b.notes == ("note on source_b",)
    assert report.sources.a.window == (0.0, 100.0)
    assert report.colormap == ("inferno" if made.get("color") else None)
    assert (report.registration is not None) == bool(made.get("registered"))
    assert isinstance(report.loss, LossReport) == bool(options.get("loss_map"))
    assert report.metrics["VIF"] > 0
    assert 0 <= report.peak_memory_gb < 1
    assert 0 <= report.seconds < 60


def test_slices_too_small_for_the_metrics_have_none(tmp_path):
    batch, output = made_up_study(shape=(20, 20, 20))
    run(StudyWriter(tmp_path / "out"), batch, output)
    assert StudyReport.read(tmp_path / "out" / "report.json").metrics == {}


def test_slices_that_show_one_source_only_are_not_measured(tmp_path):
    batch, output = made_up_study()
    batch["image"][:, 1] = 0
    run(StudyWriter(tmp_path / "out"), batch, output)
    assert StudyReport.read(tmp_path / "out" / "report.json").metrics == {}


def test_the_fused_volume_alone(tmp_path):
    batch, output = made_up_study()
    run(StudyWriter(tmp_path / "fused.nii"), batch, output)
    assert [path.name for path in tmp_path.iterdir()] == ["fused.nii"]
    assert np.array_equal(nibabel.load(tmp_path / "fused.nii").get_fdata(), output["pred"][0, 0])


@pytest.mark.parametrize(
    ("runtime", "precision", "expected"),
    [
        pytest.param("torch", "float32", {"runtime": "torch", "precision": "float32"}, id="torch"),
        pytest.param("torch", "bfloat16", {"runtime": "torch", "precision": "bfloat16"}, id="bfloat16"),
        pytest.param("torchscript", "float32", {"runtime": "torchscript", "precision": "float32"}, id="torchscript"),
        pytest.param("onnx", "float32", {"runtime": "onnx", "precision": "float32"}, id="onnx"),
    ],
)
def test_the_report_says_which_network_ran(tmp_path, runtime, precision, expected):
    network = load_network(MMIFAMIN(spatial_dims=2), runtime=runtime, precision=precision)
    assert isinstance(network, OnnxNetwork) == (runtime == "onnx")
    run(StudyWriter(tmp_path / "out"), *made_up_study(), network)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["network"] == expected


REFUSED = [
    pytest.param("out.nii", {"dicom": True}, None, "expected a folder as output", id="dicom in a file"),
    pytest.param("out.nii", {"loss_map": True}, None, "expected a folder as output", id="loss maps in a file"),
    pytest.param("out.nii", {"further": [print]}, None, "expected a folder as output", id="more in a file"),
    pytest.param("used.nii.gz", {}, "folder", "expected a file name for the fused volume", id="folder for a file"),
    pytest.param("used", {}, "folder", "expected a new or empty folder", id="folder in use"),
    pytest.param("used", {}, "file", "expected a new or empty folder", id="file for a folder"),
    pytest.param("used/out", {}, "file", "cannot write there", id="below a file"),
    pytest.param("out", {"dicom": True}, None, "expected DICOM as source A, got NIfTI", id="dicom of NIfTI"),
]


@pytest.mark.parametrize(("name", "options", "there", "message"), REFUSED)
def test_refused(tmp_path, name, options, there, message):
    used = tmp_path / name.split("/")[0]
    if there == "folder":
        used.mkdir()
        (used / "mine.txt").write_text("mine")
    elif there == "file":
        used.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message):
        run(StudyWriter(tmp_path / name, **options), *made_up_study())
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(study_writer, "loss_maps", full)
    with pytest.raises(InputError, match="No space left"):
        run(StudyWriter(tmp_path / "out", loss_map=True), *made_up_study())
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    run(StudyWriter(tmp_path / "out"), *made_up_study())
    assert (tmp_path / "out" / "report.json").is_file()


@pytest.mark.parametrize("error", [InputError("bad voxels"), KeyboardInterrupt()])
def test_a_failed_study_ends_the_watching_and_keeps_its_error(tmp_path, error):
    batch, output = made_up_study()
    with pytest.raises(type(error)) as caught:
        run(StudyWriter(tmp_path / "out"), batch, {**output, "error": error})
    assert caught.value is error
    end = time.monotonic() + 5
    while "peak memory" in [thread.name for thread in threading.enumerate()]:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_dicom_of_dicom(tmp_path, monkeypatch):
    written, resampled = [], []
    monkeypatch.setattr(study_writer, "write_dicom_series", lambda folder, *_, **more: written.append((folder, more)))
    monkeypatch.setattr(study_writer, "write_source_series", lambda *given: resampled.append(given))
    batch, output = made_up_study(color=True, registered=True)
    batch["source_a_file"] = replace(batch["source_a_file"], headers=({},))
    run(StudyWriter(tmp_path / "out", dicom=True), batch, output)
    assert [(folder.name, list(more)) for folder, more in written] == [("dicom", []), ("dicom_color", ["rgb"])]
    ((folder, values, affine, reference, source, window, matrix),) = resampled
    assert folder.name == "dicom_source_b"
    assert np.array_equal(values, batch["source_b"].numpy()[0])
    assert np.array_equal(affine, AFFINE)
    assert (reference, source.modality, window) == (batch["source_a_file"], "PET", (0, 100))
    assert matrix == batch["source_b_registration"].matrix


def test_what_else_is_written_lies_in_the_same_folder(tmp_path):
    """It sees all that was written before, and its failure leaves nothing."""
    seen = []

    def further(folder, study):
        seen.extend(path.name for path in folder.iterdir())
        assert study["task"] == "CT-MRI"
        (folder / "more.txt").write_text("more")

    run(StudyWriter(tmp_path / "out", further=[further]), *made_up_study())
    assert sorted(seen) == GRAY
    assert (tmp_path / "out" / "more.txt").is_file()

    def broken(folder, study):
        raise InputError("no such structure")

    with pytest.raises(InputError, match="no such structure"):
        run(StudyWriter(tmp_path / "broken", further=[further, broken]), *made_up_study())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
