from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.utils.checks import InputError
from scripts.utils.color import luminance

from mmif_amin.fuser import Fuser, load
from tests.conftest import make_pair


@pytest.fixture(scope="module")
def fuser() -> Fuser:
    return load()


def test_two_lines_of_python(pair):
    """The README's two lines, on the installed package, with the kinds of input that it names."""
    mmif_amin = pytest.importorskip("mmif_amin", reason="the wheel is not installed here")
    mri, ct = (np.rint(x * 255).astype(np.uint8) for x in pair[0].numpy())
    fused = mmif_amin.load()(mri, ct)
    assert fused.shape == mri.shape
    assert fused.dtype == np.uint8


def test_array_tensor_8_bit_and_float_agree(fuser, pair):
    a, b = pair[0].numpy()
    expected = fuser(a, b)
    assert expected.dtype == np.float32
    assert torch.equal(fuser(pair[0, 0], pair[0, 1]), torch.from_numpy(expected))
    assert np.array_equal(fuser(a[None], b[None]), expected)
    pixels = [np.rint(x * 255).astype(np.uint8) for x in (a, b)]
    assert np.abs(fuser(*pixels) / 255 - expected).max() < 3 / 255


def test_colour_comes_back(fuser, pair):
    a, b = pair[0].numpy()
    rgb = np.stack([b, 0.5 * b, np.zeros_like(b)])
    fused = fuser(a, rgb)
    assert fused.shape == (96, 96, 3)
    gray = fuser(a, rgb, color=False)
    assert np.abs(luminance(fused.transpose(2, 0, 1))[0] - gray).max() < 1e-5
    assert np.allclose(fuser(a, rgb.transpose(1, 2, 0)), fused)


def test_volume_is_its_slices(fuser):
    a, b = (np.stack([make_pair((32, 40), s)[0, k].numpy() for s in range(6)], axis=2) for k in (0, 1))
    volume = fuser.fuse_volume(a, b)
    assert volume.shape == (32, 40, 6)
    assert np.allclose(volume[..., 5], fuser(a[..., 5], b[..., 5]), atol=1e-5)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        pytest.param(np.zeros((20, 20)), np.zeros((20, 21)), "same size", id="sizes"),
        pytest.param(np.zeros((8, 8)), np.zeros((8, 8)), "at least 16x16", id="tiny"),
        pytest.param(np.full((20, 20), 7.0), np.zeros((20, 20)), r"lie in \[0, 1\], got 7 to 7", id="range"),
        pytest.param(np.full((20, 20), np.nan), np.zeros((20, 20)), "must be finite", id="nan"),
        pytest.param(np.zeros((20, 20, 20)), np.zeros((20, 20, 20)), "Use `fuse_volume`", id="volume"),
        pytest.param(np.zeros((20, 20), np.int16) + 300, np.zeros((20, 20)), "300 to 300 as int16", id="int16"),
    ],
)
def test_bad_arrays(fuser, a, b, message):
    with pytest.raises(ValueError, match=message):
        fuser(a, b)


def test_bad_weights(tmp_path):
    with pytest.raises(InputError, match="found nothing there"):
        load(tmp_path / "missing.pt")
    (tmp_path / "noise.pt").write_bytes(b"noise")
    with pytest.raises(InputError, match="expected weights of the network"):
        load(tmp_path / "noise.pt")
    torch.save(MMIFAMIN(2, channels=16).state_dict(), tmp_path / "other.pt")
    with pytest.raises(InputError, match="expected weights of the network"):
        load(tmp_path / "other.pt")
