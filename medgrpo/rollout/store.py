"""The rollout store: immutable Parquet shards, written by training alone, readable while it runs.

A shard is ``rollouts/run=<id>/step=<006d>/rank=<003d>-<uuid8>.parquet``. It appears by rename after its bytes
are on the disk, so a reader sees a whole shard or none, without locks. The uuid follows from (run, attempt,
step, rank): writing the same step again replaces its shard. When a restarted run repeats steps under a higher
attempt number, readers take, for each step, the shards of the highest attempt and no other, so that a restart
with another number of processes leaves no stale rank behind.
"""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from medgrpo.errors import UserError
from medgrpo.rollout.schema import SCHEMA, SCHEMA_VERSION, rollout_row
from medgrpo.services.files import whole_file
from medgrpo.types import Rollout

__all__ = [
    "RolloutStore",
    "Shard",
    "current_shards",
    "find_shards",
    "next_attempt",
    "read_rollouts",
    "read_shard",
    "shard_path",
]

_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_NAMESPACE = uuid.UUID("6f0f5a3c-7d0b-5b7e-9b0a-3c1d4e5f6a7b")


@dataclass(frozen=True, slots=True)
class Shard:
    """What a shard's footer says about it.

    Attributes:
        path: The file.
        run: Run id.
        attempt: Which start of the run wrote it.
        step: Rollout round.
        rank: Process.
        rows: Number of answers.
        settings: Hash of what shaped answers and rewards, empty if it is not known.
    """

    path: Path
    run: str
    attempt: int
    step: int
    rank: int
    rows: int
    settings: str = ""


def shard_path(root: str | Path, run: str, attempt: int, step: int, rank: int) -> Path:
    """Where the shard of one rank and step of a run lies below ``root``.

    Raises:
        UserError: If the run id is not usable as a folder name.
    """
    if not _RUN_ID.fullmatch(run):
        raise UserError(f"run id {run!r}: use letters, digits and . _ + - only, not starting with a dot")
    tag = uuid.uuid5(_NAMESPACE, f"{run}|{attempt}|{step}|{rank}").hex[:8]
    return Path(root, "rollouts", f"run={run}", f"step={step:06d}", f"rank={rank:03d}-{tag}.parquet")


class RolloutStore:
    """Writes the rollouts of one run.

    Args:
        root: Folder that holds ``rollouts/``; made if it is not there.
        run_id: Name of the run.
        attempt: 0 for a first start; see :func:`next_attempt` for a restart.
        policy_hash: Hash of the policy's checkpoint; may be set again between steps.
        settings: Hash of what shapes answers and rewards, empty if it is not known.

    Raises:
        UserError: If the run id is not usable as a folder name.
    """

    def __init__(
        self,
        root: str | Path,
        run_id: str,
        attempt: int = 0,
        policy_hash: str = "",
        settings: str = "",
    ) -> None:
        shard_path(root, run_id, attempt, 0, 0)  # a bad run id is told before training, not after a round
        self.root = Path(root)
        self.run_id = run_id
        self.attempt = attempt
        self.policy_hash = policy_hash
        self.settings = settings

    def write(
        self, step: int, rollouts: Sequence[Rollout], *, rank: int = 0, wall_time: float | None = None
    ) -> Path:
        """Publish the answers of one step as one shard.

        Args:
            step: Rollout round, from 0.
            rollouts: The answers of this rank, in any order.
            rank: This process.
            wall_time: Seconds since the epoch; now if None.

        Returns:
            The shard.

        Raises:
            UserError: If the disk is full, read-only or not permitted.
        """
        stamp = math.floor((time.time() if wall_time is None else wall_time) * 1e6)
        rows = [
            rollout_row(
                rollout,
                run=self.run_id,
                attempt=self.attempt,
                step=step,
                rank=rank,
                policy_hash=self.policy_hash,
                wall_time_us=stamp,
            )
            for rollout in rollouts
        ]
        facts = {"run": self.run_id, "attempt": self.attempt, "step": step, "rank": rank}
        metadata = {f"medgrpo.{key}": str(value) for key, value in facts.items()}
        metadata |= {"medgrpo.schema_version": str(SCHEMA_VERSION), "medgrpo.settings": self.settings}
        table = pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata(metadata))
        path = shard_path(self.root, self.run_id, self.attempt, step, rank)
        with whole_file(path) as handle:
            pq.write_table(table, handle, compression="zstd")
        return path


def read_shard(path: Path) -> Shard:
    """The footer of one shard.

    Raises:
        UserError: If the file is damaged, was not written by medgrpo, or by a newer medgrpo.
    """
    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error
    metadata = footer.metadata or {}
    try:
        version, attempt, step, rank = (
            int(metadata[f"medgrpo.{key}".encode()]) for key in ("schema_version", "attempt", "step", "rank")
        )
        run = metadata[b"medgrpo.run"].decode()
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: a Parquet file, but not a shard of a rollout store") from error
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{path}: schema version {version} is newer than this medgrpo reads ({SCHEMA_VERSION}): upgrade"
        )
    settings = metadata.get(b"medgrpo.settings", b"").decode()
    return Shard(path, run, attempt, step, rank, rows=footer.num_rows, settings=settings)


def find_shards(root: str | Path, run: str | None = None, step: int | None = None) -> list[Path]:
    """Paths of published shards below ``root``, of all attempts, sorted; footers are not opened."""
    runs = f"run={run}" if run is not None else "run=*"
    steps = f"step={step:06d}" if step is not None else "step=*"
    return sorted(Path(root).glob(f"rollouts/{runs}/{steps}/rank=*.parquet"))


def current_shards(shards: Iterable[Shard]) -> list[Shard]:
    """Those of the highest attempt of their (run, step), ordered by run, step and rank."""
    shards = list(shards)
    latest: dict[tuple[str, int], int] = {}
    for shard in shards:
        key = (shard.run, shard.step)
        latest[key] = max(latest.get(key, shard.attempt), shard.attempt)
    current = [shard for shard in shards if latest[(shard.run, shard.step)] == shard.attempt]
    return sorted(current, key=lambda shard: (shard.run, shard.step, shard.rank))


def next_attempt(root: str | Path, run_id: str) -> int:
    """One more than the highest attempt on the disk; 0 for a new run.

    With several processes rank 0 asks and tells the others: shards appear while they ask.
    """
    return max((read_shard(path).attempt for path in find_shards(root, run_id)), default=-1) + 1


def read_rollouts(root: str | Path, run: str | None = None, step: int | None = None) -> pa.Table:
    """All current answers below ``root``, or those of one run or step.

    Args:
        root: Folder that holds ``rollouts/``.
        run: Run id; all runs if None.
        step: Rollout round; all if None.

    Returns:
        A table with the columns of :data:`SCHEMA`, ordered by run, step and rank, in the order written.

    Raises:
        UserError: If a shard is damaged or foreign.
    """
    shards = current_shards(read_shard(path) for path in find_shards(root, run, step))
    tables = [pq.ParquetFile(shard.path).read().replace_schema_metadata(None) for shard in shards]
    return pa.concat_tables([SCHEMA.empty_table(), *tables], promote_options="default")
