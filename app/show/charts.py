"""Lanes of time segments and boxes over frames as SVG. Numbers in, markup out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.show.html import Html, el

__all__ = ["Lane", "box_overlay", "timeline"]


@dataclass(frozen=True, slots=True)
class Lane:
    """A named row of (start, end, text) segments in seconds; ``true`` is what the expert marked."""

    name: str
    segments: Sequence[tuple[float, float, str]]
    true: bool = False


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
