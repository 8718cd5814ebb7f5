"""What is scored: records of a file with their predictions, and what had to be set aside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medgrpo.data.fields import FieldError
from medgrpo.data.json_rows import RawRow
from medgrpo.data.lazy_records import Records
from medgrpo.data.media import MediaPaths
from medgrpo.data.records import parse_record
from medgrpo.errors import UserError
from medgrpo.evaluation.predictions import Defect, align
from medgrpo.evaluation.rows import Named, Record, name_of, qa_type_problem
from medgrpo.services.files import write_whole
from medgrpo.tasks import get_task
from medgrpo.types import Sample

__all__ = ["ScoringInput", "load_scoring_input", "unread_rows", "write_quarantine"]


@dataclass(frozen=True, slots=True)
class ScoringInput:
    """Records and predictions that fit, in the order of the records.

    Attributes:
        records: Raw rows under the official protocol, samples under the strict one.
        entries: The prediction of each.
        defects: What was set aside, if that was asked for.
    """

    records: Sequence[Record]
    entries: Sequence[Mapping[str, Any]]
    defects: Sequence[Defect] = field(default_factory=tuple)


def unread_rows(records: Records, problems: Mapping[int, str], field: str = "video") -> list[Defect]:
    """The rows that have no answer of a model, as defects.

    Args:
        records: What it was to be asked.
        problems: Why their frames cannot be read, or why no answer came, by position in ``records``.
        field: What is missing.
    """
    return [
        Defect("records", int(records.rows[position]), field, problem, records.raw(position))
        for position, problem in sorted(problems.items(), key=lambda item: records.rows[item[0]])
    ]


def write_quarantine(defects: Sequence[Defect], path: str | Path) -> dict[str, Any]:
    """Write what was set aside, one JSON object a line, and count it for ``scores.json``."""
    lines = [
        json.dumps(
            {"file": d.file, "row": d.row, "field": d.field, "problem": d.problem, "content": d.content},
            ensure_ascii=False,
        )
        for d in defects
    ]
    write_whole(path, "".join(line + "\n" for line in lines))
    counts = {name: sum(d.file == name for d in defects) for name in ("records", "predictions")}
    return {"rows": len(defects), **counts, "file": str(path)}


def load_scoring_input(
    rows: Iterable[RawRow | Sample],
    entries: Sequence[Any],
    protocol: str,
    media: MediaPaths,
    *,
    quarantine: bool = False,
) -> ScoringInput:
    """Check records and predictions and bring them together.

    Args:
        rows: Of a records file, or samples, which count as checked.
        entries: Of a predictions file.
        protocol: ``official`` keeps the rows as they are, which is how its scorer sees them; ``strict`` reads
            them as samples and needs their ground truth.
        media: Where frames and videos are; they are not touched.
        quarantine: Set defective rows aside instead of stopping at the first.

    Raises:
        UserError: At the first defect, naming file, row and field; with ``quarantine`` only where
            predictions without keys are not as many as the records.
    """
    defects: list[Defect] = []
    records: list[Record | None] = []
    names: list[Named] = []
    for row in rows:
        record, defect = (row, None) if isinstance(row, Sample) else _checked(row, protocol, media)
        records.append(record)
        names.append(row if isinstance(row, Sample) else name_of(row.value, row.row))
        if defect is not None:
            defects.append(defect)
    aligned = align(names, entries)
    defects += aligned.defects
    if defects and not quarantine:
        more = len(defects) - 1
        raise UserError(f"{defects[0]}" + (f" (and {more} more)" if more else ""))
    kept = [(r, e) for r, e in zip(records, aligned.entries, strict=True) if r is not None and e is not None]
    return ScoringInput([r for r, _ in kept], [e for _, e in kept], defects)


def _checked(row: RawRow, protocol: str, media: MediaPaths) -> tuple[Record | None, Defect | None]:
    """A record that can be scored, or why it cannot."""

    def defect(field: str, problem: str) -> tuple[None, Defect]:
        return None, Defect("records", row.row, field, problem, row.value)

    if row.problem is not None:
        return defect("", row.problem)
    if protocol == "official":
        problem = qa_type_problem(row.value)
        return (row.value, None) if problem is None else defect("qa_type", problem)
    try:
        sample = parse_record(row.value, row.row, media)
    except FieldError as error:
        return defect(error.field, error.problem)
    if get_task(sample.task).truth(sample) is None:
        return defect("struc_info", "no ground truth, which strict scoring needs (the test split has none)")
    return sample, None
