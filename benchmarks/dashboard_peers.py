"""The dashboard's questions asked of the same rollouts in one SQLite file and in JSON lines.

The SQLite file is what one would make of it: a row an answer with its numbers and texts, indexed by group,
by dataset and task, by step and by reward. JSON lines are read from the first to the last for each question;
they are made of a part of the rollouts, and their time is scaled to all.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.generated_rollouts import RARE
from medgrpo.rollout.store import find_shards

__all__ = ["jsonl_times", "sqlite_times"]

_NUMBERS = (
    "run",
    "step",
    "group_id",
    "sample_index",
    "dataset",
    "task",
    "parse_status",
    "reward",
    "advantage",
)
_TEXTS = ("question", "reference_text", "completion_text")
_COLUMNS = (*_NUMBERS, *_TEXTS, "judge", "components")
_GROUPS = "SELECT run, step, group_id, avg(reward) AS mean, max(reward), min(reward) FROM answers"
_QUESTIONS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "list": (
        f"{_GROUPS} WHERE dataset = ? AND task = ? GROUP BY run, step, group_id ORDER BY mean DESC LIMIT 200",
        ("AVOS", "tal"),
    ),
    "text": (
        f"{_GROUPS} WHERE reference_text LIKE ? OR question LIKE ? OR completion_text LIKE ? "
        "GROUP BY run, step, group_id LIMIT 200",
        (f"%{RARE}%",) * 3,
    ),
    "open": (
        "SELECT * FROM answers WHERE run = ? AND step = ? AND group_id = ?",
        ("run-0", 0, "000000-0000"),
    ),
}
_JSONL_SHARDS = 40


def sqlite_times(root: Path, file: Path) -> dict[str, float]:
    """Seconds to make the file, its bytes, and seconds for a list, a search in texts and a group."""
    start = time.perf_counter()
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"CREATE TABLE answers ({', '.join(_COLUMNS)})")
        for table in _tables(root):
            rows = zip(*(_plain(table[name]) for name in _COLUMNS), strict=True)
            with database:
                database.executemany(f"INSERT INTO answers VALUES ({','.join('?' * len(_COLUMNS))})", rows)
        for columns in ("run, step, group_id", "dataset, task", "step", "reward"):
            database.execute(f"CREATE INDEX [{columns}] ON answers ({columns})")
        database.execute("ANALYZE")
        database.commit()
        found = {"make": time.perf_counter() - start, "bytes": float(file.stat().st_size)}
        for name, (sql, values) in _QUESTIONS.items():
            found[name] = _median(lambda sql=sql, values=values: database.execute(sql, values).fetchall())
    return found


def jsonl_times(root: Path, file: Path) -> dict[str, float]:
    """The same of JSON lines, scaled from a part of the shards."""
    shards = len(find_shards(root))
    scale = shards / min(shards, _JSONL_SHARDS)
    start = time.perf_counter()
    with file.open("w", encoding="utf-8") as lines:
        for table in _tables(root, _JSONL_SHARDS):
            lines.writelines(json.dumps(row) + "\n" for row in table.to_pylist())
    found = {"make": scale * (time.perf_counter() - start), "bytes": scale * file.stat().st_size}
    questions: dict[str, Callable[[dict[str, Any]], bool]] = {
        "list": lambda row: row["dataset"] == "AVOS" and row["task"] == "tal",
        "text": lambda row: any(RARE in row[name] for name in _TEXTS),
        "open": lambda row: row["group_id"] == "000000-0000" and row["run"] == "run-0",
    }
    for name, wanted in questions.items():
        start = time.perf_counter()
        with file.open(encoding="utf-8") as lines:
            passing = [row for row in map(json.loads, lines) if wanted(row)]
        passing.sort(key=lambda row: -row["reward"])
        found[name] = scale * (time.perf_counter() - start)
    return found


def _tables(root: Path, most: int | None = None) -> Iterator[pa.Table]:
    for path in find_shards(root)[:most]:
        yield pq.read_table(path, columns=list(_COLUMNS), partitioning=None)


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Values that SQLite can hold; structures as JSON text."""
    values = column.to_pylist()
    return [json.dumps(value) for value in values] if pa.types.is_nested(column.type) else values


def _median(ask: Callable[[], object], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - start)
    return median(taken)
