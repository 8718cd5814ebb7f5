"""STG_mIoU as the leaderboard computes it.

For each true timestamp, the answered box of exactly that time (one decimal); where there is none, or it is
all zeros, the box used for the previous true timestamp. Mean IoU over times, then over records; a NaN
coordinate makes the column NaN.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from medgrpo.evaluation.official.rows import OfficialRow, TaskResult
from medgrpo.tasks.text import as_number

__all__ = ["parse", "score"]

_ENTRY = re.compile(r"(?<!\d)(\d+(?:\.\d+)?)\s+seconds:\s*\[([^\]]*)\]")
_INTEGERS = re.compile(r"\[\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]\]")

Box = tuple[float, float, float, float]
_ZEROS: Box = (0.0, 0.0, 0.0, 0.0)


def parse(text: str, truth_keys: Sequence[str]) -> dict[str, Box]:
    """Boxes by time as text; a bad entry repeats the last good box, in the order of the text.

    Args:
        text: The answer.
        truth_keys: Timestamps as the truth writes them; bare integer boxes are dealt out to them in order.
    """
    found: dict[str, Box] = {}
    entries = _ENTRY.findall(text)
    last: Box | None = None
    for time, inside in entries:
        last = _box(inside) or last
        if last is not None:
            found[str(float(time))] = last
    if not entries:
        for key, numbers in zip(truth_keys, _INTEGERS.findall(text), strict=False):
            x1, y1, x2, y2 = (float(v) for v in numbers)
            found[key] = (x1, y1, x2, y2)
    return found


def score(rows: Sequence[OfficialRow]) -> TaskResult:
    """The column; rows without a valid true box are excluded."""
    values: list[float | None] = []
    for row in rows:
        truth = _truth(row)
        values.append(_record(truth, parse(row.prediction, list(truth))) if truth else None)
    counted = [v for v in values if v is not None]
    column = sum(counted) / len(counted) if counted else 0.0
    return TaskResult(values, {"STG_mIoU": column if rows else None})


def _record(truth: Mapping[str, Box], predicted: Mapping[str, Box]) -> float:
    used = _ZEROS
    total = 0.0
    for key, box in truth.items():
        found = predicted.get(f"{float(key):.1f}", _ZEROS)
        if any(found):
            used = found
        total += _iou(box, used)
    return total / len(truth)


def _truth(row: OfficialRow) -> dict[str, Box]:
    item = row.struc_info
    if isinstance(item, list):
        item = item[0] if item else {}
    table = item.get("bbox_dict", item) if isinstance(item, dict) else {}
    truth = {}
    for key, corners in table.items() if isinstance(table, dict) else ():
        numbers = [as_number(v) for v in corners] if isinstance(corners, list) else []
        box = tuple(v for v in numbers if v is not None)
        if len(numbers) == len(box) == 4 and as_number(key) is not None:
            truth[key] = (box[0], box[1], box[2], box[3])
    return truth


def _box(inside: str) -> Box | None:
    """Four comma-separated numbers as ``float`` reads them, "nan" and "1e2" included."""
    try:
        numbers = [float(part.strip().strip("[]")) for part in inside.split(",")]
    except ValueError:
        return None
    return (numbers[0], numbers[1], numbers[2], numbers[3]) if len(numbers) == 4 else None


def _iou(a: Box, b: Box) -> float:
    if any(math.isnan(v) for v in b):
        return math.nan
    inter = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area_a = max(0.0, a[2] - a[0]) * max(0.0, a[3] - a[1])
    area_b = max(0.0, b[2] - b[0]) * max(0.0, b[3] - b[1])
    return inter / max(area_a + area_b - inter, 1e-6)
