"""The frames of a record as a model gets them: chosen, sized and framed by the sampling policy itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.show.charts import box_overlay
from app.show.html import Html, el, join, note
from app.show.media import evenly
from medgrpo.data.clip_frames import ClipFrames
from medgrpo.data.coordinates import FrameMap, canvas_of
from medgrpo.data.regions import region_index
from medgrpo.data.sampling import FramePlan, SamplingPolicy
from medgrpo.types import Box, Canvas, Sample

__all__ = ["SeenClip", "as_uri", "boxes_strip", "frames_strip", "see", "size_words"]

_SHOWN = 24
_MARKED = 8

Marked = Sequence[tuple[float, Sequence[float], bool]]
"""Time in seconds, corners on the sample's canvas, and whether the expert drew it."""


@dataclass(frozen=True, eq=False)
class SeenClip:
    """Some of the frames of a plan.

    Attributes:
        plan: All that the model gets.
        pictures: PNG as ``data:`` URIs, by position in the plan.
        boxes: From the canvas of annotations to what the model sees.
        region: Position of the frame that the question points at; None without one.
    """

    plan: FramePlan
    pictures: dict[int, str]
    boxes: FrameMap
    region: int | None

    def near(self, time: float) -> int:
        """Position of the shown frame nearest to a time."""
        times = self.plan.true_times
        return min(self.pictures, key=lambda position: abs(times[position] - time))


def see(frames: ClipFrames, sample: Sample, marked: Sequence[float] = ()) -> SeenClip:
    """Read a few frames of a sample: some all over the clip, those at marked times, and the asked-about one.

    Args:
        frames: Reads them.
        sample: Whose clip.
        marked: Seconds that annotations refer to.

    Raises:
        UserError: If frames are missing or broken, or cannot be sampled.
    """
    plan, (height, width) = frames.plan(sample)
    positions = set(evenly(len(plan.indices), _SHOWN))
    positions |= {int(np.abs(plan.true_times - marked[k]).argmin()) for k in evenly(len(marked), _MARKED)}
    region = None
    if sample.region is not None:
        found = np.flatnonzero(plan.indices == region_index(sample))
        region = int(found[0]) if len(found) else None
        positions |= set() if region is None else {region}
    chosen = sorted(positions)
    pixels, _ = frames.read(sample, chosen)
    pictures = {position: as_uri(frame) for position, frame in zip(chosen, pixels, strict=True)}
    stored = Canvas(width, height)
    boxes = FrameMap(canvas_of(sample.canvas, height, width), stored, plan.layout)
    return SeenClip(plan, pictures, boxes, region)


def as_uri(frame: np.ndarray) -> str:
    """A frame, uint8 ``[3, H, W]``, as a ``data:`` URI of a PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0))).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def frames_strip(clip: SeenClip) -> Html:
    """The frames in their order, each with its time."""
    figures = []
    for position, uri in clip.pictures.items():
        true, told = float(clip.plan.true_times[position]), float(clip.plan.times[position])
        when = f"{true:.2f} s" if abs(true - told) < 0.005 else f"{true:.2f} s, told {told:.2f} s"
        if clip.plan.padded and position == len(clip.plan.indices) - 1:
            when += ", repeated"
        if position == clip.region:
            when += ", asked about"
        image = el("img", src=uri, alt=f"frame at {when}", loading="lazy")
        figures.append(el("figure", image, el("figcaption", when)))
    count = len(clip.plan.indices)
    words = (
        f"{len(figures)} of {count} frames are shown." if len(figures) < count else "All frames are shown."
    )
    label = {"tabindex": 0, "role": "group", "aria_label": "frames"}
    return join([el("div", *figures, class_="strip", **label), el("p", words, class_="muted")])


def boxes_strip(clip: SeenClip, marked: Marked) -> Html:
    """Boxes over the frames nearest to their times.

    Args:
        clip: Seen at those times.
        marked: The boxes; those of one time are drawn together.
    """
    if not marked:
        return note("There is no box that could be drawn.")
    times = sorted({time for time, _, _ in marked})
    width, height = clip.plan.width, clip.plan.height
    figures = []
    for time in [times[k] for k in evenly(len(times), _MARKED)]:
        position = clip.near(time)
        at = float(clip.plan.true_times[position])
        drawn = [
            (clip.boxes.model_from_canvas(Box(*map(float, corners))).xyxy, expert)
            for told, corners, expert in marked
            if told == time
        ]
        caption = f"{time:g} s" if abs(at - time) < 0.05 else f"{time:g} s, on the frame of {at:.2f} s"
        figures.append(box_overlay(clip.pictures[position], (width, height), drawn, caption))
    shown = f"{len(figures)} of {len(times)} times are shown." if len(figures) < len(times) else None
    label = {"tabindex": 0, "role": "group", "aria_label": "boxes on frames"}
    return join(
        [el("div", *figures, class_="strip", **label), el("p", shown, class_="muted") if shown else None]
    )


def size_words(clip: SeenClip, policy: SamplingPolicy) -> str:
    """How many frames at which size, and what that costs the model, in a few sentences."""
    plan, layout = clip.plan, clip.plan.layout
    pair = plan.width * plan.height // policy.factor**2
    told = "told when each frame was" if policy.timestamps == "text" else "told one regular interval"
    borders = ""
    if not layout.filled:
        picture = f"{layout.picture_width} x {layout.picture_height}"
        borders = f" (the picture fills {picture} of it, between black borders)"
    return (
        f"The model gets {len(plan.indices)} frames, about {plan.fps_effective:.2f} a second, each "
        f"{plan.width} x {plan.height} pixels{borders}. A pair of frames costs {pair} word pieces, all of "
        f"them {pair * len(plan.indices) // 2}. It is {told}; the largest difference from the true time is "
        f"{plan.residual:.2f} s."
    )
