"""Whether every time that an answer or a text names lies in its clip."""

from __future__ import annotations

import re
from collections.abc import Iterator

from medgrpo.data.build.items import Draft, WrittenText
from medgrpo.data.build.verify.findings import Finding
from medgrpo.tasks import get_task
from medgrpo.tasks.text import unify_dashes

__all__ = ["answer_times", "text_times", "times_named"]

TOLERANCE = 0.0501
"""Seconds: half of the last decimal of a written time."""

_NUMBER = r"[0-9]{1,6}(?:\.[0-9]{1,6})?"
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_UNIT = r"(?P<unit>s|secs?|seconds?|min|mins|minutes?|hours?|hrs?)\b"
_RANGE = re.compile(
    rf"(?<![\w.:/-])(?P<first>{_NUMBER})(?:\s*(?:s|secs?|seconds?))?\s*(?:-|to|and|until|through)\s*(?P<last>{_NUMBER})[\s-]*{_UNIT}",
    re.IGNORECASE,
)
_SINGLE = re.compile(rf"(?<![\w.:/-])(?P<last>{_NUMBER})[\s-]*{_UNIT}", re.IGNORECASE)
_CLOCK = re.compile(
    r"(?<![\w.:/-])(?:(?P<hours>[0-9]{1,2}):)?(?P<minutes>[0-9]{1,2}):(?P<seconds>[0-9]{2}(?:\.[0-9]{1,3})?)(?![\w:])"
)


def answer_times(draft: Draft) -> Iterator[Finding]:
    """Times of a question or of its structured answer that are not in the clip."""
    value = get_task(draft.task).parse(draft.answer).value if draft.answer is not None else None
    times = [time for event in draft.events for time in (event.start, event.end)]
    times += [time for time in (draft.region_time, draft.region_end) if time is not None]
    if draft.task == "tal":
        times += [time for span in value or () for time in span]
    elif draft.task == "stg":
        times += [entry["time"] for entry in value or ()]
    yield from _outside(times, draft.clip.duration)


def text_times(draft: Draft, written: WrittenText) -> Iterator[Finding]:
    """Times that a written text names and that are not in the clip."""
    parts = written.captions if draft.task == "dense_captioning" else (written.text,)
    named = [time for part in parts for time in times_named(part)]
    yield from _outside(named, draft.clip.duration, written.writer)


def times_named(text: str) -> list[float]:
    """The times and durations in free text, in seconds, in the order of the text.

    ``from 3 to 8.5 s``, ``at 12 seconds``, ``1:30``, ``two`` is none; sizes, counts and gauges (``5 mm``,
    ``3-0 silk``) have no unit of time.
    """
    plain = unify_dashes(text)
    found: list[tuple[int, float]] = []
    taken: list[tuple[int, int]] = []
    for pattern in (_RANGE, _SINGLE):
        for match in pattern.finditer(plain):
            if any(a < match.end() and match.start() < b for a, b in taken):
                continue
            taken.append(match.span())
            scale = _UNITS[match["unit"][0].lower()]
            found += [
                (match.start(name), float(match[name]) * scale)
                for name in ("first", "last")
                if name in match.groupdict()
            ]
    for match in _CLOCK.finditer(plain):
        hours, minutes, seconds = (float(match[name] or 0) for name in ("hours", "minutes", "seconds"))
        if seconds < 60:
            found.append((match.start(), 3600 * hours + 60 * minutes + seconds))
    return [time for _, time in sorted(found)]


def _outside(times: list[float], duration: float, writer: str = "") -> Iterator[Finding]:
    wrong = [time for time in times if not -TOLERANCE <= time <= duration + TOLERANCE]
    if wrong:
        told = f"{', '.join(f'{time:g}' for time in wrong[:5])} s is outside the clip of {duration:g} s"
        yield Finding("times", told, writer, {"latest": max(wrong), "times": len(wrong)})
