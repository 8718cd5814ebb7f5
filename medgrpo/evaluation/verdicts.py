"""Clinicians' verdicts about stored answers, from a file of the dashboard's or of any other hand.

A row is one verdict: ``run``, ``step``, ``group_id`` and ``sample_index`` name the answer, ``reviewer`` who
judged it, and every other column whose name is a dimension of the judge's rubric holds a score from 1 to 5.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError

__all__ = ["AnswerKey", "Verdict", "read_verdicts"]

AnswerKey = tuple[str, int, str, int]
"""Run, step, group id and index in the group."""

_FIELDS = ("run", "step", "group_id", "sample_index", "reviewer")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One clinician's scores of one answer.

    Attributes:
        key: Of the answer.
        reviewer: Who judged it.
        scores: Dimension to 1 to 5; dimensions that were left out are not there.
    """

    key: AnswerKey
    reviewer: str
    scores: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Mean over the scored dimensions, NaN without any."""
        return math.fsum(self.scores.values()) / len(self.scores) if self.scores else math.nan


def read_verdicts(path: str | Path, dimensions: Sequence[str]) -> list[Verdict]:
    """Read verdicts; the last one of a reviewer about an answer counts.

    Args:
        path: ``.csv``, ``.jsonl`` or ``.parquet``.
        dimensions: Names of the columns with scores.

    Raises:
        UserError: If the file cannot be read, or a row lacks a field or holds no score from 1 to 5.
    """
    found: dict[tuple[AnswerKey, str], Verdict] = {}
    for number, row in _rows(Path(path)):
        missing = [name for name in _FIELDS if row.get(name) in (None, "")]
        if missing:
            raise UserError(f"{path}: row {number}: {', '.join(missing)} missing")
        try:
            key = (str(row["run"]), int(row["step"]), str(row["group_id"]), int(row["sample_index"]))
        except (TypeError, ValueError):
            raise UserError(f"{path}: row {number}: step and sample_index must be whole numbers") from None
        scores = {
            name: _score(row[name], f"{path}: row {number}: {name}")
            for name in dimensions
            if row.get(name) not in (None, "")
        }
        reviewer = str(row["reviewer"])
        found[key, reviewer] = Verdict(key, reviewer, scores)
    return list(found.values())


def _score(value: Any, told: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 1.0 <= number <= 5.0:
        raise UserError(f"{told} is {value!r}, not a score from 1 to 5")
    return number


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import csv

    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            yield from enumerate(pq.read_table(path).to_pylist())
        elif path.suffix == ".jsonl":
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            for number, line in enumerate(lines):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise UserError(f"{path}: row {number}: not a JSON object")
                    yield number, row
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield from enumerate(csv.DictReader(file))
        else:
            raise UserError(f"{path}: verdicts are .csv, .jsonl or .parquet")
    except (OSError, UnicodeDecodeError, ValueError, csv.Error, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read as verdicts: {str(error).splitlines()[0]}") from None
