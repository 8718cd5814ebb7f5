"""Assessments of a whole clip: surgical skill, and the critical view of safety."""

from __future__ import annotations

from medgrpo.data.build.items import Draft
from medgrpo.data.build.questions.scene import ROUNDING, Scene
from medgrpo.tasks import get_task

__all__ = ["critical_view", "skill"]


def skill(scene: Scene, most: int) -> list[Draft]:
    """The six aspects of a rated trial."""
    rated = scene.video.skill
    if rated is None or most < 1:
        return []
    truth = [{"skill_level": rated.level, "skill_scores": dict(rated.scores)}]
    answer = get_task("skill_assessment").write(rated.scores)
    query = scene.ask("skill_assessment")
    return [scene.draft("skill_assessment", "video", query, answer=answer, truth=truth)]


def critical_view(scene: Scene, most: int) -> list[Draft]:
    """The three criteria, if they are the same throughout the clip."""
    clip = scene.clip
    start, end = clip.start + ROUNDING, clip.end - ROUNDING
    spans = [one for one in scene.video.criteria if one.start < end and one.end > start]
    levels = {tuple(sorted(one.levels.items())) for one in spans}
    covered = any(one.start <= start and one.end >= end for one in spans)
    if len(levels) != 1 or not covered or most < 1:
        return []
    scores = dict(levels.pop())
    answer = get_task("cvs_assessment").write(scores)
    order = ("two_structures", "cystic_plate", "hepatocystic_triangle")
    truth = [{"cvs_scores": {name: scores[name] for name in order}}]
    query = scene.ask("cvs_assessment")
    return [scene.draft("cvs_assessment", "video", query, answer=answer, truth=truth)]
