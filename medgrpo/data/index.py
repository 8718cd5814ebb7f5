"""An index of a records file: where each row is and what it is, so that no row is parsed before it is needed.

Building the index reads the file once, in bounded memory, and checks every row: a defect is found then, not
in the middle of a training run. The index of a large file is kept as an Arrow file, mapped into memory by
every process that uses it, and built anew when the records or this module have changed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import uuid
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

import medgrpo
from medgrpo.data.fields import FieldError
from medgrpo.data.json_rows import RawRow, scan_rows
from medgrpo.data.row_fields import RowFields, read_fields
from medgrpo.errors import UserError

__all__ = [
    "KEPT_FROM",
    "RecordsIndex",
    "build_index",
    "index_paths",
    "load_index",
    "prepare_index",
    "stamp_of",
]

VERSION = 1
"""Changes with the columns and with what makes a row acceptable."""

KEPT_FROM = 16 * 2**20
"""Bytes of a records file from which its index is kept on disk; smaller ones are read in a second or two."""

SCHEMA = pa.schema(
    [
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("key", pa.string()),
        ("id", pa.string()),
        ("qa_type", pa.dictionary(pa.int32(), pa.string())),
        ("task", pa.dictionary(pa.int32(), pa.string())),
        ("dataset", pa.dictionary(pa.int32(), pa.string())),
        ("video_id", pa.dictionary(pa.int32(), pa.string())),
        ("clip", pa.int32()),
        ("has_answer", pa.bool_()),
        ("has_truth", pa.bool_()),
    ]
)
"""``clip`` numbers the distinct clips in the order of their first row."""

STAMP = b"medgrpo"
SAMPLES = 64
SAMPLE_BYTES = 4096
ROWS_PER_BATCH = 65536

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordsIndex:
    """An index and, if it is kept on disk, where; a kept one is pickled as its place.

    Attributes:
        table: With :data:`SCHEMA`, a row for each row of the file.
        place: Its file.
        stamp: What it was made from.
    """

    table: pa.Table
    place: Path | None = None
    stamp: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        if self.place is None:
            return RecordsIndex, (self.table,)
        return _reopen, (self.place, self.stamp)


def load_index(records: str | Path, *, keep: bool | None = None, progress: bool = True) -> RecordsIndex:
    """The index of a records file: the kept one if it still fits, else a new one, kept for the next time.

    Args:
        records: JSON array or JSON Lines.
        keep: Whether to keep a new index on disk; None keeps those of large files.
        progress: Show a bar while a large file is read.

    Raises:
        UserError: At the first defect of the file, naming row and field.
    """
    records = Path(records)
    stamp = stamp_of(records)
    places = index_paths(records)
    for place in places:
        table = _kept(place, stamp)
        if table is not None:
            return RecordsIndex(table, place, stamp)
    table = build_index(records, progress=progress)
    if stamp_of(records) != stamp:
        raise UserError(f"{records}: changed while it was read; try again when it is complete")
    if keep is None:
        keep = records.stat().st_size >= KEPT_FROM
    for place in places if keep else ():
        try:
            _publish(table.replace_schema_metadata({STAMP: stamp.encode()}), place)
        except OSError as error:
            logger.info("%s: the index of %s cannot be kept here: %s", place, records, error)
            continue
        kept = _kept(place, stamp)
        if kept is not None:
            return RecordsIndex(kept, place, stamp)
    return RecordsIndex(table)


def prepare_index(records: str | Path) -> None:
    """Index a large file for the processes that will open it; small ones are indexed by each.

    Raises:
        UserError: At the first defect of a large file.
    """
    if Path(records).is_file() and Path(records).stat().st_size >= KEPT_FROM:
        load_index(records)


def build_index(records: str | Path, *, progress: bool = False) -> pa.Table:
    """Read a records file and check every row, one after the other.

    Args:
        records: JSON array or JSON Lines.
        progress: Show a bar if the file is large.

    Raises:
        UserError: At the first defect, naming row and field.
    """
    from tqdm import tqdm

    records = Path(records)
    size = records.stat().st_size if records.is_file() else 0
    clips: dict[bytes, int] = {}
    batches = []
    entries: list[tuple[Any, ...]] = []
    with tqdm(
        total=size,
        desc=f"index {records.name}",
        unit="B",
        unit_scale=True,
        disable=not progress or size < KEPT_FROM,
    ) as bar:
        for raw, fields in _checked(records):
            number = clips.setdefault(_clip_digest(fields), len(clips))
            entries.append(_entry(raw, fields, number))
            if len(entries) == ROWS_PER_BATCH:
                batches.append(_batch(entries))
            if raw.row % 1000 == 0:
                bar.update(raw.offset - bar.n)
        bar.update(size - bar.n)
    batches.append(_batch(entries))
    return pa.Table.from_batches(batches, SCHEMA).unify_dictionaries().combine_chunks()


def index_paths(records: Path) -> list[Path]:
    """Where the index of a records file may be: beside it, else in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    digest = hashlib.sha256(os.fsencode(records.resolve())).hexdigest()[:16]
    return [
        records.with_name(f"{records.name}.index.arrow"),
        cache / "medgrpo" / f"{records.name}.{digest}.index.arrow",
    ]


def stamp_of(records: Path) -> str:
    """What an index must match: size, modification time, sampled content, and the versions that made it.

    Raises:
        UserError: If the file cannot be read.
    """
    try:
        with records.open("rb") as file:
            stat = os.fstat(file.fileno())
            digest = hashlib.sha256()
            last = max(0, stat.st_size - SAMPLE_BYTES)
            for start in sorted({last * i // SAMPLES for i in range(SAMPLES + 1)}):
                file.seek(start)
                digest.update(file.read(SAMPLE_BYTES))
    except FileNotFoundError:
        raise UserError(f"{records}: no such records file") from None
    except OSError as error:
        raise UserError(f"{records}: cannot be read: {error.strerror}") from None
    parts = [VERSION, medgrpo.__version__, stat.st_size, stat.st_mtime_ns, digest.hexdigest()]
    return json.dumps(parts)


def _checked(records: Path) -> Iterator[tuple[RawRow, RowFields]]:
    for raw in scan_rows(records):
        try:
            yield raw, read_fields(raw.value)
        except FieldError as error:
            raise UserError(f"{records}: row {raw.row}: {error}") from None


def _entry(raw: RawRow, fields: RowFields, clip: int) -> tuple[Any, ...]:
    """A row of the index, in the order of its columns."""
    return (
        raw.offset,
        raw.length,
        fields.key,
        fields.id,
        fields.qa_type,
        fields.task,
        fields.dataset,
        fields.video_id,
        clip,
        fields.answer is not None,
        raw.value.get("struc_info") is not None,
    )


def _clip_digest(fields: RowFields) -> bytes:
    """16 bytes that stand for a clip, so that an index need not hold the names of all frames."""
    digest = hashlib.blake2b("\0".join(fields.files).encode(), digest_size=16)
    digest.update(repr((fields.is_video, fields.fps, fields.start, fields.end)).encode())
    digest.update(array("q", fields.frame_ids).tobytes())
    return digest.digest()


def _batch(entries: list[tuple[Any, ...]]) -> pa.RecordBatch:
    """Rows as Arrow data; the list is emptied."""
    columns = list(zip(*entries, strict=True)) or [()] * len(SCHEMA)
    arrays = [pa.array(values, entry.type) for values, entry in zip(columns, SCHEMA, strict=True)]
    entries.clear()
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _kept(place: Path, stamp: str) -> pa.Table | None:
    """The index at a place if it has the stamp, mapped into memory."""
    try:
        with pa.memory_map(os.fspath(place)) as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowException):
        return None
    if (table.schema.metadata or {}).get(STAMP) != stamp.encode():
        return None
    return table if table.schema.equals(SCHEMA) else None


def _reopen(place: Path, stamp: str) -> RecordsIndex:
    table = _kept(place, stamp)
    if table is None:
        raise UserError(f"{place}: this index is gone or was replaced; start again")
    return RecordsIndex(table, place, stamp)


def _publish(table: pa.Table, place: Path) -> None:
    """Write an index, whole or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    temporary = place.with_name(f"{place.name}.{uuid.uuid4().hex}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with pa.OSFile(os.fspath(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        os.replace(temporary, place)
    finally:
        with suppress(OSError):
            temporary.unlink()
