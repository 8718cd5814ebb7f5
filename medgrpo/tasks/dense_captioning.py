"""Dense video captioning (``dense_captioning_*``): which events happen when, and what is seen?

Question (paraphrased): persona and domain, the list of actions, "describe the non-overlapping events".
Answer: one event a line, clip-relative seconds; some sources put an action label before the sentence::

    36.0-49.0 seconds: place an underpad: the clinician slides a pad under the patient.
    50.0-61.5 seconds: disinfect skin: the arm is wiped in circles.

Metric ``dvc_segment_f1@1``: F1 = 2 TP / (true + answered events) under one-to-one matching, mean over the
IoU thresholds 0.3, 0.5 and 0.7; times only, in seconds, neither truncated nor flattened. Captions are
scored by similarity and judge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from medgrpo.tasks import intervals
from medgrpo.tasks.base import Parsed, ScoredRow, Task
from medgrpo.tasks.closeness import Closeness
from medgrpo.tasks.quantities import Quantity, mean, ratio
from medgrpo.tasks.text import CLOCK_OR_SECONDS, SECONDS, UNIT, as_number, one_line, seconds, unify_dashes
from medgrpo.types import Sample

__all__ = ["THRESHOLDS", "DenseCaptioning", "spans_of"]

THRESHOLDS = (0.3, 0.5, 0.7)
"""IoU thresholds of the F1."""

_PUBLISHED_LINE = re.compile(rf"(?P<start>{SECONDS})-(?P<end>{SECONDS}) seconds: (?P<caption>\S.*)")
_HEADER = re.compile(
    rf"(?<![\w.:/-])(?P<start>{CLOCK_OR_SECONDS})(?:\s*{UNIT})?\s*(?:-|to\b)\s*(?P<end>{CLOCK_OR_SECONDS})(?![0-9]|[.:][0-9])"
    rf"[ \t]*(?P<unit>{UNIT})?[ \t\])*]*(?P<colon>:|-(?=\s))?[ \t*]*",
    re.IGNORECASE,
)
_BULLET = " \t\r\n[(*#•-"
_ORDINAL = re.compile(r"\n[ \t]{0,20}[0-9]{1,3}[.)]$")


class DenseCaptioning(Task):
    """DVC; a structure is a list of ``{"start", "end", "caption"}`` in the order of the text."""

    name: ClassVar[str] = "dense_captioning"
    qa_types: ClassVar[tuple[str, ...]] = (
        "dense_captioning_gpt",
        "dense_captioning_gemini",
        "dense_captioning",
    )
    forms: ClassVar[tuple[str, ...]] = (
        "Describe the events with their times. Possible actions: {actions}.",
        "List what happens and when. Possible actions: {actions}.",
    )
    metric: ClassVar[str | None] = "dvc_segment_f1@1"
    max_new_tokens: ClassVar[int] = 2048
    localisation: ClassVar[bool] = True

    def truth(self, sample: Sample) -> list[dict[str, Any]] | None:
        """Events of ``[[...]]``, ``[{dc_segments: ...}]`` or a flat list; else those of the answer's text."""
        events = [event for item in _flat(sample.truth) if (event := _event(item)) is not None]
        if events:
            return events
        return self.parse(sample.answer).value if sample.answer is not None else None

    def write(self, truth: Any) -> str:
        """One ``S-E seconds: caption`` a line."""
        return "\n".join(f"{e['start']:.1f}-{e['end']:.1f} seconds: {one_line(e['caption'])}" for e in truth)

    def parse(self, text: str, sample: Sample | None = None) -> Parsed:
        """Events in any common notation, also on one line.

        Headers with unit and colon come first; those without a unit count only if none has one.
        """
        del sample
        lines = [_PUBLISHED_LINE.fullmatch(line.rstrip()) for line in text.split("\n") if line.strip()]
        published = [m for m in lines if m is not None and not _joined(m["caption"])]
        if lines and len(published) == len(lines):
            found = [(m["start"], m["end"], m["caption"]) for m in published]
        else:
            found = _loose(text)
        if not found:
            return Parsed(None, "failed", ("no timed event",))
        notes = [] if published and len(published) == len(lines) else ["not the published form"]
        value = []
        for first, second, words in found:
            start, end, caption = seconds(first), seconds(second), one_line(words)
            if end < start:
                start, end = end, start
                notes.append("swapped ends")
            if not caption:
                notes.append("event without a caption")
            value.append({"start": start, "end": end, "caption": caption})
        return Parsed(value, "repaired" if notes else "ok", tuple(dict.fromkeys(notes)))

    def accuracy(self, value: Any, truth: Any, sample: Sample) -> float:
        """Mean F1 over the thresholds, see the module's documentation."""
        a, b = spans_of(truth, sample), spans_of(value, sample)
        return sum(intervals.f1_at(a, b, t) for t in THRESHOLDS) / len(THRESHOLDS)

    def closeness(self, value: Any, truth: Any, sample: Sample, measure: Closeness) -> float:
        """Of the events' times, matched one to one; missed and surplus events cost."""
        return intervals.set_closeness(spans_of(truth, sample), spans_of(value, sample), measure.spans)

    def quantities(self, rows: Sequence[ScoredRow]) -> list[Quantity]:
        """Mean F1 at each threshold, what was scored of the captions, and the share of right labels."""
        sides = [(spans_of(r.truth, r.sample), spans_of(r.parsed.value or [], r.sample)) for r in rows]
        timed = [mean(f"f1@{t}", [intervals.f1_at(a, b, t) for a, b in sides]) for t in THRESHOLDS]
        true = [row.extra.get("labels:true", 0.0) for row in rows]
        if any(true):
            timed.append(ratio("label_accuracy", [row.extra.get("labels:right", 0.0) for row in rows], true))
        return timed + super().quantities(rows)


def spans_of(events: Sequence[Mapping[str, Any]], sample: Sample) -> list[tuple[float, float]]:
    """The spans of events in seconds, those of no length widened."""
    return intervals.widened([(e["start"], e["end"]) for e in events], sample.clip.fps)


def _joined(caption: str) -> bool:
    """Whether a further event hides in a caption, because the line break before it is missing."""
    return any(m["unit"] and m["colon"] == ":" for m in _HEADER.finditer(unify_dashes(caption)))


def _loose(text: str) -> list[tuple[str, str, str]]:
    """(start, end, caption) texts of every header found anywhere, also where lines were joined."""
    plain = unify_dashes(text)
    headers = list(_HEADER.finditer(plain))
    units = [m for m in headers if m["unit"]]
    # "held for 3-4 seconds" inside a caption is no event where the events are followed by colons.
    headers = [m for m in units if m["colon"]] or units or [m for m in headers if m["colon"]]
    if not headers:
        return []
    stops = [m.start() for m in headers[1:]] + [len(text)]
    found = []
    for m, stop in zip(headers, stops, strict=True):
        caption = text[m.end() : stop]
        found.append((m["start"], m["end"], _without_bullet(caption) if stop < len(text) else caption))
    return found


def _without_bullet(caption: str) -> str:
    """A caption without the list marker ("- ", "2. ", "**") of the event that follows it."""
    return _ORDINAL.sub("", caption.rstrip(_BULLET)).rstrip()


def _flat(truth: Any) -> list[Any]:
    """The event dictionaries of any ``struc_info`` layout."""
    if isinstance(truth, dict):
        nested = truth.get("dc_segments")
        return _flat(nested) if isinstance(nested, list) else [truth]
    if isinstance(truth, list):
        return [event for item in truth for event in _flat(item)]
    return []


def _event(item: dict[str, Any]) -> dict[str, Any] | None:
    start, end = as_number(item.get("start")), as_number(item.get("end"))
    if start is None or end is None:
        return None
    caption = item.get("caption")
    return {
        "start": min(start, end),
        "end": max(start, end),
        "caption": caption if isinstance(caption, str) else "",
    }
