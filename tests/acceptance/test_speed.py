"""The history of speed: a row is added to those that are there, and what has become slower is said."""

from __future__ import annotations

from benchmarks.speed import ABOUT, FIGURES, TABLE, append, read_rows, slower

FAST = dict.fromkeys(FIGURES, 0.4)


def test_a_row_is_added_to_those_that_are_there(tmp_path):
    table = tmp_path / "speed.csv"
    append(table, FAST)
    before = table.read_text()
    append(table, {**FAST, "onnx": 0.5})
    assert table.read_text().startswith(before)
    assert [row["onnx"] for row in read_rows(table)] == ["0.400", "0.500"]
    assert "seconds" not in before


def test_what_has_become_slower_is_said(tmp_path):
    rows = [{name: str(0.4 + 0.01 * k) for name in FIGURES} for k in range(3)]
    assert slower(FAST, []) == slower(FAST, rows) == []
    assert slower({**FAST, "onnx": 0.7}, rows) == ["onnx: 0.70 of its reference, 0.41 in the last 3 rows"]
    assert "expected at most 0.5 of importing torch, got 0.55" in slower({**FAST, "cold_start": 0.55}, [])[0]


def test_the_history_that_is_shipped_has_every_figure():
    rows = read_rows(TABLE)
    assert rows
    assert all(set(row) == {*ABOUT, *FIGURES} and float(row["cold_start"]) < 0.5 for row in rows)
