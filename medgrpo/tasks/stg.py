"""Spatio-temporal grounding (``stg``): where is a tool, every k seconds from a to b?

Question (paraphrased): persona and domain, "give the boxes of the forceps every 4 seconds from 1 to 7".
Answer: one entry for each requested time on one line, corners in absolute pixels of the canvas::

    1.0 seconds: [235.08, 261.2, 561.58, 1005.62] 5.0 seconds: [240.0, 260.5, 566.1, 1001.3]

Metric ``stg_viou@1`` ("vIoU-strict"): mean over the true timestamps of the IoU with the nearest answered
time within half the requested step; an answered time serves one true timestamp, nothing is carried
forward, a missing one is 0. Coordinates are never rescaled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from medgrpo.tasks import boxes
from medgrpo.tasks.base import Parsed, ScoredRow, Task
from medgrpo.tasks.boxes import Corners
from medgrpo.tasks.closeness import Closeness
from medgrpo.tasks.quantities import Quantity, mean, ratio
from medgrpo.tasks.text import CLOCK_OR_SECONDS, SECONDS, UNIT, as_number, first_item, seconds, unify_dashes
from medgrpo.types import Sample

__all__ = ["THRESHOLDS", "SpatioTemporalGrounding", "assign_times", "requested_step"]

THRESHOLDS = (0.3, 0.5, 0.7)
"""IoU thresholds of the success rates."""

_NUMBER = r"[+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:e[+-]?[0-9]{1,2})?"
_COMMA = r"(?:\s*[,;]\s*|\s+)"
_ENTRY = rf"{SECONDS} seconds: \[{_NUMBER}(?:, ?{_NUMBER}){{3}}\]"
_PUBLISHED = re.compile(rf"\s*{_ENTRY}(?:\s+{_ENTRY})*\s*")
_LOOSE = re.compile(
    rf"(?<![\w.:/-])(?P<time>{CLOCK_OR_SECONDS})[\"']?(?:\s*{UNIT}[\"']?)?(?:\s*[:=])?\s*"
    r"(?:[\[(]\s*){1,3}(?=(?P<box>[^\[\](){}]{1,200}))",
    re.IGNORECASE,
)
# After the four corners either the entry ends, or its bracket was forgotten and the next entry begins.
_CORNERS = re.compile(
    rf"\s*{_COMMA.join([f'({_NUMBER})'] * 4)}\s*,?\s*(?:$|{SECONDS}\s*{UNIT})",
    re.IGNORECASE,
)
_EVERY = re.compile(rf"every\s+({SECONDS})\s*{UNIT}", re.IGNORECASE)


class SpatioTemporalGrounding(Task):
    """STG; a structure is a list of ``{"time": seconds, "box": [x1, y1, x2, y2]}`` sorted by time."""

    name: ClassVar[str] = "stg"
    qa_types: ClassVar[tuple[str, ...]] = ("stg",)
    forms: ClassVar[tuple[str, ...]] = (
        "Give the boxes of the {tool} every {step} seconds from {start} to {end} seconds.",
        "Where is the {tool} every {step} seconds from {start} to {end} seconds?",
    )
    metric: ClassVar[str | None] = "stg_viou@1"
    max_new_tokens: ClassVar[int] = 1024
    localisation: ClassVar[bool] = True

    def truth(self, sample: Sample) -> list[dict[str, Any]] | None:
        """The valid boxes of ``bbox_dict`` (in a list, bare, or the dictionary itself), else of the text."""
        item = first_item(sample.truth)
        table = item.get("bbox_dict", item) if isinstance(item, dict) else None
        entries = []
        for key, corners in table.items() if isinstance(table, dict) else ():
            time = as_number(key)
            box = [as_number(v) for v in corners] if isinstance(corners, list) else []
            numbers = [v for v in box if v is not None]
            if time is not None and len(box) == len(numbers) == 4 and boxes.proper(numbers):
                entries.append({"time": time, "box": numbers})
        if entries:
            return sorted(entries, key=lambda e: float(e["time"]))
        return self.parse(sample.answer).value if sample.answer is not None else None

    def write(self, truth: Any) -> str:
        """``1.0 seconds: [235.08, 261.2, 561.58, 1005.62] 5.0 seconds: [...]``, two decimals at most."""
        return " ".join(
            f"{e['time']:.1f} seconds: [{', '.join(repr(round(float(v), 2)) for v in e['box'])}]"
            for e in truth
        )

    def parse(self, text: str, sample: Sample | None = None) -> Parsed:
        """Timed boxes in any common bracketing; entries without four numbers that make a box are ignored."""
        del sample
        plain = unify_dashes(text)
        entries: dict[float, list[float]] = {}
        notes = []
        for m in _LOOSE.finditer(plain):
            corners = _CORNERS.match(m["box"])
            box = [float(v) for v in corners.groups()] if corners else []
            if not boxes.proper(box):
                notes.append("entry without a valid box ignored")
                continue
            time = seconds(m["time"])
            if time in entries:
                notes.append("repeated time: the last box counts")
            entries[time] = box
        if not entries:
            return Parsed(None, "failed", tuple(dict.fromkeys(notes)) or ("no timed box",))
        if all(abs(v) <= 1.0 for box in entries.values() for v in box):
            notes.append("coordinates look normalised; they were not rescaled")
        if not _PUBLISHED.fullmatch(text):
            notes.append("not the published form")
        value = [{"time": time, "box": entries[time]} for time in sorted(entries)]
        return Parsed(value, "repaired" if notes else "ok", tuple(dict.fromkeys(notes)))

    def accuracy(self, value: Any, truth: Any, sample: Sample) -> float:
        """Strict vIoU, see the module's documentation."""
        return _mean(_measured(truth, value, sample, boxes.iou))

    def closeness(self, value: Any, truth: Any, sample: Sample, measure: Closeness) -> float:
        """As the metric, with the measure in the place of IoU; a true time without an answer is 0."""
        return _mean(_measured(truth, value, sample, measure.boxes))

    def quantities(self, rows: Sequence[ScoredRow]) -> list[Quantity]:
        """When as well as where.

        ``temporal_coverage`` is the share of true times that were answered, ``temporal_precision`` the share
        of answered times that are true ones, ``viou`` the summed IoU over the union of both times (mean of
        rows), ``success@t`` the share of true boxes answered with IoU of at least t.
        """
        overlaps = [_measured(row.truth, row.parsed.value or [], row.sample, boxes.iou) for row in rows]
        hits = [[v for v in values if v is not None] for values in overlaps]
        matched = [len(values) for values in hits]
        true = [len(values) for values in overlaps]
        answered = [len(row.parsed.value or []) for row in rows]
        union = [t + a - m for t, a, m in zip(true, answered, matched, strict=True)]
        return [
            ratio("temporal_coverage", matched, true),
            ratio("temporal_precision", matched, answered),
            mean("viou", [sum(values) / u if u else 1.0 for values, u in zip(hits, union, strict=True)]),
            *(ratio(f"success@{t}", [sum(v >= t for v in vs) for vs in hits], true) for t in THRESHOLDS),
        ]


def _measured(
    truth: Any, value: Any, sample: Sample, measure: Callable[[Corners, Corners], float]
) -> list[float | None]:
    """For each true box what it has with the box answered for that time, None where there is none."""
    times = [e["time"] for e in truth]
    nearest = assign_times(times, [e["time"] for e in value], requested_step(times, sample) / 2.0)
    return [
        None if j is None else measure(e["box"], value[j]["box"]) for e, j in zip(truth, nearest, strict=True)
    ]


def _mean(values: Sequence[float | None]) -> float:
    return sum(v for v in values if v is not None) / len(values) if values else 0.0


def requested_step(times: Sequence[float], sample: Sample) -> float:
    """Seconds between requested timestamps: the smallest gap of the truth, else what the question says.

    Args:
        times: The true timestamps in ascending order.
        sample: For its question, and for the sampling period of its frames when the question is silent.
    """
    gaps = [b - a for a, b in pairwise(times) if b > a]
    if gaps:
        return min(gaps)
    said = _EVERY.search(sample.question)
    step = float(said[1]) if said else 0.0
    return step if step > 0.0 else 1.0 / sample.clip.fps


def assign_times(truth: Sequence[float], predicted: Sequence[float], tolerance: float) -> list[int | None]:
    """For each true time the index of its nearest predicted time within the tolerance (seconds), else None.

    A predicted time belongs to the true time that is nearest to it (the earlier one on a tie), so that it
    is never used twice.
    """
    best: list[int | None] = [None] * len(truth)
    slack = 1e-9 * max(1.0, tolerance)
    for j, time in enumerate(predicted):
        i = min(range(len(truth)), key=lambda k: (abs(truth[k] - time), k), default=None)
        if i is None or abs(truth[i] - time) > tolerance + slack:
            continue
        held = best[i]
        if held is None or abs(predicted[held] - truth[i]) > abs(time - truth[i]):
            best[i] = j
    return best
