from __future__ import annotations

import gzip
import os
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from scripts import BUNDLE_ROOT
from scripts.data.nifti import check_nifti, load_nifti, read_nifti_volume, write_nifti
from scripts.data.volume import ACCEPTED_BEYOND_LIMITS
from scripts.utils.checks import InputError
from scripts.utils.enums import Modality

AFFINE = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -4], [0, 0, 3, 7], [0, 0, 0, 1]])


def save(path, values, affine=AFFINE, units=None):
    image = nibabel.Nifti1Image(values, affine)
    if units:
        image.header.set_xyzt_units(units)
    nibabel.save(image, path)
    return path


def test_voxel_order_is_kept(tmp_path):
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5, 1)
    volume = read_nifti_volume(save(tmp_path / "v.nii.gz", values))
    assert np.array_equal(volume.values, values[..., 0])
    assert np.allclose(volume.affine, AFFINE)
    assert np.allclose(volume.spacing, [1.5, 2, 3])
    assert (volume.modality, volume.unit) == (None, "arbitrary")


def test_hounsfield_units_are_known_by_their_air(tmp_path):
    values = np.linspace(-1024, 900, 64, dtype=np.float32).reshape(4, 4, 4)
    volume = read_nifti_volume(save(tmp_path / "ct.nii", values))
    assert (volume.modality, volume.unit) == (Modality.CT, "HU")


@pytest.mark.parametrize(("units", "factor"), [("mm", 1), ("meter", 1000), ("micron", 0.001)])
def test_units_of_length(tmp_path, units, factor):
    volume = read_nifti_volume(save(tmp_path / "v.nii", np.zeros((3, 3, 3), np.float32), units=units))
    assert np.allclose(volume.affine[:3], AFFINE[:3] * factor)


def test_shear_is_resampled_away(tmp_path):
    """A point of the world has the same value before and after, wherever the voxels went."""
    x, y, z = np.mgrid[:30, :30, :20].astype(np.float32)
    sheared = AFFINE.copy()
    sheared[:3, 2] += [0.8, 0.0, 0.0]
    volume = read_nifti_volume(save(tmp_path / "v.nii", 5 * x + 2 * y + 3 * z + 100, sheared))
    linear = volume.affine[:3, :3]
    assert np.allclose(linear.T @ linear, np.diag(volume.spacing**2), atol=1e-6)
    assert "shear" in volume.notes[0]
    index = np.array([15, 15, 10, 1.0])
    there = np.linalg.inv(sheared) @ volume.affine @ index
    value = volume.values[15, 15, 10]
    assert value == pytest.approx(np.dot(there[:3], [5, 2, 3]) + 100, abs=0.5)


def test_flat_affine(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_sform(np.diag([1.0, 1.0, 0.0, 1.0]), code=1)
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3), np.float32), None, header), tmp_path / "v.nii")
    with pytest.raises(InputError, match="voxel-to-world matrix that can be inverted"):
        read_nifti_volume(tmp_path / "v.nii")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(np.zeros((3, 3, 3, 2), np.float32), "expected one volume, it holds 2", id="4-D"),
        pytest.param(np.zeros((3, 3), np.float32), r"expected a 3-D volume, got shape \(3, 3\)", id="2-D"),
        pytest.param(np.full((3, 3, 3), np.nan, np.float32), "27 of 27 are NaN", id="nan"),
        pytest.param(np.full((3, 3, 3), np.inf, np.float32), "27 of 27 are NaN or infinite", id="infinite"),
    ],
)
def test_refused(tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        read_nifti_volume(save(tmp_path / "v.nii.gz", values))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "found nothing there", id="missing"),
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"no volume", "expected a readable NIfTI file", id="wrong-format"),
    ],
)
def test_damaged(tmp_path, content, message):
    path = tmp_path / "v.nii.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_nifti_volume(path)


def test_truncated(tmp_path):
    path = save(tmp_path / "v.nii.gz", np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="expected a readable NIfTI file"):
        read_nifti_volume(path)


@pytest.mark.parametrize("name", ["v.nii", "v.NII.GZ"])
def test_write_and_read_back(tmp_path, name):
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    values = np.random.default_rng(0).random((1, 4, 5, 6))
    path = write_nifti(tmp_path / "deep" / name, values, affine, ACCEPTED_BEYOND_LIMITS)
    again, image, _ = load_nifti(path)
    assert np.array_equal(again, values[0].astype(np.float32))
    assert np.array_equal(image.affine, affine)
    assert image.header.get_xyzt_units()[0] == "mm"
    told = image.header["descrip"].item()
    assert told == b"MMIF-AMIN, not for diagnostic use; registration accepted beyond the limits"


def test_write_color(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 6), dtype=np.uint8)
    image = nibabel.load(write_nifti(tmp_path / "c.nii.gz", rgb, AFFINE))
    voxels = np.asanyarray(image.dataobj)
    assert np.array_equal(np.stack([voxels[channel] for channel in "RGB"]), rgb)


def test_load_in_ras_order(tmp_path):
    values = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    again, image, _ = load_nifti(save(tmp_path / "v.nii", values), canonical=True)
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    assert np.array_equal(again, values.transpose(1, 0, 2)[::-1])


def test_wrong_output_name(tmp_path):
    with pytest.raises(InputError, match="ending in .nii"):
        write_nifti(tmp_path / "x.png", np.zeros((1, 4, 4, 4)), np.eye(4))


FOUR = np.stack([np.full((3, 4, 5), 10.0 * t, np.float32) for t in range(4)], axis=-1)


@pytest.mark.parametrize(
    ("values", "choice", "expected", "note"),
    [
        pytest.param(FOUR, "3", 20, "volume 3 of 4", id="number"),
        pytest.param(FOUR, "mean", 15, "mean of 4 of 4 volumes", id="mean"),
        pytest.param(FOUR.reshape(3, 4, 5, 2, 2), "4", 30, "volume 4 of 4", id="five dimensions"),
        pytest.param(FOUR[..., 1:2], None, 10, None, id="only one"),
    ],
)
def test_volume_of_a_4d_file(tmp_path, values, choice, expected, note):
    volume = read_nifti_volume(save(tmp_path / "v.nii.gz", values), volume=choice)
    assert volume.values.shape == (3, 4, 5)
    assert (volume.values == expected).all()
    assert volume.notes == ((note,) if note else ())


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        pytest.param(
            None, "it holds 4. Choose with --volume-a or --volume-b: a number from 1 to 4, or mean", id="none"
        ),
        pytest.param("5", "expected a volume from 1 to 4, got 5", id="too high"),
        pytest.param("b=0", "expected a volume with b=0, found none", id="no b-values"),
    ],
)
def test_a_4d_file_is_refused_by_its_header(tmp_path, choice, message):
    with pytest.raises(InputError, match=message):
        check_nifti(save(tmp_path / "v.nii.gz", FOUR), choice)


def tampered(path, values=FOUR[..., 0], affine=AFFINE, **fields):
    """A file whose header was changed after it was written."""
    data = bytearray(save(path, values, affine).read_bytes())
    header = np.ndarray((), nibabel.nifti1.header_dtype, data)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(data)
    return path


WIDE = np.diag([1e-3, 1.0, 1e3, 1.0])
WIDE[0, 1] = 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"xyzt_units": 7}, "expected a readable NIfTI file", id="unknown unit"),
        pytest.param({"dim": [3, 4, 0, 5, 1, 1, 1, 1]}, "its header says 4 x 0 x 5", id="an axis of none"),
        pytest.param({"dim": [3, 4, -4, 5, 1, 1, 1, 1]}, "its header says 4 x -4 x 5", id="a negative axis"),
        pytest.param({"dim": [3, 2**15 - 1, 2**15 - 1, 2**15 - 1, 1, 1, 1, 1]}, "32767 x 32767 x 32767", id="huge"),
        pytest.param(
            {"dim": [3, 500, 500, 500, 1, 1, 1, 1]}, "its header promises 250000352 bytes, there are", id="short"
        ),
        pytest.param({"dim": [7, 1, 1, 1, *[2**15 - 1] * 4]}, "expected at most 16384 volumes", id="10^18 volumes"),
        pytest.param({"vox_offset": 1e9}, "it says at byte 1000000000", id="voxels after a gigabyte"),
        pytest.param({"vox_offset": np.nan}, "expected a readable NIfTI file", id="voxels nowhere"),
        pytest.param({"srow_x": [0, 1e30, 0, 0]}, "expected voxels of 0.001 to 10000 mm", id="voxels of light years"),
        pytest.param({"values": np.ones((32, 32, 32), np.uint8), "affine": WIDE}, "times as many voxels", id="sheared"),
    ],
)
def test_hostile_headers_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_nifti_volume(tampered(tmp_path / "v.nii", **{"values": FOUR[..., 0].astype(np.int16), **changes}))


def test_a_compressed_file_cannot_promise_more_than_it_can_hold(tmp_path):
    data = tampered(tmp_path / "v.nii", dim=[3, 500, 500, 500, 1, 1, 1, 1]).read_bytes()
    (tmp_path / "v.nii.gz").write_bytes(gzip.compress(data))
    with pytest.raises(InputError, match="its header promises 500000352 bytes, there are at most"):
        read_nifti_volume(tmp_path / "v.nii.gz")


@pytest.mark.parametrize("slope", [(1, 0), (0.5, -1000), (None, None)])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_values_are_scaled_as_nibabel_does(tmp_path, slope, kind):
    image = nibabel.Nifti1Image(np.arange(60).reshape(3, 4, 5).astype(kind), AFFINE)
    image.header.set_slope_inter(*slope)
    nibabel.save(image, tmp_path / "v.nii")
    values, _, _ = load_nifti(tmp_path / "v.nii")
    assert np.array_equal(values, np.asanyarray(nibabel.load(tmp_path / "v.nii").dataobj).astype(np.float32))


SHRINKING = """
import os, sys, threading
from pathlib import Path
from scripts.data.nifti import read_nifti_volume
path = Path(sys.argv[1])
data, over = path.read_bytes(), threading.Event()
def change():
    while not over.is_set():
        os.truncate(path, 1000)
        path.write_bytes(data)
thread = threading.Thread(target=change)
thread.start()
for _ in range(20):
    try:
        read_nifti_volume(path)
    except ValueError as error:
        assert type(error).__name__ == "InputError", error
over.set()
thread.join()
"""


def test_a_file_that_shrinks_while_it_is_read_does_not_end_the_process(tmp_path):
    path = save(tmp_path / "v.nii", np.zeros((100, 100, 100), np.float32))
    run = subprocess.run(
        [sys.executable, "-c", SHRINKING, str(path)],
        env={**os.environ, "PYTHONPATH": BUNDLE_ROOT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
