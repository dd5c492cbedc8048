"""``mmif-amin fuse`` with photographs: files, folders, depth, alpha, registration, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from scripts.data.pictures import read_source, write_image
from skimage.data import coffee

from mmif_amin.cli import main

SCENE = coffee()[60:300, 120:440]
BLURRED = (
    np.stack([gaussian_filter(SCENE[..., k].astype(float), 3) for k in range(3)], axis=-1).round().astype(np.uint8)
)
LEFT = (np.arange(320) < 160)[None, :, None]


def call(*words) -> int:
    return main(["fuse", *map(str, words)])


@pytest.fixture
def files(tmp_path):
    """Two focus settings of one scene, ``a.png`` and ``b.png``, and the gray scene, ``gray.png``."""
    Image.fromarray(np.where(LEFT, SCENE, BLURRED)).save(tmp_path / "a.png")
    Image.fromarray(np.where(LEFT, BLURRED, SCENE)).save(tmp_path / "b.png")
    Image.fromarray(SCENE[..., 0]).save(tmp_path / "gray.png")
    return tmp_path


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_two_photographs_in_either_order(files):
    a, b = files / "a.png", files / "b.png"
    assert call(a, b, "--task", "multi-focus", "-o", files / "ab.png") == 0
    assert call(b, a, "--task", "multi-focus", "-o", files / "ba.png") == 0
    fused = pixels(files / "ab.png")
    assert fused.shape == SCENE.shape
    assert np.array_equal(fused, pixels(files / "ba.png"))
    assert np.abs(fused - SCENE.astype(float)).mean() < 0.3 * np.abs(pixels(a) - SCENE.astype(float)).mean()


def test_a_stack_of_three(files):
    Image.fromarray(BLURRED).save(files / "c.png")
    names = [files / f"{letter}.png" for letter in "abc"]
    assert call(*names, "--task", "multi-exposure", "--gray", "-o", files / "abc.png") == 0
    assert call(*reversed(names), "--task", "multi-exposure", "--gray", "-o", files / "cba.png") == 0
    assert pixels(files / "abc.png").shape == SCENE.shape[:2]
    assert np.array_equal(pixels(files / "abc.png"), pixels(files / "cba.png"))


def test_folders_of_a_bracket(files, capsys):
    for folder, image in (("dark", SCENE // 3), ("middle", SCENE), ("bright", SCENE // 2 + 127)):
        (files / folder).mkdir()
        for name in "12":
            Image.fromarray(image).save(files / folder / f"{name}.png")
    (files / "dark" / "2.png").write_bytes(b"damaged")
    folders = [files / folder for folder in ("dark", "middle", "bright")]
    assert call(*folders, "--task", "multi-exposure", "-o", files / "out") == 3
    assert [path.name for path in (files / "out").iterdir()] == ["1.png"]
    captured = capsys.readouterr()
    assert "1 fused into" in captured.out
    assert "2.png: expected a readable .png image" in captured.err


def test_infrared_and_visible(files, capsys):
    task = ("--task", "infrared-visible")
    assert call(files / "gray.png", files / "a.png", *task, "-o", files / "f.png") == 0
    assert pixels(files / "f.png").shape == SCENE.shape
    assert capsys.readouterr().err == ""
    assert call(files / "a.png", files / "gray.png", *task, "-o", files / "g.png") == 0
    error = capsys.readouterr().err
    assert "were they given in the wrong order?" in error
    assert error.count("\n") == 1


def test_depth_and_alpha_are_those_of_the_sources(files, capsys):
    deep = SCENE.transpose(2, 0, 1) / 255
    alpha = np.broadcast_to(LEFT[..., 0].astype(float), (1, *SCENE.shape[:2]))
    write_image(files / "deep.png", np.concatenate([deep, alpha]), 16)
    write_image(files / "clear.png", np.concatenate([deep, alpha]))
    task = ("--task", "multi-focus", "-o")
    assert call(files / "deep.png", files / "clear.png", *task, files / "f.png") == 0
    fused = read_source(files / "f.png", "photograph")
    assert fused.bits == 16
    assert np.array_equal(fused.alpha, alpha)
    assert np.abs(fused.rgb - deep).max() < 2 / 255
    assert call(files / "deep.png", files / "b.png", *task, files / "g.png") == 0
    assert read_source(files / "g.png", "photograph").alpha is None
    capsys.readouterr()
    assert call(files / "clear.png", files / "clear.png", *task, files / "h.jpg") == 0
    assert "cannot hold the alpha" in capsys.readouterr().err


def test_shifted_photographs(files, capsys):
    Image.fromarray(SCENE[3:, 4:]).save(files / "c.png")
    Image.fromarray(SCENE[:-3, :-4] // 2).save(files / "d.png")
    words = (files / "c.png", files / "d.png", "--task", "multi-focus", "-o", files / "f.png")
    assert call(*words) == 2
    error = capsys.readouterr().err
    assert "d.png must move by 5.0 pixels (4.0 left, 3.0 up)" in error
    assert "--register homography" in error
    assert not (files / "f.png").exists()
    assert call(*words, "--register", "none") == 0
    assert sorted(path.name for path in files.glob("f*")) == ["f.png"]


def test_a_small_shift_is_told(files, capsys):
    Image.fromarray(SCENE[2:]).save(files / "c.png")
    Image.fromarray(SCENE[:-2]).save(files / "d.png")
    assert call(files / "c.png", files / "d.png", "--task", "multi-focus", "-o", files / "f.png") == 0
    assert "must move by 2.0 pixels (0.0" in capsys.readouterr().err


def test_registered_by_a_homography(files, capsys):
    """Also of another size; the reference's size stays, and what was done is told and written."""
    Image.fromarray(SCENE).rotate(2, Image.Resampling.BICUBIC).crop((10, 8, 310, 236)).save(files / "c.png")
    words = (files / "b.png", files / "c.png", "--task", "multi-focus", "-o", files / "f.png")
    assert call(*words) == 2
    assert "Expected photographs of one size" in capsys.readouterr().err
    assert call(*words, "--register", "homography") == 0
    assert "features agree" in capsys.readouterr().out
    assert pixels(files / "f.png").shape == SCENE.shape
    facts = json.loads((files / "f_registration.json").read_text())[str(files / "c.png")]
    center = np.array(facts["matrix"]) @ [160, 120, 1]  # the point about which it was turned, then cut by (10, 8)
    assert center[:2] / center[2] == pytest.approx([150, 112], abs=1)
    assert facts["inliers"] >= 16
    middle = (slice(60, 180), slice(80, 240))
    assert np.abs(pixels(files / "f.png")[middle] - SCENE[middle].astype(float)).mean() < 6


REFUSED = [  # words, what is said
    pytest.param(("a.png", "b.png", "gray.png", "--task", "infrared-visible"), "expected two images", id="three"),
    pytest.param(("a.png", "b.png", "gray.png"), "Expected two medical images, got 3", id="three-medical"),
    pytest.param(("a.png", "--task", "multi-focus"), "two or more images, got 1", id="one"),
    pytest.param(("a.png", "film.mp4", "--task", "infrared-visible"), "got a video", id="video"),
    pytest.param(("a.png", "film.gif", "--task", "multi-focus"), "or an animated image", id="gif"),
    pytest.param(("a.png", "no.png", "--task", "multi-focus"), "found nothing there", id="missing"),
    pytest.param(("a.png", ".", "--task", "multi-focus"), "got some of each", id="file-and-folder"),
    pytest.param(("a.png", "b.png", "--task", "multi-focus", "--keep", "lesions"), "--keep: is for medical", id="keep"),
    pytest.param(("a.png", "b.png", "--task", "multi-focus", "--refine", "2"), "--refine: is for medical", id="refine"),
    pytest.param(("a.png", "b.png", "--task", "multi-focus", "--colormap", "gold"), "--colormap: is", id="colormap"),
    pytest.param(("a.png", "b.png", "--task", "multi-focus", "--dicom"), "--dicom: is for medical", id="dicom"),
    pytest.param(("a.png", "b.png", "--task", "multi-focus", "--register", "rigid"), "is for volumes", id="rigid"),
    pytest.param(("a.png", "b.png", "--register", "homography"), "is for photographs", id="homography"),
    pytest.param(("a.png", "b.png", "--task", "multi-focos"), "infrared-visible, multi-focus", id="unknown-task"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_what_is_refused(files, capsys, words, message):
    for name in ("film.mp4", "film.gif"):
        (files / name).write_bytes(b"frames")
    places = [files / word if word == "." or "." in word[1:] else word for word in words]
    assert call(*places, "-o", files / "f.png") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (files / "f.png").exists()


def test_the_output_is_no_source(files, capsys):
    assert call(files / "a.png", files / "b.png", "--task", "multi-focus", "-o", files / "b.png") == 2
    assert "would overwrite a source" in capsys.readouterr().err
