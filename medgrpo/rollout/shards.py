"""Where the answers of a step lie on the disk, and what a file's footer says about them.

Training writes ``rollouts/run=<id>/step=<006d>/rank=<003d>-<uuid8>.parquet``. The uuid follows from (run,
attempt, step, rank): writing the same step again replaces its shard. When a restarted run repeats steps
under a higher attempt number, readers take, for each step, the shards of the highest attempt and no other, so
that a restart with another number of processes leaves no stale rank behind.

``python -m medgrpo compact`` merges the shards of old steps into
``rollouts/run=<id>/steps=<first>-<last>/<uuid8>.parquet``: each shard is one row group of it, and the footer
says which. Such a file never changes and is never removed. While both are there the shard by itself counts:
it may have been written again since. Single shards are listed first and merged files after them, so that a
reader beside a compaction finds each shard at least once.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from medgrpo.errors import UserError
from medgrpo.rollout.schema import SCHEMA_VERSION

__all__ = [
    "PARTS",
    "Shard",
    "beside_merging",
    "current_shards",
    "find_shards",
    "list_shards",
    "merged_path",
    "read_footer",
    "read_rows",
    "read_shard",
    "shard_path",
]

_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_NAMESPACE = uuid.UUID("6f0f5a3c-7d0b-5b7e-9b0a-3c1d4e5f6a7b")
_STEPS = re.compile(r"steps=(\d+)-(\d+)")

_TRIES = 100
T = TypeVar("T")

PARTS = "medgrpo.parts"
"""Footer key of a merged file: a JSON list of what the footers of its shards said, in the order of its row
groups."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The answers of one rank in one step, as a footer tells it.

    Attributes:
        path: The file.
        run: Run id.
        attempt: Which start of the run wrote it.
        step: Rollout round.
        rank: Process.
        rows: Number of answers.
        settings: Hash of what shaped answers and rewards, empty if it is not known.
        row_group: Of a merged file; None if the shard is the whole file.
        first_row: Number of its first row in the file.
        digest: Of the file that it was before it was merged, empty if it was not.
    """

    path: Path
    run: str
    attempt: int
    step: int
    rank: int
    rows: int
    settings: str = ""
    row_group: int | None = None
    first_row: int = 0
    digest: str = ""


def shard_path(root: str | Path, run: str, attempt: int, step: int, rank: int) -> Path:
    """Where the shard of one rank and step of a run lies below ``root``.

    Raises:
        UserError: If the run id is not usable as a folder name.
    """
    if not _RUN_ID.fullmatch(run):
        raise UserError(f"run id {run!r}: use letters, digits and . _ + - only, not starting with a dot")
    tag = uuid.uuid5(_NAMESPACE, f"{run}|{attempt}|{step}|{rank}").hex[:8]
    return Path(root, "rollouts", f"run={run}", f"step={step:06d}", f"rank={rank:03d}-{tag}.parquet")


def merged_path(root: str | Path, run: str, shards: Sequence[Shard]) -> Path:
    """Where a file that merges these shards lies; the same shards give the same name."""
    steps = [shard.step for shard in shards]
    tag = uuid.uuid5(_NAMESPACE, "|".join(f"{s.path.name}:{s.digest}" for s in shards)).hex[:8]
    folder = f"steps={min(steps):06d}-{max(steps):06d}"
    return Path(root, "rollouts", f"run={run}", folder, f"{tag}.parquet")


def read_footer(path: Path) -> list[Shard]:
    """The shards in a file: one, or several if it is a merged one.

    Raises:
        FileNotFoundError: If it is not there any more.
        UserError: If the file is damaged, was not written by medgrpo, or by a newer medgrpo.
    """
    try:
        footer = pq.read_metadata(path)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error
    metadata = footer.metadata or {}
    try:
        version = int(metadata[b"medgrpo.schema_version"])
        run = metadata[b"medgrpo.run"].decode()
        if PARTS.encode() in metadata:
            parts = json.loads(metadata[PARTS.encode()])
            shards = _merged(path, run, parts, footer)
        else:
            attempt, step, rank = (
                int(metadata[f"medgrpo.{key}".encode()]) for key in ("attempt", "step", "rank")
            )
            settings = metadata.get(b"medgrpo.settings", b"").decode()
            shards = [Shard(path, run, attempt, step, rank, rows=footer.num_rows, settings=settings)]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: a Parquet file, but not a shard of a rollout store") from error
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{path}: schema version {version} is newer than this medgrpo reads ({SCHEMA_VERSION}): upgrade"
        )
    return shards


def _merged(path: Path, run: str, parts: list[dict[str, str]], footer: pq.FileMetaData) -> list[Shard]:
    if len(parts) != footer.num_row_groups:
        raise ValueError("a row group for each shard is expected")
    shards, first = [], 0
    for group, part in enumerate(parts):
        rows = footer.row_group(group).num_rows
        attempt, step, rank = (int(part[key]) for key in ("attempt", "step", "rank"))
        shards.append(
            Shard(path, run, attempt, step, rank, rows, part["settings"], group, first, part["digest"])
        )
        first += rows
    return shards


def read_shard(path: Path) -> Shard:
    """The footer of a file that is one shard.

    Raises:
        UserError: If the file is missing, damaged, merged from several shards, was not written by medgrpo, or
            by a newer medgrpo.
    """
    try:
        shards = read_footer(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    if len(shards) != 1:
        raise UserError(f"{path}: holds {len(shards)} shards, not one")
    return shards[0]


def read_rows(shard: Shard) -> pa.Table:
    """The answers of a shard in the order written, without the footer's notes.

    Raises:
        FileNotFoundError: If its file is not there any more.
        UserError: If its file is damaged.
    """
    try:
        with pq.ParquetFile(shard.path) as file:
            table = file.read() if shard.row_group is None else file.read_row_group(shard.row_group)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{shard.path}: not a readable Parquet file ({str(error).splitlines()[0]})"
        ) from error
    return table.replace_schema_metadata(None)


def find_shards(root: str | Path, run: str | None = None, step: int | None = None) -> list[Path]:
    """Files below ``root`` that hold shards, of all attempts, merged ones last; footers are not opened.

    Args:
        root: Folder that holds ``rollouts/``.
        run: Run id; all runs if None.
        step: Only files that may hold answers of this step; all if None.
    """
    runs = f"run={run}" if run is not None else "run=*"
    steps = f"step={step:06d}" if step is not None else "step=*"
    single = sorted(Path(root).glob(f"rollouts/{runs}/{steps}/rank=*.parquet"))
    merged = sorted(Path(root).glob(f"rollouts/{runs}/steps=*/*.parquet"))
    return single + [path for path in merged if step is None or _covers(path.parent.name, step)]


def _covers(folder: str, step: int) -> bool:
    named = _STEPS.fullmatch(folder)
    return named is not None and int(named[1]) <= step <= int(named[2])


def list_shards(root: str | Path, run: str | None = None, step: int | None = None) -> list[Shard]:
    """All shards below ``root``, or those of one run or step, of all attempts.

    Raises:
        UserError: If a file is damaged or foreign.
    """

    def listed() -> list[Shard]:
        return [shard for path in find_shards(root, run, step) for shard in read_footer(path)]

    return [shard for shard in beside_merging(listed) if step is None or shard.step == step]


def beside_merging(read: Callable[[], T]) -> T:
    """What ``read`` returns, which is called again when a file that it had listed was merged into another.

    Raises:
        UserError: If a file stays listed that cannot be opened, such as a link that leads nowhere.
    """
    for _ in range(_TRIES):
        try:
            return read()
        except FileNotFoundError as error:
            lost = error
    raise UserError(f"a shard is listed, but is not there ({lost})")


def current_shards(shards: Iterable[Shard]) -> list[Shard]:
    """Those of the highest attempt of their (run, step), ordered by run, step and rank.

    Of a shard that is there twice, by itself and in a merged file, the one by itself.
    """
    shards = list(shards)
    latest: dict[tuple[str, int], int] = {}
    for shard in shards:
        key = (shard.run, shard.step)
        latest[key] = max(latest.get(key, shard.attempt), shard.attempt)
    current: dict[tuple[str, int, int], Shard] = {}
    for shard in sorted(shards, key=lambda shard: shard.row_group is not None):
        if latest[(shard.run, shard.step)] == shard.attempt:
            current.setdefault((shard.run, shard.step, shard.rank), shard)
    return sorted(current.values(), key=lambda shard: (shard.run, shard.step, shard.rank))
