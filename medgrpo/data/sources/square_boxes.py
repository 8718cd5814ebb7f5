"""Boxes of CoPESD: four shares of a square into which the picture was padded, in one of two forms.

Measured on the published test file (3,456 boxes of three clips), not documented by the authors:

- Heights go from 0.04 to 0.77 and most boxes end at 0.77, widths go up to 1.00. Pictures are 1306x1009, and
  1009 / 1306 is 0.773: shares are of the longer side, and the picture lies at the top left of the square.
  MedVidBench reads them so too: a box of its answers, [235.08, 261.2, 561.58, 1005.62], is
  [0.18, 0.2, 0.43, 0.77] times 1306.
- In two clips the four numbers are corners. In the third, 233029, 519 of 1,018 boxes would end before they
  begin; read as left, top, width and height every box ends at the lower edge. The form belongs to a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from medgrpo.data.sources.csv_rows import CellError
from medgrpo.types import Box, Canvas

__all__ = ["BoxForm", "Padding", "Quad", "box_form", "pixel_box", "square_shares"]

Padding = Literal["corner", "centre", "none"]
"""Where the picture lies in the square: at its top left, or in its middle.

``none`` is shares of the picture itself."""

BoxForm = Literal["xyxy", "xywh"]
Quad = tuple[float, float, float, float]

LEEWAY = 0.011
"""Share of the square by which a box may be outside: numbers have two digits, and two of them are added."""


def box_form(quads: Sequence[Quad], padding: Padding, canvas: Canvas) -> BoxForm:
    """The form in which a clip's boxes are written: the one in which fewer of them are impossible.

    Args:
        quads: All boxes of the clip.
        padding: Where the picture lies in the square.
        canvas: Size of the picture.

    Returns:
        ``xyxy`` if both are equally good.
    """
    wrong = {
        form: sum(_flaw(quad, form, padding, canvas) != "" for quad in quads) for form in ("xyxy", "xywh")
    }
    return "xywh" if wrong["xywh"] < wrong["xyxy"] else "xyxy"


def pixel_box(quad: Quad, form: BoxForm, padding: Padding, canvas: Canvas) -> Box:
    """A box in pixels of the picture.

    Args:
        quad: Four shares of the square.
        form: Corners, or top left corner and size.
        padding: Where the picture lies in the square.
        canvas: Size of the picture.

    Returns:
        The box, cut at the edges of the picture.

    Raises:
        CellError: If it has no area or leaves the picture by more than rounding explains.
    """
    if flaw := _flaw(quad, form, padding, canvas):
        raise CellError("value", flaw)
    x1, y1, x2, y2 = _pixels(quad, form, padding, canvas)
    x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(canvas.width)), min(y2, float(canvas.height))
    if x2 <= x1 or y2 <= y1:
        raise CellError("value", f"the box [{', '.join(f'{v:g}' for v in quad)}] has no area in the picture")
    return Box(x1, y1, x2, y2)


def square_shares(box: Box, form: BoxForm, padding: Padding, canvas: Canvas) -> Quad:
    """The four numbers that a box is written as: what :func:`pixel_box` reads back."""
    (wide, high), (left, top) = _square(padding, canvas)
    x1, x2 = ((x + left) / wide for x in (box.x1, box.x2))
    y1, y2 = ((y + top) / high for y in (box.y1, box.y2))
    return (x1, y1, x2, y2) if form == "xyxy" else (x1, y1, x2 - x1, y2 - y1)


def _square(padding: Padding, canvas: Canvas) -> tuple[tuple[float, float], tuple[float, float]]:
    """Pixels of the sides that shares are of, and of what is left of and above the picture."""
    if padding == "none":
        return (canvas.width, canvas.height), (0.0, 0.0)
    side = max(canvas.width, canvas.height)
    part = 0.5 if padding == "centre" else 0.0
    return (side, side), (part * (side - canvas.width), part * (side - canvas.height))


def _pixels(quad: Quad, form: BoxForm, padding: Padding, canvas: Canvas) -> Quad:
    (wide, high), (left, top) = _square(padding, canvas)
    x1, y1, x2, y2 = quad if form == "xyxy" else (*quad[:2], quad[0] + quad[2], quad[1] + quad[3])
    return x1 * wide - left, y1 * high - top, x2 * wide - left, y2 * high - top


def _flaw(quad: Quad, form: BoxForm, padding: Padding, canvas: Canvas) -> str:
    """What is wrong with a box; empty if nothing is."""
    shown = ", ".join(f"{share:g}" for share in quad)
    if (quad[2] <= quad[0] or quad[3] <= quad[1]) if form == "xyxy" else min(quad[2:]) <= 0:
        return f"the box [{shown}] has no area, read as {form}"
    (wide, high), _ = _square(padding, canvas)
    x1, y1, x2, y2 = _pixels(quad, form, padding, canvas)
    past = max(-x1 / wide, (x2 - canvas.width) / wide, -y1 / high, (y2 - canvas.height) / high)
    if past > LEEWAY:
        size = f"{canvas.width}x{canvas.height}"
        return f"the box [{shown}] leaves the picture of {size}, read as {form} with padding {padding!r}"
    return ""
