"""The rollout store: immutable Parquet shards, written by training alone, readable while it runs.

Where shards lie and how they are found again is in :mod:`medgrpo.rollout.shards`. A shard appears by rename
after its bytes are on the disk, so a reader sees a whole shard or none, without locks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from medgrpo.rollout.numbers import NUMBERS, with_numbers
from medgrpo.rollout.schema import SCHEMA, SCHEMA_VERSION, rollout_row
from medgrpo.rollout.shards import (
    Shard,
    beside_merging,
    current_shards,
    find_shards,
    list_shards,
    read_rows,
    read_shard,
    shard_path,
)
from medgrpo.services.files import whole_file
from medgrpo.types import Rollout

__all__ = [
    "RolloutStore",
    "Shard",
    "current_shards",
    "find_shards",
    "list_shards",
    "next_attempt",
    "read_rollouts",
    "read_rows",
    "read_shard",
    "shard_path",
]


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
        fields = [field for field in SCHEMA if field.name not in NUMBERS]
        table = with_numbers(pa.Table.from_pylist(rows, schema=pa.schema(fields, metadata)))
        path = shard_path(self.root, self.run_id, self.attempt, step, rank)
        with whole_file(path) as handle:
            pq.write_table(table, handle, compression="zstd")
        return path


def next_attempt(root: str | Path, run_id: str) -> int:
    """One more than the highest attempt on the disk; 0 for a new run.

    With several processes rank 0 asks and tells the others: shards appear while they ask.
    """
    return max((shard.attempt for shard in list_shards(root, run_id)), default=-1) + 1


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
    tables = beside_merging(
        lambda: [read_rows(shard) for shard in current_shards(list_shards(root, run, step))]
    )
    return pa.concat_tables([SCHEMA.empty_table(), *tables], promote_options="default")
