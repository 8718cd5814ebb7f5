"""Curves over rounds as SVG, one or two on the same axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.show.html import Html, el, number

__all__ = ["AT_MOST", "Line", "Point", "curve_chart", "thinned"]

AT_MOST = 100
"""Points that are drawn of a line; more cannot be told apart in a chart of this width."""

Point = tuple[int, float, float, float]
"""Round, mean, first and third quartile; the quartiles are NaN where there are none."""

_WIDTH, _HEIGHT = 340.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 10.0, 10.0, 34.0


@dataclass(frozen=True, slots=True)
class Line:
    """A curve.

    Attributes:
        points: In ascending rounds, at least one.
        name: What it is called where there are several.
        class_: Its colour and stroke, ``a`` or ``b``.
    """

    points: Sequence[Point]
    name: str = ""
    class_: str = "a"


def thinned(points: Sequence[Point], at_most: int = AT_MOST) -> list[Point]:
    """Neighbouring points averaged, so that at most so many are left; each stands at its last round."""
    size = math.ceil(len(points) / at_most)
    bins = [points[k : k + size] for k in range(0, len(points), size)]
    return [
        (found[-1][0], *(math.fsum(point[k] for point in found) / len(found) for k in (1, 2, 3)))  # type: ignore[misc]
        for found in bins
    ]


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """An axis that holds the values: 0-1 for scores, else with a margin."""
    low, high = min(values), max(values)
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    margin = 0.08 * (high - low or abs(high) or 1.0)
    return (0.0 if low >= 0.0 else low - margin), high + margin


def curve_chart(lines: Sequence[Line], reference: float | None, label: str) -> Html:
    """Curves with their quartile bands.

    Args:
        lines: One or two.
        reference: The value before this training, drawn dashed; None if it is unknown.
        label: What a screen reader says.
    """
    drawn = [replace(line, points=thinned(line.points)) for line in lines]
    shown = [v for line in drawn for point in line.points for v in point[1:] if math.isfinite(v)]
    low, high = _bounds(shown if reference is None else [*shown, reference])
    first = min(line.points[0][0] for line in drawn)
    last = max(line.points[-1][0] for line in drawn)
    right = _WIDTH - _RIGHT

    def x(step: float) -> float:
        return _LEFT + (right - _LEFT) * ((step - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1.0 - (value - low) / (high - low))

    parts = _axes(x, y, (first, last), (low, high))
    if reference is not None:
        title = el("title", f"before this training: {number(reference)}")
        parts.append(_level(y(reference), "reference", title))
    for line in drawn:
        parts += _curve(line, x, y)
    view = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return el("svg", *parts, viewBox=view, role="img", aria_label=label, class_="curve")


_Scale = Callable[[float], float]


def _level(at: float, class_: str, *children: Html) -> Html:
    return el("line", *children, x1=_LEFT, x2=_WIDTH - _RIGHT, y1=f"{at:.1f}", y2=f"{at:.1f}", class_=class_)


def _axes(x: _Scale, y: _Scale, rounds: tuple[int, int], values: tuple[float, float]) -> list[Html]:
    (first, last), (low, high) = rounds, values
    parts: list[Html] = []
    for k in range(5):
        tick = low + (high - low) * k / 4
        text = number(tick, 2 if high - low < 5 else 0)
        parts.append(_level(y(tick), "grid"))
        parts.append(el("text", text, x=_LEFT - 5, y=f"{y(tick) + 3.5:.1f}", class_="tick end"))
    for step in sorted({first, (first + last) // 2, last}):
        parts.append(el("text", step, x=f"{x(step):.1f}", y=_HEIGHT - 17, class_="tick middle"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(el("text", "round of training", x=middle, y=_HEIGHT - 3, class_="tick middle"))
    return parts


def _curve(line: Line, x: _Scale, y: _Scale) -> list[Html]:
    parts: list[Html] = []
    banded = [point for point in line.points if math.isfinite(point[2]) and math.isfinite(point[3])]
    if banded:
        upper = [f"{x(s):.1f},{y(p75):.1f}" for s, _, _, p75 in banded]
        lower = [f"{x(s):.1f},{y(p25):.1f}" for s, _, p25, _ in reversed(banded)]
        parts.append(el("polygon", points=" ".join(upper + lower), class_=f"band {line.class_}"))
    path = " ".join(f"{x(s):.1f},{y(m):.1f}" for s, m, _, _ in line.points)
    parts.append(el("polyline", points=path, class_=f"mean {line.class_}"))
    for step, m, p25, p75 in line.points:
        words = f"{line.name + ', ' if line.name else ''}round {step}: average {number(m)}"
        if math.isfinite(p25):
            words += f", middle half {number(p25)} to {number(p75)}"
        at = {"cx": f"{x(step):.1f}", "cy": f"{y(m):.1f}"}
        parts.append(el("circle", el("title", words), **at, r=2.6, class_=f"dot {line.class_}"))
    return parts
