"""A few marks on a common scale as a star; the numbers stand beside it for those who cannot see it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.show.html import Html, el, number

__all__ = ["radar"]

_SIZE, _RADIUS = 290.0, 70.0


def radar(marks: Sequence[tuple[str, float | None]], best: float, label: str) -> Html | None:
    """The marks as a polygon.

    Args:
        marks: Name and mark from 0 to ``best``; None or NaN is drawn at the centre.
        best: Mark at the rim.
        label: What the star is about; the marks are added for screen readers.

    Returns:
        None with fewer than three marks, which make no area.
    """
    if len(marks) < 3:
        return None
    height = _SIZE * 0.65
    cx, cy = _SIZE / 2, height / 2

    def at(k: int, share: float) -> tuple[float, float]:
        angle = 2 * math.pi * k / len(marks) - math.pi / 2
        return cx + _RADIUS * share * math.cos(angle), cy + _RADIUS * share * math.sin(angle)

    def ring(shares: Sequence[float]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(k, share) for k, share in enumerate(shares)))

    parts = [
        el("polygon", points=ring([level / best] * len(marks)), class_="grid") for level in _levels(best)
    ]
    for k, (name, value) in enumerate(marks):
        (x, y), (tx, ty) = at(k, 1.0), at(k, 1.13)
        parts.append(el("line", x1=f"{cx:.1f}", y1=f"{cy:.1f}", x2=f"{x:.1f}", y2=f"{y:.1f}", class_="grid"))
        side = "middle" if abs(tx - cx) < 8 else "end" if tx < cx else ""
        parts.append(
            el("text", f"{name} {number(value, 0)}", x=f"{tx:.1f}", y=f"{ty + 4:.1f}", class_=f"tick {side}")
        )
    shares = [_share(value, best) for _, value in marks]
    parts.append(el("polygon", points=ring(shares), class_="area"))
    for k, share in enumerate(shares):
        x, y = at(k, share)
        parts.append(el("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=2.6, class_="dot a"))
    said = ", ".join(f"{name} {number(value, 0)} of {best:g}" for name, value in marks)
    view = f"0 0 {_SIZE:.0f} {height:.0f}"
    return el("svg", *parts, viewBox=view, role="img", aria_label=f"{label}: {said}", class_="radar")


def _levels(best: float) -> list[float]:
    return [float(level) for level in range(1, int(best) + 1)]


def _share(value: float | None, best: float) -> float:
    if value is None or math.isnan(value):
        return 0.0
    return max(0.0, min(1.0, value / best))
