"""What of a source's annotations is seen in a clip: its events and boxes, in the clip's own time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medgrpo.data.build.canvas import answer_box
from medgrpo.data.build.items import BuildClip, ClipPictures
from medgrpo.data.sources.annotations import Event, Instance, SourceVideo
from medgrpo.tasks.boxes import proper
from medgrpo.types import Box, Segment

__all__ = ["Seen", "see"]

SHORTEST = 0.1
"""Seconds: times are written in tenths, so a shorter span would have no length."""


@dataclass(frozen=True)
class Seen:
    """What a clip shows, as far as it is annotated.

    Attributes:
        events: Actions, where the source has any, else phases; cut at the clip's ends, in tenths of a
            second, by start. Labels are their captions.
        boxes: Label to time to box, on the canvas of the records, see :func:`see`.
        dropped: Counts of what was left out, by reason.
    """

    events: tuple[Segment, ...]
    boxes: Mapping[str, Mapping[float, Box]]
    dropped: Mapping[str, int]


def see(video: SourceVideo, clip: BuildClip, pictures: ClipPictures) -> Seen:
    """Move annotations into a clip.

    An event is left out if so little of it is in the clip that no frame need show it, or if the closed list
    of the source does not have it. A box belongs to the listed frame on which it was annotated; it is left
    out if there is no such frame. Where several objects of one label are seen at a time, a question could not
    tell them apart, and all of them are left out there. Where objects are tracked, a label stands for one
    track, the most seen one.
    """
    dropped: Counter[str] = Counter()
    events = _events(video, clip, dropped)
    boxes = _boxes(video, clip, pictures, dropped)
    return Seen(events, boxes, dict(dropped))


def _events(video: SourceVideo, clip: BuildClip, dropped: Counter[str]) -> tuple[Segment, ...]:
    kind = "action" if any(event.kind == "action" for event in video.events) else "phase"
    found = []
    for event in video.events:
        if event.kind != kind or event.start >= clip.end or event.end <= clip.start:
            continue
        segment = _cut(event, clip)
        if segment is None:
            dropped["short_events"] += 1
        elif video.actions and event.label not in video.actions:
            dropped["unlisted_events"] += 1
        else:
            found.append(segment)
    return tuple(sorted(found, key=lambda one: (one.start, one.end, one.caption or "")))


def _cut(event: Event, clip: BuildClip) -> Segment | None:
    """What a clip has of an event; None if it is too little."""
    start = max(event.start, clip.start) - clip.start
    end = min(event.end, clip.end) - clip.start
    least = max(SHORTEST, min(1.0 / clip.fps, event.end - event.start))
    first, last = round(start, 1), round(end, 1)
    if end - start < least - 1e-6 or last <= first:
        return None
    return Segment(first, last, event.label)


def _boxes(
    video: SourceVideo, clip: BuildClip, pictures: ClipPictures, dropped: Counter[str]
) -> dict[str, dict[float, Box]]:
    found: dict[str, dict[float, Box]] = defaultdict(dict)
    tracks: dict[str, dict[float, str]] = defaultdict(dict)
    for time, instances in _by_frame(video, clip, pictures).items():
        for label in sorted({one.label for one in instances}):
            own = [one for one in instances if one.label == label]
            box = own[0].box
            if len(own) > 1 or box is None:
                dropped["ambiguous_boxes"] += len(own)
                continue
            box = Box(*(round(value, 2) for value in answer_box(box, video, pictures).xyxy))
            if not proper(box.xyxy):
                dropped["flat_boxes"] += 1
                continue
            found[label][time] = box
            if own[0].track is not None:
                tracks[label][time] = own[0].track
    for label, named in tracks.items():
        counts = Counter(named.values())
        main = min(counts, key=lambda name: (-counts[name], name))
        for time in [time for time, name in named.items() if name != main]:
            dropped["other_tracks"] += 1
            del found[label][time]
    return {label: found[label] for label in sorted(found) if found[label]}


def _by_frame(video: SourceVideo, clip: BuildClip, pictures: ClipPictures) -> dict[float, list[Instance]]:
    """Instances with a box, by the time of the listed frame on which they were annotated."""
    frames = np.asarray([picture.time for picture in pictures.pictures])
    found: dict[float, list[Instance]] = {float(time): [] for time in frames}
    near = min(0.5 / clip.fps, 0.5 / video.clock) + 1e-6
    for one in video.instances:
        time = one.time - clip.start
        if one.box is None or not len(frames) or not -near <= time <= clip.duration + near:
            continue
        nearest = float(frames[np.abs(frames - time).argmin()])
        if abs(nearest - time) <= near:
            found[nearest].append(one)
    return {time: seen for time, seen in found.items() if seen}
