"""Backgrounds, target tissue and the visible effects of actions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from medgrpo.data.synthetic.instruments import Colour, blend

__all__ = ["TARGET_COLOURS", "background", "draw_effect", "draw_target", "phase_light"]

TARGET_COLOURS: dict[str, Colour] = {
    "mucosa": (250, 170, 170),
    "submucosa": (120, 170, 215),
    "fibrous tissue": (250, 240, 210),
    "blood vessel": (150, 10, 30),
    "skin": (245, 205, 175),
    "fat": (245, 210, 90),
    "muscle": (120, 20, 25),
    "fascia": (205, 205, 235),
    "gallbladder": (90, 140, 70),
    "cystic duct": (235, 215, 130),
    "cystic artery": (225, 50, 50),
    "liver": (85, 30, 30),
    "arm": (200, 120, 80),
    "hand": (250, 215, 190),
    "abdomen": (160, 95, 120),
    "wound": (180, 20, 30),
}

LIGHTS: tuple[Colour, ...] = (
    (255, 255, 255),
    (255, 190, 120),
    (140, 215, 255),
    (170, 255, 150),
    (255, 150, 215),
    (175, 155, 255),
    (255, 250, 120),
)
"""Colour of the light by position of the phase in its procedure."""


def phase_light(index: int, tint: float) -> np.ndarray:
    """Factors of the three channels, float32 ``[3]``."""
    light = np.array(LIGHTS[index % len(LIGHTS)], np.float32) / 255.0
    return 1.0 - tint * (1.0 - light)


@functools.cache
def _vignette(width: int, height: int) -> np.ndarray:
    """Fall-off of the light towards the corners, float32 ``[H, W, 1]``."""
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    return (1.0 - 0.30 * (x**2 + y**2) / 2)[..., None]


def background(
    generator: np.random.Generator, width: int, height: int, tissue: Colour, scenery: str = ""
) -> np.ndarray:
    """Folded tissue under a lamp.

    Args:
        generator: Source of the folds.
        width: Pixels.
        height: Pixels.
        tissue: Mean colour.
        scenery: What frames the field, see :class:`SourceSpec`.

    Returns:
        float32 ``[H, W, 3]``, 0..255.
    """
    image = Image.new("RGB", (width, height), tissue)
    for points, colour in _SCENERY.get(scenery, ()):
        moved = [(x + float(generator.uniform(-0.02, 0.02)), y) for x, y in points]
        ImageDraw.Draw(image).polygon([(x * width, y * height) for x, y in moved], fill=colour)
    out = np.asarray(image).astype(np.float32) + generator.normal(0, 5, 3).astype(np.float32)
    for shape, gain in (((5, 8), 12.0), ((14, 24), 5.0)):
        grid = Image.fromarray(generator.normal(0, gain, shape).astype(np.float32))
        out = out + np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))[..., None]
    out = out * _vignette(width, height)
    return out * _corners(width, height) if scenery == "scope" else out


_DRAPE, _LIVER, _OMENTUM, _SHEET = (70, 112, 122), (112, 50, 46), (196, 150, 84), (196, 208, 222)
_SCENERY: dict[str, tuple[tuple[tuple[tuple[float, float], ...], Colour], ...]] = {
    "drapes": (
        (((0, 0), (0.10, 0), (0.06, 0.5), (0.11, 1), (0, 1)), _DRAPE),
        (((1, 0), (0.90, 0), (0.94, 0.5), (0.89, 1), (1, 1)), _DRAPE),
    ),
    "organs": (
        (((-0.1, 0), (1.1, 0), (1.1, 0.10), (0.6, 0.20), (0.3, 0.13), (-0.1, 0.24)), _LIVER),
        (((-0.1, 1), (-0.1, 0.90), (0.35, 0.87), (0.7, 0.94), (1.1, 0.85), (1.1, 1)), _OMENTUM),
    ),
    "bed": (
        (((-0.1, 0), (1.1, 0), (1.1, 0.12), (0.5, 0.17), (-0.1, 0.10)), _SHEET),
        (((-0.1, 1), (-0.1, 0.87), (0.5, 0.83), (1.1, 0.90), (1.1, 1)), _SHEET),
    ),
}
"""Polygons in shares of the frame, with their colours."""


@functools.cache
def _corners(width: int, height: int) -> np.ndarray:
    """0 in the cut corners of an endoscope's image, 1 elsewhere; float32 ``[H, W, 1]``."""
    x = np.abs(np.linspace(-1, 1, width, dtype=np.float32))[None, :]
    y = np.abs(np.linspace(-1, 1, height, dtype=np.float32))[:, None]
    return ((x + y) < 1.72).astype(np.float32)[..., None]


def draw_target(
    draw: ImageDraw.ImageDraw, target: str, x: float, y: float, radius: float, ground: Colour, contrast: float
) -> None:
    """A patch of the tissue that is acted upon, centred on ``(x, y)``, ``radius`` in pixels."""
    fill = blend(TARGET_COLOURS[target], ground, contrast)
    rim = blend(fill, (0, 0, 0), 0.75)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=rim)
    style = list(TARGET_COLOURS).index(target) % 4
    if style == 1:  # fibres
        for k in (-0.5, 0.0, 0.5):
            draw.line((x - 0.7 * radius, y + k * radius, x + 0.7 * radius, y + k * radius), fill=rim)
    elif style == 2:  # lobules
        for dx, dy in ((-0.4, -0.4), (0.4, -0.4), (0.0, 0.45)):
            cx, cy, r = x + dx * radius, y + dy * radius, 0.25 * radius
            draw.ellipse((cx - r, cy - r, cx + r, cy + r), outline=rim)
    elif style == 3:  # vessels
        draw.line((x - 0.6 * radius, y - 0.6 * radius, x + 0.6 * radius, y + 0.6 * radius), fill=rim, width=2)


Paint = Callable[[Colour], Colour]
Effect = Callable[[ImageDraw.ImageDraw, float, float, float, float, Paint], None]


def draw_effect(
    draw: ImageDraw.ImageDraw,
    verb: str,
    x: float,
    y: float,
    radius: float,
    progress: float,
    ground: Colour,
    contrast: float,
) -> None:
    """What an action does to the tissue.

    Args:
        draw: The frame.
        verb: The action; ``idle`` shows nothing.
        x: Pixels, the instrument's tip.
        y: Pixels, the instrument's tip.
        radius: Pixels, size of the effect.
        progress: 0..1 through the action.
        ground: Colour that low contrast approaches.
        contrast: 0..1.
    """
    effect = _EFFECTS.get(verb)
    if effect is not None:
        effect(draw, x, y, radius, progress, lambda colour: blend(colour, ground, contrast))


def _circle(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, fill: Colour) -> None:
    draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)


def _inject(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, paint: Paint) -> None:
    size = r * (0.55 + 0.45 * p)
    _circle(draw, x, y, size, paint((20, 60, 200)))
    _circle(draw, x - 0.25 * size, y - 0.25 * size, 0.35 * size, paint((150, 190, 255)))


def _cut(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, paint: Paint) -> None:
    length = r * (0.8 + 0.6 * p)
    wide = max(2, round(0.45 * r))
    draw.line(
        (x - length, y + 0.5 * length, x + length, y - 0.5 * length), fill=paint((60, 0, 5)), width=wide
    )
    draw.line(
        (x - 0.8 * length, y + 0.4 * length, x + 0.8 * length, y - 0.4 * length),
        fill=paint((235, 20, 30)),
        width=max(1, wide // 2),
    )


def _coagulate(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, paint: Paint) -> None:
    for k in range(8):
        angle = k * math.pi / 4 + 3 * p
        draw.line(
            (x, y, x + 1.35 * r * math.cos(angle), y + 1.35 * r * math.sin(angle)),
            fill=paint((255, 240, 90)),
            width=max(1, round(0.18 * r)),
        )
    _circle(draw, x, y, 0.65 * r, paint((255, 255, 215)))


def _dissect(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, paint: Paint) -> None:
    wide = max(2, round(0.30 * r))
    for row in (-0.6, 0.1, 0.8):
        points = [(x + (k / 2 - 1) * 1.3 * r, y + (row + (0.35 if k % 2 else -0.35)) * r) for k in range(5)]
        draw.line(points, fill=paint((255, 130, 20)), width=wide)


def _grasp(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, paint: Paint) -> None:
    draw.polygon(
        [(x, y - 1.2 * r), (x + 1.2 * r, y + r), (x - 1.2 * r, y + r)],
        fill=paint((240, 120, 190)),
        outline=paint((110, 20, 70)),
    )


def _clip(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, paint: Paint) -> None:
    for k in (-0.7, 0.0, 0.7):
        cx = x + k * r
        draw.rectangle((cx - 0.18 * r, y - r, cx + 0.18 * r, y + r), fill=paint((235, 240, 245)))
        draw.rectangle((cx - 0.18 * r, y + 0.6 * r, cx + 0.18 * r, y + r), fill=paint((40, 40, 50)))


def _drops(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, colour: Colour) -> None:
    for k in range(7):
        angle = k * 2.399 + 2.5 * p
        away = r * (0.35 + 0.14 * k)
        _circle(draw, x + away * math.cos(angle), y + away * math.sin(angle), 0.28 * r, colour)


def _irrigate(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, paint: Paint) -> None:
    _drops(draw, x, y, r, p, paint((60, 190, 255)))


def _aspirate(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, paint: Paint) -> None:
    _circle(draw, x, y, r, paint((130, 0, 15)))
    _drops(draw, x, y, r, -p, paint((255, 60, 70)))


def _suture(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, paint: Paint) -> None:
    for k in (-0.8, 0.0, 0.8):
        cx = x + k * r
        draw.line(
            (cx - 0.3 * r, y - r, cx + 0.3 * r, y + r),
            fill=paint((110, 20, 200)),
            width=max(2, round(0.25 * r)),
        )
    draw.line((x - 1.2 * r, y, x + 1.2 * r, y), fill=paint((20, 0, 60)), width=max(1, round(0.15 * r)))


def _disinfect(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, paint: Paint) -> None:
    wide = 0.6 * r * (1 + p)
    draw.ellipse((x - 1.2 * wide, y - 0.8 * wide, x + 1.2 * wide, y + 0.8 * wide), fill=paint((140, 70, 10)))
    draw.ellipse((x - 0.6 * wide, y - 0.3 * wide, x + 0.6 * wide, y + 0.3 * wide), fill=paint((190, 110, 30)))


def _dry(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, paint: Paint) -> None:
    for k in range(3):
        size = r * (0.4 + 0.35 * k)
        draw.arc(
            (x - size, y - size, x + size, y + size),
            0,
            360,
            fill=paint((255, 255, 255)),
            width=max(1, round(0.14 * r)),
        )


def _measure(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, p: float, paint: Paint) -> None:
    draw.rectangle(
        (x - r, y - 0.6 * r, x + r, y + 0.6 * r), fill=paint((60, 230, 80)), outline=paint((0, 60, 0))
    )
    draw.rectangle(
        (x - 0.8 * r, y - 0.15 * r, x - 0.8 * r + 1.6 * r * p, y + 0.15 * r), fill=paint((0, 60, 0))
    )


_EFFECTS: dict[str, Effect] = {
    "inject": _inject,
    "cut": _cut,
    "coagulate": _coagulate,
    "dissect": _dissect,
    "grasp": _grasp,
    "clip": _clip,
    "irrigate": _irrigate,
    "aspirate": _aspirate,
    "suture": _suture,
    "disinfect": _disinfect,
    "dry": _dry,
    "measure": _measure,
}
