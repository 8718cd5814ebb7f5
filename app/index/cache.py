"""Numbers that were read from many shards, kept in the dashboard's own folder: a start then reads few files.

May be deleted at any time. A segment is a folder with the rows of the tables ``answers`` and ``parts`` and a
list of the shards that they were read from; it counts for those of them that are still the same files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pyarrow as pa

from app.index.scan import Part
from medgrpo.errors import UserError
from medgrpo.services.files import whole_folder

__all__ = ["NumberCache"]

_TABLES = ("answers", "parts")
_WORTH = 32  # shards; fewer are read as fast as a segment


class NumberCache:
    """Segments of numbers.

    Args:
        folder: The dashboard's own, for files to be found faster.
        form: How numbers are read; segments of another form are removed.
    """

    def __init__(self, folder: Path, form: str) -> None:
        self.folder = folder / f"numbers-{hashlib.sha256(form.encode()).hexdigest()[:8]}"
        for other in folder.glob("numbers-*"):
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)

    def stage(self, cursor: Any, numbers: Mapping[Part, int], damaged: type[Exception]) -> set[Part]:
        """Put kept rows of these shards into the tables ``new_answers`` and ``new_parts``.

        Args:
            cursor: Of the database.
            numbers: Of the shards, for the column ``shard``.
            damaged: What the database raises at a damaged file.

        Returns:
            The shards that need not be read any more.
        """
        staged: set[Part] = set()
        for segment in sorted(self.folder.glob("*/shards.json")):
            try:
                kept = [_part(fields) for fields in json.loads(segment.read_text(encoding="utf-8"))]
                used = {place: part for place, part in enumerate(kept) if part in numbers}
                if used:
                    fresh = {place: part for place, part in used.items() if part not in staged}
                    _stage(cursor, segment.parent, {place: numbers[part] for place, part in fresh.items()})
                    staged |= set(fresh.values())
                    continue
            except (OSError, ValueError, TypeError, damaged):
                with suppress(damaged):
                    cursor.execute("ROLLBACK")
            shutil.rmtree(segment.parent, ignore_errors=True)  # of no use
        return staged

    def keep(self, cursor: Any, numbers: Mapping[Part, int], damaged: type[Exception]) -> None:
        """Keep the rows that ``answers`` and ``parts`` hold of shards, if these are many.

        Args:
            cursor: Of the database, for this alone.
            numbers: Of the shards. Those that are no longer there are left out.
            damaged: What the database raises.
        """
        cursor.execute("BEGIN")  # so that the tables are of one moment
        present = {number for (number,) in cursor.execute("SELECT shard FROM shards").fetchall()}
        kept = {part: number for part, number in numbers.items() if number in present}
        if len(kept) >= _WORTH:
            cursor.register("places", _places({number: place for place, number in enumerate(kept.values())}))
            # Without space all goes on, only the next start is as slow as this one.
            with suppress(UserError, damaged), whole_folder(self.folder / uuid.uuid4().hex[:8]) as segment:
                for table in _TABLES:
                    cursor.execute(
                        f"COPY (SELECT p.became AS shard, t.* EXCLUDE (shard) FROM {table} t "
                        f"JOIN places p ON p.shard = t.shard) TO {_quoted(segment / table)} (FORMAT parquet)"
                    )
                listed = json.dumps([astuple(part) for part in kept])
                (segment / "shards.json").write_text(listed, encoding="utf-8")
            cursor.unregister("places")
        with suppress(damaged):  # where a statement failed there is no transaction any more
            cursor.execute("ROLLBACK")


def _stage(cursor: Any, segment: Path, numbers: Mapping[int, int]) -> None:
    cursor.register("places", _places(numbers))
    cursor.execute("BEGIN")
    for table in _TABLES:
        cursor.execute(
            f"INSERT INTO new_{table} BY NAME SELECT p.became AS shard, t.* EXCLUDE (shard) "
            f"FROM read_parquet({_quoted(segment / table)}) t JOIN places p USING (shard)"
        )
    cursor.execute("COMMIT")
    cursor.unregister("places")


def _places(numbers: Mapping[int, int]) -> pa.Table:
    return pa.table(
        {
            "shard": pa.array(list(numbers), pa.int32()),
            "became": pa.array(list(numbers.values()), pa.int32()),
        }
    )


def _part(fields: Collection[Any]) -> Part:
    file, first, rows, run, step, (modified, size) = fields
    return Part(file, first, rows, run, step, (modified, size))


def _quoted(path: Path) -> str:
    return "'" + f"{path}.parquet".replace("'", "''") + "'"
