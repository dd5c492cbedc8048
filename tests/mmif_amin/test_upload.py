"""``mmif-amin upload``; what it copies is tested in tests/model/handlers/test_tracking_upload.py."""

from __future__ import annotations

from mmif_amin.cli import main


def test_a_folder_without_a_store_is_refused(tmp_path, capsys):
    assert main(["upload", str(tmp_path), "--tracking-uri", "http://127.0.0.1:9"]) == 2
    assert "expected the output of train or evaluate, found no mlruns.db in it" in capsys.readouterr().err


def test_a_failure_is_one_sentence_that_says_what_to_do(tmp_path, capsys):
    (tmp_path / "mlruns.db").write_bytes(b"no database" * 1000)
    assert main(["upload", str(tmp_path), "--tracking-uri", "http://127.0.0.1:9"]) == 2
    error = capsys.readouterr().err
    assert "the upload failed:" in error
    assert "Start the same command again when the server is back" in error
    assert "Traceback" not in error
