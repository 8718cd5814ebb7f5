"""TAG_mIoU@0.3 and @0.5 as the leaderboard computes them.

Each true span in its order takes the unused answered span of highest IoU; a pair counts if its IoU
reaches the threshold. A record's value is the mean IoU over its pairs alone, so missed and surplus spans
are free; every record counts, an unreadable one as 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from medgrpo.evaluation.official.rows import ColumnLostError, OfficialRow, TaskResult

__all__ = ["parse", "score"]

THRESHOLDS = (0.3, 0.5)

# Python's \d on purpose: the official patterns accept any Unicode digit.
# A number starts where no digit stands before it: the same matches, but long runs of digits or blanks are
# read once and not from each of their characters.
_HYPHEN = re.compile(r"(?<!\d)(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)")
_TO = re.compile(r"(?<!\d)(\d+(?:\.\d+)?)\s*(?:(?:seconds?|s)\s*)?to\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_CLOCK = re.compile(r"(?<!\d)(\d+):(\d+):(\d+(?:\.\d+)?)\s*to\s*(\d+):(\d+):(\d+(?:\.\d+)?)", re.IGNORECASE)

Span = tuple[float, float]


def parse(text: str) -> list[Span]:
    """Hyphenated ranges; only where there is none, "a to b" and clock times."""
    spans = [(float(a), float(b)) for a, b in _HYPHEN.findall(text)]
    if spans:
        return spans
    spans = [(round(float(a), 2), round(float(b), 2)) for a, b in _TO.findall(text)]
    for h1, m1, s1, h2, m2, s2 in _CLOCK.findall(text):
        spans.append((int(h1) * 3600 + int(m1) * 60 + float(s1), int(h2) * 3600 + int(m2) * 60 + float(s2)))
    return spans


def score(rows: Sequence[OfficialRow]) -> TaskResult:
    """Both columns; ``per_record`` is by threshold."""
    values: dict[str, list[float]] = {f"mIoU@{t}": [] for t in THRESHOLDS}
    recalls: dict[str, list[float]] = {f"recall@{t}": [] for t in THRESHOLDS}
    for row in rows:
        fps = row.fps
        truth = [(a * fps, b * fps) for a, b in _truth(row)]
        predicted = [(a * fps, b * fps) for a, b in parse(row.prediction)]
        for t in THRESHOLDS:
            matched = _greedy(truth, predicted, t)
            values[f"mIoU@{t}"].append(sum(matched) / len(matched) if matched else 0.0)
            recalls[f"recall@{t}"].append(len(matched) / len(truth) if truth else 0.0)
    n = len(rows)
    return TaskResult(
        per_record=[dict(zip(values, pair, strict=True)) for pair in zip(*values.values(), strict=True)],
        columns={f"TAG_{name}": sum(v) / n if n else None for name, v in values.items()},
        extra=recalls,
    )


def _truth(row: OfficialRow) -> list[Span]:
    if not isinstance(row.struc_info, list):
        return []
    spans = []
    for item in row.struc_info:
        try:
            # A time given as a string fails here too: the official code multiplies it by a float.
            spans += [(s["start"] * 1.0, s["end"] * 1.0) for s in item.get("spans", [])]
        except (AttributeError, KeyError, TypeError):
            raise ColumnLostError(f"row {row.index}: struc_info holds no readable spans") from None
    return spans


def _iou(a: Span, b: Span) -> float:
    overlap = min(a[1], b[1]) - max(a[0], b[0])
    hull = max(a[1], b[1]) - min(a[0], b[0])
    return overlap / hull if overlap > 0 and hull > 0 else 0.0


def _greedy(truth: Sequence[Span], predicted: Sequence[Span], threshold: float) -> list[float]:
    """IoU of the pairs that reach the threshold."""
    unused = list(range(len(predicted)))
    matched = []
    for span in truth:
        if not unused:
            break
        best = max(unused, key=lambda j: _iou(span, predicted[j]))
        value = _iou(span, predicted[best])
        if value >= threshold:
            unused.remove(best)
            matched.append(value)
    return matched
