"""Excel sheets are read like tables of text, by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from medgrpo.data.sources.sheet_rows import sheet_rows
from medgrpo.data.synthetic.layouts.sheet import write_sheet
from medgrpo.errors import UserError

LINES = [
    ("Procedure", None, "Action"),
    ("ID", " name ", "ID"),
    (0, "wash", 4.0),
    (None, None, None),
    (1, "dry"),
]
HEADER = ("procedure/ID", "name", "action/ID")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_sheet(tmp_path / "ids.xlsx", LINES, sheet="Names", merged=("A1:B1",))
    return tmp_path


def test_rows_know_their_line(folder: Path) -> None:
    rows = list(sheet_rows(folder, "ids.xlsx", HEADER, sheet="Names", header_line=2))
    assert [(row.provenance.line, row.cells[:3]) for row in rows] == [
        (3, ("0", "wash", "4")),
        (5, ("1", "dry", "")),
    ]
    assert rows[0].whole("action/ID") == 4
    assert rows[0].text("procedure/ID") == "0"
    assert str(rows[1].provenance) == "ids.xlsx, line 5"


def test_the_same_cells_are_the_same_file(folder: Path) -> None:
    write_sheet(folder / "again.xlsx", LINES, sheet="Names", merged=("A1:B1",))
    assert (folder / "again.xlsx").read_bytes() == (folder / "ids.xlsx").read_bytes()


def test_what_is_no_such_sheet_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"ids\.xlsx: line 2: column 2 is headed 'name'; expected 'title'"):
        list(sheet_rows(folder, "ids.xlsx", ("procedure/ID", "title"), header_line=2))
    with pytest.raises(UserError, match="line 9: column 1 is headed ''; expected 'ID'"):
        list(sheet_rows(folder, "ids.xlsx", HEADER, header_line=9))
    with pytest.raises(UserError, match="has no sheet 'Sheet2'; it has: Names"):
        list(sheet_rows(folder, "ids.xlsx", HEADER, sheet="Sheet2"))
    with pytest.raises(UserError, match=r"none\.xlsx: is missing"):
        list(sheet_rows(folder, "none.xlsx", HEADER))
    (folder / "broken.xlsx").write_text("ID,name\n")
    with pytest.raises(UserError, match=r"broken\.xlsx: is not an Excel file"):
        list(sheet_rows(folder, "broken.xlsx", HEADER))
    content = (folder / "ids.xlsx").read_bytes()
    (folder / "short.xlsx").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"short\.xlsx: is not an Excel file"):
        list(sheet_rows(folder, "short.xlsx", HEADER))
