"""Rows come out of a file with the bytes that hold them, wherever blocks end."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.json_rows import scan_rows
from medgrpo.errors import UserError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=4)
BLANKS = st.text(" \t\r\n", max_size=3)


def spelled(rows: list[dict[str, Any]], draw: Any, as_lines: bool) -> bytes:
    """Rows as JSON of any spacing and escaping."""

    def dump(row: dict[str, Any]) -> str:
        indent = None if as_lines else draw(st.sampled_from([None, 0, 2]))
        return json.dumps(row, ensure_ascii=draw(st.booleans()), indent=indent)

    if as_lines:
        blanks = st.text(" \t\r", max_size=2)
        text = "".join(f"{draw(blanks)}{dump(row)}{draw(blanks)}\n" + draw(BLANKS) for row in rows)
    else:
        parts = [f"{draw(BLANKS)}{dump(row)}{draw(BLANKS)}" for row in rows]
        text = f"{draw(BLANKS)}[{','.join(parts) or draw(BLANKS)}]{draw(BLANKS)}"
    return (codecs.BOM_UTF8 if draw(st.booleans()) else b"") + text.encode()


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, as_lines=st.booleans(), block=st.integers(1, 40), data=st.data())
def test_offsets_name_the_bytes_of_each_row(
    rows: list[dict[str, Any]],
    as_lines: bool,
    block: int,
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    content = spelled(rows or [{}], data.draw, as_lines)
    path = tmp_path_factory.getbasetemp() / "offsets.json"
    path.write_bytes(content)
    found = list(scan_rows(path, block=block))
    assert [raw.value for raw in found] == (rows or [{}])
    assert [raw.row for raw in found] == list(range(len(found)))
    for raw in found:
        held = content[raw.offset : raw.offset + raw.length]
        assert held[:1] == b"{"
        assert held[-1:] == b"}"
        assert json.loads(held) == raw.value
        assert raw.line == content[: raw.offset].count(b"\n") + 1


def test_a_block_may_end_at_any_byte(tmp_path: Path) -> None:
    rows = [
        {"a": 'é𝄞\\"\u2028', "b": [True, False, None, -1.5e-7, 10**20]},
        {"\x00": float("inf"), "c": "x" * 90},
        {},
    ]
    for ascii_only in (True, False):
        path = tmp_path / "rows.json"
        path.write_bytes(codecs.BOM_UTF8 + json.dumps(rows, ensure_ascii=ascii_only, indent=1).encode())
        for block in range(1, path.stat().st_size + 2):
            assert [raw.value for raw in scan_rows(path, block=block)] == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"a": 1}', "line 1, column 10: Expecting ',' delimiter"),
        (b'[{"a": 1} {"b": 2}]', "line 1, column 11: Expecting ',' delimiter"),
        (b'[{"a": 1},\n {"b": "x', "line 2, column 8: Unterminated string"),
        (b'[{"a": 1},\n {"b": tru}]', "line 2, column 8: Expecting value"),
        (b'[{"a": 1},\n\n {"b"; 1}]', "line 3, column 6: Expecting ':' delimiter"),
        (b'[{"a": 1}] x', "line 1, column 12: Extra data"),
        ('[{"é": 1}, {"é" 1}]'.encode(), "line 1, column 17: Expecting ':'"),
        (b'[{"a": "\xff"}]', "not UTF-8 text \\(byte 8\\)"),
        (b'[{"a": "\xc3', "not UTF-8 text \\(byte 8\\)"),
        (b'{"a": 1}\n{"a": "\xff"}', "not UTF-8 text \\(byte 16\\)"),
        (b'{"a": 1}\n {"a" 1}', "line 2, column 7: Expecting ':'"),
        (b'[{"a": ' + b"9" * 5000 + b"}]", "line 1, column 2: a number has too many digits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 1: a number has too many digits"),
        (b'{"a": ' + b"[" * 100_000, "line 1: nested too deeply"),
        (b'[{"a": 1}, 12345]', "row 1: expected an object, found 12345"),
        (b'{"a": 1}\n[2]', "row 1: expected an object, found list"),
        (b"\xff\xfe[\x00", "not UTF-8 text \\(byte 0\\)"),
    ],
)
def test_what_is_no_json_is_named_by_line_and_column(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    blocks = (1, 7, 1 << 20) if len(content) < 1000 else (1 << 20,)
    for block in blocks:
        with pytest.raises(UserError, match=message) as caught:
            list(scan_rows(path, block=block))
        assert "\n" not in str(caught.value)


def test_a_tolerant_scan_goes_on_after_a_broken_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": \n[5]\n\xff\n\n{"b": 2}\n')
    found = list(scan_rows(path, tolerant=True))
    assert [raw.value for raw in found] == [{"a": 1}, None, [5], None, {"b": 2}]
    assert [raw.is_json for raw in found] == [True, False, True, False, True]
    assert [raw.problem is None for raw in found] == [True, False, False, False, True]
    assert [raw.line for raw in found] == [1, 2, 3, 4, 6]
