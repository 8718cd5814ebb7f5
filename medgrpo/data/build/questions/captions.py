"""Questions whose answers are written: dense captions, summaries, and captions of a region."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from medgrpo.data.build.items import Draft
from medgrpo.data.build.questions.scene import Scene, seconds
from medgrpo.types import Segment

__all__ = ["apart", "dense_captioning", "region_caption", "video_summary"]

MOST_EVENTS = 20
LONGEST_REGION = 20.0
SHORTEST_REGION = 1.0


def dense_captioning(scene: Scene, most: int) -> list[Draft]:
    """One question about all events of the clip, which do not overlap."""
    shown = [event for event in scene.seen.events if event.length >= scene.shortest - 1e-6]
    events = [event for event in apart(shown) if event.length >= scene.shortest - 1e-6]
    scene.dropped["overlapping_events"] += len(shown) - len(events)
    if len(events) > MOST_EVENTS:
        scene.dropped["clips_with_too_many_events"] += 1
    if not 1 <= len(events) <= MOST_EVENTS or most < 1:
        return []
    labels = list(scene.video.actions) or sorted({event.caption or "" for event in events})
    asked = scene.ask_both("dense_captioning", actions=", ".join(labels))
    template = scene.texts.template_id("dense_captioning")
    return [scene.draft("dense_captioning", "segment", *asked, events=tuple(events), template=template)]


def video_summary(scene: Scene, most: int) -> list[Draft]:
    """One question about the clip as a whole."""
    if most < 1:
        return []
    template = scene.texts.template_id("video_summary")
    return [scene.draft("video_summary", "video", *scene.ask_both("video_summary"), template=template)]


def region_caption(scene: Scene, most: int) -> list[Draft]:
    """Questions about what an object does from the frame on which its box is drawn until it is lost."""
    boxes = scene.seen.boxes
    lasting = {label: found for label in boxes if (found := _lasting(scene.times, boxes[label]))}
    scene.dropped["short_regions"] += len(boxes) - len(lasting)
    drafts: list[Draft] = []
    told: set[tuple[float, float]] = set()
    for label in scene.some(sorted(lasting), most):
        # The object is not told: two questions about one span would be one question.
        spans = [span for span in lasting[label] if span not in told]
        if not spans:
            scene.dropped["equal_regions"] += 1
            continue
        first, end = spans[int(scene.generator.integers(len(spans)))]
        told.add((first, end))
        asked = scene.ask_both("region_caption", start=seconds(first), end=seconds(end))
        drafts.append(
            scene.draft(
                "region_caption",
                "segment",
                *asked,
                region_time=first,
                region_end=round(end, 1),
                region_box=boxes[label][first],
                region_label=label,
                template=scene.texts.template_id("region_caption"),
            )
        )
    return drafts


def _lasting(frames: Sequence[float], seen: Collection[float]) -> list[tuple[float, float]]:
    """Spans from a frame with the object to the last one without a gap, those that are long enough."""
    spans = [(first, _seen_until(frames, seen, first)) for first in sorted(seen)]
    return [(first, end) for first, end in spans if end - first >= SHORTEST_REGION]


def _seen_until(frames: Sequence[float], seen: Collection[float], first: float) -> float:
    """The last listed frame without a gap on which the object is still seen."""
    end = first
    for frame in frames:
        if frame <= first:
            continue
        if frame not in seen or frame - first > LONGEST_REGION:
            break
        end = frame
    return end


def apart(events: Sequence[Segment]) -> list[Segment]:
    """Events that do not overlap.

    In the order of time: what overlaps the one before it by more than half of its length is left out, else it
    begins where that one ends.
    """
    found: list[Segment] = []
    for event in sorted(events, key=lambda one: (one.start, one.end)):
        over = found[-1].end - event.start if found else 0.0
        if over > event.length / 2:
            continue
        found.append(
            Segment(max(event.start, found[-1].end), event.end, event.caption) if over > 0 else event
        )
    return found
