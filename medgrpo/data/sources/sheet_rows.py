"""Rows of an Excel sheet with the line that each stands on: the same rows as those of a CSV file."""

from __future__ import annotations

import zipfile
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from medgrpo.data.sources.annotations import Provenance
from medgrpo.data.sources.csv_rows import Row
from medgrpo.errors import MissingExtraError, UserError

__all__ = ["named_sheet_rows", "sheet_rows"]


def sheet_rows(
    root: Path, name: str, header: Sequence[str], sheet: str | None = None, header_line: int = 1
) -> Generator[Row, None, None]:
    """The rows of a sheet below its header that are not blank, one at a time.

    Two tables may stand beside each other and name a column alike: ``action/ID`` is a column that is headed
    ``ID`` in the file and called by the longer name in the rows.

    Args:
        root: Folder of the source.
        name: The file, relative to it.
        header: What stands in the header line, from the first column on, as far as it matters; an empty name
            is a column that does not matter.
        sheet: Name of the sheet; None is the first.
        header_line: From 1.

    Raises:
        UserError: If the file is missing, is no Excel file, or has another header.
        MissingExtraError: If openpyxl is not installed.
    """
    path = root / name
    with closing(_lines(path, sheet)) as lines:
        found = next((cells for line, cells in lines if line == header_line), ())
        for k, expected in enumerate(column.rpartition("/")[2] for column in header):
            there = found[k] if k < len(found) else ""
            if expected not in ("", there):
                place = f"{path}: line {header_line}: column {k + 1}"
                raise UserError(f"{place} is headed {there!r}; expected {expected!r}")
        positions = {column: k for k, column in enumerate(header) if column}
        for line, cells in lines:
            if any(cells):
                padded = (*cells, *[""] * (len(header) - len(cells)))
                yield Row(Provenance(name, line), positions, padded)


def named_sheet_rows(root: Path, name: str, columns: Sequence[str]) -> Generator[Row, None, None]:
    """The rows of a file's first sheet that are not blank, whose first line names its columns in any order.

    Args:
        root: Folder of the source.
        name: The file, relative to it.
        columns: That must be there; others may be.

    Raises:
        UserError: If the file is missing, is no Excel file, or lacks a column.
        MissingExtraError: If openpyxl is not installed.
    """
    path = root / name
    with closing(_lines(path, None)) as lines:
        _, header = next(lines, (0, ()))
        if missing := [column for column in columns if header.count(column) != 1]:
            what = "is there twice" if missing[0] in header else "is missing"
            there = ", ".join(filter(None, header))[:200]
            raise UserError(f"{path}: line 1: the column {missing[0]!r} {what}; found are: {there}")
        positions = {column: header.index(column) for column in columns}
        for line, cells in lines:
            padded = (*cells, *[""] * (len(header) - len(cells)))
            if any(padded[place] for place in positions.values()):
                yield Row(Provenance(name, line), positions, padded)


def _lines(path: Path, sheet: str | None) -> Generator[tuple[int, tuple[str, ...]], None, None]:
    """Number and cells of every line of a sheet, as text."""
    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise MissingExtraError("openpyxl", "build") from None
    if not path.is_file():
        raise UserError(f"{path}: is missing")
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, InvalidFileException) as error:
        raise UserError(f"{path}: is not an Excel file: {error}") from error
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise UserError(f"{path}: has no sheet {sheet!r}; it has: {', '.join(book.sheetnames)}")
        rows = book[sheet or book.sheetnames[0]].iter_rows(values_only=True)
        for line, cells in enumerate(rows, 1):
            yield line, tuple(_text(cell) for cell in cells)
    finally:
        book.close()


def _text(cell: Any) -> str:
    """A cell as a person reads it; whole numbers, which Excel keeps as decimals, without a point."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()
