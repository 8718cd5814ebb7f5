"""The tables in memory: numbers of every answer, kept in step with the shards; texts stay on the disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa

from app.index.cache import NumberCache
from app.index.reading import COLUMNS, read_numbers
from app.index.scan import Part
from medgrpo.errors import MissingExtraError, UserError
from medgrpo.rollout.schema import SCHEMA_VERSION

__all__ = ["Tables"]

_TABLES = """
CREATE TABLE shards (shard INTEGER PRIMARY KEY, file VARCHAR, first BIGINT, rows BIGINT, run VARCHAR);
CREATE TABLE answers (
    shard INTEGER, row BIGINT, run VARCHAR, step BIGINT, group_id VARCHAR, sample_index INTEGER,
    dataset VARCHAR, task VARCHAR, video_id VARCHAR, reward DOUBLE, group_std DOUBLE, advantage DOUBLE,
    kept BOOLEAN, skip_reason VARCHAR, parse_status VARCHAR, truncated BOOLEAN, tokens BIGINT,
    surprise DOUBLE, judge_status VARCHAR, judge_mean DOUBLE, similarity DOUBLE, written TIMESTAMPTZ
);
CREATE TABLE parts (
    shard INTEGER, run VARCHAR, step BIGINT, dataset VARCHAR, task VARCHAR, name VARCHAR, normalizer VARCHAR,
    raw DOUBLE, normalised DOUBLE, p25 DOUBLE, p50 DOUBLE, p75 DOUBLE
);
CREATE TABLE groups (
    run VARCHAR, step BIGINT, group_id VARCHAR, dataset VARCHAR, task VARCHAR, video_id VARCHAR,
    answers BIGINT, mean DOUBLE, best DOUBLE, worst DOUBLE, judge_mean DOUBLE, unreadable BIGINT,
    skip_reason VARCHAR, advantage DOUBLE
);
CREATE TABLE gaps (
    run VARCHAR, dataset VARCHAR, task VARCHAR, step BIGINT, group_id VARCHAR, disagreement DOUBLE
);
CREATE TABLE new_answers AS FROM answers;
CREATE TABLE new_parts AS FROM parts;
"""
_LOAD_ANSWERS = """
INSERT INTO new_answers
SELECT shard, row, run, step, group_id, sample_index, dataset, task, video_id, reward, group_std, advantage,
    kept, skip_reason, parse_status, truncated, completion_tokens, -mean_logp, judge.status, judge_mean,
    similarity, wall_time
FROM stored
"""
_LOAD_PARTS = """
INSERT INTO new_parts
SELECT shard, run, step, dataset, task, c.name, c.normalizer, c.raw, c.normalised, c.p25, c.p50, c.p75
FROM (SELECT shard, run, step, dataset, task, unnest(components) AS c FROM stored)
"""
_SUM_UP_GROUPS = """
INSERT INTO groups
SELECT run, step, group_id, any_value(dataset), any_value(task), any_value(video_id), count(*),
    avg(reward) FILTER (isfinite(reward)), max(reward) FILTER (isfinite(reward)),
    min(reward) FILTER (isfinite(reward)), avg(judge_mean) FILTER (isfinite(judge_mean)),
    count(*) FILTER (parse_status = 'failed'), any_value(skip_reason),
    max(abs(advantage)) FILTER (isfinite(advantage))
FROM answers WHERE (run, step) IN (SELECT run, step FROM changed) GROUP BY run, step, group_id
"""
# Ranks are shares of the answers of the same run, dataset and task, ties in their middle, as those of
# medgrpo.evaluation.judge_bias are.
_RANK = """
INSERT INTO gaps
SELECT run, dataset, task, step, group_id, round(max(abs(judged - alike)), 9)
FROM (
    SELECT run, dataset, task, step, group_id,
        (rank() OVER judge / count(*) OVER pair + cume_dist() OVER judge) / 2 AS judged,
        (rank() OVER near / count(*) OVER pair + cume_dist() OVER near) / 2 AS alike,
        count(*) OVER pair AS answers
    FROM answers
    WHERE judge_status = 'ok' AND isfinite(judge_mean) AND isfinite(similarity)
        AND (run, dataset, task) IN (SELECT run, dataset, task FROM changed)
    WINDOW pair AS (PARTITION BY run, dataset, task),
        judge AS (PARTITION BY run, dataset, task ORDER BY judge_mean),
        near AS (PARTITION BY run, dataset, task ORDER BY similarity)
) WHERE answers > 1 GROUP BY run, dataset, task, step, group_id
"""
_CHANGED = "SELECT DISTINCT run, step, dataset, task FROM"
_NOTE_CHANGED = (
    "CREATE OR REPLACE TEMP TABLE changed AS "
    f"{_CHANGED} answers WHERE shard IN (SELECT unnest($gone)) UNION {_CHANGED} new_answers"
)
_FILL = (  # what is empty; to copy a million rows takes half a second
    "DROP TABLE answers",
    "DROP TABLE parts",
    "ALTER TABLE new_answers RENAME TO answers",
    "ALTER TABLE new_parts RENAME TO parts",
    "CREATE TABLE new_answers AS FROM answers LIMIT 0",
    "CREATE TABLE new_parts AS FROM parts LIMIT 0",
)
_SWAP = (
    "DELETE FROM answers WHERE shard IN (SELECT unnest($gone))",
    "DELETE FROM parts WHERE shard IN (SELECT unnest($gone))",
    "DELETE FROM shards WHERE shard IN (SELECT unnest($gone))",
    "DELETE FROM groups WHERE (run, step) IN (SELECT run, step FROM changed)",
    "DELETE FROM gaps WHERE (run, dataset, task) IN (SELECT run, dataset, task FROM changed)",
    "INSERT INTO answers FROM new_answers",
    "INSERT INTO parts FROM new_parts",
    "DELETE FROM new_answers",
    "DELETE FROM new_parts",
)
_NAMED = ("shard", "file", "first", "rows", "run")
_READERS = 2  # more would wait for each other, and for those who build the pages
_ROWS_AT_ONCE = 1 << 18  # much smaller loads cost twice the time, larger ones memory


class Tables:
    """DuckDB tables of what is loaded.

    ``answers`` has a row an answer, ``parts`` one a component of its reward, ``groups`` one a group, ``gaps``
    how far judge and similarity disagree in a group.

    Raises:
        MissingExtraError: If duckdb is not installed.
    """

    def __init__(self) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise MissingExtraError("duckdb", "app") from error
        self._error = duckdb.Error
        self._connection = duckdb.connect(":memory:", config={"preserve_insertion_order": False})
        self._connection.execute(_TABLES)
        self._numbers = count()
        self._cache: NumberCache | None = None
        self._not_kept: dict[Part, int] = {}
        self.loaded: dict[Part, int] = {}

    def keep_in(self, folder: Path) -> None:
        """Have :meth:`keep` use the dashboard's own folder."""
        self._cache = NumberCache(folder, f"{_TABLES}{_LOAD_ANSWERS}{_LOAD_PARTS}{COLUMNS}{SCHEMA_VERSION}")

    def keep(self) -> None:
        """Write down what was read from shards since the last time, if it is much, while others may ask."""
        read, self._not_kept = self._not_kept, {}
        if self._cache is not None:
            self._cache.keep(self._connection.cursor(), read, self._error)

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Ask the tables; parameters are named, ``$run`` for ``run``; an Arrow table is a table to ask."""
        cursor = self._connection.cursor()
        for name in [name for name, value in values.items() if isinstance(value, pa.Table)]:
            cursor.register(name, values.pop(name))
        return cursor.execute(sql, values).fetchall()

    def hold(self, parts: set[Part]) -> tuple[bool, dict[str, str]]:
        """Load what is missing and drop what is too much, in one go for those who ask meanwhile.

        Returns:
            Whether anything changed, and the files that could not be read, with the reason.
        """
        gone = [part for part in self.loaded if part not in parts]
        new = sorted((part for part in parts if part not in self.loaded), key=lambda p: (p.file, p.first))
        if not gone and not new:
            return False, {}
        cursor = self._connection.cursor()
        loaded, problems = self._load(cursor, new)
        cursor.execute("BEGIN")
        for statement in (_NOTE_CHANGED, *(_SWAP if self.loaded else _FILL), _SUM_UP_GROUPS, _RANK):
            named = {"gone": [self.loaded[part] for part in gone]} if "$gone" in statement else {}
            cursor.execute(statement, named)
        cursor.execute("COMMIT")
        kept = {part: number for part, number in self.loaded.items() if part in parts}
        self.loaded = kept | loaded  # a new one, since others may be going through the old
        return bool(gone or loaded), problems

    def _load(self, cursor: Any, parts: Iterable[Part]) -> tuple[dict[Part, int], dict[str, str]]:
        """Fill ``new_answers`` and ``new_parts``, from the cache as far as it reaches."""
        numbered = {part: next(self._numbers) for part in parts}
        cursor.execute("DELETE FROM new_answers")  # left by a refresh that failed
        cursor.execute("DELETE FROM new_parts")
        cached = set() if self._cache is None else self._cache.stage(cursor, numbered, self._error)
        read, problems = self._read(cursor, {p: n for p, n in numbered.items() if p not in cached})
        self._not_kept |= read
        loaded = {part: numbered[part] for part in cached} | read
        self._name(cursor, loaded)
        return loaded, problems

    def _read(self, cursor: Any, numbered: Mapping[Part, int]) -> tuple[dict[Part, int], dict[str, str]]:
        files: dict[str, dict[Part, int]] = defaultdict(dict)
        for part, number in numbered.items():
            files[part.file][part] = number
        loaded: dict[Part, int] = {}
        problems: dict[str, str] = {}
        with ThreadPoolExecutor(_READERS) as readers:
            for some in _loads(files):
                tables = []
                for (file, of_file), read in zip(some.items(), readers.map(_try, some.items()), strict=True):
                    if isinstance(read, UserError):
                        problems[file] = str(read)
                    else:
                        tables.append(read)
                        loaded |= of_file
                self._stage(cursor, tables)
        return loaded, problems

    def _stage(self, cursor: Any, read: Sequence[pa.Table]) -> None:
        if not read:
            return
        cursor.register("stored", pa.concat_tables(read))
        cursor.execute(_LOAD_ANSWERS)
        cursor.execute(_LOAD_PARTS)
        cursor.unregister("stored")

    def _name(self, cursor: Any, numbered: Mapping[Part, int]) -> None:
        rows = [(number, p.file, p.first, p.rows, p.run) for p, number in numbered.items()]
        if rows:  # one table: a statement a row takes a millisecond each
            cursor.register("named", pa.table(dict(zip(_NAMED, zip(*rows, strict=True), strict=True))))
            cursor.execute("INSERT INTO shards BY NAME FROM named")
            cursor.unregister("named")


def _loads(files: Mapping[str, dict[Part, int]]) -> Iterator[dict[str, dict[Part, int]]]:
    """Files that are loaded together."""
    some: dict[str, dict[Part, int]] = {}
    rows = 0
    for file, numbered in files.items():
        some[file] = numbered
        rows += sum(part.rows for part in numbered)
        if rows >= _ROWS_AT_ONCE:
            yield some
            some, rows = {}, 0
    if some:
        yield some


def _try(file: tuple[str, dict[Part, int]]) -> pa.Table | UserError:
    try:
        return read_numbers(*file)
    except UserError as error:
        return error
