"""The MONAI Deploy app on made-up DICOM, on the embedded sample and on a real pair."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.conftest import BUNDLE, ROOT, SHARED
from tests.model.dicom.dicom_phantoms import OBLIQUE, generate_uid, write_series

pytest.importorskip("monai.deploy", reason="the MONAI Deploy SDK is not installed; make test-deploy installs it")

app = importlib.import_module("mmif_amin.deploy.app")
SHAPE = (40, 36, 8)
COMMON = {"shape": SHAPE, "spacing": (1.5, 1.5, 4.0), "axes": OBLIQUE}
PATIENT = re.compile(r"doe|jane|pid-4711|brain\^web|08150815", re.IGNORECASE)
LOCALIZER = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
FUSED_BEFORE = ["DERIVED", "SECONDARY", "OTHER"]
NOISE = np.random.default_rng(0).integers(0, 2000, SHAPE, dtype=np.int16)


def picture(seed: int, high: float) -> np.ndarray:
    """A head of noise in black, with one spot that is elsewhere in each slice."""
    x, y, z = (axis / n * 2 - 1 for axis, n in zip(np.mgrid[tuple(map(slice, SHAPE))], SHAPE, strict=True))
    inside = x**2 + y**2 < 0.6
    spot = (x - 0.4 * np.cos(3 * z + seed)) ** 2 + (y - 0.4 * np.sin(3 * z + seed)) ** 2 < 0.05
    noise = np.random.default_rng(seed).random(SHAPE)
    return (np.where(inside, 0.3 + 0.1 * noise + 0.6 * spot, 0) * high).round().astype(np.int16)


def write_mr(folder: Path, seed: int = 0, **keywords):
    return write_series(folder, stored=picture(seed, 900), **(COMMON | keywords))


def write_ct(folder: Path, seed: int = 1, **keywords):
    keywords = {"modality": "CT", "SeriesNumber": 2, "prefix": "ct", "stored": picture(seed, 1224), **keywords}
    return write_series(folder, **(COMMON | keywords))


def command(folder: Path, output: Path) -> list[str]:
    return [sys.executable, "-m", "mmif_amin.deploy", "-i", str(folder), "-o", str(output)]


@pytest.fixture
def fuse(tmp_path, capfd):
    """Run the app in this process: its exit code, the last line on stderr, and the output folder."""
    output = tmp_path / "out"

    def run(folder: Path, *more: str) -> tuple[int, str, Path]:
        code = app.main([app.__file__, "-i", str(folder), "-o", str(output), *more])
        told = capfd.readouterr()
        assert not PATIENT.search((told.out + told.err).replace(str(tmp_path), ""))
        return code, told.err.splitlines()[-1], output

    return run


def read(folder: Path, pattern: str = "*") -> list[pydicom.Dataset]:
    """The images of a folder by their position along the normal."""
    images = [pydicom.dcmread(path) for path in folder.glob(pattern)]
    normal = np.cross(*np.array(images[0].ImageOrientationPatient, float).reshape(2, 3))
    return sorted(images, key=lambda image: normal @ np.array(image.ImagePositionPatient, float))


def check_series(folder: Path, mr: list[pydicom.Dataset], other: list[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """Check geometry, identity, type and references of a fused series against its sources."""
    made = read(folder)
    assert [image.InstanceNumber for image in made] == list(range(1, len(mr) + 1))
    for image, source in zip(made, mr, strict=True):
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            assert np.allclose(image[keyword].value, source[keyword].value, atol=1e-3), keyword
        for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "Rows", "Columns"):
            assert image[keyword].value == source[keyword].value, keyword
        named = [item.ReferencedSOPInstanceUID for item in image.SourceImageSequence]
        assert named[0] == source.SOPInstanceUID
        assert set(named[1:]) == {item.SOPInstanceUID for item in other}
        assert image.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert {image.SeriesInstanceUID for image in made}.isdisjoint(image.SeriesInstanceUID for image in mr + other)
    assert len({image.SeriesInstanceUID for image in made}) == 1
    assert len({image.SOPInstanceUID for image in made + mr + other}) == len(made + mr + other)
    return made


def pixels(images: list[pydicom.Dataset]) -> np.ndarray:
    return np.stack([image.pixel_array.astype(float) for image in images])


def test_a_folder_with_more_than_the_pair(tmp_path):
    """From the command line, beside another package named scripts, localizers, a fused series and a text."""
    folder, output = tmp_path / "DOE_JANE", tmp_path / "out"
    write_mr(folder)
    write_ct(folder)
    write_series(folder, (24, 20, 3), prefix="scout", SeriesNumber=9, ImageType=LOCALIZER)
    write_mr(folder, seed=3, prefix="fused", SeriesNumber=1001, ImageType=FUSED_BEFORE)
    (folder / "notes.txt").write_text("jane")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "__init__.py").write_text("raise ImportError('the wrong scripts')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command(folder, output), cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"fused: {output}" in done.stdout
    assert sorted(path.name for path in output.iterdir()) == ["dicom", "preview.png", "report.json"]

    mr, ct = read(folder, "IM*"), read(folder, "ct*")
    fused = pixels(check_series(output / "dicom", mr, ct))
    sources = [pixels(mr), pixels(ct)]
    both = np.maximum(*(source / source.max() for source in sources))
    alike = np.corrcoef(fused.reshape(len(mr), -1), both.reshape(len(mr), -1))[: len(mr), len(mr) :]
    assert alike.argmax(axis=1).tolist() == list(range(len(mr)))  # each slice holds what its position shows
    assert (fused[both == 0] == 0).all()
    for source in sources:
        assert np.abs(fused / fused.max() - source / source.max()).mean() > 0.02

    preview = np.asarray(Image.open(output / "preview.png"))
    assert preview.std() > 20
    told = (output / "report.json").read_text() + done.stdout + done.stderr
    assert not PATIENT.search(told.replace(str(folder), ""))


def test_exit_code_and_last_line(tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out"
    for number in (1, 5):
        write_mr(folder, seed=number, prefix=f"mr{number}-", SeriesNumber=number)
    write_ct(folder)
    done = subprocess.run(command(folder, output), capture_output=True, text=True)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "mmif-amin: error: Expected one structural series, 2 fit the rules: series 1 (MR, 8 images, "
    )
    assert re.search(r"; series 5 \(MR, 8 images, UID [\d.]+\)\. Name one .*series_rules\.json", last)
    assert "Traceback" not in done.stderr
    assert list(output.iterdir()) == []


REFUSED = [
    pytest.param(write_mr, {}, "Expected one functional series, none fits the rules; there are: series 1", id="no-ct"),
    pytest.param(write_ct, {}, "Expected one structural series, none fits", id="no-mr"),
    pytest.param(write_ct, {"PatientID": "8"}, "Expected two series of one patient, their PatientID", id="patients"),
    pytest.param(write_ct, {"skip": [3]}, "expected evenly spaced slices, got 7", id="a-slice-is-missing"),
    pytest.param(
        write_ct,
        {"stored": NOISE, "FrameOfReferenceUID": generate_uid(), "origin": (0.0, 0.0, 0.0)},
        "Registration: expected a plausible alignment",
        id="registration-is-not-plausible",
    ),
]


@pytest.mark.parametrize(("write", "keywords", "message"), REFUSED)
def test_refused(tmp_path, fuse, write, keywords, message):
    folder = tmp_path / "in"
    if keywords:
        write_mr(folder)
    write(folder, **keywords)
    code, last, output = fuse(folder)
    assert code == 2
    assert last.startswith("mmif-amin: error: ")
    assert message in last
    assert list(output.iterdir()) == []


def test_nothing_to_read(tmp_path, fuse):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("text")
    assert fuse(tmp_path / "in")[:2] == (
        2,
        f"mmif-amin: error: {tmp_path / 'in'}: expected DICOM images, found none. Give the folder that the scanner "
        "exported.",
    )


def test_an_output_in_use_is_left_alone(tmp_path, fuse):
    write_mr(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("text")
    code, last, output = fuse(tmp_path / "in")
    assert (code, [path.name for path in output.iterdir()]) == (2, ["mine.txt"])
    assert "expected a new or empty folder" in last
    (tmp_path / "out" / "mine.txt").unlink()
    code, last, _ = fuse(tmp_path)
    assert code == 2
    assert "the output would lie in the input" in last


def rules(structural: dict, functional: dict) -> str:
    named = {"structural": structural, "functional": functional}
    return json.dumps({"selections": [{"name": name, "conditions": named[name]} for name in named]})


def test_own_rules(tmp_path, fuse, monkeypatch):
    """Two MR series, one of them named, without a number; a PET of another study, and a CT that is passed over."""
    folder = tmp_path / "in"
    write_mr(folder, prefix="first")
    chosen = write_mr(folder, seed=2, prefix="second", SeriesNumber=None)
    write_ct(folder)
    pet = write_ct(folder, modality="PT", prefix="pet", StudyInstanceUID=generate_uid())
    (tmp_path / "rules.json").write_text(rules({"SeriesInstanceUID": f"{chosen.series_uid}$"}, {"Modality": "PT"}))
    monkeypatch.setenv("MMIF_AMIN_SERIES_RULES", str(tmp_path / "rules.json"))
    code, last, output = fuse(folder)
    assert code == 0, last
    assert sorted(path.name for path in output.iterdir()) == ["dicom", "dicom_color", "preview.png", "report.json"]
    for name in ("dicom", "dicom_color"):
        made = check_series(output / name, read(folder, "second*"), read(folder, "pet*"))
        assert made[0].SamplesPerPixel == (1 if name == "dicom" else 3)
    assert len(pet.files) == len(made)
    assert json.loads((output / "report.json").read_text())["task"] == "PET-MRI"


BAD_RULES = [
    pytest.param(None, "expected rules in JSON, got FileNotFoundError", id="not there"),
    pytest.param("{", "expected rules in JSON, got JSONDecodeError", id="not JSON"),
    pytest.param("[]", "expected rules in JSON, got TypeError", id="no selections"),
    pytest.param('{"selections": []}', "expected the selections 'structural' and 'functional'", id="no roles"),
    pytest.param(rules({"Modality": "MR"}, {"ImageType": ["PRIMARY"]}), "with a condition beside ImageType", id="open"),
    pytest.param(rules({"Modality": "("}, {"Modality": "CT"}), "a condition cannot be applied: missing )", id="regex"),
    pytest.param(
        rules({"Modality": "MR", "ImageType": 3}, {"Modality": "CT"}), "a condition cannot be applied", id="word"
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD_RULES)
def test_bad_rules(tmp_path, fuse, monkeypatch, text, message):
    write_mr(tmp_path / "in")
    if text is not None:
        (tmp_path / "rules.json").write_text(text)
    monkeypatch.setenv("MMIF_AMIN_SERIES_RULES", str(tmp_path / "rules.json"))
    code, last, output = fuse(tmp_path / "in")
    assert code == 2
    assert last.startswith(f"mmif-amin: error: {tmp_path / 'rules.json'}: ")
    assert message in last
    assert not output.exists() or list(output.iterdir()) == []


def test_another_grid_is_registered(tmp_path, fuse):
    """The sample's MR in thick slices and its CT, cropped, moved by a known shift, in a frame of its own."""
    folder, shift = tmp_path / "in", np.array([12.0, -8.0, 15.0])  # LPS
    mr, ct = (np.asanyarray(nibabel.load(BUNDLE / "sample_data" / f"{name}.nii.gz").dataobj) for name in ("t1", "ct"))
    mr, ct = mr[:, ::-1, ::2].astype(np.int16), (ct[:, ::-1] + 1024)[2:, 3:, 1:].round().astype(np.int16)
    origin = np.array([-90.0, -90.0, -72.0])
    write_series(folder, stored=mr, spacing=(2, 2, 4), origin=tuple(origin))
    moved = {"spacing": (2, 2, 2), "origin": tuple(origin + [4, 6, 2] + shift), "FrameOfReferenceUID": generate_uid()}
    write_series(folder, stored=ct, modality="CT", prefix="ct", SeriesNumber=2, **moved)
    code, last, output = fuse(folder)
    assert code == 0, last
    check_series(output / "dicom", read(folder, "IM*"), read(folder, "ct*"))
    found = json.loads((output / "report.json").read_text())["registration"]
    assert np.allclose(found["translation_mm"], shift * [-1, -1, 1], atol=2)


def test_real_pair(tmp_path, fuse):
    """PET and MR of brainweb06: two studies, two frames, no series numbers, one image type or none."""
    archive = SHARED / "volumes" / "dicom" / "pyapetnet_brainweb06_PT_MR_48slices.tar.xz"
    if not archive.is_file():
        pytest.skip("the DICOM pair is not beside this checkout")
    folder = tmp_path / "in"
    folder.mkdir()
    subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)
    code, last, output = fuse(folder)
    assert code == 0, last
    mr, pet = (read(folder / f"brainweb_06_{name}_dcm") for name in ("t1", "osem"))
    made = check_series(output / "dicom", mr, pet)
    assert (made[0].BitsStored, made[0].Modality) == (12, "MR")
    assert check_series(output / "dicom_color", mr, pet)[0].PhotometricInterpretation == "RGB"
    preview = np.asarray(Image.open(output / "preview.png"))
    assert (preview[..., 0] > preview[..., 2] + 40.0).mean() > 0.05  # there is color in it


def test_a_model_is_refused(tmp_path, fuse):
    write_mr(tmp_path / "in")
    code, last, output = fuse(tmp_path / "in", "-m", str(BUNDLE))
    assert code == 2
    assert last == f"mmif-amin: error: -m {BUNDLE}: the app brings its own model. Leave it out."
    assert list(output.iterdir()) == []


def test_in_the_folder_that_is_packaged(tmp_path):
    """As README.md says, and started as in the image: by its folder, from elsewhere, with nothing installed."""
    packaged = tmp_path / "packaged"
    shutil.copytree(ROOT / "mmif_amin", packaged / "mmif_amin", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(BUNDLE, packaged / "mmif_amin" / "bundle", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__main__.py", "requirements.txt"):
        shutil.copy(ROOT / "mmif_amin" / "deploy" / name, packaged)
    write_mr(tmp_path / "in")
    write_ct(tmp_path / "in")
    check = "import sys, mmif_amin; print(mmif_amin.__file__, file=sys.stderr)\n"
    (packaged / "__main__.py").write_text(check + (packaged / "__main__.py").read_text())
    words = [sys.executable, str(packaged), "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(packaged / "mmif_amin" / "__init__.py") in done.stderr
    assert (tmp_path / "out" / "report.json").is_file()
