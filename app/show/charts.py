"""Charts as SVG: curves over rounds, lanes of time segments, boxes over frames. Numbers in, markup out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.show.html import Html, el, number

__all__ = ["Lane", "box_overlay", "curve_chart", "timeline"]

_WIDTH, _HEIGHT = 340.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 10.0, 10.0, 34.0


@dataclass(frozen=True, slots=True)
class Lane:
    """A named row of (start, end, text) segments in seconds; ``true`` is what the expert marked."""

    name: str
    segments: Sequence[tuple[float, float, str]]
    true: bool = False


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """An axis that holds the values: 0-1 for scores, else with a margin."""
    low, high = min(values), max(values)
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    margin = 0.08 * (high - low or abs(high) or 1.0)
    return (0.0 if low >= 0.0 else low - margin), high + margin


def _ticks(low: float, high: float) -> list[float]:
    return [low + (high - low) * k / 4 for k in range(5)]


def curve_chart(
    points: Sequence[tuple[int, float, float, float]], reference: float | None, label: str
) -> Html:
    """A curve over rounds with its quartile band.

    Args:
        points: (round, mean, p25, p75) in ascending rounds, at least one.
        reference: The value before this training, drawn dashed; None if it is unknown.
        label: What a screen reader says.
    """
    values = [v for point in points for v in point[1:]]
    low, high = _bounds(values if reference is None else [*values, reference])
    first, last = points[0][0], points[-1][0]
    right = _WIDTH - _RIGHT

    def x(step: float) -> float:
        return _LEFT + (right - _LEFT) * ((step - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1.0 - (value - low) / (high - low))

    def level(value: float, class_: str, *children: Html) -> Html:
        return el(
            "line", *children, x1=_LEFT, x2=right, y1=f"{y(value):.1f}", y2=f"{y(value):.1f}", class_=class_
        )

    parts: list[Html] = []
    for tick in _ticks(low, high):
        shown = number(tick, 2 if high - low < 5 else 0)
        parts += [
            level(tick, "grid"),
            el("text", shown, x=_LEFT - 5, y=f"{y(tick) + 3.5:.1f}", class_="tick end"),
        ]
    for step in sorted({first, (first + last) // 2, last}):
        parts.append(el("text", step, x=f"{x(step):.1f}", y=_HEIGHT - 17, class_="tick middle"))
    middle = (_LEFT + right) / 2
    parts.append(el("text", "round of training", x=middle, y=_HEIGHT - 3, class_="tick middle"))
    upper = [f"{x(s):.1f},{y(p75):.1f}" for s, _, _, p75 in points]
    lower = [f"{x(s):.1f},{y(p25):.1f}" for s, _, p25, _ in reversed(points)]
    parts.append(el("polygon", points=" ".join(upper + lower), class_="band"))
    if reference is not None:
        parts.append(level(reference, "reference", el("title", f"before this training: {number(reference)}")))
    parts.append(
        el("polyline", points=" ".join(f"{x(s):.1f},{y(m):.1f}" for s, m, _, _ in points), class_="mean")
    )
    for step, m, p25, p75 in points:
        title = f"round {step}: average {number(m)}, middle half {number(p25)} to {number(p75)}"
        parts.append(
            el("circle", el("title", title), cx=f"{x(step):.1f}", cy=f"{y(m):.1f}", r=2.6, class_="dot")
        )
    view = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return el("svg", *parts, viewBox=view, role="img", aria_label=label, class_="curve")


def timeline(lanes: Sequence[Lane], duration: float) -> Html:
    """Segments of the expert and of each answer on one axis of clip seconds."""
    width, row, left = 1000.0, 26.0, 150.0
    span = max([duration, 1e-6, *(end for lane in lanes for _, end, _ in lane.segments)])
    height = row * len(lanes) + 30.0

    def x(seconds: float) -> float:
        return left + (width - left - 20.0) * max(0.0, seconds) / span

    parts: list[Html] = []
    for k in range(6):
        at = span * k / 5
        parts.append(el("line", x1=f"{x(at):.1f}", x2=f"{x(at):.1f}", y1=4, y2=height - 24, class_="grid"))
        parts.append(el("text", f"{at:.1f} s", x=f"{x(at):.1f}", y=height - 6, class_="tick middle"))
    for index, lane in enumerate(lanes):
        top = 4.0 + row * index
        parts.append(el("text", lane.name, x=left - 10, y=top + 17, class_="lane end"))
        if not lane.segments:
            parts.append(el("text", "nothing that could be read", x=left + 6, y=top + 17, class_="tick"))
        for start, end, text in lane.segments:
            words = f"{lane.name}: {start:.1f} to {end:.1f} seconds {text}".strip()
            parts.append(
                el(
                    "rect",
                    el("title", words),
                    x=f"{x(start):.1f}",
                    y=top + 4,
                    width=f"{max(3.0, x(end) - x(start)):.1f}",
                    height=row - 8,
                    rx=3,
                    tabindex=0,
                    role="button",
                    data_seek=f"{start:.3f}",
                    aria_label=words,
                    class_="segment true" if lane.true else "segment",
                )
            )
    view = f"0 0 {width:.0f} {height:.0f}"
    scale = {"data_left": left, "data_right": width - 20.0, "data_span": span}  # for the player's mark
    return el("svg", *parts, viewBox=view, role="group", aria_label="timeline", class_="timeline", **scale)


def box_overlay(
    image: str | None,
    canvas: tuple[float, float],
    boxes: Sequence[tuple[Sequence[float], bool]],
    caption: str,
) -> Html:
    """One frame with boxes over it.

    Args:
        image: ``data:`` URI of the frame; None draws an empty canvas.
        canvas: Width and height that the boxes refer to, in pixels.
        boxes: Corners (x1, y1, x2, y2) and whether the expert drew it.
        caption: Shown below.
    """
    width, height = canvas
    parts: list[Html] = [el("rect", width=width, height=height, class_="empty")]
    if image is not None:
        parts.append(el("image", href=image, width=width, height=height, preserveAspectRatio="none"))
    for (x1, y1, x2, y2), true in boxes:
        words = "expert" if true else "answer"
        shape = {"x": x1, "y": y1, "width": max(1.0, x2 - x1), "height": max(1.0, y2 - y1)}
        parts.append(el("rect", **shape, class_=f"halo {words}"))
        parts.append(el("rect", el("title", words), **shape, class_=f"box {words}"))
    picture = el("svg", *parts, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=caption)
    return el("figure", picture, el("figcaption", caption), class_="frame")
