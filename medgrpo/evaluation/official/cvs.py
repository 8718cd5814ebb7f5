"""CVS_acc as the leaderboard computes it.

One criterion is read from each comma-separated part. A criterion's accuracy is over the rows in which it
was read; a source's value is the mean over the criteria read at least once; the column is the unweighted
mean over sources.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from medgrpo.evaluation.official.grades import grade_columns
from medgrpo.evaluation.official.rows import ColumnLostError, OfficialRow, TaskResult

__all__ = ["parse", "score"]

_CRITERIA = {
    "two_structures": re.compile(r"two structures:\s*(\d+)"),
    "cystic_plate": re.compile(r"cystic plate:\s*(\d+)"),
    "hepatocystic_triangle": re.compile(r"hepatocystic triangle:\s*(\d+)"),
}


def parse(text: str) -> dict[str, int]:
    """Scores by criterion; each part gives at most the first criterion that it names."""
    found = {}
    for part in text.lower().split(","):
        for name, pattern in _CRITERIA.items():
            if name.replace("_", " ") in part:
                if m := pattern.search(part):
                    found[name] = int(m[1])
                break
    return found


def score(rows: Sequence[OfficialRow]) -> TaskResult:
    """The column; a row in which nothing was read has no value."""
    hits: list[dict[str, bool]] = []
    for row in rows:
        row.require_video_id()
        truth = _truth(row)
        try:
            given = parse(row.prediction)
        except ValueError:
            raise ColumnLostError(f"row {row.index}: a number is too large for an integer") from None
        hits.append({name: value == truth[name] for name, value in given.items() if name in truth})
    return grade_columns(rows, hits, "CVS_acc")


def _truth(row: OfficialRow) -> dict[str, int]:
    item = row.struc_info[0] if isinstance(row.struc_info, list) and row.struc_info else row.struc_info
    scores = item.get("cvs_scores") if isinstance(item, dict) else None
    if not scores:
        return parse(row.reference)
    if not isinstance(scores, dict) or any(isinstance(v, str) for v in scores.values()):
        raise ColumnLostError(f"row {row.index}: cvs_scores holds no numbers")
    return {name: scores[name] for name in _CRITERIA if name in scores}
