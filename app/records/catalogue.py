"""Where each row of a records file is and of which dataset and task: enough to list half a million of them.

Rows are read from the file when they are shown. Text is searched in the bytes of the file, a block at a time,
so that neither texts nor frames are held.
"""

from __future__ import annotations

import json
from array import array
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from medgrpo.data.json_rows import RawRow
from medgrpo.data.row_fields import RowFields
from medgrpo.data.validation import UNKNOWN
from medgrpo.errors import UserError

__all__ = ["Catalogue", "Collector", "Column", "Filters", "catalogue_of"]

_BLOCK = 4 << 20
"""Bytes that are searched at a time."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows are wanted; an empty filter passes all.

    Attributes:
        dataset: Of the rows.
        task: Of the rows, canonical.
        text: Anywhere in the row as it stands in the file, whatever the case of its letters.
        among: Only these rows; None for all.
    """

    dataset: str = ""
    task: str = ""
    text: str = ""
    among: Collection[int] | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A text for each row: ``names[codes[row]]``."""

    names: list[str]
    codes: np.ndarray

    def holding(self, name: str) -> np.ndarray:
        """Which rows have a text, bool ``[N]``."""
        code = self.names.index(name) if name in self.names else -1
        return self.codes == code


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The rows of a file.

    Attributes:
        path: The file.
        offset: Bytes before each row, int64 ``[N]``.
        length: Bytes of each row, int64 ``[N]``.
        dataset: Source dataset of each row.
        task: Canonical task of each row.
    """

    path: Path
    offset: np.ndarray
    length: np.ndarray
    dataset: Column
    task: Column

    def __len__(self) -> int:
        return len(self.offset)

    @cached_property
    def counts(self) -> dict[tuple[str, str], int]:
        """Rows of each (dataset, task)."""
        width = max(1, len(self.task.names))
        codes, counts = np.unique(
            self.dataset.codes.astype(np.int64) * width + self.task.codes, return_counts=True
        )
        return {
            (self.dataset.names[code // width], self.task.names[code % width]): count
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
        }

    def passing(self, filters: Filters) -> np.ndarray:
        """Which rows pass the filters, that of their text left out, bool ``[N]``."""
        keep = np.ones(len(self), dtype=bool)
        if filters.dataset:
            keep &= self.dataset.holding(filters.dataset)
        if filters.task:
            keep &= self.task.holding(filters.task)
        if filters.among is not None:
            chosen = np.zeros(len(self), dtype=bool)
            chosen[list(filters.among)] = True
            keep &= chosen
        return keep

    def rows_from(self, first: int, filters: Filters, limit: int) -> list[int]:
        """The first rows at or after one that pass the filters, in the order of the file.

        Raises:
            UserError: If the file cannot be read any more.
        """
        keep = self.passing(filters)
        keep[:first] = False
        return list(islice(self._found(filters.text, keep), limit))

    def rows_before(self, end: int, filters: Filters, limit: int) -> list[int]:
        """The last rows before one that pass the filters, in the order of the file.

        Raises:
            UserError: If the file cannot be read any more.
        """
        keep = self.passing(filters)
        keep[end:] = False
        return list(deque(self._found(filters.text, keep), maxlen=limit))

    def read(self, row: int) -> bytes:
        """A row as it stands in the file.

        Raises:
            UserError: If there is no such row, or the file cannot be read any more.
        """
        if not 0 <= row < len(self):
            raise UserError(f"{self.path.name} has rows 0 to {len(self) - 1}, not {row}")
        return self._bytes(int(self.offset[row]), int(self.length[row]))

    def value(self, row: int) -> Any:
        """A row as JSON; None if it is no JSON.

        Raises:
            UserError: As :meth:`read`.
        """
        try:
            return json.loads(self.read(row))
        except ValueError:
            return None

    def _bytes(self, offset: int, length: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror}") from error

    def _found(self, text: str, keep: np.ndarray) -> Iterator[int]:
        """The kept rows that hold a text, in JSON's spelling with or without escapes."""
        if not text:
            yield from np.flatnonzero(keep).tolist()
            return
        spelled = {json.dumps(text, ensure_ascii=plain)[1:-1].encode().lower() for plain in (True, False)}
        ends = self.offset + self.length
        row = 0
        while row < len(self):
            after = max(row + 1, int(np.searchsorted(self.offset, self.offset[row] + _BLOCK)))
            if keep[row:after].any():
                start = int(self.offset[row])
                block = self._bytes(start, int(ends[after - 1]) - start).lower()
                found = [place for needle in spelled for place in _places(block, needle)]
                places = np.array(found, dtype=np.int64)
                hits = np.unique(np.searchsorted(self.offset, places + start, side="right") - 1)
                yield from (hit for hit in hits.tolist() if keep[hit])
            row = after


def _places(block: bytes, needle: bytes) -> Iterator[int]:
    """Where a text begins; ``bytes.find`` is many times faster than a pattern that ignores case."""
    place = block.find(needle)
    while place >= 0:
        yield place
        place = block.find(needle, place + 1)


def catalogue_of(path: Path, table: pa.Table) -> Catalogue:
    """The catalogue that an index of :mod:`medgrpo.data.index` holds."""

    def column(name: str) -> Column:
        coded = table[name].combine_chunks()
        return Column(coded.dictionary.to_pylist(), coded.indices.to_numpy())

    offset, length = (table[name].to_numpy() for name in ("offset", "length"))
    return Catalogue(path, offset, length, column("dataset"), column("task"))


class Collector:
    """Makes a catalogue of what a check sees, rows with defects included."""

    def __init__(self) -> None:
        self.rows = 0
        self._places = (array("q"), array("q"))
        self._codes: tuple[array[int], array[int]] = (array("i"), array("i"))
        self._names: tuple[dict[str, int], dict[str, int]] = ({}, {})

    def see(self, raw: RawRow, fields: RowFields | None) -> None:
        """Note a row."""
        self.rows += 1
        for places, place in zip(self._places, (raw.offset, raw.length), strict=True):
            places.append(place)
        said = (UNKNOWN, UNKNOWN) if fields is None else (fields.dataset or UNKNOWN, fields.task or UNKNOWN)
        for codes, names, name in zip(self._codes, self._names, said, strict=True):
            codes.append(names.setdefault(name, len(names)))

    def catalogue(self, path: Path) -> Catalogue:
        """The rows so far."""
        offset, length = (np.array(places, dtype=np.int64) for places in self._places)
        dataset, task = (
            Column(list(names), np.array(codes, dtype=np.int32))
            for names, codes in zip(self._names, self._codes, strict=True)
        )
        return Catalogue(path, offset, length, dataset, task)
