"""Tables are read with the line of each row; what is wrong in them is named by file, line and column."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.sources.annotations import Problem, Provenance
from medgrpo.data.sources.csv_rows import CellError, Row, csv_rows, headerless_rows, spaced_rows
from medgrpo.errors import UserError


def write(folder: Path, text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    (folder / "table.csv").write_bytes(content)
    return "table.csv"


def cell(text: str) -> Row:
    return Row(Provenance("table.csv", 7), {"end": 0}, (text,))


def test_rows_know_their_line_and_cells_their_column(tmp_path: Path) -> None:
    # A byte order mark, blank lines, a quoted cell over two lines, and a column that nobody asked for.
    name = write(tmp_path, '\ufeffvideo, end ,remark\r\na,1.5,"two\nlines"\r\n\r\n , ,\r\nb,2,\r\n')
    problems: list[Problem] = []
    rows = list(csv_rows(tmp_path, name, ("video", "end"), problems.append))
    assert [(row.provenance.line, row.text("video"), row.decimal("end")) for row in rows] == [
        (2, "a", 1.5),
        (6, "b", 2.0),
    ]
    assert rows[0].text("remark") == "two\nlines"
    assert rows[0].text("nothing of the kind") == ""
    assert problems == []


def test_rows_of_another_width_are_reported_and_left_out(tmp_path: Path) -> None:
    name = write(tmp_path, "video\tend\na\t1\nb\nc\t2\t3\nd\t4\n")
    problems: list[Problem] = []
    rows = list(csv_rows(tmp_path, name, ("video", "end"), problems.append, delimiter="\t"))
    assert [row.text("video") for row in rows] == ["a", "d"]
    assert [(p.provenance.line, p.field) for p in problems] == [(3, "end"), (4, "")]
    assert str(problems[0]) == "table.csv, line 3: field 'end': the row has 1 cells; expected 2"


def test_tables_without_names_are_read_by_position(tmp_path: Path) -> None:
    name = write(tmp_path, "a,1\nb,,\nc,2\n")
    problems: list[Problem] = []
    rows = list(headerless_rows(tmp_path, name, ("path", "x1"), problems.append))
    read = [(row.provenance.line, row.text("path"), row.whole("x1")) for row in rows]
    assert read == [(1, "a", 1), (3, "c", 2)]
    assert [p.provenance.line for p in problems] == [2]
    assert list(headerless_rows(tmp_path, write(tmp_path, ""), ("path",), problems.append)) == []


def test_cells_may_be_apart_by_any_blanks(tmp_path: Path) -> None:
    name = write(tmp_path, 'a\t\t1 "x\n\nb  2\ty\n')
    rows = list(spaced_rows(tmp_path, name, ("trial", "end", "word"), print))
    assert [(row.provenance.line, *row.cells) for row in rows] == [(1, "a", "1", '"x'), (3, "b", "2", "y")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; expected a first line with video, end"),
        ("video,start\na,1\n", "line 1: the column 'end' is missing; found are: video, start"),
        ("video,end,end\na,1,1\n", "line 1: the column 'end' is there twice"),
        (b"video,end\na,1\nb\xff,2\n", "line 3: is not UTF-8 text"),
        ("video,end\na," + "9" * 200_000, "line 2: is not CSV: field larger"),
    ],
    ids=["empty", "another column", "a column twice", "no text", "no table"],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    name = write(tmp_path, content)
    with pytest.raises(UserError, match=message) as error:
        list(csv_rows(tmp_path, name, ("video", "end"), print))
    assert str(tmp_path / "table.csv") in str(error.value)


def test_a_table_of_another_width_is_refused(tmp_path: Path) -> None:
    name = write(tmp_path, "a,1,2\n")
    message = "line 1 has 3 cells; expected 2 columns: path, x1"
    with pytest.raises(UserError, match=message):
        list(headerless_rows(tmp_path, name, ("path", "x1"), print))
    with pytest.raises(UserError, match="line 1 has 1 cells; expected 2 columns: path, x1"):
        list(spaced_rows(tmp_path, name, ("path", "x1"), print))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv: is missing"):
        list(csv_rows(tmp_path, "none.csv", ("video",), print))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=r"folder\.csv: cannot be read: Is a directory"):
        list(csv_rows(tmp_path, "folder.csv", ("video",), print))


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1e999", "1_0", "٣", "1,5", "0x1", "--1"])
def test_what_is_no_number_is_none(text: str) -> None:
    with pytest.raises(CellError, match="is not a number") as error:
        cell(text).decimal("end")
    assert str(cell(text).problem(error.value, "v")).startswith("table.csv, line 7: field 'end': ")


def test_whole_numbers() -> None:
    assert (cell("12").whole("end"), cell("12.0").whole("end"), cell("-3").whole("end")) == (12, 12, -3)
    with pytest.raises(CellError, match=r"'1.5' is not a whole number"):
        cell("1.5").whole("end")


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_numbers_are_read_as_they_were_written(value: float) -> None:
    read = cell(repr(value)).decimal("end")
    assert read == value


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8).map(str.strip)


@given(st.lists(st.tuples(CELLS.filter(bool), CELLS), max_size=8))
def test_tables_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("table")
    with (folder / "table.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("a", "b"), *table])
    rows = list(csv_rows(folder, "table.csv", ("a", "b"), print))
    assert [row.cells for row in rows] == table
    assert [row.provenance.line for row in rows] == list(range(2, 2 + len(table)))
