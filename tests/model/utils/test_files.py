from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import BUNDLE_ROOT
from scripts.utils import files
from scripts.utils.checks import InputError
from scripts.utils.files import (
    UNFINISHED,
    check_writable,
    is_nifti,
    write_atomically,
    write_folder_atomically,
    write_set_atomically,
)


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


def test_a_message_never_names_the_hidden_folder(tmp_path):
    def fill(folder):
        write_atomically(folder / "fused.nii.gz", full_disk_file)

    with pytest.raises(InputError, match=r"out/fused.nii.gz: could not be written: No space") as caught:
        write_folder_atomically(tmp_path / "out", fill)
    assert UNFINISHED not in str(caught.value)


def write_pair(words, manifest=None):
    def write(folder):
        for name, word in zip(("a", "b"), words, strict=True):
            (folder / name).write_text(word)

    return lambda folder: write_set_atomically(folder, ("b", "a"), write, manifest)


def test_a_set_is_written_when_all_of_it_is_complete(tmp_path):
    folder = tmp_path / "out"
    assert write_pair(("old", "old"))(folder) == [folder / "b", folder / "a"]
    (folder / "mine").touch()
    for number in range(2):
        with pytest.raises(InputError, match="out: could not be written: No space left on device"):
            write_set_atomically(folder, ("a", "b"), lambda place, n=number: full_disk_file(place / "ab"[n]))
    assert [(folder / name).read_text() for name in "ab"] == ["old", "old"]
    write_pair(("new", "new"), "a")(folder)
    assert [(folder / name).read_text() for name in "ab"] == ["new", "new"]
    assert sorted(os.listdir(folder)) == ["a", "b", "mine"]


def test_a_manifest_never_describes_other_files(tmp_path, monkeypatch):
    """Where a file cannot take its place, the old manifest is gone."""
    write_pair(("old", "old"), "a")(tmp_path)
    replace = Path.replace

    def fail_for_b(path, to):
        return replace(path.with_name("no such") if to.name == "b" else path, to)

    monkeypatch.setattr(Path, "replace", fail_for_b)
    with pytest.raises(InputError, match="could not be written"):
        write_pair(("new", "new"), "a")(tmp_path)
    assert (tmp_path / "b").read_text() == "old"
    assert os.listdir(tmp_path) == ["b"]


KILLED = """
import os, signal, sys
from scripts.utils.files import write_atomically, write_folder_atomically
def die(path):
    os.kill(os.getpid(), signal.SIGKILL)
globals()[sys.argv[1]](sys.argv[2], die)
"""


@pytest.mark.parametrize("write", [write_atomically, write_folder_atomically])
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_the_next_program_deletes_what_a_killed_one_left(tmp_path, write):
    words = [sys.executable, "-c", KILLED, write.__name__, str(tmp_path / "out")]
    subprocess.run(words, env={**os.environ, "PYTHONPATH": BUNDLE_ROOT}, check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(UNFINISHED)
    (tmp_path / f"{UNFINISHED}live").touch()
    os.utime(tmp_path / f"{UNFINISHED}live", (0, 0))
    with files._locked(tmp_path / f"{UNFINISHED}live") as locked:  # a program is still writing this one
        assert locked
        write_atomically(tmp_path / "new", fill_file)
        assert left.exists()  # it is young: its program may be about to lock it
        os.utime(left, (0, 0))
        files._tidy_up.cache_clear()
        write_atomically(tmp_path / "new", fill_file)
    assert sorted(os.listdir(tmp_path)) == [f"{UNFINISHED}live", "new"]
