from __future__ import annotations

import csv

import pytest
from scripts.utils.tables import markdown_table, write_csv


def test_markdown_is_aligned():
    table = markdown_table(["name", "unit", "mean"], [["a", "mm", "1.0"]], left=2)
    assert table == "| name | unit | mean |\n| --- | --- | ---: |\n| a | mm | 1.0 |\n"


def test_a_row_of_another_length_is_named():
    with pytest.raises(ValueError, match=r"must have 2 cells, \['a', 'b'\], got \['1'\]"):
        markdown_table(["a", "b"], [["1", "2"], ["1"]])


def test_csv_keeps_texts_whole_and_rounds_floats(tmp_path):
    path = write_csv(tmp_path / "folder" / "table.csv", ["name", "value", "count"], [['comma, "quote"', 1 / 3, 2]])
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["name", "value", "count"], ['comma, "quote"', "0.333333", "2"]]
