"""Temporal action grounding: all spans of one action that occurs in the clip."""

from __future__ import annotations

from collections.abc import Sequence

from medgrpo.data.build.items import Draft
from medgrpo.data.build.questions.scene import Scene
from medgrpo.tasks import get_task
from medgrpo.types import Segment

__all__ = ["joined", "temporal_grounding"]


def temporal_grounding(scene: Scene, most: int) -> list[Draft]:
    """Questions about actions of the closed list; the format knows no answer for one that does not occur."""
    listed = list(scene.video.actions)
    events = [event for event in scene.seen.events if event.caption in listed]
    labels = sorted({event.caption or "" for event in events})
    # A closed list with one entry, seen from the first second to the last, asks nothing.
    drafts = []
    for label in scene.some(labels, most):
        spans = joined([event for event in events if event.caption == label])
        if len(spans) == 1 and spans[0].length >= scene.clip.duration - 0.05:
            scene.dropped["whole_clip_actions"] += 1
            continue
        query = scene.ask("tal", action=label, actions=", ".join(listed))
        truth = [
            {
                "action": label,
                "action_list": listed,
                "procedure": scene.video.procedure or scene.texts.domain,
                "spans": [{"start": span.start, "end": span.end} for span in spans],
            }
        ]
        answer = get_task("tal").write([[span.start, span.end] for span in spans])
        drafts.append(scene.draft("tal", "segment", query, answer=answer, truth=truth))
    return drafts


def joined(segments: Sequence[Segment]) -> list[Segment]:
    """Segments of one label, those that touch or overlap as one."""
    found: list[Segment] = []
    for one in sorted(segments, key=lambda segment: segment.start):
        if found and one.start <= found[-1].end + 0.05:
            found[-1] = Segment(found[-1].start, max(found[-1].end, one.end), one.caption)
        else:
            found.append(one)
    return found
