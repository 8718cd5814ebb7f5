"""Whether an answer is in the published format, and a written text nothing but a description of the clip."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from medgrpo.data.build.items import ClipPictures, Draft, WrittenText
from medgrpo.data.build.verify.candidates import ClipFacts
from medgrpo.data.build.verify.findings import Finding
from medgrpo.tasks import get_task

__all__ = ["answer_format", "text_format"]

OVERFLOW = 4.0
"""Pixels by which published boxes may leave their canvas."""

LONGEST = {"video_summary": 400, "region_caption": 150, "dense_captioning": 150}
"""Words of a written text; of dense captions, of one caption."""

SHORTEST = 3
"""Words of a written text or caption."""

_ODD = {
    "markup": re.compile(
        r"<[a-z/][^>]{0,40}>|```|\*\*|^\s*(?:[#>{\[]|[-*•]\s|\d+[.)]\s)", re.IGNORECASE | re.MULTILINE
    ),
    "a refusal": re.compile(
        r"\bI(?:'m| am) (?:sorry|unable)|\bI (?:cannot|can't|can not)\b|\bas an? (?:AI|language model)\b"
        r"|\b(?:cannot|can't) (?:assist|help|determine|identify|provide)\b",
        re.IGNORECASE,
    ),
    "talk about the pictures instead of the scene": re.compile(
        r"\b(?:bounding|green|annotated|highlighted|outlined) box|\b(?:annotation|overlay|banner"
        r"|label(?:l?ed)? as|ground truth|transcript"
        r"|(?:provided|given|these|the following|first|last) (?:images?|frames?|pictures?))\b",
        re.IGNORECASE,
    ),
}
"""What writers do that no reference may hold. Writers see boxes, banners and speech; a model will not."""


def answer_format(draft: Draft, facts: ClipFacts, pictures: ClipPictures) -> Iterator[Finding]:
    """What is wrong with the form of a structured answer."""
    answer = draft.answer or ""
    task = get_task(draft.task)
    parsed = task.parse(answer)
    if not parsed.valid or task.write(parsed.value) != answer:
        yield Finding("format", f"not the published form: {'; '.join(parsed.notes) or 'spelled otherwise'}")
        return
    if draft.task == "next_action" and facts.steps and answer not in facts.steps:
        yield Finding("format", f"{answer!r} is not a step of the list")
    if draft.task == "stg":
        yield from _boxes(parsed.value, pictures)


def text_format(draft: Draft, written: WrittenText) -> Iterator[Finding]:
    """What is wrong with the form of a written text."""

    def finding(detail: str, **numbers: float) -> Finding:
        return Finding("format", detail, written.writer, numbers)

    text = written.text
    parts: Sequence[str] = (text,)
    if draft.task == "dense_captioning":
        parts = written.captions
        parsed = get_task(draft.task).parse(text)
        if parsed.status != "ok":
            yield finding(f"not the published form: {'; '.join(parsed.notes) or parsed.status}")
        elif not _same_times(parsed.value, draft):
            yield finding("the events are not those that were asked about", events=len(parsed.value))
        if len(parts) != len(draft.events):
            yield finding(f"{len(parts)} captions for {len(draft.events)} events", captions=len(parts))
    for number, part in enumerate(parts):
        where = f"caption {number}: " if draft.task == "dense_captioning" else ""
        words = len(part.split())
        if not SHORTEST <= words <= LONGEST.get(draft.task, max(LONGEST.values())):
            yield finding(f"{where}{words} words", words=words)
        if "\n" in part.strip():
            yield finding(f"{where}more than one paragraph")
        for what, pattern in _ODD.items():
            if match := pattern.search(part):
                yield finding(f"{where}{what}: {match[0].strip()[:60]!r}")


def _boxes(entries: Sequence[dict[str, Any]], pictures: ClipPictures) -> Iterator[Finding]:
    canvas = pictures.canvas
    width, height = (pictures.width, pictures.height) if canvas is None else (canvas.width, canvas.height)
    for entry in entries:
        x1, y1, x2, y2 = entry["box"]
        over = max(-x1, -y1, x2 - width, y2 - height)
        if over > OVERFLOW:
            told = f"the box at {entry['time']:g} s leaves the canvas of {width}x{height}"
            yield Finding("format", told, numbers={"pixels": round(over, 2)})


def _same_times(events: Sequence[dict[str, Any]], draft: Draft) -> bool:
    asked = [(event.start, event.end) for event in draft.events]
    said = [(event["start"], event["end"]) for event in events]
    return len(asked) == len(said) and all(
        math.isclose(a, b, abs_tol=0.051)
        for pair in zip(sorted(asked), sorted(said), strict=True)
        for a, b in zip(*pair, strict=True)
    )
