"""Merging the shards of old steps into fewer files, beside writers and readers, safely at every moment.

A merged file is published whole; only then are the shards that it holds removed, so that each is there once
or twice, never not at all, and readers count it once. A pass that was killed in between is finished by the
next: a shard that is merged already, by the digest of its bytes and by its values, is removed. Merged files
are never touched again. The rows of each shard stay together in one row group, with what its footer said, so
that a run resumes from a merged store exactly as it would have from single shards. Shards of before there
were the columns of :mod:`medgrpo.rollout.numbers` get them.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from medgrpo.errors import UserError
from medgrpo.rollout.numbers import with_numbers
from medgrpo.rollout.schema import SCHEMA_VERSION
from medgrpo.rollout.shards import PARTS, Shard, find_shards, merged_path, read_footer, read_rows
from medgrpo.services.files import whole_file

__all__ = ["Compaction", "compact_run"]

ROWS = 1 << 16
"""Answers in a merged file, from which on it takes in no further shard."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What was done to one run.

    Attributes:
        run: Run id.
        shards: Shards that were merged.
        files: Files that they are in now.
        finished: Shards removed that an earlier pass had merged before it was stopped.
        left: Files that were left as they are, with the reason.
    """

    run: str
    shards: int
    files: int
    finished: int
    left: dict[str, str]


def compact_run(root: str | Path, run: str, keep_last: int) -> Compaction:
    """Merge the shards of all steps of a run but the last.

    Args:
        root: Folder that holds ``rollouts/``.
        run: Run id.
        keep_last: So many of the run's last steps, which may still be written, are left alone; at least 1.

    Raises:
        UserError: If nothing can be written, another compaction of the run is at work, or a shard that was
            merged does not read the same again.
    """
    if keep_last < 1:
        raise UserError(
            f"--keep-last {keep_last}: at least the last step may still be written; use 1 or more"
        )
    with _alone(Path(root, "rollouts", f"run={run}")):
        _clear_parts(Path(root, "rollouts", f"run={run}"))
        shards, left = _list(root, run)
        steps = sorted({shard.step for shard in shards})
        old = set(steps[:-keep_last])
        merged = {_key(shard): shard for shard in shards if shard.row_group is not None}
        single = [shard for shard in shards if shard.row_group is None and shard.step in old]
        finished, waiting = 0, []
        for shard in sorted(single, key=lambda shard: (shard.step, shard.attempt, shard.rank)):
            again = merged.get(_key(shard))
            if again is None:
                waiting.append(shard)
            elif _holds(again, shard):
                _remove(shard.path)
                finished += 1
            else:
                left[str(shard.path)] = f"{shard.path}: was written again after it was merged; it counts"
        batches = [batch for batch in _batches(waiting) if len(batch) > 1]
        for batch in batches:
            _merge(root, run, batch)
        return Compaction(run, sum(map(len, batches)), len(batches), finished, left)


def _key(shard: Shard) -> tuple[int, int, int]:
    return shard.step, shard.attempt, shard.rank


def _list(root: str | Path, run: str) -> tuple[list[Shard], dict[str, str]]:
    shards: list[Shard] = []
    left: dict[str, str] = {}
    for path in find_shards(root, run):
        try:
            shards += read_footer(path)
        except UserError as error:
            left[str(path)] = str(error)
        except FileNotFoundError:
            left[str(path)] = f"{path}: is listed, but is not there"
    return shards, left


def _batches(shards: Sequence[Shard]) -> Iterator[list[Shard]]:
    """Shards that become one file: neighbours of the same columns."""
    batch: list[Shard] = []
    columns: pa.Schema | None = None
    for shard in shards:
        own = _columns(shard)
        full = sum(part.rows for part in batch) >= ROWS
        if batch and (full or columns is None or not own.equals(columns)):
            yield batch
            batch = []
        batch.append(shard)
        columns = own
    if batch:
        yield batch


def _columns(shard: Shard) -> pa.Schema:
    stored = pq.read_schema(shard.path).remove_metadata()
    return with_numbers(stored.empty_table()).schema


def _merge(root: str | Path, run: str, batch: Sequence[Shard]) -> None:
    columns = _columns(batch[0])
    parts = [replace(shard, digest=_digest(shard.path.read_bytes())) for shard in batch]
    path = merged_path(root, run, parts)
    told = [
        {
            "attempt": part.attempt,
            "step": part.step,
            "rank": part.rank,
            "settings": part.settings,
            "digest": part.digest,
        }
        for part in parts
    ]
    footer = {
        "medgrpo.run": run,
        "medgrpo.schema_version": str(SCHEMA_VERSION),
        PARTS: json.dumps(told),
    }
    with whole_file(path) as file, pq.ParquetWriter(file, columns, compression="zstd") as writer:
        for part in parts:
            writer.write_table(_rows(part.path.read_bytes()), row_group_size=max(1, part.rows))
        writer.add_key_value_metadata(footer)
    for part, again in zip(parts, read_footer(path), strict=True):
        if not _holds(again, part):
            raise UserError(
                f"{path}: does not hold what {part.path} does, which is left there; nothing is lost. "
                "Compact again when the run does not repeat old steps"
            )
        _remove(part.path)


def _holds(merged: Shard, single: Shard) -> bool:
    """Whether a shard by itself may go, since a merged file holds the same."""
    content = single.path.read_bytes()
    if merged.digest != _digest(content):
        return False
    return _values(with_numbers(read_rows(merged))) == _values(_rows(content))  # it may be an older one


def _rows(content: bytes) -> pa.Table:
    return with_numbers(pq.ParquetFile(io.BytesIO(content)).read().replace_schema_metadata(None))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _values(table: pa.Table) -> str:
    """Hash of all values, in which a NaN is the same as itself."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return _digest(sink.getvalue())


def _remove(path: Path) -> None:
    path.unlink()
    with suppress(OSError):  # not empty
        path.parent.rmdir()


def _clear_parts(folder: Path) -> None:
    """Remove what killed compactions were writing."""
    for path in folder.glob("steps=*/.*.part"):
        path.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Around the only compaction of a run; the lock goes with the process, however that ends."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run")
    path = folder / ".compact.lock"
    try:
        lock = path.open("a")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{folder}: another compaction is at work") from error
        yield
