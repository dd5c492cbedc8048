"""The seal: damage anywhere in a weights file is seen, and whoever read the file before still reads it."""

from __future__ import annotations

import hashlib
import io
import random
import zipfile

import numpy as np
import onnxruntime
import pytest
import torch
from scripts.utils.checks import InputError
from scripts.utils.seal import read_sealed, seal_file, sealed

from tests.conftest import BUNDLE

MODELS = sorted((BUNDLE / "models").glob("model.*"))
PREFIX_BITS = 7 * 8  # of "sha256:", without which a file counts as one that was never sealed; its contents are whole


def weights(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.rand(50, generator=torch.Generator().manual_seed(seed))}, buffer)
    return buffer.getvalue()


def test_what_is_sealed_is_read_as_before(tmp_path):
    """By torch, MONAI, the zip tools and ONNX Runtime, which know nothing of the seal."""
    image = torch.rand(1, 2, 48, 48)
    for path in MODELS:
        (tmp_path / path.name).write_bytes(path.read_bytes())
        seal_file(tmp_path / path.name)
    with torch.no_grad():
        script = torch.jit.load(tmp_path / "model.ts")(image)
    onnx = onnxruntime.InferenceSession(str(tmp_path / "model.onnx")).run(None, {"image": image.numpy()})[0]
    assert np.allclose(script, onnx, atol=1e-5)
    before, after = (torch.load(folder / "model.pt", weights_only=True) for folder in (BUNDLE / "models", tmp_path))
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name in ("model.pt", "model.ts", "model.pt2"):
        assert zipfile.ZipFile(tmp_path / name).testzip() is None


def test_sealing_twice_changes_nothing(tmp_path):
    assert sealed(sealed(weights())) == sealed(weights())


def test_the_end_is_the_hash_of_the_rest():
    """As ``head -c -71 FILE | sha256sum`` says it."""
    data = sealed(weights())
    assert data[-71:].decode() == f"sha256:{hashlib.sha256(data[:-71]).hexdigest()}"


@pytest.mark.parametrize("suffix", [".pt", ".onnx"])
@pytest.mark.filterwarnings("ignore:.*holds no SHA-256")
def test_no_flipped_bit_is_taken(tmp_path, suffix):
    data = sealed(weights() if suffix == ".pt" else b"\x08\x0a" + bytes(2000))
    path, rng = tmp_path / f"model{suffix}", random.Random(0)
    for bit in [*rng.sample(range(len(data) * 8), 300), *range(len(data) * 8 - 71 * 8, len(data) * 8, 5)]:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        if 0 <= bit - (len(data) - 71) * 8 < PREFIX_BITS:
            assert read_sealed(path)[:-71] == data[:-71]
        else:
            with pytest.raises(InputError, match="do not match the SHA-256 at its end. Restore it from a copy"):
                read_sealed(path)


def test_lost_sectors_are_not_taken(tmp_path):
    data = sealed(weights())
    for start in range(0, len(data) - 600, 97):
        (tmp_path / "model.pt").write_bytes(data[:start] + bytes(512) + data[start + 512 :])
        if data[start : start + 512].strip(b"\0"):
            with pytest.raises(InputError, match="is damaged"):
                read_sealed(tmp_path / "model.pt")


def test_a_file_without_a_seal_is_read_with_a_note(tmp_path):
    (tmp_path / "old.pt").write_bytes(weights())
    with pytest.warns(UserWarning, match=r"old.pt: holds no SHA-256 of its contents"):
        assert read_sealed(tmp_path / "old.pt") == weights()


def test_a_missing_file_is_the_users_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_sealed(tmp_path / "none.pt")


def test_half_an_archive_or_one_with_a_comment_cannot_be_sealed():
    data = weights()
    with pytest.raises(ValueError, match="a whole zip archive without a comment"):
        sealed(data[: len(data) // 2])
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"mine"
    with pytest.raises(ValueError, match="a whole zip archive without a comment"):
        sealed(buffer.getvalue())


def test_the_shipped_files_are_sealed():
    assert [path.name for path in MODELS if sealed(path.read_bytes()) != path.read_bytes()] == []
