"""The command line as its users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from PIL import Image
from scripts.utils.color import luminance

from mmif_amin.cli import main
from tests.conftest import BUNDLE, make_pair, write_gray


@pytest.fixture
def files(tmp_path):
    """Paths of an MRI, a CT and an output."""
    mri, ct = make_pair((64, 48))[0].numpy()
    return write_gray(tmp_path / "mri.png", mri), write_gray(tmp_path / "ct.png", ct), tmp_path / "out.png"


def call(*words) -> int:
    return main([str(word) for word in words])


def test_fuse_two_files(files, capsys):
    assert call("fuse", files[0], files[1], "-o", files[2]) == 0
    assert capsys.readouterr().out.strip() == str(files[2])
    fused = np.asarray(Image.open(files[2]))
    assert fused.shape == (64, 48)
    sources = [np.asarray(Image.open(f)) for f in files[:2]]
    assert fused[(sources[0] == 0) & (sources[1] == 0)].max() == 0


def test_fuse_with_itself_gives_itself(files):
    assert call("fuse", files[0], files[0], "-o", files[2]) == 0
    assert np.abs(np.asarray(Image.open(files[2])).astype(int) - np.asarray(Image.open(files[0]))).max() <= 1


@pytest.mark.parametrize("flag", [(), ("--gray",)], ids=["color", "gray"])
def test_fuse_color(tmp_path, harvard_like, flag):
    folder = harvard_like / "PET-MRI"
    out = tmp_path / "f.png"
    assert call("fuse", folder / "MRI" / "1001.png", folder / "PET" / "1001.png", "-o", out, *flag) == 0
    assert np.asarray(Image.open(out)).shape == ((64, 64) if flag else (64, 64, 3))


def test_color_and_gray_have_the_same_luminance(tmp_path, harvard_like):
    folder = harvard_like / "PET-MRI"
    pair = folder / "MRI" / "2001.png", folder / "PET" / "2001.png"
    call("fuse", *pair, "-o", tmp_path / "c.png")
    call("fuse", *pair, "-o", tmp_path / "g.png", "--gray")
    color = np.asarray(Image.open(tmp_path / "c.png")).transpose(2, 0, 1) / 255
    gray = np.asarray(Image.open(tmp_path / "g.png")) / 255
    assert np.abs(luminance(color)[0] - gray).max() < 1.6 / 255


def test_fuse_two_folders(tmp_path, harvard_like, capsys):
    folder = harvard_like / "CT-MRI"
    assert call("fuse", folder / "MRI", folder / "CT", "-o", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 5
    assert "5 fused" in capsys.readouterr().out


def test_one_bad_file_does_not_stop_a_folder(tmp_path, harvard_like, capsys):
    folder = harvard_like / "CT-MRI"
    (folder / "CT" / "3001.png").write_text("broken")
    assert call("fuse", folder / "MRI", folder / "CT", "-o", tmp_path / "out") == 3
    captured = capsys.readouterr()
    assert "3001.png: expected a readable .png" in captured.err
    assert "4 fused" in captured.out
    assert sorted(p.stem for p in (tmp_path / "out").iterdir()) == ["1001", "2001", "4001", "5001"]


def test_fuse_volumes(tmp_path):
    sample, out = BUNDLE / "sample_data", tmp_path / "fused.nii.gz"
    assert call("fuse", sample / "t1.nii.gz", sample / "pet.nii.gz", "-o", out, "--task", "PET-MRI") == 0
    fused, t1 = nibabel.load(out), nibabel.load(sample / "t1.nii.gz")
    assert fused.shape == t1.shape
    assert np.allclose(fused.affine, t1.affine)
    assert 0 <= fused.get_fdata().min() <= fused.get_fdata().max() <= 1


def test_a_volume_of_one_slice(tmp_path):
    paths = []
    for k, image in enumerate(make_pair((32, 24))[0].numpy()):
        paths.append(tmp_path / f"{k}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(image[..., None], np.eye(4)), paths[-1])
    assert call("fuse", *paths, "-o", tmp_path / "f.nii.gz", "--task", "CT-MRI") == 0
    assert nibabel.load(tmp_path / "f.nii.gz").shape == (32, 24, 1)


def mismatch(tmp_path, files):
    return files[0], write_gray(tmp_path / "big.png", np.eye(80)), files[2]


def volumes(tmp_path, files):
    values = np.random.default_rng(0).random((20, 20, 4)).astype(np.float32)
    paths = [tmp_path / "v1.nii.gz", tmp_path / "v2.nii.gz"]
    for path in paths:
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    return *paths, tmp_path / "o.nii.gz"


def picture_and_volume(tmp_path, files):
    return files[0], volumes(tmp_path, files)[0], files[2]


BAD = [
    pytest.param(lambda t, f: (t / "no.png", f[1], f[2]), "found nothing there", id="missing"),
    pytest.param(mismatch, "expected the same size", id="sizes"),
    pytest.param(lambda t, f: (f[0], f[1], t / "o.xyz"), "expected an output ending in", id="output-name"),
    pytest.param(lambda t, f: (f[0], f[1], f[0]), "would overwrite a source", id="overwrite"),
    pytest.param(lambda t, f: (f[0], t, f[2]), "two files or two folders", id="file-and-folder"),
    pytest.param(lambda t, f: (f[0], f[1], t), "found a folder", id="output-is-a-folder"),
    pytest.param(volumes, "does not say its modality", id="modality"),
    pytest.param(picture_and_volume, "expected two pictures or two volumes", id="picture-and-volume"),
    pytest.param(lambda t, f: (f[0], f[1], f[2], "--task", "FOO"), "Task 'FOO'", id="task"),
    pytest.param(lambda t, f: (f[0], f[1], f[2], "--weights", t / "w.pt"), "expected a weights file", id="weights"),
    pytest.param(
        lambda t, f: (write_gray(t / "a.png", np.eye(9)), write_gray(t / "b.png", np.eye(9)), f[2]),
        "at least 16x16",
        id="tiny",
    ),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, files, capsys, make, message):
    a, b, out, *flags = make(tmp_path, files)
    before = sorted(os.listdir(tmp_path))
    assert call("fuse", a, b, "-o", out, *flags) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len([line for line in error.splitlines() if "error" in line]) == 1
    assert sorted(os.listdir(tmp_path)) == before


def test_constant_image_is_fused_with_a_warning(tmp_path, files, capsys):
    constant = write_gray(tmp_path / "c.png", np.zeros((64, 48)))
    assert call("fuse", files[0], constant, "-o", files[2]) == 0
    assert "warning" in capsys.readouterr().err


def test_a_full_disk_leaves_the_old_output(files, capsys, monkeypatch):
    files[2].write_text("old")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert call("fuse", files[0], files[1], "-o", files[2]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert files[2].read_text() == "old"


def test_unknown_words_exit_2():
    with pytest.raises(SystemExit) as stop:
        call("fuse", "a", "b", "-o", "c", "--colour")
    assert stop.value.code == 2


def test_an_unknown_config_key_is_refused_with_a_hint(capsys, tmp_path):
    assert call("train", "--output", tmp_path, "--epoch", 3) == 2
    assert "--epoch: no such key in train.json. Did you mean --epochs?" in capsys.readouterr().err
    assert call("train", "--output", tmp_path, "--network_def#chnnels", 3) == 2
    assert call("train", "--output", tmp_path, "--optimizer#eps2", 3) == 2
    assert not list(tmp_path.iterdir())


def test_old_spellings_work_with_a_warning(capsys, tmp_path):
    assert call("train", "--output_dir", tmp_path / "o", "--dataset_dir", tmp_path / "none") == 2
    error = capsys.readouterr().err
    assert "warning: --output_dir is now --output." in error
    assert "warning: --dataset_dir is now --dataset-dir." in error
    assert "expected task folders" in error


@pytest.fixture
def configured(monkeypatch):
    """What a workflow would have run with: the config's value of a key, resolved."""
    from mmif_amin import workflow

    seen = {}

    def keep(self):
        seen["workflow"] = self
        self.parser.parse()

    monkeypatch.setattr(workflow._ModelWorkflow, "initialize", keep)
    monkeypatch.setattr(workflow._ModelWorkflow, "run", lambda self: None)
    return lambda key: seen["workflow"].parser.get_parsed_content(key)


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        pytest.param(["--network_def#reversible", True], "network_def#reversible", True, id="argument of a component"),
        pytest.param(["--val-interval", 3], "val_interval", 3, id="dashes"),
        pytest.param(["--dataset-dir", "a", "b", "--task", "PET-MRI"], "dataset_dir", ["a", "b"], id="two folders"),
        pytest.param(["--dataset-dir", "a"], "dataset_dir", "a", id="one folder"),
        pytest.param(["--run-name", "$exit()"], "run_name", "$exit()", id="expression"),
        pytest.param(["--run-name", "@epochs"], "run_name", "@epochs", id="reference"),
        pytest.param(["--run-name", "%epochs"], "run_name", "%epochs", id="macro"),
        pytest.param(["--run-name", "a@::b#c"], "run_name", "a@::b#c", id="relative reference"),
    ],
)
def test_values_reach_the_config_as_they_are(configured, tmp_path, words, key, value):
    assert call("train", "--output", tmp_path, *words) == 0
    assert configured(key) == value
    assert configured("bundle_root") == str(BUNDLE)
    assert configured("output_dir") == str(tmp_path)


def test_a_missing_data_set_is_one_line(capsys, tmp_path):
    assert call("train", "--output", tmp_path / "o", "--dataset-dir", tmp_path / "none") == 2
    error = capsys.readouterr().err
    assert "expected task folders" in error
    assert "Traceback" not in error


def test_evaluate_other_methods_images(tmp_path, harvard_like, capsys):
    for task in ("CT-MRI", "PET-MRI"):
        mri = np.asarray(Image.open(harvard_like / task / "MRI" / "5001.png")) / 255
        write_gray(tmp_path / "copy" / task / "5001.png", mri)
    words = ("--dataset-dir", harvard_like, "--output", tmp_path / "result")
    assert call("evaluate", "--fused", tmp_path / "copy", *words) == 0
    table = capsys.readouterr().out
    assert "| VIFmin |" in table
    vif_min = next(line for line in table.splitlines() if line.startswith("| VIFmin"))
    assert float(vif_min.split("|")[2]) < 0.2, "a copy of the MRI keeps nothing of the CT"
    (tmp_path / "copy" / "CT-MRI" / "5001.png").unlink()
    assert call("evaluate", "--fused", tmp_path / "copy", *words) == 2
    assert "expected a fused image CT-MRI/5001.png" in capsys.readouterr().err


def test_info(capsys):
    assert call("info", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["parameters"] <= 300_000
    assert facts["gmac_256x256"] <= 2
    assert len(facts["sha256"]) == 64


@pytest.mark.slow
def test_pictures_need_neither_torch_nor_monai(files):
    code = (
        "import sys; from mmif_amin.cli import main; "
        f"assert main(['fuse', {str(files[0])!r}, {str(files[1])!r}, '-o', {str(files[2])!r}]) == 0; "
        "heavy = ('torch', 'monai', 'ignite', 'mlflow', 'matplotlib', 'nibabel', 'itk', 'scipy', 'pydicom'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(os.name != "posix", reason="no file is named like that there")
def test_no_name_of_a_file_steers_the_terminal_or_ends_the_command(files, capsys, tmp_path):
    """Neither a name with control characters nor one that is not UTF-8."""
    assert call("fuse", tmp_path / "\x1b[2J\u202e.png", files[1], "-o", files[2]) == 2
    assert r"\x1b[2J\u202e.png: " in capsys.readouterr().err
    odd = tmp_path / os.fsdecode(b"m\xff.png")
    files[0].rename(odd)
    done = subprocess.run(
        [sys.executable, "-m", "mmif_amin", "fuse", odd, files[1], "-o", tmp_path / os.fsdecode(b"o\xff.png")],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.strip().endswith(rb"o\udcff.png")
