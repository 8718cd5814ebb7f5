"""Next action prediction: the step after the clip, of a closed list."""

from __future__ import annotations

from medgrpo.data.build.items import Draft
from medgrpo.data.build.questions.scene import ROUNDING, Scene
from medgrpo.tasks import get_task

__all__ = ["next_action"]

LONGEST_WAIT = 60.0
"""Seconds after the clip within which the next step must begin: a later one does not follow from it."""


def next_action(scene: Scene, most: int) -> list[Draft]:
    """One question, if a step of the list is seen in the clip and one other follows it."""
    steps, clip = list(scene.video.steps), scene.clip
    events = sorted(
        (event for event in scene.video.events if event.label in steps), key=lambda e: (e.start, e.end)
    )
    end = clip.end - ROUNDING
    begun = [event for event in events if event.start < end and event.end > clip.start]
    if not begun or most < 1:
        return []
    known = {begun[-1].label, *(event.label for event in begun if event.end > end)}
    following = [event for event in events if event.start >= end and event.label not in known]
    at_once = {event.label for event in following if event.start <= following[0].start + ROUNDING}
    if len(at_once) != 1 or following[0].start - clip.end > LONGEST_WAIT:
        scene.dropped["no_next_step"] += 1
        return []
    answer = following[0].label
    procedure = scene.video.procedure
    forms = (2, 3) if procedure else (0, 1)
    query = scene.ask("next_action", forms, steps=", ".join(steps), procedure=procedure)
    truth = [{"next_action": answer}]
    answer = get_task("next_action").write(answer)
    return [scene.draft("next_action", "video", query, answer=answer, truth=truth)]
