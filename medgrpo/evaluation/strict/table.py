"""What is reported over rows: by dataset and task, by writer of the reference, and pooled over datasets.

A table holds ``n`` rows from ``videos`` source videos, the mean ``score``, the shares of answers that are
``valid`` (exactly the published format), ``parsed`` and, where known, ``truncated``, each quantity of
the task, and ``intervals``: the 95% interval of each under resampling of whole videos.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from medgrpo.evaluation.uncertainty import bootstrap_intervals, video_of
from medgrpo.tasks import TASKS, get_task
from medgrpo.tasks.base import ScoredRow
from medgrpo.tasks.quantities import Quantity, mean

__all__ = ["Table", "by_dataset", "by_task", "origin_of"]

Table = dict[str, Any]


def by_dataset(rows: Sequence[ScoredRow]) -> dict[str, dict[str, Table]]:
    """Dataset to task to table, in the order of names and tasks.

    Captions whose references have known writers hold ``by_origin``: ``gpt`` and ``gemini`` to their table.
    """
    tables: dict[str, dict[str, Table]] = {}
    for dataset, members in sorted(_grouped(rows, lambda row: row.sample.dataset).items(), key=str):
        for task, own in _by_task_rows(members).items():
            table = _table(own)
            origins = _grouped(own, lambda row: origin_of(row.sample.qa_type))
            if set(origins) != {""}:
                table["by_origin"] = {
                    origin or "unnamed": _table(part) for origin, part in sorted(origins.items())
                }
            tables.setdefault(str(dataset), {})[task] = table
    return tables


def by_task(rows: Sequence[ScoredRow]) -> dict[str, Table]:
    """Task to table over all rows, with ``macro``: the mean over datasets of their mean scores."""
    tables: dict[str, Table] = {}
    for task, members in _by_task_rows(rows).items():
        tables[task] = table = _table(members)
        means = [_mean(part) for part in _grouped(members, lambda row: row.sample.dataset).values()]
        table["macro"] = None if None in means else float(np.mean([m for m in means if m is not None]))
    return tables


def origin_of(qa_type: str) -> str:
    """Who wrote the references of a question type: ``gpt``, ``gemini``, or nothing where it is not said."""
    suffix = qa_type.rpartition("_")[2]
    return suffix if suffix in ("gpt", "gemini") else ""


def _by_task_rows(rows: Sequence[ScoredRow]) -> dict[str, list[ScoredRow]]:
    groups = _grouped(rows, lambda row: row.sample.task)
    return {task: groups[task] for task in TASKS if task in groups}


def _grouped(rows: Sequence[ScoredRow], key: Callable[[ScoredRow], str]) -> dict[str, list[ScoredRow]]:
    groups: dict[str, list[ScoredRow]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _table(rows: Sequence[ScoredRow]) -> Table:
    videos: list[Hashable] = [video_of(row.sample) for row in rows]
    quantities = _common(rows) + get_task(rows[0].sample.task).quantities(rows)
    table: Table = {"n": len(rows), "videos": len(set(videos)), "score": None}
    for quantity in quantities:
        value = quantity.value()
        table[quantity.name] = None if np.isnan(value) else value
    table["intervals"] = {name: list(pair) for name, pair in bootstrap_intervals(quantities, videos).items()}
    return table


def _common(rows: Sequence[ScoredRow]) -> list[Quantity]:
    """What every task reports."""
    found = []
    if all(row.score is not None for row in rows):
        found.append(mean("score", [row.score or 0.0 for row in rows]))
    found.append(mean("valid", [row.parsed.valid for row in rows]))
    found.append(mean("parsed", [row.parsed.status != "failed" for row in rows]))
    if all(row.truncated is not None for row in rows):
        found.append(mean("truncated", [bool(row.truncated) for row in rows]))
    return found


def _mean(rows: Sequence[ScoredRow]) -> float | None:
    given = [row.score for row in rows if row.score is not None]
    return sum(given) / len(given) if len(given) == len(rows) else None
