"""Spatio-temporal grounding: the boxes of one instrument at regular times."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from medgrpo.data.build.items import Draft
from medgrpo.data.build.questions.scene import Scene, seconds
from medgrpo.tasks import get_task

__all__ = ["longest_run", "spatio_temporal_grounding"]

MOST_BOXES = 8
FEWEST_BOXES = 2


def spatio_temporal_grounding(scene: Scene, most: int) -> list[Draft]:
    """Questions about objects that are alone of their name at each asked time: two cannot be told apart."""
    runs = {
        label: longest_run(scene.times, sorted(boxes), MOST_BOXES)
        for label, boxes in scene.seen.boxes.items()
    }
    asked = sorted(label for label, run in runs.items() if len(run) >= FEWEST_BOXES)
    scene.dropped["unseen_tools"] += len(runs) - len(asked)
    drafts = []
    for label in scene.some(asked, most):
        boxes, run = scene.seen.boxes[label], runs[label]
        step = seconds(run[1] - run[0])
        query = scene.ask("stg", tool=label, step=step, start=seconds(run[0]), end=seconds(run[-1]))
        table = {seconds(time): list(boxes[time].xyxy) for time in run}
        entries = [{"time": float(time), "box": box} for time, box in table.items()]
        answer, truth = get_task("stg").write(entries), [{"bbox_dict": table}]
        drafts.append(scene.draft("stg", "frame", query, answer=answer, truth=truth))
    return drafts


def longest_run(frames: Sequence[float], times: Sequence[float], most: int) -> list[float]:
    """The longest regular run of times, and of equally long ones that with the largest step.

    Args:
        frames: Times of the listed frames, rising.
        times: Those at which the object is seen, rising.
        most: Times of a run at most.

    Returns:
        Times whose places among the frames, and whose distances in tenths of a second, are regular.
    """
    places = [k for k, frame in enumerate(frames) if frame in set(times)]
    here = set(places)
    best: list[int] = []
    for stride in range(1, max(1, len(frames) // 2) + 1):
        for first in places:
            run = [first]
            while len(run) < most and run[-1] + stride in here:
                run.append(run[-1] + stride)
            if len(run) > 1 and len(run) >= len(best) and _is_regular([frames[k] for k in run]):
                best = run if len(run) > len(best) or stride > best[1] - best[0] else best
    return [frames[k] for k in best]


def _is_regular(run: Sequence[float]) -> bool:
    shown = [float(seconds(time)) for time in run]
    steps = {round(b - a, 1) for a, b in pairwise(shown)}
    return len(steps) == 1 and steps != {0.0}
