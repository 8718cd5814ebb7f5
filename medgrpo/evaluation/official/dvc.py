"""DVC_F1 and DVC_llm as the leaderboard computes them.

F1: overlapping answers are cut into elementary intervals, times are multiplied by the frame rate and
truncated to integers, and a span counts if its IoU with any counterpart is strictly above the threshold
(many to many); precision and recall are averaged over the thresholds first. Rows without an answer or
without truth are excluded; sources are weighted by all of their rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from medgrpo.evaluation.official.captions import CaptionPair, JudgedPairs
from medgrpo.evaluation.official.rows import ColumnLostError, OfficialRow, TaskResult

__all__ = ["caption_pairs", "parse", "score"]

THRESHOLDS = (0.3, 0.5, 0.7)

_HEADER = r"\d+(?:\.\d+)?-\d+(?:\.\d+)?\s+seconds?:"
_SEGMENT = re.compile(
    # From the first digit of a run, as everywhere: see tal.
    rf"(?<!\d)(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)\s+seconds?:\s+(.+?)(?=\n{_HEADER}|\Z)",
    re.DOTALL,
)
_LINE = re.compile(
    r"(?:^|start(?:\s+time)?\W{0,8})\s*(\d+(?:\.\d+)?)\s*[-\u2013]\s*(\d+(?:\.\d+)?)\s*seconds?"
    r".*?(?:-|\*\*Description:\*\*)\s*(.+)",
    re.IGNORECASE,
)

Event = tuple[float, float, str]


def parse(text: str) -> list[Event]:
    """(start, end, caption) of each event, identical spans once; one event a line only where that fails."""
    found = _SEGMENT.findall(text)
    if not found:
        found = [m.groups() for line in text.split("\n") if (m := _LINE.search(line))]
    events: dict[tuple[float, float], str] = {}
    for start, end, caption in found:
        events.setdefault((float(start), float(end)), caption.strip())
    return [(start, end, caption) for (start, end), caption in events.items()]


def score(rows: Sequence[OfficialRow], judged: JudgedPairs | None = None) -> TaskResult:
    """Both columns; ``per_record`` is the F1."""
    values: list[float | None] = []
    precisions: list[float | None] = []
    recalls: list[float | None] = []
    for row in rows:
        truth, predicted = _truth(row), parse(row.prediction)
        if not truth or not predicted:
            values.append(None)
            precisions.append(None)
            recalls.append(None)
            continue
        precision, recall = _precision_recall(_discrete(truth, row), _discrete(_flattened(predicted), row))
        precisions.append(precision)
        recalls.append(recall)
        values.append(2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0)
    by_row = {row.index: value for row, value in zip(rows, values, strict=True)}

    def source_f1(members: Sequence[OfficialRow]) -> float:
        counted = [v for row in members if (v := by_row[row.index]) is not None]
        return sum(counted) / len(counted) if counted else 0.0

    columns = {"DVC_F1": _by_source(rows, source_f1), "DVC_llm": None}
    if judged is not None:
        columns["DVC_llm"] = _by_source(rows, lambda members: _source_llm(members, judged))
    return TaskResult(values, columns, {"precision": precisions, "recall": recalls})


def caption_pairs(row: OfficialRow) -> dict[float, list[CaptionPair]]:
    """By IoU threshold, each answered caption with that of its best true event, in seconds and uncut."""
    pairs: dict[float, list[CaptionPair]] = {t: [] for t in THRESHOLDS}
    truth = _truth(row)
    for start, end, caption in parse(row.prediction):
        overlaps = [_iou((start, end), (a, b)) for a, b, _ in truth]
        best = max(range(len(truth)), key=overlaps.__getitem__, default=None)
        for t in THRESHOLDS:
            if best is not None and overlaps[best] >= t:
                pairs[t].append(CaptionPair.of(row, truth[best][2], caption))
    return pairs


def _by_source(rows: Sequence[OfficialRow], value: Callable[[Sequence[OfficialRow]], float]) -> float | None:
    """Mean of a source's value weighted by all of its rows."""
    sources: dict[str, list[OfficialRow]] = {}
    for row in rows:
        sources.setdefault(row.source, []).append(row)
    total = sum(value(members) * len(members) for members in sources.values())
    return total / len(rows) if rows else None


def _source_llm(rows: Sequence[OfficialRow], judged: JudgedPairs) -> float:
    """Mean over the thresholds that have judged pairs; 0 for a source without any."""
    per_row = [caption_pairs(row) for row in rows]
    means = []
    for t in THRESHOLDS:
        mean = judged.mean([pair for pairs in per_row for pair in pairs[t]])
        if mean is not None:
            means.append(mean)
    return sum(means) / len(means) if means else 0.0


def _truth(row: OfficialRow) -> list[Event]:
    info: Any = row.struc_info
    events = info if isinstance(info, list) else [info]
    if events and isinstance(events[0], list):
        events = events[0]
    elif events and isinstance(events[0], Mapping) and "dc_segments" in events[0]:
        events = events[0]["dc_segments"]
    try:
        return [
            (float(e["start"]), float(e["end"]), str(e["caption"]))
            for e in events
            if isinstance(e, Mapping) and {"start", "end", "caption"} <= e.keys()
        ]
    except (TypeError, ValueError):
        raise ColumnLostError(f"row {row.index}: a time in struc_info is not a number") from None


def _flattened(events: Sequence[Event]) -> list[Event]:
    """The events as they are, or, where any two overlap, all cut into elementary intervals."""
    ordered = sorted(events, key=lambda e: e[0])
    if not any(a[1] > b[0] for a, b in pairwise(ordered)):
        return list(events)
    edges = sorted({edge for start, end, _ in events for edge in (start, end)})
    cut = []
    for left, right in pairwise(edges):
        covering = [e for e in events if e[0] <= left and e[1] >= right]
        if covering:
            cut.append((left, right, max(covering, key=lambda e: e[1] - e[0])[2]))
    return cut


def _discrete(events: Sequence[Event], row: OfficialRow) -> list[tuple[int, int]]:
    """Spans in truncated frame counts."""
    fps = row.fps
    spans = [(start * fps, end * fps) for start, end, _ in events]
    # The official code keeps the counts in 64-bit integers.
    if any(not abs(v) < 2.0**63 for span in spans for v in span):
        raise ColumnLostError(f"row {row.index}: a time is too large for an integer")
    return [(int(start), int(end)) for start, end in spans]


def _iou(a: tuple[float, float], b: tuple[float, float]) -> float:
    overlap = min(a[1], b[1]) - max(a[0], b[0])
    hull = max(a[1], b[1]) - min(a[0], b[0])
    return overlap / hull if overlap > 0 and hull > 0 else 0.0


def _precision_recall(
    truth: Sequence[tuple[int, int]], predicted: Sequence[tuple[int, int]]
) -> tuple[float, float]:
    if not predicted:
        return 0.0, 0.0
    left = [(min(s), max(s)) for s in truth]
    right = [(min(s), max(s)) for s in predicted]
    overlaps = [[_iou(a, b) for b in right] for a in left]
    precision = recall = 0.0
    for t in THRESHOLDS:
        precision += sum(any(line[j] > t for line in overlaps) for j in range(len(right))) / len(right)
        recall += sum(any(value > t for value in line) for line in overlaps) / len(left)
    return precision / len(THRESHOLDS), recall / len(THRESHOLDS)
