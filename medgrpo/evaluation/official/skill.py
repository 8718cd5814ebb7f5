"""SA_acc as the leaderboard computes it.

A row counts if its answer holds some ``n/5`` and a true skill level can be had. One aspect is read from
each comma-separated part, its name spelled exactly as in the truth; averages are those of CVS_acc.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from medgrpo.evaluation.official.grades import grade_columns
from medgrpo.evaluation.official.rows import ColumnLostError, OfficialRow, TaskResult

__all__ = ["parse", "score"]

_ANY_RATING = re.compile(r"\d/5")
_RATING = re.compile(r"(?<![^:])([^:]+):\s*(\d+)/5")


def parse(text: str) -> dict[str, int]:
    """Ratings by aspect name, the first of each part."""
    found = {}
    for part in text.split(","):
        if m := _RATING.search(part):
            found[m[1].strip()] = int(m[2])
    return found


def score(rows: Sequence[OfficialRow]) -> TaskResult:
    """The column; skipped rows and rows in which no aspect was read have no value."""
    hits: list[dict[str, bool]] = []
    skipped = []
    for row in rows:
        row.require_video_id()
        item = row.struc_info[0] if isinstance(row.struc_info, list) and row.struc_info else row.struc_info
        info = item if isinstance(item, dict) else {}
        skip = not _ANY_RATING.search(row.prediction)
        skip = skip or not (info.get("skill_level") or _ANY_RATING.search(row.reference))
        skipped.append(skip)
        try:
            truth = info.get("skill_scores") or parse(row.reference)
            given = {} if skip else parse(row.prediction)
        except ValueError:
            raise ColumnLostError(f"row {row.index}: a number is too large for an integer") from None
        if not isinstance(truth, dict) or any(isinstance(v, str) for v in truth.values()):
            raise ColumnLostError(f"row {row.index}: skill_scores holds no numbers")
        hits.append({name: value == truth[name] for name, value in given.items() if name in truth})
    result = grade_columns(rows, hits, "SA_acc")
    return TaskResult(result.per_record, result.columns, {**result.extra, "row_skipped": skipped})
