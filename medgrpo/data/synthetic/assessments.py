"""Scenes that are rated as a whole: the critical view of safety, and skill at the bench.

Every rating is a visible quantity:

=========================  ==========================================================================
two structures             tubes that run into the gallbladder: none, one, two
cystic plate               pale patch of the liver bed: none, half, whole
hepatocystic triangle      yellow fat in the triangle: all, half, none
Respect for tissue         blood spots on the pad: 5 minus the rating
Suture/needle handling     tilt of the needle in the jaws: 0 degrees for 5, 88 for 1
Time and motion            tremor of the instrument: none for 5, most for 1
Flow of operation          share of the time that the instrument is parked at the edge
Overall performance        mean of the other five, rounded
Quality of final product   number of stitches
=========================  ==========================================================================
"""

from __future__ import annotations

import math
import zlib
from functools import cached_property

import numpy as np
from PIL import Image, ImageDraw

from medgrpo.data.synthetic.instruments import draw_instrument
from medgrpo.data.synthetic.scenes import FrameState, RelativeBox, Scene
from medgrpo.data.synthetic.sources import GRID, SourceSpec
from medgrpo.data.synthetic.timeline import Action, sample_track
from medgrpo.data.synthetic.tissue import background, phase_light

__all__ = ["ASPECTS", "CriteriaScene", "SkillScene"]

ASPECTS = (
    "Respect for tissue",
    "Suture/needle handling",
    "Time and motion",
    "Flow of operation",
    "Overall performance",
    "Quality of final product",
)


class CriteriaScene(Scene):
    """Liver, gallbladder and the triangle between them, dissected to three independent levels."""

    def __init__(self, spec: SourceSpec, seed: int, duration: int | None = None) -> None:
        super().__init__(spec, seed, duration)
        g = self.generator
        a, b, c = (int(v) for v in g.integers(0, 3, 3))
        self.levels = (a, b, c)
        self.tool = spec.tools[int(g.integers(len(spec.tools)))]
        self.shift = tuple(float(v) for v in g.uniform(-0.02, 0.02, 2))
        action = Action(0, self.duration, self.tool, "dissect", "cystic duct", "left", 0, self.duration)
        self.track = sample_track(g, spec, action)
        self._ground_seed = int(g.integers(2**31))

    def state(self, time: float) -> FrameState:
        """What is to be seen at ``time`` seconds."""
        return FrameState(self.tool, "idle", "", self.spec.phases[0], self.box(time), self.levels, None, True)

    def box(self, time: float) -> RelativeBox:
        """The instrument stays in the lower left, clear of the triangle."""
        x1, y1, x2, y2 = self.track.box(time)
        columns, rows = GRID
        dx = round(x1 * columns * 0.15) / columns - x1
        dy = round((0.68 + 0.04 * y1) * rows) / rows - y1
        return (x1 + dx, y1 + dy, x2 + dx, min(y2 + dy, 1.0))

    def canvas(self, time: float) -> Image.Image:
        """The anatomy."""
        return self._anatomy.copy()

    @cached_property
    def _anatomy(self) -> Image.Image:
        spec = self.spec
        g = np.random.default_rng(self._ground_seed)
        plain = background(g, spec.width, spec.height, spec.tissue)
        image = Image.fromarray(np.clip(plain, 0, 255).astype(np.uint8))
        draw = ImageDraw.Draw(image)
        two, plate, triangle = self.levels

        def at(*points: tuple[float, float]) -> list[tuple[float, float]]:
            dx, dy = self.shift
            return [((x + dx) * spec.width, (y + dy) * spec.height) for x, y in points]

        draw.polygon(at((-0.1, -0.1), (1.1, -0.1), (1.1, 0.16), (0.5, 0.30), (-0.1, 0.22)), fill=(88, 34, 32))
        # The plate: where the gallbladder has been taken off the liver bed.
        for k in range(plate):
            draw.polygon(
                at(
                    (0.14 + 0.19 * k, 0.04),
                    (0.33 + 0.19 * k, 0.04),
                    (0.33 + 0.19 * k, 0.24),
                    (0.14 + 0.19 * k, 0.21),
                ),
                fill=(240, 214, 224),
            )
        draw.ellipse((*at((0.62, 0.14))[0], *at((1.06, 0.66))[0]), fill=(96, 142, 74), outline=(50, 80, 40))
        # The triangle: dark when it is clear, filled with fat otherwise.
        draw.polygon(at((0.30, 0.36), (0.62, 0.30), (0.62, 0.62)), fill=(58, 16, 20))
        lobes = ((0.40, 0.38), (0.50, 0.36), (0.47, 0.46), (0.57, 0.40), (0.57, 0.50), (0.55, 0.57))
        for x, y in lobes[: (2 - triangle) * 3]:
            (xa, ya), (xb, yb) = at((x - 0.065, y - 0.075), (x + 0.065, y + 0.075))
            draw.ellipse((xa, ya, xb, yb), fill=(246, 208, 70), outline=(190, 150, 30))
        tubes = (((0.70, 0.60), (0.48, 0.72), (0.30, 0.66)), ((0.78, 0.64), (0.62, 0.82), (0.44, 0.96)))
        colours = ((120, 215, 235), (236, 60, 70))
        for tube, colour in list(zip(tubes, colours, strict=True))[:two]:
            draw.line(at(*tube), fill=(30, 10, 10), width=11, joint="curve")
            draw.line(at(*tube), fill=colour, width=8, joint="curve")
        return image

    def paint(self, draw: ImageDraw.ImageDraw, time: float, tool: bool) -> None:
        """The instrument."""
        if tool:
            place = self.placement(self.box(time), False, True)
            draw_instrument(draw, self.tool, place, 0.4, self.spec.tissue, self.spec.contrast)


class SkillScene(Scene):
    """A pad is sutured, well or badly."""

    def __init__(self, spec: SourceSpec, seed: int, duration: int | None = None) -> None:
        super().__init__(spec, seed, duration)
        g = self.generator
        base = int(g.integers(1, 6))
        drawn = [int(np.clip(base + g.integers(-1, 2), 1, 5)) for _ in range(5)]
        tissue, handling, motion, flow, product = drawn
        overall = math.floor(sum(drawn) / 5 + 0.5)
        self.skill = dict(zip(ASPECTS, (tissue, handling, motion, flow, overall, product), strict=True))
        self.phase = int(g.integers(len(spec.phases)))
        self.spots = tuple(
            (0.14 + 0.24 * int(k) + float(g.uniform(-0.04, 0.04)), float(g.uniform(0.76, 0.92)))
            for k in g.permutation(4)
        )
        self._ground_seed = int(g.integers(2**31))

    @property
    def level(self) -> str:
        """N(ovice), I(ntermediate) or E(xpert), by the scorer's thresholds on the mean rating."""
        mean = sum(self.skill.values()) / len(self.skill)
        return "N" if mean <= 2.0 else "I" if mean <= 3.5 else "E"

    def parked(self, time: float) -> bool:
        """Whether the instrument rests: for the same share of every five seconds."""
        share = (5 - self.skill["Flow of operation"]) * 0.15
        return (time % 5.0) / 5.0 < share

    def box(self, time: float) -> RelativeBox:
        """The instrument walks along the wound, trembling; parked at the upper edge."""
        columns, rows = GRID
        width, height = round(self.spec.tool_size[0] * columns), round(self.spec.tool_size[1] * rows)
        if self.parked(time):
            x, y = columns - width, 0
        else:
            reach = (5 - self.skill["Time and motion"]) * 0.9
            step = int(time * 2)
            jx, jy = ((zlib.crc32(f"{self.seed}{step}{a}".encode()) % 1001 / 500 - 1) * reach for a in "xy")
            x = round(2 + (columns - width - 6) * (time / self.duration) + jx)
            y = round(0.18 * rows + 0.6 * jy)
            x, y = min(max(x, 0), columns - width), min(max(y, 0), rows - height)
        return (x / columns, y / rows, (x + width) / columns, (y + height) / rows)

    def state(self, time: float) -> FrameState:
        """What is to be seen at ``time`` seconds."""
        parked = self.parked(time)
        return FrameState(
            tool="needle driver",
            verb="idle" if parked else "suture",
            target="" if parked else "skin",
            phase=self.spec.phases[self.phase],
            box=self.box(time),
            cvs=None,
            skill=dict(self.skill),
            visible=True,
        )

    def canvas(self, time: float) -> Image.Image:
        """The pad with its wound."""
        return self._pad.copy()

    @cached_property
    def _pad(self) -> Image.Image:
        spec = self.spec
        g = np.random.default_rng(self._ground_seed)
        plain = background(g, spec.width, spec.height, spec.tissue)
        lit = plain * phase_light(self.phase, spec.tint)
        image = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
        draw = ImageDraw.Draw(image)
        w, h = spec.width, spec.height
        draw.line((0.05 * w, 0.60 * h, 0.95 * w, 0.60 * h), fill=(140, 50, 45), width=3)
        for x, y in self.spots[: 5 - self.skill["Respect for tissue"]]:
            draw.ellipse((x * w - 5, y * h - 4, x * w + 5, y * h + 4), fill=(190, 0, 15))
        return image

    def paint(self, draw: ImageDraw.ImageDraw, time: float, tool: bool) -> None:
        """Stitches so far, the instrument, and the needle in its jaws."""
        w, h = self.spec.width, self.spec.height
        count = self.skill["Quality of final product"]
        done = min(count, math.ceil(count * time / (0.7 * self.duration)) if time > 0 else 0)
        for k in range(done):
            x = (0.14 + 0.18 * k) * w
            draw.line((x - 2, 0.50 * h, x + 2, 0.70 * h), fill=(25, 25, 140), width=4)
        if not tool:
            return
        place = self.placement(self.box(time), True, False)
        draw_instrument(draw, "needle driver", place, 0.2, self.spec.tissue, self.spec.contrast)
        x, y = place.point(0.92, 0.92)
        tilt = math.radians((5 - self.skill["Suture/needle handling"]) * 22)
        dx, dy = 9 * math.cos(tilt), 9 * math.sin(tilt)
        draw.line((x - dx, y - dy, x + dx, y + dy), fill=(240, 250, 120), width=3)
