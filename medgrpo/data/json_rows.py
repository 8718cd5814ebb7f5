"""The rows of a JSON array or JSON Lines file, one after the other, with the bytes that hold them.

A file is read in blocks and never held as a whole: memory is bounded by the longest row, not by the file.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from medgrpo.data.fields import describe
from medgrpo.errors import UserError

__all__ = ["BLOCK", "RawRow", "scan_rows"]

BLOCK = 1 << 20
"""Bytes read at a time."""

_BLANK = re.compile(r"[ \t\r\n]*")
_NEAR_END = 16
"""Longer than any literal or escape: an error this close to the end of a block may be its end's doing."""


class RawRow(NamedTuple):
    """One row as it stands in the file.

    Attributes:
        row: From 0.
        line: Where it starts, from 1.
        offset: Bytes before it in the file, a byte order mark included.
        length: Bytes of it, those of exactly one JSON value.
        value: What it holds.
        problem: Why it is no record; None if it is a JSON object.
        is_json: Whether it is JSON at all.
    """

    row: int
    line: int
    offset: int
    length: int
    value: Any
    problem: str | None = None
    is_json: bool = True


class _BrokenError(Exception):
    """Text that is no JSON, with its place in the file."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"not valid JSON at line {line}, column {column}: {message}")


def scan_rows(path: str | Path, *, tolerant: bool = False, block: int = BLOCK) -> Iterator[RawRow]:
    """Read the rows of a records file; array and lines are told apart by the first character.

    Args:
        path: JSON array or JSON Lines, UTF-8 with or without a byte order mark.
        tolerant: Yield values that are no objects, and lines of a JSON Lines file that are no JSON, with
            their ``problem``, instead of raising. After a syntax error in an array nothing can be trusted.
        block: Bytes read at a time.

    Raises:
        UserError: If the file is missing, not UTF-8, not JSON or, unless tolerant, not a list of objects.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            first, start = _first_character(file, path)
            rows = _array(file, start, path, block) if first == b"[" else _lines(file, start, path, tolerant)
            for row in rows:
                if row.problem is None and not isinstance(row.value, dict):
                    problem = f"expected an object, found {describe(row.value)}"
                    if not tolerant:
                        raise UserError(f"{path}: row {row.row}: {problem}")
                    row = row._replace(problem=problem)
                yield row
    except FileNotFoundError:
        raise UserError(f"{path}: no such records file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except _BrokenError as error:
        raise UserError(f"{path}: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: not valid records: nested too deeply") from None


def _first_character(file: BinaryIO, path: Path) -> tuple[bytes, int]:
    """The first character that is not blank, and the offset of the text after a byte order mark."""
    start = 3 if file.read(3) == codecs.BOM_UTF8 else 0
    file.seek(start)
    head = b""
    while not head and (block := file.read(4096)):
        head = block.lstrip(b" \t\r\n")
    file.seek(start)
    if head[:1] in (b"[", b"{"):
        return head[:1], start
    try:
        shown = head[:80].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < 40:
            raise UserError(f"{path}: not UTF-8 text (byte {start + error.start})") from None
        shown = head[: error.start].decode("utf-8")
    raise UserError(f"{path}: expected a JSON array or JSON Lines of records, found {shown[:20]!r}")


def _lines(file: BinaryIO, start: int, path: Path, tolerant: bool) -> Iterator[RawRow]:
    offset, row = start, 0
    for number, line in enumerate(file, 1):
        stripped = line.strip(b" \t\r\n")
        if stripped:
            begin = offset + line.index(stripped[:1])
            value, problem = None, None
            try:
                value = json.loads(stripped.decode("utf-8"))
            except UnicodeDecodeError as error:
                problem = f"not UTF-8 text (byte {begin + error.start})"
            except json.JSONDecodeError as error:
                column = line.index(stripped[:1]) + error.colno
                problem = str(_BrokenError(error.msg, number, column))
            except (ValueError, RecursionError) as error:
                problem = f"not valid records: line {number}: {_unusual(error)}"
            if problem is not None and not tolerant:
                raise UserError(f"{path}: {problem}")
            yield RawRow(row, number, begin, len(stripped), value, problem, problem is None)
            row += 1
        offset += len(line)


def _array(file: BinaryIO, start: int, path: Path, block: int) -> Iterator[RawRow]:
    window = _Window(file, start, path, block)
    window.expect("[")
    row = 0
    if window.next_character() != "]":
        while True:
            window.next_character()
            value, line, offset, length = window.value()
            yield RawRow(row, line, offset, length, value)
            row += 1
            if window.next_character() != ",":
                break
            window.expect(",")
    window.expect("]")
    if window.next_character():
        raise window.broken("Extra data", window.cursor)


class _Window:
    """The part of a file that is being parsed, as text, and where the cursor in it is in the file."""

    def __init__(self, file: BinaryIO, start: int, path: Path, block: int) -> None:
        self.file = file
        self.path = path
        self.block = block
        self.wanted = block
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.read = start
        self.ended = False
        self.text = ""
        self.cursor = 0
        self.offset = start
        self.line = 1
        self.column = 1
        self.parse = json.JSONDecoder().raw_decode

    def more(self) -> bool:
        """Append a block, dropping what is before the cursor; False at the end of the file."""
        if self.ended:
            return False
        data = self.file.read(self.wanted)
        self.wanted *= 2  # until a value is complete, so that a long one is not parsed too often
        self.ended = not data
        pending = len(self.decoder.getstate()[0])
        try:
            added = self.decoder.decode(data, final=self.ended)
        except UnicodeDecodeError as error:
            raise UserError(
                f"{self.path}: not UTF-8 text (byte {self.read - pending + error.start})"
            ) from None
        self.read += len(data)
        self.text = self.text[self.cursor :] + added
        self.cursor = 0
        return not self.ended

    def advance(self, to: int) -> int:
        """Move the cursor on; returns the bytes passed."""
        passed = self.text[self.cursor : to]
        length = len(passed) if passed.isascii() else len(passed.encode("utf-8"))
        lines = passed.count("\n")
        self.line += lines
        self.column = len(passed) - passed.rindex("\n") if lines else self.column + len(passed)
        self.cursor = to
        self.offset += length
        return length

    def next_character(self) -> str:
        """Skip blanks; the character at the cursor, empty at the end of the file."""
        while True:
            match = _BLANK.match(self.text, self.cursor)
            assert match is not None
            self.advance(match.end())
            if self.cursor < len(self.text):
                return self.text[self.cursor]
            if not self.more():
                return ""

    def expect(self, character: str) -> None:
        """Pass a character.

        Raises:
            _BrokenError: If another one comes.
        """
        if self.next_character() != character:
            wanted = "',' delimiter" if character == "]" else f"{character!r}"
            raise self.broken(f"Expecting {wanted}", self.cursor)
        self.advance(self.cursor + 1)

    def value(self) -> tuple[Any, int, int, int]:
        """Parse the value at the cursor and pass it: value, line, offset, length."""
        while True:
            try:
                value, end = self.parse(self.text, self.cursor)
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated") or len(self.text) - error.pos < _NEAR_END
                ahead = error.pos - self.cursor
                if not (is_cut and self.more()):
                    raise self.broken(error.msg, self.cursor + ahead) from None
                continue
            except ValueError as error:
                raise self.broken(_unusual(error), self.cursor) from None
            if end == len(self.text) and not isinstance(value, dict) and self.more():
                continue  # a number may go on
            break
        line, offset = self.line, self.offset
        length = self.advance(end)
        self.wanted = self.block
        return value, line, offset, length

    def broken(self, message: str, position: int) -> _BrokenError:
        """An error at a position of the text."""
        self.advance(position)
        return _BrokenError(message, self.line, self.column)


def _unusual(error: Exception) -> str:
    """What Python's parser refuses although the syntax allows it."""
    return "nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"
