"""How instruments look: polygons in the unit square, entering at (0, 0), pointing to (1, 1).

Every shape touches all four sides of its square, so that an instrument's box is the box of what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

__all__ = ["INSTRUMENT_COLOURS", "Placement", "blend", "draw_instrument"]

Colour = tuple[int, int, int]
Point = tuple[float, float]
PixelBox = tuple[float, float, float, float]

INSTRUMENT_COLOURS: dict[str, Colour] = {
    "electric knife": (40, 70, 230),
    "injection needle": (30, 210, 220),
    "hemostatic forceps": (60, 200, 60),
    "snare": (240, 220, 40),
    "scalpel": (215, 235, 250),
    "scissors": (70, 70, 85),
    "tweezers": (60, 160, 90),
    "needle holder": (225, 190, 60),
    "suction cannula": (70, 110, 225),
    "grasper": (70, 205, 90),
    "hook": (60, 90, 230),
    "bipolar": (205, 80, 205),
    "clipper": (240, 215, 50),
    "irrigator": (50, 205, 225),
    "syringe": (90, 140, 235),
    "cotton swab": (245, 245, 235),
    "gauze": (120, 210, 170),
    "glucometer": (60, 60, 70),
    "needle driver": (90, 95, 110),
}


def blend(colour: Colour, ground: Colour, contrast: float) -> Colour:
    """``colour`` moved towards ``ground``; contrast 1 leaves it as it is."""
    r, g, b = (round(a * contrast + c * (1.0 - contrast)) for a, c in zip(colour, ground, strict=True))
    return (r, g, b)


@dataclass(frozen=True)
class Placement:
    """Where an instrument is: its box in pixels and the corner it enters from.

    Attributes:
        box: ``(x1, y1, x2, y2)``; the far edges are exclusive.
        from_right: It enters at the right side (the right hand holds it).
        from_below: It enters at the bottom.
    """

    box: PixelBox
    from_right: bool
    from_below: bool

    def point(self, u: float, v: float) -> Point:
        """A point of the unit square in pixels."""
        x1, y1, x2, y2 = self.box
        u = 1.0 - u if self.from_right else u
        v = 1.0 - v if self.from_below else v
        return (x1 + u * (x2 - x1 - 1), y1 + v * (y2 - y1 - 1))

    @property
    def scale(self) -> float:
        """Mean side in pixels."""
        x1, y1, x2, y2 = self.box
        return (x2 - x1 + y2 - y1) / 2


def draw_instrument(
    draw: ImageDraw.ImageDraw, tool: str, place: Placement, beat: float, ground: Colour, contrast: float
) -> None:
    """Draw an instrument into its box.

    Args:
        draw: The frame.
        tool: A key of :data:`INSTRUMENT_COLOURS`.
        place: Where.
        beat: 0..1, how far jaws are open.
        ground: Colour of the background, which low contrast approaches.
        contrast: 0..1.
    """
    body = blend(INSTRUMENT_COLOURS[tool], ground, contrast)
    dark = blend((25, 25, 30), ground, contrast)
    light = blend((250, 250, 250), ground, contrast)
    pen = _Pen(draw, place)
    _SHAPES[tool](pen, body, dark, light, beat)


class _Pen:
    """Draws in the unit square of a placement."""

    def __init__(self, draw: ImageDraw.ImageDraw, place: Placement) -> None:
        self.draw = draw
        self.place = place

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        self.draw.polygon([self.place.point(u, v) for u, v in points], fill=fill)

    def line(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        pixels = max(1, round(width * self.place.scale))
        self.draw.line([self.place.point(u, v) for u, v in points], fill=fill, width=pixels)

    def disc(
        self,
        u1: float,
        v1: float,
        u2: float,
        v2: float,
        fill: Colour | None,
        rim: Colour | None,
        width: float,
    ) -> None:
        (xa, ya), (xb, yb) = self.place.point(u1, v1), self.place.point(u2, v2)
        box = (min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb))
        self.draw.ellipse(box, fill=fill, outline=rim, width=max(1, round(width * self.place.scale)))

    def shaft(self, end: float, width: float, fill: Colour) -> None:
        half = width / 2
        self.polygon(
            [(0, width), (0, 0), (width, 0), (end + half, end - half), (end - half, end + half)], fill
        )


def _knife(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.62, 0.30, body)
    pen.polygon([(0.70, 0.56), (1, 1), (0.56, 0.70)], light)
    pen.line([(0.50, 0.74), (0.74, 0.50)], dark, 0.06)


def _needle(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.55, 0.26, body)
    pen.line([(0.45, 0.45), (0.98, 0.98)], light, 0.06)
    pen.polygon([(0.88, 0.98), (0.98, 0.88), (1, 1)], dark)
    pen.line([(0.44, 0.66), (0.66, 0.44)], dark, 0.07)


def _jaws(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.55, 0.24, body)
    gap = 0.10 + 0.28 * beat
    pen.polygon([(0.45, 0.55), (0.62, 0.40), (1, 1 - gap - 0.16), (1, 1 - gap)], body)
    pen.polygon([(0.55, 0.45), (0.40, 0.62), (1 - gap - 0.16, 1), (1 - gap, 1)], body)
    pen.disc(0.42, 0.42, 0.60, 0.60, dark, None, 0)


def _loop(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.42, 0.16, dark)
    pen.disc(0.30, 0.30, 1, 1, None, body, 0.11)


def _blade(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.50, 0.22, dark)
    pen.polygon([(0.40, 0.62), (0.62, 0.36), (1, 0.72), (1, 1), (0.80, 1)], body)


def _scissors(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    gap = 0.12 + 0.30 * beat
    pen.shaft(0.45, 0.20, body)
    pen.polygon([(0.35, 0.45), (0.48, 0.32), (1, 1 - gap)], body)
    pen.polygon([(0.45, 0.35), (0.32, 0.48), (1 - gap, 1)], body)
    pen.disc(0.36, 0.36, 0.48, 0.48, light, None, 0)
    pen.line([(0.45, 0.36), (1, 1 - gap)], light, 0.03)
    pen.line([(0.36, 0.45), (1 - gap, 1)], light, 0.03)


def _tweezers(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    gap = 0.08 + 0.20 * beat
    pen.polygon([(0, 0), (0.14, 0), (1, 1 - gap), (1, 1 - gap + 0.06)], body)
    pen.polygon([(0, 0), (0, 0.14), (1 - gap, 1), (1 - gap + 0.06, 1)], body)
    pen.polygon([(0, 0), (0.30, 0.10), (0.10, 0.30)], body)


def _holder(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.72, 0.26, body)
    pen.polygon([(0.56, 0.70), (0.70, 0.56), (0.92, 0.84), (0.84, 0.92)], dark)
    pen.line([(1, 0.62), (0.99, 0.86), (0.86, 0.99), (0.62, 1)], light, 0.06)


def _hook(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.66, 0.28, body)
    pen.line([(0.60, 0.60), (0.90, 0.90)], light, 0.09)
    pen.line([(0.70, 0.99), (0.90, 0.90), (0.99, 0.58)], light, 0.09)


def _clipper(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.60, 0.30, body)
    pen.polygon(
        [
            (0.44, 0.76),
            (0.76, 0.44),
            (1, 0.68),
            (0.90, 0.76),
            (0.72, 0.60),
            (0.60, 0.72),
            (0.76, 0.90),
            (0.68, 1),
        ],
        dark,
    )


def _tube(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.86, 0.28, body)
    pen.disc(0.72, 0.72, 1, 1, dark, body, 0.06)


def _syringe(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.60, 0.44, light)
    pen.polygon([(0.22, 0.52), (0.52, 0.22), (0.80, 0.46), (0.46, 0.80)], body)
    pen.line([(0.55, 0.55), (1, 1)], dark, 0.05)
    pen.line([(0, 0.44), (0.44, 0)], dark, 0.06)


def _swab(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.75, 0.12, dark)
    pen.disc(0.52, 0.52, 1, 1, body, None, 0)


def _gauze(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.5, 0.34, blend((205, 150, 125), dark, 0.95))
    pen.polygon([(0.26, 0.40), (0.40, 0.26), (1, 0.34), (1, 1), (0.34, 1)], body)
    for k in (0.5, 0.7, 0.9):
        pen.line([(k, 0.36), (k, 1)], light, 0.03)
        pen.line([(0.36, k), (1, k)], light, 0.03)


def _meter(pen: _Pen, body: Colour, dark: Colour, light: Colour, beat: float) -> None:
    pen.shaft(0.5, 0.30, light)
    pen.polygon([(0.30, 0.30), (0.86, 0.30), (0.86, 0.80), (0.30, 0.80)], body)
    pen.polygon([(0.40, 0.38), (0.76, 0.38), (0.76, 0.62), (0.40, 0.62)], blend((140, 240, 120), dark, 0.9))
    pen.polygon([(0.80, 0.74), (1, 0.90), (1, 1), (0.90, 1), (0.72, 0.80)], light)


_SHAPES = {
    "electric knife": _knife,
    "injection needle": _needle,
    "hemostatic forceps": _jaws,
    "snare": _loop,
    "scalpel": _blade,
    "scissors": _scissors,
    "tweezers": _tweezers,
    "needle holder": _holder,
    "suction cannula": _tube,
    "grasper": _jaws,
    "hook": _hook,
    "bipolar": _tweezers,
    "clipper": _clipper,
    "irrigator": _tube,
    "syringe": _syringe,
    "cotton swab": _swab,
    "gauze": _gauze,
    "glucometer": _meter,
    "needle driver": _jaws,
}
