"""Parts of a batch, for machines that share the work, and the one table that is made of theirs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..scripts.data.study import Study
from ..scripts.utils.checks import InputError
from .names import hashed_name, keep_key
from .table import FAILED, TABLE_NAME, Row, read_table, write_table

__all__ = ["Part", "merge_tables"]


@dataclass(frozen=True)
class Part:
    """One of several parts of a batch.

    Which studies belong to it depends only on their order, not on what is done or on the machine: part 2 of 4 has the
    second, the sixth, the tenth and so on.

    Args:
        number: from 1.
        total: how many parts there are.

    Raises:
        InputError: When ``total`` is 0, or ``number`` is not from 1 to ``total``.

    Example:
        >>> Part.parse("2/4").of(["a", "b", "c", "d", "e", "f"])
        ['b', 'f']
    """

    number: int
    total: int

    def __post_init__(self) -> None:
        if self.total < 1:
            raise InputError(f"--part {self.number}/{self.total}: expected a number of parts, from 1, after the slash.")
        if not 1 <= self.number <= self.total:
            raise InputError(
                f"--part {self.number}/{self.total}: expected a number from 1 to {self.total} before the slash."
            )

    @classmethod
    def parse(cls, word: str) -> Part:
        """Read a part such as ``"2/4"``.

        Raises:
            InputError: When it is none.
        """
        if not (found := re.fullmatch(r"(\d+)/(\d+)", word, re.ASCII)):
            raise InputError(f"--part {word}: expected i/N, such as 2/4 for the second of four parts.")
        return cls(*map(int, found.groups()))

    @property
    def table_name(self) -> str:
        """Name of the table of this part, such as ``"batch_2_of_4.csv"``."""
        return f"batch_{self.number}_of_{self.total}.csv"

    def of(self, studies: Sequence[Study]) -> list[Study]:
        """The studies of this part, in their order."""
        return list(studies[self.number - 1 :: self.total])


def merge_tables(studies: Sequence[Study], output: Path, total: int) -> tuple[int, Path]:
    """Make ``batch.csv`` of the tables of all parts, its rows in the order of the studies.

    Args:
        studies: all studies of the batch.
        output: folder with the tables of the parts.
        total: how many parts there are.

    Returns:
        How many studies failed, and the table.

    Raises:
        InputError: When there is no such number of parts, a part's table is missing, not complete or of another list
            of studies, or the table cannot be written.
    """
    if total < 1:
        raise InputError(f"--merge {total}: expected the number of parts, from 1.")
    rows: list[Row | None] = [None] * len(studies)
    for part in (Part(number, total) for number in range(1, total + 1)):
        rows[part.number - 1 :: total] = _rows_of(part, part.of(studies), output / part.table_name)
    merged = [row for row in rows if row is not None]
    keep_key(output / TABLE_NAME, ((study, row.name) for study, row in zip(studies, merged, strict=True)))
    write_table(output / TABLE_NAME, merged)
    return sum(row.status == FAILED for row in merged), output / TABLE_NAME


def _rows_of(part: Part, studies: Sequence[Study], table: Path) -> list[Row]:
    """The rows of a part, one for each of its studies."""
    found = read_table(table)
    again = f"start it again with --part {part.number}/{part.total}"
    if len(found) != len(studies):
        raise InputError(
            f"{table}: expected {len(studies)} studies, found {len(found)}. Wait until the part has ended, or {again}."
        )
    for number, (row, study) in enumerate(zip(found, studies, strict=True), start=1):
        if row.name not in (study.name, hashed_name(study)):
            raise InputError(
                f"{table}: row {number}: by the list of this --merge another study belongs here than {row.name}. All "
                f"parts must see the same list in the same order; with the right list, {again}."
            )
    return found
