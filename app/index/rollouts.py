"""An index over the rollout stores below a folder, kept in memory and refreshed from new shards only.

Numbers of every answer are in two DuckDB tables; texts stay in the shards until a group is opened. Each call
takes a cursor of its own, so handlers may run side by side.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medgrpo.errors import MissingExtraError, UserError
from medgrpo.rollout.store import Shard, current_shards, find_shards, read_shard

__all__ = ["GroupRow", "RolloutIndex", "RunSummary"]

_TABLES = """
CREATE TABLE shards (file VARCHAR PRIMARY KEY, run VARCHAR);
CREATE TABLE answers (
    file VARCHAR, run VARCHAR, step BIGINT, group_id VARCHAR, sample_index INTEGER, dataset VARCHAR,
    task VARCHAR, video_id VARCHAR, reward DOUBLE, group_std DOUBLE, advantage DOUBLE, kept BOOLEAN,
    skip_reason VARCHAR, parse_status VARCHAR, truncated BOOLEAN, tokens BIGINT, surprise DOUBLE,
    judge_status VARCHAR, judge_mean DOUBLE, written TIMESTAMPTZ
);
CREATE TABLE parts (
    file VARCHAR, run VARCHAR, step BIGINT, dataset VARCHAR, task VARCHAR, name VARCHAR, normalizer VARCHAR,
    raw DOUBLE, normalised DOUBLE, p25 DOUBLE, p50 DOUBLE, p75 DOUBLE
);
"""
_LOAD_ANSWERS = """
INSERT INTO answers
SELECT r.filename, s.run, step, group_id, sample_index, dataset, task, video_id, reward, group_std, advantage,
    kept, skip_reason, parse_status, truncated, len(completion_ids), -list_avg(completion_logps),
    judge.status, list_avg([d.score FOR d IN judge.dimensions]), wall_time
FROM read_parquet($files, filename = true, hive_partitioning = false, union_by_name = true) r
JOIN shards s ON s.file = r.filename
"""
_LOAD_PARTS = """
INSERT INTO parts
SELECT file, run, step, dataset, task, c.name, c.normalizer, c.raw, c.normalised, c.p25, c.p50, c.p75
FROM (
    SELECT r.filename AS file, s.run AS run, step, dataset, task, unnest(components) AS c
    FROM read_parquet($files, filename = true, hive_partitioning = false, union_by_name = true) r
    JOIN shards s ON s.file = r.filename
)
"""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run: its name, first and last round, answers, and when it last wrote (text, local time)."""

    run: str
    first: int
    last: int
    answers: int
    written: str


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group in the list: all answers to one question in one round."""

    step: int
    group_id: str
    dataset: str
    task: str
    video_id: str
    answers: int
    mean: float | None
    best: float | None
    worst: float | None
    judge_mean: float | None
    unreadable: int
    skip_reason: str


_ORDERS = {
    "newest": "step DESC, group_id",
    "oldest": "step, group_id",
    "best": "mean DESC NULLS LAST, step DESC, group_id",
    "worst": "mean NULLS LAST, step DESC, group_id",
    "spread": "best - worst DESC NULLS LAST, step DESC, group_id",
}


class RolloutIndex:
    """The runs below a folder.

    Args:
        folder: Holds ``rollouts/`` itself or in folders at most two levels below.

    Raises:
        UserError: If there is no such folder.
        MissingExtraError: If duckdb is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise MissingExtraError("duckdb", "app") from error
        self.folder = Path(folder).resolve()
        if not self.folder.is_dir():
            raise UserError(f"--runs {folder}: no such folder; name the one that training wrote its runs to")
        self.problems: dict[str, str] = {}
        self._database_error = duckdb.Error
        self._connection = duckdb.connect(":memory:")
        self._connection.execute(_TABLES)
        self._lock = threading.Lock()
        self._footers: dict[Path, tuple[tuple[int, int], Shard | str]] = {}
        self._loaded: dict[str, tuple[int, int]] = {}

    def _stores(self) -> list[Path]:
        patterns = ("rollouts", "*/rollouts", "*/*/rollouts")
        return sorted(
            path.parent for pattern in patterns for path in self.folder.glob(pattern) if path.is_dir()
        )

    def _run_name(self, store: Path, run: str) -> str:
        where = store.relative_to(self.folder)
        if where == Path("."):
            return run
        return where.as_posix() if where.name == run else f"{where.as_posix()}/{run}"

    def _footer(self, path: Path) -> tuple[tuple[int, int], Shard | str]:
        stat = path.stat()
        version = (stat.st_mtime_ns, stat.st_size)
        known = self._footers.get(path)
        if known is None or known[0] != version:
            try:
                known = (version, read_shard(path))
            except UserError as error:
                known = (version, str(error))
            self._footers[path] = known
        return known

    def _scan(self) -> tuple[dict[str, tuple[str, tuple[int, int]]], dict[str, str]]:
        """Files to show, each with its run and version, and those that cannot be read, with the reason."""
        wanted: dict[str, tuple[str, tuple[int, int]]] = {}
        problems: dict[str, str] = {}
        for store in self._stores():
            shards, versions = [], {}
            for path in find_shards(store):
                try:
                    version, footer = self._footer(path)
                except FileNotFoundError:  # removed by a compaction since it was listed
                    continue
                if isinstance(footer, Shard):
                    shards.append(footer)
                    versions[path] = version
                else:
                    problems[str(path)] = footer
            for shard in current_shards(shards):
                wanted[str(shard.path)] = (self._run_name(store, shard.run), versions[shard.path])
        return wanted, problems

    def refresh(self) -> bool:
        """Take in what changed on the disk.

        Returns:
            Whether anything did.
        """
        with self._lock:
            wanted, problems = self._scan()
            gone = [
                file for file, version in self._loaded.items() if wanted.get(file, ("", ()))[1] != version
            ]
            new = [file for file, (_, version) in wanted.items() if self._loaded.get(file) != version]
            cursor = self._connection.cursor()
            cursor.execute("BEGIN")
            for table in ("answers", "parts", "shards"):
                cursor.execute(f"DELETE FROM {table} WHERE file IN (SELECT unnest($files))", {"files": gone})
            cursor.execute("COMMIT")
            for file in gone:
                del self._loaded[file]
            if new:
                try:
                    self._load(cursor, new, wanted)
                except self._database_error:
                    problems |= self._load_singly(cursor, new, wanted)
            changed = bool(gone or new) or problems.keys() != self.problems.keys()
            self.problems = problems
            return changed

    def _load(
        self, cursor: Any, files: Sequence[str], wanted: dict[str, tuple[str, tuple[int, int]]]
    ) -> None:
        cursor.execute("BEGIN")
        try:
            cursor.executemany(
                "INSERT INTO shards VALUES (?, ?)", [(file, wanted[file][0]) for file in files]
            )
            cursor.execute(_LOAD_ANSWERS, {"files": list(files)})
            cursor.execute(_LOAD_PARTS, {"files": list(files)})
        except self._database_error:
            cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")
        self._loaded.update({file: wanted[file][1] for file in files})

    def _load_singly(
        self, cursor: Any, files: Iterable[str], wanted: dict[str, tuple[str, tuple[int, int]]]
    ) -> dict[str, str]:
        problems = {}
        for file in files:
            try:
                self._load(cursor, [file], wanted)
            except self._database_error as error:
                problems[file] = f"{file}: {str(error).splitlines()[0]}"
        return problems

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Ask the tables; parameters are named, ``$run`` for ``run``."""
        return self._connection.cursor().execute(sql, values).fetchall()

    def runs(self) -> list[RunSummary]:
        """All runs, the one that wrote last first."""
        rows = self.rows(
            "SELECT run, min(step), max(step), count(*), strftime(max(written), '%d %b %Y, %H:%M') "
            "FROM answers GROUP BY run ORDER BY max(written) DESC, run"
        )
        return [RunSummary(*row) for row in rows]

    def pairs(self, run: str) -> list[tuple[str, str, int, int, int, int]]:
        """Dataset, task, answers, unreadable, cut off and failed judgements of each pair."""
        rows = self.rows(
            "SELECT dataset, task, count(*), count(*) FILTER (parse_status = 'failed'), "
            "count(*) FILTER (truncated), count(*) FILTER (judge_status NOT IN ('ok', 'gated')) "
            "FROM answers WHERE run = $run GROUP BY ALL ORDER BY dataset, task",
            run=run,
        )
        return [(str(row[0]), str(row[1]), row[2], row[3], row[4], row[5]) for row in rows]

    def steps(self, run: str) -> list[int]:
        """The rounds of a run, newest first."""
        rows = self.rows("SELECT DISTINCT step FROM answers WHERE run = $run ORDER BY step DESC", run=run)
        return [row[0] for row in rows]

    def groups(
        self,
        run: str,
        *,
        dataset: str | None = None,
        task: str | None = None,
        step: int | None = None,
        order: str = "newest",
        limit: int = 200,
    ) -> list[GroupRow]:
        """The groups of a run that pass the filters; ``order``: newest, oldest, best, worst or spread."""
        rows = self.rows(
            f"""
            SELECT step, group_id, any_value(dataset), any_value(task), any_value(video_id), count(*),
                avg(reward) FILTER (isfinite(reward)) AS mean, max(reward) FILTER (isfinite(reward)) AS best,
                min(reward) FILTER (isfinite(reward)) AS worst,
                avg(judge_mean) FILTER (isfinite(judge_mean)),
                count(*) FILTER (parse_status = 'failed'), any_value(skip_reason)
            FROM answers
            WHERE run = $run AND ($dataset IS NULL OR dataset = $dataset)
                AND ($task IS NULL OR task = $task) AND ($step IS NULL OR step = $step)
            GROUP BY step, group_id ORDER BY {_ORDERS[order]} LIMIT $limit
            """,
            run=run,
            dataset=dataset,
            task=task,
            step=step,
            limit=limit,
        )
        return [GroupRow(*row) for row in rows]

    def group(self, run: str, step: int, group_id: str) -> list[dict[str, Any]]:
        """The whole rows of a group in the order of its answers; empty if there is no such group.

        Raises:
            UserError: If its shard can no longer be read.
        """
        files = self.rows(
            "SELECT DISTINCT file FROM answers WHERE run = $run AND step = $step AND group_id = $group",
            run=run,
            step=step,
            group=group_id,
        )
        rows: list[dict[str, Any]] = []
        for (file,) in files:
            try:
                table = pq.read_table(file, filters=[("group_id", "=", group_id)], partitioning=None)
            except (OSError, pa.ArrowException) as error:
                raise UserError(f"{file}: cannot be read any more ({str(error).splitlines()[0]})") from error
            rows.extend(table.to_pylist())
        return sorted(rows, key=lambda row: int(row["sample_index"]))
