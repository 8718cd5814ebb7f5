"""Whether a source video keeps what its type promises: what an importer itself may have got wrong."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from medgrpo.data.sources.annotations import Instance, Problem, Provenance, SourceVideo
from medgrpo.types import Canvas

__all__ = ["inconsistencies"]

LEEWAY = 1e-6
OVERFLOW = 5.0
"""Pixels by which a box may leave its canvas: published boxes of CholecTrack20 do by about 3."""


def inconsistencies(video: SourceVideo) -> Iterator[Problem]:
    """What contradicts what within a video.

    Times must be those of the video and in order, labels of events those of a closed list, boxes on a canvas,
    footage there, and the rate positive.
    """

    def wrong(where: Provenance, field: str, text: str) -> Problem:
        return Problem(video.video_id, where, field, text)

    nowhere = Provenance(video.video_id)
    if not (math.isfinite(video.clock) and video.clock > 0):
        yield wrong(nowhere, "clock", f"{video.clock} is no rate")
    if not (math.isfinite(video.duration) and video.duration > 0):
        yield wrong(nowhere, "duration", f"{video.duration} is no duration")
    files = [video.footage.video] if video.footage.video else video.footage.frames
    if missing := [path for path in files if path is not None and not path.exists()]:
        yield wrong(nowhere, "footage", f"{missing[0]} is not there, nor are {len(missing) - 1} more")
    lists = {"events": [e.start for e in video.events], "instances": [i.time for i in video.instances]}
    lists |= {"triplets": [t.time for t in video.triplets], "criteria": [c.start for c in video.criteria]}
    for name, times in lists.items():
        if not _rising(times):
            yield wrong(nowhere, name, "are not in the order of time")
    known = {*video.actions, *video.steps}
    for event in video.events:
        if event.end > video.duration + LEEWAY:
            text = f"{event.start:g}-{event.end:g} s ends after the video, which lasts {video.duration:g} s"
            yield wrong(event.provenance, "events", text)
        if known and event.label not in known:
            yield wrong(event.provenance, "events", f"{event.label!r} is in no closed list of the video")
    for triplet in video.triplets:
        if not 0 <= triplet.time <= video.duration + LEEWAY:
            yield wrong(triplet.provenance, "triplets", f"{triplet.time:g} s is outside the video")
    for instance in video.instances:
        if text := _flaw(instance, video.canvas, video.duration):
            yield wrong(instance.provenance, "instances", text)


def _rising(times: Sequence[float]) -> bool:
    return all(a <= b for a, b in itertools.pairwise(times))


def _flaw(instance: Instance, canvas: Canvas | None, duration: float) -> str:
    """What is wrong with an instance; empty if nothing is."""
    if not 0 <= instance.time <= duration + LEEWAY:
        return f"{instance.time:g} s is outside the video, which lasts {duration:g} s"
    if instance.box is None:
        return ""
    if canvas is None:
        return "has a box, but the video has no canvas"
    x1, y1, x2, y2 = instance.box.xyxy
    if max(-x1, -y1, x2 - canvas.width, y2 - canvas.height) > OVERFLOW:
        return f"{instance.box.xyxy} leaves the canvas of {canvas.width}x{canvas.height}"
    return ""
