"""Two boxes of quartiles one above the other: before training and now."""

from __future__ import annotations

from collections.abc import Sequence

from app.show.html import Html, el, number

__all__ = ["box_rows"]

_WIDTH, _LEFT, _RIGHT, _ROW = 320.0, 52.0, 12.0, 24.0

Quartiles = tuple[float, float, float]


def box_rows(rows: Sequence[tuple[str, Quartiles]], label: str) -> Html:
    """A box for each row on one axis, the median as a thick mark.

    Args:
        rows: Name and quartiles; the first stands for what the others are compared with.
        label: What a screen reader says.
    """
    values = [value for _, quartiles in rows for value in quartiles]
    low, high = min(values), max(values)
    if low >= 0.0 and high <= 1.0:
        low, high = 0.0, 1.0
    else:
        margin = 0.1 * (high - low or abs(high) or 1.0)
        low, high = low - margin, high + margin
    height = _ROW * len(rows) + 20.0

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - low) / (high - low)

    parts: list[Html] = []
    for k in range(3):
        tick = low + (high - low) * k / 2
        at = f"{x(tick):.1f}"
        parts.append(el("line", x1=at, x2=at, y1=2, y2=height - 16, class_="grid"))
        parts.append(el("text", number(tick), x=at, y=height - 3, class_="tick middle"))
    for k, (name, (p25, p50, p75)) in enumerate(rows):
        top = 3.0 + _ROW * k
        words = f"{name}: low quarter {number(p25)}, typical {number(p50)}, top quarter {number(p75)}"
        width = f"{max(2.0, x(p75) - x(p25)):.1f}"
        class_ = "quartiles then" if k == 0 and len(rows) > 1 else "quartiles"
        parts.append(el("text", name, x=_LEFT - 6, y=top + 14, class_="tick end"))
        shape = {"x": f"{x(p25):.1f}", "y": top + 2, "width": width, "height": _ROW - 8, "rx": 2}
        parts.append(el("rect", el("title", words), **shape, class_=class_))
        at = f"{x(p50):.1f}"
        parts.append(el("line", x1=at, x2=at, y1=top, y2=top + _ROW - 4, class_="median"))
    view = f"0 0 {_WIDTH:.0f} {height:.0f}"
    return el("svg", *parts, viewBox=view, role="img", aria_label=label, class_="boxes")
