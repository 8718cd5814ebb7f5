"""Whether a row's ``struc_info`` has the shape that its task documents.

Reading is tolerant: tasks take what they can from it, else from the answer's text. These checks find what
was passed over. An absent or empty ``struc_info`` is no defect: the test split has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from medgrpo.data.fields import FieldError, describe
from medgrpo.tasks.boxes import proper
from medgrpo.tasks.cvs import CRITERIA
from medgrpo.tasks.text import as_number

__all__ = ["truth_boxes", "truth_defects"]

Problems = Iterator[tuple[str, str]]
"""Pairs of a field below ``struc_info`` (empty for itself) and what is wrong with it."""


def truth_defects(task: str, truth: Any) -> list[FieldError]:
    """What is wrong with a row's ``struc_info``, each field once, at its first defect.

    Args:
        task: Canonical name.
        truth: As loaded from JSON.
    """
    check = _CHECKS.get(task)
    if check is None or not (truth or isinstance(truth, bool | int | float)):
        return []
    if not isinstance(truth, list | dict):
        return [FieldError("struc_info", f"expected a list or an object, found {describe(truth)}")]
    problems: dict[str, list[str]] = {}
    for index, item in enumerate(_items(truth)):
        for field, problem in check(item):
            problems.setdefault(field, []).append(f"item {index}: {problem}")
    return [
        FieldError(
            f"struc_info.{field}" if field else "struc_info",
            found[0] + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""),
        )
        for field, found in problems.items()
    ]


def truth_boxes(truth: Any) -> list[list[float]]:
    """The proper boxes of a grounding row's ``struc_info``, in its order."""
    items = [item for item in _items(truth) if isinstance(item, dict)]
    tables = [item["bbox_dict"] for item in items if isinstance(item.get("bbox_dict"), dict)]
    boxes = [_corners(box) for table in tables for box in table.values()]
    return [box for box in boxes if box is not None]


def _items(truth: Any) -> list[Any]:
    """The items of the outer list; something else counts as its only item."""
    return truth if isinstance(truth, list) else [truth]


def _spans(item: Any) -> Problems:
    """``{"spans": [{"start", "end"}]}``."""
    spans = item.get("spans") if isinstance(item, dict) else None
    if not isinstance(spans, list) or not spans:
        yield "spans", f"expected a list of spans, found {describe(spans)}"
        return
    for index, span in enumerate(spans):
        yield from _times(span, "spans", f"span {index}: ")


def _times(item: Any, field: str, where: str) -> Problems:
    """``{"start", "end"}`` in seconds from the clip's start."""
    if not isinstance(item, dict):
        yield field, f"{where}expected an object with 'start' and 'end', found {describe(item)}"
        return
    bounds = []
    for name in ("start", "end"):
        value = as_number(item.get(name))
        if value is None or value < 0:
            yield f"{field}.{name}", f"{where}is {item.get(name)!r}; expected seconds from the clip's start"
        bounds.append(value)
    start, end = bounds
    if start is not None and end is not None and start >= 0 and 0 <= end < start:
        yield f"{field}.end", f"{where}{end:g} is before the start {start:g}"


def _boxes(item: Any) -> Problems:
    """``{"bbox_dict": {"t": [x1, y1, x2, y2]}}``."""
    table = item.get("bbox_dict") if isinstance(item, dict) else None
    if not isinstance(table, dict) or not table:
        yield "bbox_dict", f"expected an object from seconds to boxes, found {describe(table)}"
        return
    for time, corners in table.items():
        seconds = as_number(time)
        if seconds is None or seconds < 0:
            yield "bbox_dict", f"{time!r} is no time in seconds"
        elif _corners(corners) is None:
            yield "bbox_dict", f"at {time}: {corners!r}; expected [x1, y1, x2, y2] with x1 < x2 and y1 < y2"


def _corners(value: Any) -> list[float] | None:
    """Four numbers that make a box, else None."""
    numbers = [as_number(v) for v in value] if isinstance(value, list) else []
    corners = [v for v in numbers if v is not None]
    return corners if len(corners) == len(numbers) and proper(corners) else None


def _events(item: Any) -> Problems:
    """``[{"start", "end", "caption"}]``, ``{"dc_segments": [...]}`` or one such event."""
    field, events = "", item
    if isinstance(item, dict):
        field, events = ("dc_segments", item["dc_segments"]) if "dc_segments" in item else ("", [item])
    if not isinstance(events, list) or not events:
        yield field, f"expected a list of events, found {describe(events)}"
        return
    for index, event in enumerate(events):
        where = f"event {index}: "
        for name, problem in _times(event, "events", where):
            yield name.replace("events", field).strip("."), problem
        if isinstance(event, dict):
            caption = event.get("caption")
            if not isinstance(caption, str) or not caption.strip():
                name = f"{field}.caption".strip(".")
                yield name, f"{where}expected text, found {describe(caption)}"


def _criteria(item: Any) -> Problems:
    """``{"cvs_scores": {criterion: 0..2}}``."""
    yield from _scores(item, "cvs_scores", tuple(CRITERIA), (0, 2))


def _aspects(item: Any) -> Problems:
    """``{"skill_scores": {aspect: 1..5}}``; the spelling of aspects differs between trials."""
    yield from _scores(item, "skill_scores", None, (1, 5))


def _scores(item: Any, field: str, names: tuple[str, ...] | None, bounds: tuple[int, int]) -> Problems:
    scores = item.get(field) if isinstance(item, dict) else None
    if not isinstance(scores, dict) or not scores:
        yield field, f"expected an object of scores, found {describe(scores)}"
        return
    low, high = bounds
    for name in scores if names is None else names:
        value = as_number(scores.get(name))
        if value is None or not (low <= value <= high and value == int(value)):
            found = repr(scores[name]) if name in scores else "missing"
            yield f"{field}.{name}", f"is {found}; expected a whole number from {low} to {high}"


_CHECKS: Mapping[str, Callable[[Any], Problems]] = {
    "tal": _spans,
    "stg": _boxes,
    "dense_captioning": _events,
    "cvs_assessment": _criteria,
    "skill_assessment": _aspects,
}
"""By task; the others have no structure of their own."""
