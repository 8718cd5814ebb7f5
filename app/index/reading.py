"""Reading numbers of answers from shards: a few columns of many files, without the texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.index.scan import Part
from medgrpo.errors import UserError
from medgrpo.rollout.numbers import NUMBERS, SOURCES, with_numbers
from medgrpo.rollout.schema import SCHEMA

__all__ = ["COLUMNS", "read_numbers"]

_PLAIN = (
    *("step", "group_id", "sample_index", "dataset", "task", "video_id", "reward", "group_std", "advantage"),
    *("kept", "skip_reason", "parse_status", "truncated", "wall_time"),
)
_OF_COMPONENTS = ("name", "raw", "p25", "p50", "p75", "normalizer", "normalised")
_STORED = (*_PLAIN, "judge.status", *(f"components.list.element.{name}" for name in _OF_COMPONENTS))

_component = SCHEMA.field("components").type.value_type
_AS_STORED = pa.schema(
    [
        *(SCHEMA.field(name) for name in _PLAIN),
        ("judge", pa.struct([SCHEMA.field("judge").type.field("status")])),
        ("components", pa.list_(pa.struct([_component.field(name) for name in _OF_COMPONENTS]))),
        *(SCHEMA.field(name) for name in NUMBERS),
    ]
)
_PLACE = (("run", pa.string()), ("shard", pa.int32()), ("row", pa.int64()))
COLUMNS = pa.schema([*_AS_STORED, *(pa.field(name, kind) for name, kind in _PLACE)])
"""What is read, and of which run, shard and row of the file it is."""


def read_numbers(file: str, numbered: Mapping[Part, int]) -> pa.Table:
    """Answers of some shards in a file.

    Args:
        file: A shard or a merged file.
        numbered: The shards, each with what stands for it in the column ``shard``.

    Returns:
        A table of :data:`COLUMNS`.

    Raises:
        UserError: If the file cannot be read, or lacks a column.
    """
    try:
        with pq.ParquetFile(file) as opened:
            firsts = _first_rows(opened.metadata)
            tables = [_read(opened, firsts, part, number) for part, number in numbered.items() if part.rows]
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UserError(f"{file}: cannot be read ({str(error).splitlines()[0]})") from error
    return pa.concat_tables(tables) if tables else COLUMNS.empty_table()


def _first_rows(footer: pq.FileMetaData) -> list[int]:
    """Number of the first row of each row group, and that after the last."""
    counts = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
    return [0, *np.cumsum(counts).tolist()]


def _read(opened: pq.ParquetFile, firsts: Sequence[int], part: Part, number: int) -> pa.Table:
    last = part.first + part.rows
    groups = [k for k in range(len(firsts) - 1) if firsts[k] < last and firsts[k + 1] > part.first]
    table = _numbers(opened, groups).slice(part.first - firsts[groups[0]] if groups else 0, part.rows)
    count = len(table)
    place = [
        pa.repeat(part.run, count),
        pa.repeat(pa.scalar(number, pa.int32()), count),
        pa.array(np.arange(part.first, part.first + count)),
    ]
    if not table.schema.equals(_AS_STORED):
        table = table.select(_AS_STORED.names).cast(_AS_STORED)
    return pa.Table.from_arrays([*table.columns, *place], schema=COLUMNS)


def _numbers(opened: pq.ParquetFile, groups: Sequence[int]) -> pa.Table:
    table = opened.read_row_groups(groups, columns=[*_STORED, *NUMBERS], use_threads=False)
    present = table.column_names
    missing = [name for name in NUMBERS if name not in present]
    if missing:  # an older shard
        lists = opened.read_row_groups(groups, columns=list(SOURCES), use_threads=False)
        numbers = with_numbers(lists)
        for name in missing:
            table = table.append_column(name, numbers[name])
    return table
