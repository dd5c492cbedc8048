from __future__ import annotations

import os
import stat

import pytest
from scripts.utils.checks import InputError
from scripts.utils.files import check_writable, is_nifti, write_atomically, write_folder_atomically


def fill_file(path):
    path.write_text("whole")


def fill_folder(path):
    (path / "inside").write_text("whole")


def full_disk_file(path):
    path.write_text("half")
    raise OSError(28, "No space left on device")


def full_disk_folder(path):
    (path / "inside").write_text("half")
    raise OSError(28, "No space left on device")


WRITERS = [  # function, what fills it, what fails midway
    pytest.param(write_atomically, fill_file, full_disk_file, id="file"),
    pytest.param(write_folder_atomically, fill_folder, full_disk_folder, id="folder"),
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("a.nii", True, id="plain"),
        pytest.param("A.NII.GZ", True, id="capitals"),
        pytest.param("a.nii.png", False, id="picture"),
        pytest.param("nii", False, id="no-suffix"),
    ],
)
def test_is_nifti(name, expected):
    assert is_nifti(name) is expected


@pytest.mark.parametrize(("write", "fill", "fail"), WRITERS)
def test_written_when_complete(tmp_path, write, fill, fail):
    path = tmp_path / "deep" / "er" / "out.nii.gz"
    seen = []
    assert write(path, lambda temporary: (seen.append(temporary), fill(temporary))) == path
    assert seen[0].parent == path.parent
    assert not seen[0].exists()
    assert os.listdir(path.parent) == ["out.nii.gz"]
    assert (path / "inside" if path.is_dir() else path).read_text() == "whole"


def test_the_temporary_file_has_the_suffix_of_the_final_one(tmp_path):
    for name, suffix in (("a.nii.gz", ".nii.gz"), ("a.b.png", ".png"), ("a", "")):
        seen = []
        write_atomically(tmp_path / name, seen.append)
        assert seen[0].name.endswith(suffix)


@pytest.mark.parametrize(("write", "fill", "fail"), WRITERS)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_others_may_read_as_far_as_the_mask_allows(tmp_path, write, fill, fail):
    before = os.umask(0o027)
    try:
        path = write(tmp_path / "out", fill)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == (0o750 if path.is_dir() else 0o640)


@pytest.mark.parametrize(("write", "fill", "fail"), WRITERS)
def test_a_failed_write_leaves_nothing(tmp_path, write, fill, fail):
    with pytest.raises(InputError, match=r"out: could not be written: No space left on device. Nothing was left there"):
        write(tmp_path / "out", fail)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("write", "fill", "fail"), WRITERS)
def test_another_error_passes_and_leaves_nothing(tmp_path, write, fill, fail):
    def stop(temporary):
        fill(temporary)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out", stop)
    assert os.listdir(tmp_path) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "out.png"
    path.write_text("old")
    with pytest.raises(InputError, match="No space left on device"):
        write_atomically(path, full_disk_file)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.png"]
    assert write_atomically(path, fill_file).read_text() == "whole"


def test_a_folder_takes_the_place_of_an_empty_one_only(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="could not be written"):
        write_folder_atomically(tmp_path / "empty", full_disk_folder)
    assert os.listdir(tmp_path / "empty") == []
    write_folder_atomically(tmp_path / "empty", fill_folder)
    with pytest.raises(InputError, match="could not be written"):
        write_folder_atomically(tmp_path / "empty", fill_folder)
    assert os.listdir(tmp_path) == ["empty"]
    assert (tmp_path / "empty" / "inside").read_text() == "whole"


@pytest.mark.parametrize(("write", "fill", "fail"), WRITERS)
def test_a_place_that_cannot_be_written(tmp_path, write, fill, fail):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="out: cannot write there: .*Choose another output"):
        write(tmp_path / "file" / "out", fill)


def test_check_writable(tmp_path):
    check_writable(tmp_path / "a" / "b" / "c")
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write there, .*file is not a folder"):
        check_writable(tmp_path / "file" / "out")
