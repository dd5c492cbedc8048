from __future__ import annotations

import csv

import pytest
from mmif_amin.scripts.utils.checks import InputError

from mmif_amin.batch.table import DONE_BEFORE, FAILED, FUSED, Row, write_table
from tests.model.data.study_reports import BARE, FULL

# People read this table with their own scripts.
HEADER = "name,status,seconds,VIF,VIFlocal,Qabf,registration_nmi,error,warning"


def test_table(tmp_path):
    rows = [
        Row.of_report("one", FUSED, FULL),
        Row.of_report("two", DONE_BEFORE, BARE),
        Row("three", FAILED, error='größer, "quoted"'),
    ]
    write_table(tmp_path / "batch.csv", rows)
    text = (tmp_path / "batch.csv").read_text(encoding="utf-8")
    accepted = "registration accepted beyond the limits: it turns by 50 degrees (limit 45)"
    lines = [HEADER, f"one,fused,15.5,0.625,0.375,0.5,1.21,,{accepted}", "two,done before,15.5,,,,,,"]
    assert text.splitlines()[:3] == lines
    with (tmp_path / "batch.csv").open(encoding="utf-8") as file:
        assert list(csv.DictReader(file))[2] == dict.fromkeys(HEADER.split(","), "") | {
            "name": "three",
            "status": "failed",
            "error": 'größer, "quoted"',
        }


def test_a_table_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write there"):
        write_table(tmp_path / "file" / "batch.csv", [])
