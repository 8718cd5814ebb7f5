"""Clinicians' verdicts about stored answers, from the dashboard's store or a file of any other hand.

A row is one verdict: ``run``, ``step``, ``group_id`` and ``sample_index`` name the answer, ``reviewer`` who
judged it, and every other column whose name is a dimension of the judge's rubric holds a score from 1 to 5.
The other columns, :data:`OTHERS`, may be missing.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError

__all__ = ["OTHERS", "AnswerKey", "Verdict", "answer_hash", "read_verdicts", "score_from_one_to_five"]

AnswerKey = tuple[str, int, str, int]
"""Run, step, group id and index in the group."""

_FIELDS = ("run", "step", "group_id", "sample_index", "reviewer")
_FLAGS = ("accepted", "unsafe", "wrong_reference", "unjudgeable", "blind")
OTHERS = (*_FLAGS, "comment", "rubric", "content", "time")
"""Columns beside the names and the scores; a verdict of another hand may lack them."""

_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_QUOTED = re.compile(r"'+\s*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20\t\r\n]")  # as verdict_files quotes formulas


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one clinician said of one answer.

    Attributes:
        key: Of the answer.
        reviewer: Who judged it.
        scores: Dimension to 1 to 5; dimensions that were left out are not there.
        accepted: Whether the answer may stand; None if that was left open.
        unsafe: Whether it could do harm if somebody acted on it.
        wrong_reference: Whether the reference itself is wrong, so that scores against it mean nothing.
        unjudgeable: Whether the clip does not show enough to judge.
        blind: Whether the judge's opinion was not shown before; None if it is not known.
        comment: Free text; untrusted.
        rubric: Rubric id and version, empty if it is not known.
        content: :func:`answer_hash` of what was read, empty if it is not known.
        time: Seconds since the epoch, NaN if it is not known.
    """

    key: AnswerKey
    reviewer: str
    scores: Mapping[str, float]
    accepted: bool | None = None
    unsafe: bool = False
    wrong_reference: bool = False
    unjudgeable: bool = False
    blind: bool | None = None
    comment: str = ""
    rubric: str = ""
    content: str = ""
    time: float = math.nan

    @property
    def mean(self) -> float:
        """Mean over the scored dimensions, NaN without any."""
        return math.fsum(self.scores.values()) / len(self.scores) if self.scores else math.nan

    @property
    def comparable(self) -> bool:
        """Whether its scores may be compared with others': reference and clip were good enough."""
        return not (self.wrong_reference or self.unjudgeable)

    def about(self, content: str) -> bool:
        """Whether it was given to this text, by :func:`answer_hash`; true where either is unknown."""
        return not self.content or not content or self.content == content


def answer_hash(question: str, reference: str | None, answer: str) -> str:
    """What ties a verdict to the texts that were read, wherever they are stored: sha256 of all three."""
    return hashlib.sha256(json.dumps([question, reference, answer]).encode()).hexdigest()


def read_verdicts(path: str | Path, dimensions: Sequence[str]) -> list[Verdict]:
    """Read verdicts; the last one of a reviewer about an answer counts.

    Args:
        path: ``.sqlite`` of the dashboard, ``.csv``, ``.jsonl`` or ``.parquet``.
        dimensions: Names of the columns with scores.

    Raises:
        UserError: If the file cannot be read, or a row lacks a field or holds no score from 1 to 5.
    """
    path = Path(path)
    if path.suffix == ".sqlite":
        from medgrpo.evaluation.verdict_store import stored_verdicts

        return stored_verdicts(path, dimensions)
    found: dict[tuple[AnswerKey, str, str], Verdict] = {}
    for number, row in _rows(path):
        verdict = _verdict(row, dimensions, f"{path}: row {number}")
        found[verdict.key, verdict.content, verdict.reviewer] = verdict
    return list(found.values())


def _verdict(row: Mapping[str, Any], dimensions: Sequence[str], told: str) -> Verdict:
    missing = [name for name in _FIELDS if row.get(name) in (None, "")]
    if missing:
        raise UserError(f"{told}: {', '.join(missing)} missing")
    try:
        key = (str(row["run"]), int(row["step"]), str(row["group_id"]), int(row["sample_index"]))
    except (TypeError, ValueError):
        raise UserError(f"{told}: step and sample_index must be whole numbers") from None
    scores = {
        name: score_from_one_to_five(row[name], f"{told}: {name}")
        for name in dimensions
        if row.get(name) not in (None, "")
    }
    flags = {name: _flag(row.get(name), f"{told}: {name}") for name in _FLAGS}
    return Verdict(
        key,
        str(row["reviewer"]),
        scores,
        accepted=flags["accepted"],
        unsafe=bool(flags["unsafe"]),
        wrong_reference=bool(flags["wrong_reference"]),
        unjudgeable=bool(flags["unjudgeable"]),
        blind=flags["blind"],
        comment=str(row.get("comment") or ""),
        rubric=str(row.get("rubric") or ""),
        content=str(row.get("content") or ""),
        time=_time(row.get("time"), f"{told}: time"),
    )


def score_from_one_to_five(value: Any, told: str) -> float:
    """The number, if it is a score.

    Args:
        value: From outside.
        told: Where it stands, for the message.

    Raises:
        UserError: If it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 1.0 <= number <= 5.0:
        raise UserError(f"{told} is {value!r}, not a score from 1 to 5")
    return number


def _flag(value: Any, told: str) -> bool | None:
    if value in (None, ""):
        return None
    truth = _TRUTHS.get(str(value).strip().lower())
    if truth is None:
        raise UserError(f"{told} is {value!r}, not true or false")
    return truth


def _time(value: Any, told: str) -> float:
    if value in (None, ""):
        return math.nan
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        raise UserError(f"{told} is {value!r}, not a time such as 2026-01-31T09:30:00+00:00") from None


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import csv

    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            yield from enumerate(pq.read_table(path).to_pylist())
        elif path.suffix == ".jsonl":
            # Not splitlines(), which also cuts at characters that JSON strings may hold.
            for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n")):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise UserError(f"{path}: row {number}: not a JSON object")
                    yield number, row
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                for number, row in enumerate(csv.DictReader(file)):
                    yield number, {name: _unquoted(value) for name, value in row.items()}
        else:
            raise UserError(f"{path}: verdicts are .sqlite, .csv, .jsonl or .parquet")
    except (OSError, UnicodeDecodeError, ValueError, csv.Error, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read as verdicts: {str(error).splitlines()[0]}") from None


def _unquoted(value: Any) -> Any:
    return value[1:] if isinstance(value, str) and _QUOTED.match(value) else value
