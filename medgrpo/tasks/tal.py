"""Temporal action grounding (``tal``): when does an action happen in the clip?

Question (paraphrased): persona and domain, the closed list of actions, "when is the skin disinfected?".
Answer: all segments of that action as ``start-end`` pairs, clip-relative seconds with one decimal::

    1.1-3.0 seconds.
    22.0-78.0, 89.0-94.0 seconds.

Zero-length truths exist (66.0-66.0). Metric ``tal_set_miou@1``: optimal one-to-one matching, sum of
matched IoU over max(number of true spans, number of answered spans), so that missed and surplus spans
cost; zero-length spans of either side are one sampling period long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from medgrpo.tasks import intervals
from medgrpo.tasks.base import Parsed, ScoredRow, Task
from medgrpo.tasks.closeness import Closeness
from medgrpo.tasks.quantities import Quantity, mean, ratio
from medgrpo.tasks.text import CLOCK_OR_SECONDS, SECONDS, UNIT, as_number, seconds, unify_dashes
from medgrpo.types import Sample

__all__ = ["BOARD_THRESHOLDS", "THRESHOLDS", "TemporalGrounding"]

THRESHOLDS = (0.3, 0.5, 0.7)
"""IoU thresholds of the F1."""

BOARD_THRESHOLDS = (0.3, 0.5)
"""Those of the leaderboard's columns."""

_PUBLISHED = re.compile(rf"\s*{SECONDS}-{SECONDS}(?:, ?{SECONDS}-{SECONDS})*\s+seconds\.?\s*")
_SPAN = re.compile(
    rf"(?<![\w.:/-])(?P<between>between\s+)?(?P<start>{CLOCK_OR_SECONDS})(?:\s*{UNIT})?"
    rf"(?(between)\s*(?:and|to|-)|\s*(?:-|to\b|until\b|till\b|through\b))\s*"
    rf"(?P<end>{CLOCK_OR_SECONDS})(?![0-9]|[.:][0-9])",
    re.IGNORECASE,
)
_JOINED = re.compile(r"\s*(?:,|;|&|\band\b|,\s*and\b)\s*", re.IGNORECASE)
_UNIT_AFTER = re.compile(rf"\s*{UNIT}", re.IGNORECASE)


class TemporalGrounding(Task):
    """TAG/TAL; a structure is a list of ``[start, end]`` in seconds."""

    name: ClassVar[str] = "tal"
    qa_types: ClassVar[tuple[str, ...]] = ("tal",)
    forms: ClassVar[tuple[str, ...]] = (
        "When is {action} seen? Possible actions: {actions}.",
        "Find every time span of {action}. Possible actions: {actions}.",
    )
    metric: ClassVar[str | None] = "tal_set_miou@1"
    max_new_tokens: ClassVar[int] = 256
    localisation: ClassVar[bool] = True

    def truth(self, sample: Sample) -> list[list[float]] | None:
        """The spans of all items of ``struc_info`` in their order, else those of the answer's text."""
        items = sample.truth if isinstance(sample.truth, list) else [sample.truth]
        listed = [
            item["spans"] for item in items if isinstance(item, dict) and isinstance(item.get("spans"), list)
        ]
        if listed:
            pairs = [
                (as_number(s.get("start")), as_number(s.get("end")))
                for ss in listed
                for s in ss
                if isinstance(s, dict)
            ]
            return [[min(a, b), max(a, b)] for a, b in pairs if a is not None and b is not None]
        return self.parse(sample.answer).value if sample.answer is not None else None

    def write(self, truth: Any) -> str:
        """``1.1-3.0, 7.0-9.5 seconds.``; the benchmark has no form for an action that does not occur."""
        if not truth:
            raise ValueError("a temporal grounding answer needs at least one span")
        return ", ".join(f"{start:.1f}-{end:.1f}" for start, end in truth) + " seconds."

    def parse(self, text: str, sample: Sample | None = None) -> Parsed:
        """Spans in any common notation; where some carry a unit, those without one are ignored."""
        del sample
        plain = unify_dashes(text)
        found = list(_SPAN.finditer(plain))
        if not found:
            return Parsed(None, "failed", ("no time span",))
        notes = []
        if plain != text:
            notes.append("typographic dash")
        kept = _with_unit(plain, found)
        if len(kept) < len(found):
            notes.append(f"{len(found) - len(kept)} ranges without unit ignored")
        value = []
        for m in kept:
            start, end = seconds(m["start"]), seconds(m["end"])
            if end < start:
                start, end = end, start
                notes.append("swapped ends")
            value.append([start, end])
        if not _PUBLISHED.fullmatch(plain):
            notes.append("not the published form")
        return Parsed(value, "repaired" if notes else "ok", tuple(dict.fromkeys(notes)))

    def accuracy(self, value: Any, truth: Any, sample: Sample) -> float:
        """Set-mIoU, see the module's documentation."""
        fps = sample.clip.fps
        return intervals.set_miou(intervals.widened(truth, fps), intervals.widened(value, fps))

    def closeness(self, value: Any, truth: Any, sample: Sample, measure: Closeness) -> float:
        """As the metric, with the measure in the place of IoU."""
        fps = sample.clip.fps
        return intervals.set_closeness(
            intervals.widened(truth, fps), intervals.widened(value, fps), measure.spans
        )

    def quantities(self, rows: Sequence[ScoredRow]) -> list[Quantity]:
        """F1 over all spans (``f1@t``) and as a mean of rows (``row_f1@t``), mIoU, recall and covered time.

        ``miou@t`` is set-mIoU in which pairs below t count 0, ``r1@t`` the share of the rows with one true
        span whose first answered span reaches t, ``coverage_iou`` the IoU of the covered time.
        """
        sides = [
            (intervals.widened(row.truth, fps), intervals.widened(row.parsed.value or [], fps))
            for row in rows
            for fps in (row.sample.clip.fps,)
        ]
        matrices = [intervals.iou_matrix(a, b) for a, b in sides]
        spans = np.array([len(a) + len(b) for a, b in sides])
        found: list[Quantity] = []
        for t in THRESHOLDS:
            hits = np.array([intervals.true_positives(m, t) for m in matrices])
            found.append(ratio(f"f1@{t}", 2 * hits, spans))
            found.append(mean(f"row_f1@{t}", np.where(spans > 0, 2 * hits / np.maximum(spans, 1), 1.0)))
        for t in BOARD_THRESHOLDS:
            found.append(mean(f"miou@{t}", [_miou_at(m, t) for m in matrices]))
        single = np.array([len(a) == 1 for a, _ in sides], dtype=np.float64)
        first = np.array([m[0, 0] if m.size else 0.0 for m in matrices])
        for t in BOARD_THRESHOLDS:
            found.append(ratio(f"r1@{t}", single * (first >= t), single))
        found.append(mean("coverage_iou", [intervals.coverage_iou(a, b) for a, b in sides]))
        return found


def _miou_at(matrix: np.ndarray, threshold: float) -> float:
    """Set-mIoU of a matrix of IoUs whose pairs below the threshold count 0; 1 if both sides are empty."""
    if not max(matrix.shape):
        return 1.0
    matched = (matrix[i, j] for i, j in intervals.match(matrix))
    return float(sum(v for v in matched if v >= threshold)) / max(matrix.shape)


def _with_unit(text: str, found: list[re.Match[str]]) -> list[re.Match[str]]:
    """The spans of enumerations that end in a unit ("1-2, 4-5 seconds"); all spans if there is none."""
    groups: list[list[re.Match[str]]] = []
    for m in found:
        if groups and _JOINED.fullmatch(text, groups[-1][-1].end(), m.start()):
            groups[-1].append(m)
        else:
            groups.append([m])
    united = [g for g in groups if any(_UNIT_AFTER.match(text, m.end()) for m in g)]
    return [m for g in (united or groups) for m in g]
