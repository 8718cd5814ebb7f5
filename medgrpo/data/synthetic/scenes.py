"""Scenes of the synthetic world: what is to be seen at any time, and its picture.

A scene is a pure function of source, seed and duration: frames can be rendered in any order, in any process.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageDraw

from medgrpo.data.synthetic.instruments import Colour, Placement, draw_instrument
from medgrpo.data.synthetic.sources import PHASES, SOURCES, TARGETS, TOOLS, VERBS, SourceSpec
from medgrpo.data.synthetic.timeline import Action, Track, sample_actions, sample_duration, sample_track
from medgrpo.data.synthetic.tissue import background, draw_effect, draw_target, phase_light

__all__ = ["PHASES", "TARGETS", "TOOLS", "VERBS", "FrameState", "ProcedureScene", "Scene", "sample_scene"]

RelativeBox = tuple[float, float, float, float]


@dataclass(frozen=True)
class FrameState:
    """What is to be seen at one moment.

    Attributes:
        tool: Instrument; empty when none is in view.
        verb: Action; ``idle`` when nothing happens.
        target: What is acted upon; empty when nothing is.
        phase: Phase of the procedure.
        box: Corners of the instrument as shares of the frame's sides; zeros when none is in view.
        cvs: Levels 0..2 of two structures, cystic plate, hepatocystic triangle; None outside that source.
        skill: Ratings 1..5 by aspect; None outside that source.
        visible: Whether an instrument is in view.
    """

    tool: str
    verb: str
    target: str
    phase: str
    box: RelativeBox
    cvs: tuple[int, int, int] | None
    skill: dict[str, int] | None
    visible: bool


class Scene(ABC):
    """A clip that can be rendered at any time.

    Args:
        spec: Source.
        seed: Of everything in the scene.
        duration: Seconds; None draws one.
    """

    def __init__(self, spec: SourceSpec, seed: int, duration: int | None = None) -> None:
        self.spec = spec
        self.seed = seed
        self.generator = np.random.default_rng([zlib.crc32(spec.name.encode()), seed])
        self.duration = sample_duration(self.generator, spec) if duration is None else duration
        self.fps = spec.fps

    @property
    def times(self) -> np.ndarray:
        """Seconds of the listed frames, float64 ``[N]``."""
        return np.arange(round(self.duration * self.fps)) / self.fps

    @abstractmethod
    def state(self, time: float) -> FrameState:
        """What is to be seen at ``time`` seconds."""

    def render(self, time: float, tool: bool = True) -> np.ndarray:
        """The picture at ``time`` seconds.

        Args:
            time: Seconds from the start of the clip.
            tool: Whether the instrument is drawn; without it the rest stays the same.

        Returns:
            uint8 ``[H, W, 3]``.
        """
        image = self.canvas(time)
        self.paint(ImageDraw.Draw(image), time, tool)
        frame = np.asarray(image)
        if self.spec.noise <= 0:
            return frame.copy()
        dy, dx = (zlib.crc32(f"{round(time * 1000)}{axis}".encode()) % 16 for axis in "yx")
        height, width = frame.shape[:2]
        noisy = frame.astype(np.int16) + self.grain[dy : dy + height, dx : dx + width]
        return np.clip(noisy, 0, 255).astype(np.uint8)

    @abstractmethod
    def canvas(self, time: float) -> Image.Image:
        """A fresh copy of what stands still at ``time`` seconds."""

    @abstractmethod
    def paint(self, draw: ImageDraw.ImageDraw, time: float, tool: bool) -> None:
        """Draw what moves."""

    @cached_property
    def grain(self) -> np.ndarray:
        """Sensor noise, a little larger than a frame so that each frame sees another part; int16."""
        generator = np.random.default_rng([self.seed, 7])
        shape = (self.spec.height + 16, self.spec.width + 16, 1)
        return np.rint(generator.standard_normal(shape, np.float32) * self.spec.noise).astype(np.int16)

    def placement(self, box: RelativeBox, from_right: bool, from_below: bool) -> Placement:
        """A relative box in pixels of the stored frame."""
        w, h = self.spec.width, self.spec.height
        return Placement((box[0] * w, box[1] * h, box[2] * w, box[3] * h), from_right, from_below)


class ProcedureScene(Scene):
    """A timeline of actions in one or two phases of a procedure."""

    def __init__(self, spec: SourceSpec, seed: int, duration: int | None = None) -> None:
        super().__init__(spec, seed, duration)
        g = self.generator
        self.actions: tuple[Action, ...] = sample_actions(g, spec, self.duration)
        self.tracks: tuple[Track, ...] = tuple(sample_track(g, spec, a) for a in self.actions)
        # The last phase never is the last of the procedure, so that a next step exists.
        last = len(spec.phases) - (1 if spec.next_steps is not None else 2)
        index = int(g.integers(last + 1))
        boundary = self.actions[len(self.actions) // 2].start
        changes = spec.next_steps is None and index > 0 and boundary > 0 and bool(g.random() < 0.25)
        self.phases: tuple[tuple[float, int], ...] = (
            ((0.0, index - 1), (boundary, index)) if changes else ((0.0, index),)
        )
        self._ground_seed = int(g.integers(2**31))

    @cached_property
    def _grounds(self) -> dict[int, Image.Image]:
        """Background by phase index."""
        g = np.random.default_rng(self._ground_seed)
        spec = self.spec
        plain = background(g, spec.width, spec.height, spec.tissue, spec.scenery)
        return {
            index: Image.fromarray(np.clip(plain * phase_light(index, spec.tint), 0, 255).astype(np.uint8))
            for _, index in self.phases
        }

    def phase_index(self, time: float) -> int:
        """Index of the phase at ``time`` seconds in the procedure's list."""
        return next(index for start, index in reversed(self.phases) if time >= start)

    def current(self, time: float) -> int | None:
        """Index of the action whose instrument is in view."""
        for k, action in enumerate(self.actions):
            if action.shown_from <= time < action.shown_to:
                return k
        return None

    def state(self, time: float) -> FrameState:
        """What is to be seen at ``time`` seconds."""
        phase = self.spec.phases[self.phase_index(time)]
        k = self.current(time)
        if k is None:
            return FrameState("", "idle", "", phase, (0.0, 0.0, 0.0, 0.0), None, None, False)
        action = self.actions[k]
        acting = action.start <= time < action.end
        return FrameState(
            tool=action.tool,
            verb=action.verb if acting else "idle",
            target=action.target if acting else "",
            phase=phase,
            box=self.tracks[k].box(time),
            cvs=None,
            skill=None,
            visible=True,
        )

    def canvas(self, time: float) -> Image.Image:
        """The tissue under the light of the phase."""
        return self._grounds[self.phase_index(time)].copy()

    def paint(self, draw: ImageDraw.ImageDraw, time: float, tool: bool) -> None:
        """Target tissue and effect at the instrument's tip, then the instrument."""
        k = self.current(time)
        if k is None:
            return
        action, track, spec = self.actions[k], self.tracks[k], self.spec
        place = self.placement(track.box(time), track.from_right, track.from_below)
        ground: Colour = spec.tissue
        x, y = place.point(0.92, 0.92)
        acting = action.start <= time < action.end
        progress = (time - action.start) / (action.end - action.start)
        if acting:
            draw_target(draw, action.target, x, y, 0.42 * place.scale, ground, spec.effect_contrast)
        self.cable(draw, place, ground)
        if tool:
            beat = 0.5 + 0.5 * np.sin(2.2 * time) if acting else 0.5
            draw_instrument(draw, action.tool, place, float(beat), ground, spec.contrast)
        if acting:
            draw_effect(draw, action.verb, x, y, 0.22 * place.scale, progress, ground, spec.effect_contrast)

    def cable(self, draw: ImageDraw.ImageDraw, place: Placement, ground: Colour) -> None:
        """The faint shaft between the instrument's box and the edge of the picture."""
        x, y = place.point(0.03, 0.03)
        reach = self.spec.width
        dx = reach if place.from_right else -reach
        dy = 0.5 * reach if place.from_below else -0.5 * reach
        shade = (round(0.8 * ground[0]), round(0.8 * ground[1]), round(0.8 * ground[2]))
        draw.line((x, y, x + dx, y + dy), fill=shade, width=max(2, round(0.10 * place.scale)))


def sample_scene(
    source: str, seed: int, duration: int | None = None, spec: SourceSpec | None = None
) -> Scene:
    """A random scene of a source.

    Args:
        source: A key of ``SOURCES``.
        seed: Of everything in the scene.
        duration: Seconds; None draws one.
        spec: Another specification than the source's own, for instance without noise.
    """
    from medgrpo.data.synthetic.assessments import CriteriaScene, SkillScene

    spec = spec or SOURCES[source]
    kinds: dict[str, Callable[[SourceSpec, int, int | None], Scene]] = {
        "procedure": ProcedureScene,
        "criteria": CriteriaScene,
        "skill": SkillScene,
    }
    return kinds[spec.kind](spec, seed, duration)
