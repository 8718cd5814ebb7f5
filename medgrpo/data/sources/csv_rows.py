"""Rows of CSV and tab-separated files with the line that each stands on, and cells read with care.

A file that is no table, or lacks a column, is an error. A single bad row is reported and left out.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from medgrpo.data.sources.annotations import Problem, Provenance
from medgrpo.errors import UserError

__all__ = ["CellError", "Row", "csv_rows", "headerless_rows", "spaced_rows"]

Report = Callable[[Problem], object]
Record = tuple[int, list[str]]
"""A line's number, from 1, and its cells."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


class CellError(ValueError):
    """A cell says what it must not.

    Args:
        column: Its column.
        problem: What is wrong and what is expected.
    """

    def __init__(self, column: str, problem: str) -> None:
        super().__init__(f"{column}: {problem}")
        self.column = column
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        provenance: File and line.
        columns: Position of each column; the same object for all rows of a file.
        cells: As they are written, without blanks around them.
    """

    provenance: Provenance
    columns: Mapping[str, int]
    cells: tuple[str, ...]

    def text(self, column: str) -> str:
        """A cell as it is written; may be empty. A column that the file does not have is empty."""
        position = self.columns.get(column)
        return "" if position is None else self.cells[position]

    def decimal(self, column: str) -> float:
        """A cell as a finite number.

        Raises:
            CellError: If it is none.
        """
        cell = self.text(column)
        if not _DECIMAL.fullmatch(cell) or not math.isfinite(value := float(cell)):
            raise CellError(column, f"{_shown(cell)} is not a number")
        return value

    def whole(self, column: str) -> int:
        """A cell as a whole number; ``12.0`` is one too, as spreadsheets write it.

        Raises:
            CellError: If it is none.
        """
        cell = self.text(column)
        if _WHOLE.fullmatch(cell):
            return int(cell)
        value = self.decimal(column)
        if value != int(value):
            raise CellError(column, f"{_shown(cell)} is not a whole number")
        return int(value)

    def problem(self, error: CellError, video_id: str = "") -> Problem:
        """A bad cell as a problem of this row."""
        return Problem(video_id, self.provenance, error.column, error.problem)


def csv_rows(
    root: Path, name: str, columns: Sequence[str], report: Report, delimiter: str = ","
) -> Iterator[Row]:
    """The rows of a table whose first line names its columns, one at a time.

    Args:
        root: Folder of the source.
        name: The file, relative to it.
        columns: That must be there; others may be.
        report: Is told of rows with too few or too many cells, which are left out.
        delimiter: Between cells.

    Raises:
        UserError: If the file is missing, is not UTF-8 text, has no first line, or lacks a column.
    """
    with closing(_opened(root / name, partial(_comma_separated, delimiter))) as records:
        first = next(records, None)
        if first is None:
            raise UserError(f"{root / name}: is empty; expected a first line with {', '.join(columns)}")
        line, header = first
        place = f"{root / name}: line {line}"
        if missing := [column for column in columns if column not in header]:
            there = ", ".join(header)[:200]
            raise UserError(f"{place}: the column {missing[0]!r} is missing; found are: {there}")
        if twice := [column for column in columns if header.count(column) > 1]:
            raise UserError(f"{place}: the column {twice[0]!r} is there twice")
        yield from _checked(name, header, records, report)


def headerless_rows(
    root: Path, name: str, columns: Sequence[str], report: Report, delimiter: str = ","
) -> Iterator[Row]:
    """The rows of a table without a first line of names, one at a time.

    Args:
        root: Folder of the source.
        name: The file, relative to it.
        columns: What its cells are, in order.
        report: Is told of rows with too few or too many cells, which are left out.
        delimiter: Between cells.

    Raises:
        UserError: If the file is missing, is not UTF-8 text, or its first row has another number of cells.
    """
    with closing(_opened(root / name, partial(_comma_separated, delimiter))) as records:
        yield from _checked(name, columns, _with_width(root / name, columns, records), report)


def spaced_rows(root: Path, name: str, columns: Sequence[str], report: Report) -> Iterator[Row]:
    """The rows of a table whose cells are apart by any number of tabs and blanks, without a line of names.

    Args:
        root: Folder of the source.
        name: The file, relative to it.
        columns: What its cells are, in order.
        report: Is told of rows with too few or too many cells, which are left out.

    Raises:
        UserError: As :func:`headerless_rows`.
    """
    with closing(_opened(root / name, _blank_separated)) as records:
        yield from _checked(name, columns, _with_width(root / name, columns, records), report)


def _with_width(path: Path, columns: Sequence[str], records: Iterator[Record]) -> Iterator[Record]:
    """The same rows, if the first has as many cells as there are columns: else it is another table."""
    for k, (line, cells) in enumerate(records):
        if not k and len(cells) != len(columns):
            expected = f"{len(columns)} columns: {', '.join(columns)}"
            raise UserError(f"{path}: line {line} has {len(cells)} cells; expected {expected}")
        yield line, cells


def _opened(path: Path, split: Callable[[TextIO], Iterator[Record]]) -> Generator[Record, None, None]:
    """Line number and cells of each row that is not blank, as ``split`` finds them in a text."""
    try:
        # A byte order mark, as spreadsheets write it, is no part of the first cell.
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield from (record for record in split(stream) if any(record[1]))
    except FileNotFoundError:
        raise UserError(f"{path}: is missing") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: line {_broken_line(path)}: is not UTF-8 text: {error.reason}") from error


def _broken_line(path: Path) -> int:
    """The first line with bytes that are no UTF-8 text; 0 if there is none any more."""
    with path.open("rb") as stream:
        for line, raw in enumerate(stream, 1):
            if raw != raw.decode(errors="ignore").encode():
                return line
    return 0


def _comma_separated(delimiter: str, stream: TextIO) -> Iterator[Record]:
    reader = csv.reader(stream, delimiter=delimiter)
    line = 1
    try:
        for cells in reader:
            yield line, [cell.strip() for cell in cells]
            line = reader.line_num + 1  # a quoted cell may go over several lines
    except csv.Error as error:
        raise UserError(f"{stream.name}: line {reader.line_num}: is not CSV: {error}") from error


def _blank_separated(stream: TextIO) -> Iterator[Record]:
    yield from ((line, text.split()) for line, text in enumerate(stream, 1))


def _checked(name: str, header: Sequence[str], records: Iterator[Record], report: Report) -> Iterator[Row]:
    """Rows with as many cells as there are columns; the others are reported."""
    positions = {column: k for k, column in enumerate(header)}
    for line, cells in records:
        where = Provenance(name, line)
        if len(cells) == len(header):
            yield Row(where, positions, tuple(cells))
        else:
            missing = header[len(cells)] if len(cells) < len(header) else ""
            text = f"the row has {len(cells)} cells; expected {len(header)}"
            report(Problem("", where, missing, text))


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 60 else cell[:57] + "...")
