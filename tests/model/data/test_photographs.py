from __future__ import annotations

import struct
from zlib import crc32

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps
from scripts.data.pictures import holds_alpha, read_source, write_image
from scripts.utils.checks import InputError

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (20, 24, 4), dtype=np.uint16)
RGB = RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_upright(tmp_path, suffix, orientation):
    """Of 8 bit as Pillow turns it; a PNG of 16 bit in color, which another library reads, the same."""
    path = tmp_path / f"p.{suffix}"
    Image.fromarray(RGB).save(path, exif=exif(orientation))
    tagged = Image.fromarray(RGB)
    tagged.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(tagged)).transpose(2, 0, 1)
    assert np.array_equal(np.rint(read_source(path, "photograph").rgb * 255), expected)
    if suffix == "png":
        write_image(path, RGB.transpose(2, 0, 1) / 255, 16)
        chunk = b"eXIf" + exif(orientation).tobytes().removeprefix(b"Exif\0\0")
        data = path.read_bytes()
        header, rest = data[:33], data[33:]  # the signature and IHDR, and all that follows
        path.write_bytes(header + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", crc32(chunk)) + rest)
        source = read_source(path, "visible")
        assert source.bits == 16
        assert np.array_equal(np.rint(source.rgb * 255), expected)


def test_a_turned_tiff_of_16_bit_in_color_is_refused(tmp_path):
    """ITK would read 8 of the 16 bit."""
    turned = [(274, "H", 1, 6, True)]
    tifffile.imwrite(tmp_path / "p.tif", DEEP[..., :3], photometric="rgb", extratags=turned)
    with pytest.raises(InputError, match="stored upright"):
        read_source(tmp_path / "p.tif", "visible")


def test_a_medical_picture_is_not_turned(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "p.png", exif=exif(6))
    assert read_source(tmp_path / "p.png", "PET").rgb.shape == (3, 20, 24)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_comes_back(tmp_path, channels, suffix):
    """Written and read again to the last bit; and another library reads the same numbers."""
    values = (DEEP[..., :channels] / 65535).transpose(2, 0, 1)
    path = write_image(tmp_path / f"p.{suffix}", values, 16)
    source = read_source(path, "photograph")
    alpha = channels in (2, 4) and holds_alpha(path, 16)
    colors = values[:3] if channels > 2 else values[:1]
    assert source.bits == 16
    assert np.array_equal(np.rint((source.gray if source.rgb is None else source.rgb) * 65535), np.rint(colors * 65535))
    assert (source.alpha is not None) == alpha
    if alpha:
        assert np.array_equal(np.rint(source.alpha * 65535), np.rint(values[-1:] * 65535))
    if suffix == "tif":
        kept = DEEP[..., :channels][..., : len(colors)]
        assert np.array_equal(tifffile.imread(path).reshape(kept.shape), kept)


def test_the_full_range_of_a_photograph_and_the_percentiles_of_infrared(tmp_path):
    values = np.linspace(20000, 30000, 480).astype(np.uint16).reshape(20, 24)
    Image.fromarray(values).save(tmp_path / "p.png")
    assert np.allclose(read_source(tmp_path / "p.png", "visible").gray[0], values / 65535, atol=1e-6)
    infrared = read_source(tmp_path / "p.png", "infrared")
    assert (infrared.gray.min(), infrared.gray.max(), infrared.bits) == (0, 1, 16)
    assert infrared.gray[0, 10, 0] == pytest.approx(0.5, abs=0.01)


def test_values_with_a_fraction(tmp_path):
    values = np.linspace(0, 1, 480, dtype=np.float32).reshape(20, 24)
    Image.fromarray(values).save(tmp_path / "p.tif")
    assert np.array_equal(read_source(tmp_path / "p.tif", "photograph").gray[0], values)
    Image.fromarray(values * 300).save(tmp_path / "p.tif")
    assert read_source(tmp_path / "p.tif", "infrared").gray.max() == 1
    with pytest.raises(InputError, match="from 0 to 1, got 0 to 300"):
        read_source(tmp_path / "p.tif", "photograph")


def test_alpha_is_kept_and_not_laid_over_black(tmp_path):
    alpha = np.where(np.arange(24) < 9, 0, 255).astype(np.uint8)[None].repeat(20, 0)
    Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "p.png")
    source = read_source(tmp_path / "p.png", "photograph")
    assert np.array_equal(source.alpha[0], alpha / 255)
    assert np.array_equal(np.rint(source.rgb * 255), RGB.transpose(2, 0, 1))
    Image.fromarray(RGB).convert("RGBA").save(tmp_path / "opaque.png")
    assert read_source(tmp_path / "opaque.png", "photograph").alpha is None


def test_the_first_picture_of_a_telephone_counts(tmp_path):
    """A telephone's JPEG holds a second picture, such as the depth."""
    first = Image.fromarray(np.full((32, 32, 3), 200, np.uint8))
    first.save(tmp_path / "p.jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (32, 32))])
    with pytest.warns(UserWarning, match="constant"):
        assert read_source(tmp_path / "p.jpg", "photograph").gray.min() > 0.75


def test_several_frames_are_refused(tmp_path):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    frames[0].save(tmp_path / "p.png", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="there are several in it"):
        read_source(tmp_path / "p.png", "photograph")


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_formats_without_depth_and_alpha(tmp_path, suffix):
    path = write_image(tmp_path / f"p{suffix}", (DEEP / 65535).transpose(2, 0, 1), 16)
    assert Image.open(path).mode == "RGB"
