from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from scripts.inferers.onnx_session import OnnxSession
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.utils.checks import InputError
from scripts.utils.color import luminance

from mmif_amin.fuser import Fuser, load
from tests.conftest import ROOT, make_pair, write_gray


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


def test_auto_is_the_exported_network(fuser, pair):
    """The shipped weights run in ONNX Runtime, other weights in the runtime of their suffix."""
    assert isinstance(fuser.network, OnnxSession)
    torch_fuser = load(runtime="torch")
    assert isinstance(torch_fuser.network, MMIFAMIN)
    a, b = pair[0].numpy()
    assert np.abs(fuser(a, b) - torch_fuser(a, b)).max() <= 1e-5


def test_own_weights_are_taken(tmp_path, pair):
    state = load(runtime="torch").network.state_dict()
    state["maps.bias"] += 0.3
    torch.save(state, tmp_path / "own.pt")
    a, b = pair[0].numpy()
    assert np.abs(load(tmp_path / "own.pt")(a, b) - load()(a, b)).max() > 0.01


def test_a_network_of_the_user(pair):
    """Any torch module that makes one image of two."""

    class Mean(torch.nn.Module):
        def forward(self, image):
            return image.mean(dim=1, keepdim=True)

    fuser, (a, b) = Fuser(Mean()), pair[0].numpy()
    assert np.allclose(fuser(a, b), (a + b) / 2, atol=1e-6)
    assert np.allclose(fuser.fuse_volume(*(np.stack([x] * 2, axis=2) for x in (a, b)))[..., 1], (a + b) / 2, atol=1e-6)


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_large_images_are_fused_in_tiles(runtime):
    """The same way in both runtimes; the network never sees more than a tile."""
    fuser, image = load(runtime=runtime), make_pair((40, 900))
    a, b = image[0].numpy()
    fused = fuser(a, b)
    with torch.inference_mode():
        whole = load(runtime="torch").network(image)[0, 0].numpy()
    assert fused.shape == (40, 900)
    assert 0 < np.abs(fused - whole).mean() < 0.02
    assert (fused[(a == 0) & (b == 0)] == 0).all()


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("from mmif_amin.cli import main; main(['fuse', *sources, '-o', output])", id="command line"),
        pytest.param(
            "import numpy as np; from PIL import Image; from mmif_amin import load\n"
            "arrays = [np.asarray(Image.open(path)) for path in sources]\n"
            "Image.fromarray(load()(*arrays)).save(output)",
            id="python",
        ),
    ],
)
def test_pictures_are_fused_without_torch(tmp_path, pair, code):
    """The fast start: neither torch nor MONAI nor the Python network is imported."""
    sources = [str(write_gray(tmp_path / f"{k}.png", image)) for k, image in enumerate(pair[0].numpy())]
    program = (
        f"import sys; sources, output = {sources}, {str(tmp_path / 'fused.png')!r}\n{code}\n"
        "heavy = [name for name in sys.modules if name.split('.')[0] in ('torch', 'monai', 'scipy', 'matplotlib')]\n"
        "assert not heavy, heavy[:5]"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "fused.png").is_file()


def test_color_comes_back(fuser, pair):
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


def test_volumes_of_different_sizes(fuser):
    with pytest.raises(ValueError, match=r"same size, got \(20, 20, 20\) and \(20, 20, 21\)"):
        fuser.fuse_volume(np.zeros((20, 20, 20)), np.zeros((20, 20, 21)))
    with pytest.raises(InputError, match="at least 16 x 16 pixels"):
        fuser.fuse_volume(np.zeros((8, 8, 64)), np.zeros((8, 8, 64)))
