"""Spatio-temporal grounding: the boxes of one instrument at regular times."""

from __future__ import annotations

from collections.abc import Sequence

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
    seen = set(times)
    places = [k for k, frame in enumerate(frames) if frame in seen]
    here = set(places)
    tenths = [round(10 * float(seconds(frame))) for frame in frames]
    best: list[int] = []
    for stride in range(1, len(frames)):
        for first in places:
            run = [first]
            while len(run) < most and (after := run[-1] + stride) in here:
                step = tenths[after] - tenths[run[-1]]
                if step == 0 or (len(run) > 1 and step != tenths[run[1]] - tenths[first]):
                    break
                run.append(after)
            if len(run) > 1 and (len(run), stride) > (len(best), best[1] - best[0] if best else 0):
                best = run
    return [frames[k] for k in best]
