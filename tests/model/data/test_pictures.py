from __future__ import annotations

import gzip
import io
import struct
import time
import zlib

import nibabel
import numpy as np
import pytest
from PIL import Image
from scripts.data.pictures import read_source, write_image
from scripts.utils.checks import InputError

LEVELS = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (20, 24, 3), dtype=np.uint8)


def palette_image() -> Image.Image:
    image = Image.fromarray(LEVELS % 4).convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255] + [0] * 756)
    return image


PICTURES = [
    pytest.param("gray.png", Image.fromarray(LEVELS), LEVELS / 255, None, id="gray"),
    pytest.param("gray.tif", Image.fromarray(LEVELS), LEVELS / 255, None, id="tiff"),
    pytest.param("gray.bmp", Image.fromarray(LEVELS), LEVELS / 255, None, id="bmp"),
    pytest.param("rgb.png", Image.fromarray(RGB), RGB @ [0.299, 0.587, 0.114] / 255, RGB / 255, id="rgb"),
    pytest.param("grayrgb.png", Image.fromarray(LEVELS).convert("RGB"), LEVELS / 255, None, id="rgb-without-color"),
    pytest.param("one.png", Image.fromarray(LEVELS > 99), LEVELS > 99, None, id="1-bit"),
    pytest.param(
        "rgba.png",
        Image.fromarray(np.dstack([RGB, np.where(LEVELS > 99, 255, 0).astype(np.uint8)])),
        (RGB * (LEVELS > 99)[..., None]) @ [0.299, 0.587, 0.114] / 255,
        RGB * (LEVELS > 99)[..., None] / 255,
        id="rgba-over-black",
    ),
    pytest.param(
        "palette.png",
        palette_image(),
        np.array([0, 0.299, 0.587, 0.114])[LEVELS % 4],
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])[LEVELS % 4],
        id="palette",
    ),
]


@pytest.mark.parametrize(("name", "image", "gray", "rgb"), PICTURES)
def test_pictures(tmp_path, name, image, gray, rgb):
    image.save(tmp_path / name)
    source = read_source(tmp_path / name)
    assert source.gray.shape == (1, 20, 24)
    assert np.abs(source.gray[0] - gray).max() < 1e-6
    if rgb is None:
        assert source.rgb is None
    else:
        assert np.abs(source.rgb - rgb.transpose(2, 0, 1)).max() < 1e-6


@pytest.mark.parametrize("kind", ["16-bit", "float"])
def test_deep_pictures_are_normalized(tmp_path, kind):
    values = np.linspace(0, 4000, 480).reshape(20, 24)
    image = Image.fromarray(values.astype(np.uint16) if kind == "16-bit" else values.astype(np.float32))
    image.save(tmp_path / "deep.tif")
    gray = read_source(tmp_path / "deep.tif").gray
    assert gray.min() == 0
    assert gray.max() == 1
    assert gray[0, 10, 0] == pytest.approx((0.5 - 0.05) / 0.95, abs=0.01)  # the lowest 5 % are taken for noise


def nifti(path, values, affine=None):
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def test_nifti_is_brought_to_ras_and_a_slice_is_turned_up(tmp_path):
    values = np.zeros((6, 8, 4), np.float32)
    values[1, 6, 2] = 1  # right-to-left file: right is at the low index
    path = nifti(tmp_path / "lps.nii.gz", values, np.diag([-2.0, 2.0, 3.0, 1.0]))
    volume = read_source(path, "PET")
    assert nibabel.aff2axcodes(volume.affine) == ("R", "A", "S")
    assert volume.gray.shape == (1, 6, 8, 4)
    assert volume.gray[0, 4, 6, 2] == 1
    assert read_source(path, "PET", 2).gray.shape == (1, 8, 6)
    assert read_source(path, "PET", 2).gray[0, 1, 4] == 1


def bad_nan(path):
    values = np.ones((4, 4, 4), np.float32)
    values[0, 0, 0] = np.nan
    nifti(path, values)


def truncated(path):
    nifti(path, np.random.default_rng(0).random((16, 16, 16)).astype(np.float32))
    path.write_bytes(path.read_bytes()[:2000])


def truncated_png(path):
    Image.fromarray(RGB).save(path)
    path.write_bytes(path.read_bytes()[:300])


def two_frames(path):
    Image.fromarray(LEVELS).save(path, save_all=True, append_images=[Image.fromarray(LEVELS)])


BAD = [
    pytest.param("x.png", lambda p: None, "found nothing there", id="missing"),
    pytest.param("x.png", lambda p: p.mkdir(), "found a folder there", id="folder"),
    pytest.param("x.png", lambda p: p.touch(), "the file is empty", id="empty"),
    pytest.param("x.png", lambda p: p.write_text("no picture"), "expected a readable .png", id="not-a-picture"),
    pytest.param("x.png", truncated_png, "expected a readable .png", id="truncated-png"),
    pytest.param("x.txt", lambda p: p.write_text("hello"), "expected one of .png", id="wrong-format"),
    pytest.param("x.tif", two_frames, "there are several in it", id="multi-frame"),
    pytest.param("x.nii.gz", lambda p: p.write_text("no"), "expected a readable NIfTI", id="not-nifti"),
    pytest.param("x.nii.gz", truncated, "expected a readable NIfTI", id="truncated-nifti"),
    pytest.param("x.nii.gz", lambda p: p.write_bytes(gzip.compress(b"")), "expected a readable NIfTI", id="empty-gzip"),
    pytest.param("x.nii", bad_nan, "1 of 64 are NaN", id="nan"),
    pytest.param("x.nii", lambda p: nifti(p, np.ones((4, 4, 4, 3), np.float32)), "expected a 3-D volume", id="4-d"),
    pytest.param(
        "x.tif", lambda p: Image.fromarray(np.full((4, 4), np.inf, np.float32)).save(p), "16 of 16", id="infinite"
    ),
]


@pytest.mark.parametrize(("name", "make", "message"), BAD)
def test_bad_files(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(InputError, match=message):
        read_source(tmp_path / name)


def test_a_slice_outside(tmp_path):
    path = nifti(tmp_path / "v.nii", np.random.default_rng(0).random((4, 4, 4)).astype(np.float32))
    with pytest.raises(InputError, match="from 0 to 3, got 4"):
        read_source(path, slice_index=4)


def test_constant_images_warn(tmp_path):
    Image.fromarray(np.full((20, 20), 9, np.uint8)).save(tmp_path / "c.png")
    with pytest.warns(UserWarning, match="constant"):
        assert read_source(tmp_path / "c.png").gray.max() == pytest.approx(9 / 255)


def test_write_and_read_back(tmp_path):
    write_image(tmp_path / "deep" / "g.png", LEVELS[None] / 255)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "deep" / "g.png")), LEVELS)
    write_image(tmp_path / "c.png", RGB.transpose(2, 0, 1) / 255)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "c.png")), RGB)


def test_wrong_output_name(tmp_path):
    with pytest.raises(InputError, match="expected an output ending in .png"):
        write_image(tmp_path / "x.xyz", np.zeros((1, 4, 4)))


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write there"):
        write_image(tmp_path / "file" / "fused.png", np.zeros((1, 4, 4)))


def too_many_directories(path):
    """A TIFF of 100,000 images in 11 MB, each of which would be looked for."""
    entries = (
        (256, 3, 16),
        (257, 3, 16),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (278, 3, 16),
        (279, 4, 256),
    )
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in entries
    )
    size = len(directory) + 4
    parts = [directory + struct.pack("<I", 8 + size * (k + 1)) for k in range(100_000)]
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + b"".join(parts))


def endless_jpeg(path):
    """A progressive JPEG that goes over its pixels 10,000 times, in 100 kB."""
    buffer = io.BytesIO()
    Image.fromarray(LEVELS).save(buffer, "JPEG", progressive=True)
    again = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x10"  # a scan that refines nothing
    path.write_bytes(buffer.getvalue()[:-2] + again * 10_000 + b"\xff\xd9")


def png_of(width, height):
    def write(path):
        chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        end = b"IEND"
        chunks = ((len(chunk) - 4, chunk), (0, end))
        parts = (struct.pack(">I", size) + data + struct.pack(">I", zlib.crc32(data)) for size, data in chunks)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))

    return write


def postscript(path):
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n0 0 9 9 rectfill\n%%EOF\n")


HOSTILE = [
    pytest.param("x.tif", too_many_directories, "there are several in it", id="tiff of 100,000 directories"),
    pytest.param("x.jpg", endless_jpeg, "expected a JPEG of at most 64 passes", id="endless jpeg"),
    pytest.param("x.png", png_of(13300, 13300), "pixels, its header says 13300 x 13300", id="too many pixels"),
    pytest.param("x.png", png_of(100_000, 100_000), "expected a readable .png", id="far too many pixels"),
    pytest.param("x.png", postscript, "cannot identify image file", id="a program for Ghostscript"),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "make", "message"), HOSTILE)
def test_hostile_files_are_refused_by_their_headers(tmp_path, name, make, message):
    make(tmp_path / name)
    began = time.process_time()
    with pytest.raises(InputError, match=message):
        read_source(tmp_path / name)
    assert time.process_time() - began < 1


def test_a_picture_that_does_not_fit_into_memory(tmp_path, monkeypatch):
    Image.fromarray(LEVELS).save(tmp_path / "x.png")

    def full(self):
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", full)
    with pytest.raises(InputError, match="there is not enough memory to read it"):
        read_source(tmp_path / "x.png")
